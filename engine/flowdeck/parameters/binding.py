"""From the arguments of a call to parameters by name, and back. No types are looked at here."""

from __future__ import annotations

import functools
import inspect
import types
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ReservedArgumentError, SignatureMismatchError
from flowdeck.values.statics import static_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Keyword arguments of every call of a flow or task, so no function may use these names.
RESERVED: Final = ("wait_for", "return_state")

_Kind = inspect.Parameter
_ANYTHING: Final = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)


def signature_of(fn: Callable[..., Any]) -> inspect.Signature:
    """Return the function's signature; ``(*args, **kwargs)`` for built-ins that have none, or have
    defaults: what their signature shows for these need not be what they take (``numpy.add``)."""
    try:
        signature = inspect.signature(fn)
        has_defaults = any(p.default is not p.empty for p in signature.parameters.values())
        return _ANYTHING if has_defaults and not _is_python(fn) else signature
    except Exception:  # ValueError, or what code of users behind an attribute raises
        return _ANYTHING


def _is_python(fn: Any) -> bool:
    """Say whether it is Python code that takes the arguments."""
    inner = inspect.unwrap(innermost(fn))
    if isinstance(inner, type):
        entries = [static_attribute(type(inner), "__call__"), static_attribute(inner, "__init__")]
        return any(isinstance(entry, types.FunctionType) for entry in entries) or isinstance(
            inner.__new__, types.FunctionType
        )
    if isinstance(inner, types.MethodType):
        return _is_python(inner.__func__)
    if isinstance(inner, types.FunctionType) or hasattr(inner, "__kwdefaults__"):
        return True
    return isinstance(static_attribute(type(inner), "__call__"), types.FunctionType)


def innermost(fn: Any) -> Any:
    """Return the function that partial objects call in the end."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def function_name(fn: Callable[..., Any]) -> str:
    """Return what to call a function in messages; callable objects go by their class."""
    inner = innermost(fn)
    try:
        name = inner.__name__
    except Exception:  # it has none, or code of users behind it raises
        name = None
    return name if isinstance(name, str) and name else type(inner).__name__


def check_reserved(fn: Callable[..., Any], signature: inspect.Signature) -> None:
    """Refuse a function with a parameter that the engine needs for itself.

    Raises:
        ReservedArgumentError: it has one.
    """
    for name in RESERVED:
        if name in signature.parameters:
            raise ReservedArgumentError(
                f"{name!r} is a reserved argument name: calls of flows and tasks take it "
                f"themselves. Rename that parameter of {function_name(fn)!r}."
            )


def bind(
    fn: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all parameters by name, defaults applied, in the order of the signature.

    What ``*args`` and ``**kwargs`` of the function take is a tuple and a dict under their names.

    Raises:
        ParameterBindError: the arguments do not fit.
    """
    extra = _name_of_kind(signature, _Kind.VAR_KEYWORD)
    # A keyword with the name of a positional-only parameter is one for `**kwargs`; `inspect` of
    # some versions refuses it.
    only = _Kind.POSITIONAL_ONLY
    named = {p.name for p in signature.parameters.values() if extra and p.kind is only}
    try:
        bound = signature.bind(*args, **{k: v for k, v in kwargs.items() if k not in named})
    except TypeError as error:
        from flowdeck.parameters.bind_errors import bind_error

        raise bind_error(function_name(fn), signature, error, args, kwargs) from None
    bound.apply_defaults()
    if extra and named & kwargs.keys():
        rest = named | bound.arguments[extra].keys()
        bound.arguments[extra] = {k: v for k, v in kwargs.items() if k in rest}
    return dict(bound.arguments)


class Binder:
    """Binds calls of one function, many thousand times: what can be known before is.

    Raises:
        ReservedArgumentError: the function has a parameter that the engine needs for itself.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.signature = signature_of(fn)
        check_reserved(fn, self.signature)
        parameters = self.signature.parameters.values()
        self._total = len(parameters)
        self._positional = tuple(
            p.name
            for p in parameters
            if p.kind in (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
        )
        self._keyword = tuple(p.name for p in parameters if p.kind is _Kind.KEYWORD_ONLY)
        self._rest = _name_of_kind(self.signature, _Kind.VAR_POSITIONAL)
        self._extra = _name_of_kind(self.signature, _Kind.VAR_KEYWORD)
        #: The names of ``*args`` and ``**kwargs``.
        self.starred = tuple(name for name in (self._rest, self._extra) if name is not None)
        self._template = {p.name: p.default for p in parameters}
        self._fill_tables()

    def _fill_tables(self) -> None:
        """For each number of positional arguments: what keywords must and may follow."""
        parameters = self.signature.parameters
        self._must: list[tuple[str, ...]] = []
        self._may: list[frozenset[str]] = []
        plain = (_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY)
        if any(p.kind not in plain for p in parameters.values()):
            return  # no tables: every call takes the general way
        for given in range(len(self._positional) + 1):
            open_ = [name for name in parameters if name not in self._positional[:given]]
            self._must.append(
                tuple(name for name in open_ if parameters[name].default is _Kind.empty)
            )
            self._may.append(frozenset(open_))

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters by name, see :func:`bind`.

        Raises:
            ParameterBindError: the arguments do not fit.
        """
        given = len(args)
        if given < len(self._must):
            if not kwargs and given == self._total:
                return dict(zip(self._positional, args, strict=True))
            for name in self._must[given]:
                if name not in kwargs:
                    break
            else:
                if kwargs.keys() <= self._may[given]:
                    parameters = self._template.copy()
                    parameters.update(zip(self._positional, args, strict=False))
                    parameters.update(kwargs)
                    return parameters
        return bind(self.fn, self.signature, args, kwargs)

    def call_args(self, parameters: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments to call the function with.

        The inverse of :meth:`bind`.

        Raises:
            SignatureMismatchError: the names are not those of the function's parameters.
        """
        try:
            args = tuple([parameters[name] for name in self._positional])
            kwargs = {name: parameters[name] for name in self._keyword}
            if self._rest is not None:
                args += tuple(parameters[self._rest])
            if self._extra is not None:
                kwargs.update(parameters[self._extra])
        except KeyError:
            known = False
        else:
            known = len(parameters) == self._total
        if not known:
            raise SignatureMismatchError.from_bad_params(self._template, parameters)
        return args, kwargs


def _name_of_kind(signature: inspect.Signature, kind: inspect._ParameterKind) -> str | None:
    return next((p.name for p in signature.parameters.values() if p.kind is kind), None)

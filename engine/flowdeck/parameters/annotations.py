"""Annotations of parameters: resolving them, and checking values against them.

pydantic is imported here and nowhere else, and only when there is something for it to do.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from flowdeck.parameters.scope import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

#: Types whose own values pydantic hands through unchanged.
_SIMPLE: Final = frozenset({int, str, float, bool, bytes, type(None)})


def annotations_of(
    fn: Callable[..., Any],
    signature: inspect.Signature,
    unresolved: dict[str, Exception] | None = None,
) -> dict[str, Any]:
    """Return the resolved annotation of each annotated parameter.

    Annotations that are text (``from __future__ import annotations``) are evaluated where the
    function was defined. One that cannot be (a name that only type checkers import) is left out:
    nothing can be checked against it.

    Args:
        fn: the function.
        signature: its signature.
        unresolved: gets why each of those was left out, by parameter.
    """
    annotated = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    namespace = namespace_of(fn) if annotated else {}
    resolved = {}
    for name, annotation in annotated.items():
        try:
            resolved[name] = _resolve(annotation, namespace)
        except Exception as error:  # any code may be in there
            if unresolved is not None:
                unresolved[name] = error
    return resolved


def _resolve(annotation: Any, namespace: dict[str, Any]) -> Any:
    if annotation is None:
        return type(None)
    # get_type_hints also resolves text inside of an annotation: list["Model"].
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, namespace, include_extras=True)["it"]


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the annotation without ``Annotated`` and ``None``, and whether ``None`` was in it."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation, annotation is type(None)
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    nullable = len(members) < len(typing.get_args(annotation))
    if len(members) == 1:
        return without_none(members[0])[0], nullable
    return annotation, nullable


def is_unchecked(annotation: Any) -> bool:
    """Say whether any value fits this annotation as it is."""
    return annotation is Any or annotation is object


def simple_types(annotation: Any) -> frozenset[type] | None:
    """Return the types of an annotation that names plain ones only, ``None`` for all others."""
    members = (annotation,)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
    if all(isinstance(member, type) and member in _SIMPLE for member in members):
        return frozenset(members)
    return None


def whole_annotation(annotation: Any, kind: inspect._ParameterKind) -> Any:
    """Return the annotation of the tuple or dict that ``*args`` or ``**kwargs`` give."""
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple[annotation, ...]
    if kind is inspect.Parameter.VAR_KEYWORD:
        return dict[str, annotation]
    return annotation


def adapter_for(annotation: Any) -> TypeAdapter[Any] | None:
    """Return pydantic's validator of an annotation, ``None`` if it can make nothing of it."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    from flowdeck.parameters.lazy import eager

    try:
        annotation = eager(annotation)
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":  # models bring a configuration of their own
            return None
    except Exception:
        return None
    try:
        return TypeAdapter(annotation)
    except Exception:
        return None


def check(
    adapter: TypeAdapter[Any] | None, name: str, value: Any
) -> tuple[Any, list[tuple[str, str]]]:
    """Validate one value: return it coerced, and what is wrong as (dotted path, text) pairs."""
    if adapter is None:
        return value, []
    from pydantic import ValidationError

    try:
        return adapter.validate_python(value), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return None, [(".".join([name, *map(str, each["loc"])]), each["msg"]) for each in found]
    except Exception as error:  # a validator of users raised something else
        return None, [(name, f"{type(error).__name__}: {error}")]

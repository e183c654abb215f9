"""Reprs that are bounded by construction: no value, however large, costs more than the limit.

The built-in ``repr`` of a list of a million items takes long and cannot be interrupted, and the one
of a dict shows the passwords in it. So containers and record-like objects (dataclasses, named
tuples, models) are walked here, item by item, until the limit is reached. Code of users is never
called: an object with a ``__repr__`` of its own makes the walk raise :class:`NeedsUserCode`, unless
the caller supplies a way to run it (:mod:`flowdeck.values.previews` does, with a deadline).
"""

from __future__ import annotations

import collections
import enum
import types
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values import safe_repr_objects
from flowdeck.values.redaction import HIDDEN
from flowdeck.values.safe_repr_objects import Pair
from flowdeck.values.statics import module_of, qualname, static_attribute, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Beyond this an int's decimal digits take long to compute (the cost is quadratic).
BIG_INT: Final = 10**40


class NeedsUserCode(Exception):
    """The repr of this value can only be had by calling code that may never return."""


class _Full(Exception):
    """The limit is reached."""


class Walker:
    """Writes one bounded repr.

    Args:
        limit: characters the text may have.
        depth: how many levels of containers are shown.
        foreign: gives the repr of an object of user code; ``None`` raises :class:`NeedsUserCode`.
        hides: says whether the value under this name (dict key, field) must not be shown.
    """

    def __init__(
        self,
        limit: int,
        depth: int,
        foreign: Callable[[Any], str] | None = None,
        hides: Callable[[str], bool] | None = None,
    ) -> None:
        self.limit = limit
        self.depth = depth
        self.foreign = foreign
        self.hides = hides
        self.left = limit + 1  # one more, to see that there would be more
        self._out: list[str] = []
        self._path: list[int] = []

    def text(self, value: object) -> str:
        """Return the bounded repr of ``value``.

        Raises:
            NeedsUserCode: and there is no ``foreign``.
        """
        try:
            self.walk(value)
        except _Full:
            pass
        return self.so_far()

    def so_far(self, tail: str = "") -> str:
        """Return what has been written and then ``tail``, within the limit."""
        text = "".join(self._out) + tail
        return text if len(text) <= self.limit else text[: self.limit - 1] + "…"

    def write(self, text: str) -> None:
        """Append a piece.

        Raises:
            _Full: the limit is reached.
        """
        self._out.append(text)
        self.left -= len(text)
        if self.left <= 0:
            raise _Full

    def walk(self, value: object) -> None:
        """Write one value."""
        cls = type(value)
        function = static_attribute(cls, "__repr__")
        handler = _HANDLERS.get(function) or safe_repr_objects.handler(cls, function, value)
        if handler is not None:
            handler(self, value)
        else:
            self.user_code(value)

    def user_code(self, value: object) -> None:
        """Write the repr that code of users gives."""
        if self.foreign is None:
            raise NeedsUserCode(type_name(value))
        self.write(self.foreign(value)[: self.left])

    def items(self, value: object, opening: str, closing: str, pieces: Iterable[object]) -> None:
        """Write ``opening``, the pieces separated by commas, ``closing``."""
        if id(value) in self._path:
            self.write(f"{opening}...{closing}")
            return
        if len(self._path) >= self.depth:
            self.write(f"{opening}…{closing}")
            return
        self._path.append(id(value))
        self.write(opening)
        try:
            for number, piece in enumerate(islice(pieces, self.left + 1)):
                if number:
                    self.write(", ")
                self.walk(piece)
        except RuntimeError:
            self.write("… changed while shown")  # by another thread
        self._path.pop()
        self.write(closing)

    def hidden(self, name: Any, value: object) -> bool:
        """Say whether a value of this name must not be shown (that it is missing may be)."""
        if self.hides is None or value is None or type(value) is bool:
            return False
        kind = type(name)  # isinstance would ask the object for its __class__
        if kind is bytes:
            return self.hides(bytes.decode(name, "latin-1"))
        return issubclass(kind, str) and self.hides(str.__getitem__(name, slice(None)))


def _pair(walker: Walker, pair: Pair) -> None:
    if pair.separator == "=":
        walker.write(str(pair.key))
    else:
        walker.walk(pair.key)
    walker.write(pair.separator)
    if walker.hidden(pair.key, pair.value):
        walker.write(HIDDEN)
    else:
        walker.walk(pair.value)


def _plain(walker: Walker, value: object) -> None:
    walker.write(repr(value))


def _int(walker: Walker, value: int) -> None:
    if -BIG_INT < int.__add__(value, 0) < BIG_INT:
        walker.write(int.__repr__(value))
    else:
        walker.write(f"<{type_name(value)} of {int.bit_length(value)} bits>")


def _str(walker: Walker, value: str) -> None:
    walker.write(repr(str.__getitem__(value, slice(0, walker.left))))


def _bytes(walker: Walker, value: bytes | bytearray) -> None:
    kind: Any = bytes if isinstance(value, bytes) else bytearray
    walker.write(repr(kind.__getitem__(value, slice(0, walker.left))))


def _list(walker: Walker, value: list[Any]) -> None:
    _sequence(walker, value, "[", "]", list)


def _sequence(walker: Walker, value: Any, opening: str, closing: str, kind: Any) -> None:
    # The built-in type's own methods: a subclass may override them with code that never ends.
    if kind.__len__(value):
        walker.items(value, opening, closing, kind.__iter__(value))
    else:
        walker.write(opening + closing)


def _tuple(walker: Walker, value: tuple[Any, ...]) -> None:
    size = tuple.__len__(value)
    if size == 2 and walker.hidden(tuple.__getitem__(value, 0), tuple.__getitem__(value, 1)):
        # A header or a form field: ("authorization", "...").
        walker.write("(")
        walker.walk(tuple.__getitem__(value, 0))
        walker.write(f", {HIDDEN})")
    else:
        _sequence(walker, value, "(", ",)" if size == 1 else ")", tuple)


def _set(walker: Walker, value: set[Any] | frozenset[Any]) -> None:
    kind: Any = set if isinstance(value, set) else frozenset
    name = type_name(value)
    if not kind.__len__(value):
        walker.write(f"{name}()")
    elif type(value) is set:
        walker.items(value, "{", "}", kind.__iter__(value))
    else:
        walker.items(value, f"{name}({{", "})", kind.__iter__(value))


def _dict(walker: Walker, value: dict[Any, Any]) -> None:
    if dict.__len__(value):
        walker.items(value, "{", "}", _dict_pairs(value))
    else:
        walker.write("{}")


def _dict_pairs(value: dict[Any, Any]) -> Iterable[Pair]:
    return (Pair(key, item, ": ") for key, item in dict.items(value))


def _named_dict(walker: Walker, value: dict[Any, Any]) -> None:
    name = type_name(value)
    if dict.__len__(value):
        walker.items(value, f"{name}({{", "})", _dict_pairs(value))
    else:
        walker.write(f"{name}()")


def _deque(walker: Walker, value: collections.deque[Any]) -> None:
    _sequence(walker, value, f"{type_name(value)}([", "])", collections.deque)


def _view(walker: Walker, value: Any) -> None:
    # The view's iteration is the dict's own, also if the dict is of a subclass.
    walker.items(value, f"{type_name(value)}([", "])", iter(value))


def _exception(walker: Walker, value: BaseException) -> None:
    args = BaseException.args.__get__(value)  # type: ignore[attr-defined]
    _sequence(walker, args, f"{type_name(value)}(", ")", tuple)


def _module(walker: Walker, value: types.ModuleType) -> None:
    name = types.ModuleType.__getattribute__(value, "__dict__").get("__name__")
    walker.write(f"<module {name!r}>" if type(name) is str else "<module>")


def _method(walker: Walker, value: types.MethodType) -> None:
    function = value.__func__
    name = function.__qualname__ if type(function) is types.FunctionType else "?"
    walker.write(f"<bound method {name} of {type_name(value.__self__)}>")


def _enum(walker: Walker, value: enum.Enum) -> None:
    walker.write(f"<{type_name(value)}.{value._name_}: ")
    walker.walk(value._value_)
    walker.write(">")


def _class(walker: Walker, value: type) -> None:
    module, name = module_of(value), qualname(value)
    walker.write(f"<class '{name if module == 'builtins' else f'{module}.{name}'}'>")


_PLAIN: Final = (
    object, bool, float, complex, range, type(None), type(Ellipsis), type(NotImplemented),
    types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType,
    types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType,
)  # fmt: skip

#: What writes a value, by the function that is its ``__repr__``: subclasses that do not override
#: it are covered too.
_HANDLERS: Final[dict[object, Callable[[Walker, Any], None]]] = {
    **dict.fromkeys((cls.__repr__ for cls in _PLAIN), _plain),
    int.__repr__: _int,
    str.__repr__: _str,
    bytes.__repr__: _bytes,
    bytearray.__repr__: _bytes,
    list.__repr__: _list,
    tuple.__repr__: _tuple,
    set.__repr__: _set,
    frozenset.__repr__: _set,
    dict.__repr__: _dict,
    collections.OrderedDict.__repr__: _named_dict,
    collections.defaultdict.__repr__: _named_dict,
    collections.Counter.__repr__: _named_dict,
    collections.deque.__repr__: _deque,
    type({}.keys()).__repr__: _view,
    type({}.values()).__repr__: _view,
    type({}.items()).__repr__: _view,
    BaseException.__repr__: _exception,
    types.ModuleType.__repr__: _module,
    types.MethodType.__repr__: _method,
    enum.Enum.__repr__: _enum,
    type.__repr__: _class,
    Pair.__repr__: _pair,
}

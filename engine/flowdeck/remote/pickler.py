"""What cloudpickle does not know how to pickle, though the files of flows are full of it."""

from __future__ import annotations

import functools
import importlib
import sys
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.remote import errors
from flowdeck.values.of_user import is_of_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.remote.errors import ValuePickling

_CACHED: Final = type(functools.lru_cache(lambda: None))
#: The code that all functions share which :func:`functools.singledispatch` makes.
_DISPATCHING: Final = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]


@functools.cache
def pickler_class(pickling: ValuePickling) -> Any:
    """Return the class of picklers of a flavour."""
    base: Any = importlib.import_module(pickling.module).Pickler

    class Pickler(base):  # type: ignore[misc,unused-ignore]
        """Pickles exceptions with all that belongs to them, and some kinds of functions by value."""

        def reducer_override(self, obj: Any) -> Any:
            kind = type(obj)
            if issubclass(kind, BaseException):
                return errors.reduced(obj, pickling)
            if kind is _CACHED:
                if not is_installed(obj):
                    return _cached, (obj.__wrapped__, obj.cache_parameters())
            elif kind is functools.cached_property:  # has a lock, in some versions of Python
                return _cached_property, (obj.func, obj.attrname)
            elif kind is types.FunctionType and obj.__code__ is _DISPATCHING:
                if not is_installed(obj):
                    return _reduced_dispatch(obj)
            reduced = super().reducer_override(obj)
            if reduced is not NotImplemented and isinstance(obj, type) and "__slots__" in vars(obj):
                return _with_slots(obj, reduced)
            return reduced

    return Pickler


def _with_slots(cls: type, reduced: Any) -> Any:
    """Have a class that travels by value keep its slots.

    cloudpickle makes one without: its objects have a dictionary instead, and cannot come back to
    where the class is from, whose objects have none.
    """
    make, arguments, state, *rest = reduced
    if make.__name__ != "_make_skeleton_class" or NamedTuple in arguments[2]:
        return reduced  # a named tuple gets its own when it is made
    constructor, name, bases, given, *more = arguments
    own = vars(cls)
    slots = {name for name, kind in own.items() if isinstance(kind, types.MemberDescriptorType)}
    attributes = {name: value for name, value in state[0].items() if name not in slots}
    slots |= own.keys() & {"__dict__", "__weakref__"}
    given = {**given, "__slots__": tuple(sorted(slots))}
    return make, (constructor, name, bases, given, *more), (attributes, *state[1:]), *rest


def is_installed(function: Any) -> bool:
    """Say whether other processes can import a function by its name."""
    module = sys.modules.get(function.__module__)
    if module is None or module.__name__ == "__main__" or is_of_user(module):
        return False
    found: Any = module
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _cached_property(function: Callable[..., Any], name: str | None) -> Any:
    made: Any = functools.cached_property(function)
    made.attrname = name
    return made


def _reduced_dispatch(function: Any) -> Any:
    """Reduce what dispatches by type: to its default, and what is registered beside that."""
    registry = dict(function.registry)
    default = registry.pop(object)
    return functools.singledispatch, (default,), registry, None, None, _register


def _register(function: Any, registry: dict[type, Callable[..., Any]]) -> None:
    for kind, implementation in registry.items():
        function.register(kind, implementation)

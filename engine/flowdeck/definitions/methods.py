"""Tasks and flows as methods: they bind like functions.

What a class holds under a name is asked for itself when the name is looked up on an instance
(``__get__``); a function answers with a method, which puts the instance before the arguments. Tasks
and flows do the same: the instance becomes the function's first parameter, so it is recorded,
hashed for the cache and sent to workers as any other argument. It is not searched for futures.
"""

from __future__ import annotations

import inspect
import sys
import types
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from flowdeck.annotations import quote, unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.definitions.bases import Definition

D = TypeVar("D", bound="Definition[Any, Any]")

#: How what a class holds is given out: with the instance first, with the class first, as it is.
INSTANCE: Final = "instance"
CLASS: Final = "class"
NOTHING: Final = "nothing"


class Receiver(quote[Any]):
    """The instance or class that a method was looked up on, as first argument: handed over itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.value)


def unwrapped(fn: Any) -> tuple[Any, str]:
    """Return the function that is to be called, and what it is bound to when it is looked up."""
    if CLASSMETHODS_HIDE and isinstance(fn, types.FunctionType):
        _mend_class_methods(fn)
    if isinstance(fn, classmethod):
        return fn.__func__, CLASS
    if isinstance(fn, staticmethod):
        return fn.__func__, NOTHING
    # Built-in functions, partial objects and callable objects do not bind; neither do they as tasks.
    binds = isinstance(fn, types.FunctionType) or inspect.ismethoddescriptor(fn)
    return fn, INSTANCE if binds else NOTHING


#: From Python 3.13 on ``classmethod`` does not ask what it wraps to bind itself: the method of a
#: ``@classmethod`` over a ``@task`` would call the task with the class, but its ``submit`` would be
#: the task's own, which knows of no class.
CLASSMETHODS_HIDE = sys.version_info >= (3, 13)


def _mend_class_methods(fn: types.FunctionType) -> None:
    """See to it that a class body in which ``fn`` is decorated gives out its class methods bound."""
    inside, _, _ = fn.__qualname__.rpartition(".")
    if not inside or inside.endswith("<locals>"):
        return
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("flowdeck."):
        frame = frame.f_back
    if frame is not None and frame.f_locals.get("__qualname__") == inside:
        frame.f_locals.setdefault("__flowdeck_methods__", _Mender())


class _Mender:
    """Stands in a class body to be told when the class is there, and leaves it then."""

    def __set_name__(self, owner: type, name: str) -> None:
        delattr(owner, name)
        for attribute, value in list(vars(owner).items()):
            if type(value) is classmethod and hasattr(
                type(value.__func__), "_binds_like_functions"
            ):
                definition: Any = value.__func__
                definition.binds = CLASS
                setattr(owner, attribute, definition)


def bound(kind: Callable[[D, object], Any], definition: D, instance: object, owner: Any) -> Any:
    """Return what a lookup on an instance or its class gives, see ``object.__get__``."""
    if definition.binds == CLASS:
        return kind(definition, type(instance) if owner is None else owner)
    if instance is None or definition.binds == NOTHING:
        return definition
    return kind(definition, instance)


class Bound(Generic[D]):
    """A task or flow that was looked up on an instance; all that is not said here is as there.

    Args:
        definition: the task or flow.
        instance: what becomes its function's first argument.
    """

    def __init__(self, definition: D, instance: object) -> None:
        self.__func__: D = definition
        self.__self__ = instance
        self.__doc__ = definition.__doc__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """As the task's or flow's, with the instance first."""
        definition: Any = self.__func__
        return definition(Receiver(self.__self__), *args, **kwargs)

    @property
    def fn(self) -> Callable[..., Any]:
        """The plain method."""
        return types.MethodType(self.__func__.fn, self.__self__)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.fn)

    def with_options(self, /, **options: Any) -> Any:
        """Return the same with some options changed, bound to the same instance."""
        definition: Any = self.__func__
        return type(self)(definition.with_options(**options), self.__self__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _SHOWN:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.__func__, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bound):
            return NotImplemented
        return self.__func__ is other.__func__ and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((id(self.__func__), id(self.__self__)))

    def __reduce__(self) -> Any:
        return type(self), (self.__func__, self.__self__)

    def __repr__(self) -> str:
        from flowdeck.values.previews import safe_repr

        return f"{self.__func__!r} bound to {safe_repr(self.__self__)}"


class BoundTask(Bound["Definition[Any, Any]"]):
    """A task that was looked up on an instance."""

    def submit(self, /, *args: Any, **kwargs: Any) -> Any:
        """As the task's, with the instance first."""
        definition: Any = self.__func__
        return definition.submit(Receiver(self.__self__), *args, **kwargs)

    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """As the task's; every run gets the instance."""
        definition: Any = self.__func__
        return definition.map(unmapped(Receiver(self.__self__)), *args, **kwargs)


_SHOWN: Final = frozenset({"__name__", "__qualname__", "__module__", "__wrapped__"})

"""Looking at objects without running code of users: no properties, no metaclasses, no ``__getattr__``."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeIs

T = TypeVar("T")

_name_of: Final = type.__dict__["__name__"].__get__
_qualname_of: Final = type.__dict__["__qualname__"].__get__
_module_of: Final = type.__dict__["__module__"].__get__
_mro_of: Final = type.__dict__["__mro__"].__get__
_dict_of: Final = type.__dict__["__dict__"].__get__

_MISSING: Final = object()


def is_a(value: object, kind: type[T] | tuple[type[T], ...]) -> TypeIs[T]:
    """Say what ``isinstance`` does of an ordinary class, without asking the value for its class:
    ``__class__`` may be code that raises."""
    return issubclass(type(value), kind)


def type_name(value: object) -> str:
    """Return the name of the value's type (``int``, ``DataFrame``)."""
    return str(_name_of(type(value)))


def module_of(cls: type) -> str:
    """Return the name of the module a class says it is from, ``""`` if it does not say."""
    try:
        module = _module_of(cls)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


def qualified_name(cls: type) -> str:
    """Return ``module.Qualified.Name``; without the module for built-ins and ``__main__``."""
    module, name = module_of(cls), str(_qualname_of(cls))
    return name if module in {"builtins", "__main__", ""} else f"{module}.{name}"


def qualname(cls: type) -> str:
    """Return the class's ``__qualname__``."""
    return str(_qualname_of(cls))


def static_attribute(cls: type, name: str) -> Any:
    """Return what the class holds under a name, as it is in its ``__dict__``; ``None`` if nothing.

    A class attribute that is ``None`` cannot be told from none at all.
    """
    for base in _mro_of(cls):
        found = _dict_of(base).get(name, _MISSING)
        if found is not _MISSING:
            return found
    return None


def instance_value(value: object, name: str) -> object:
    """Return the value of a field from the instance's dict or slot.

    Raises:
        AttributeError: it is not set, or only code would tell.
    """
    try:
        found = object.__getattribute__(value, "__dict__").get(name, _MISSING)
    except AttributeError:
        found = _MISSING
    if found is not _MISSING:
        return found
    slot = static_attribute(type(value), name)
    if type(slot) is types.MemberDescriptorType:
        return slot.__get__(value)
    raise AttributeError(name)


def imported_class(module: str, name: str) -> type | None:
    """Return a class of a module that somebody has imported already; ``None`` otherwise."""
    found = sys.modules.get(module)
    cls = None if found is None else vars(found).get(name)
    return cls if isinstance(cls, type) else None


def encodable(text: str) -> str:
    """Return the text with lone surrogates (which UTF-8 cannot hold) written as ``\\udcff``."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def bound(text: str, limit: int) -> str:
    """Return ``text``, or its beginning and an ellipsis: at most ``limit`` characters."""
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if limit > 0 else ""

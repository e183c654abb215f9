"""Marks around arguments: how `.submit` and `.map` treat the value inside."""

from __future__ import annotations

import reprlib
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Annotation(Generic[T]):
    """Base of the marks: wraps one value."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def unwrap(self) -> T:
        """Return the value inside."""
        return self.value

    def rewrap(self, value: Any) -> Annotation[Any]:
        """Return the same mark around another value."""
        return type(self)(value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((type(self), id(self.value)))

    def __repr__(self) -> str:
        # Bounded: what is quoted is large more often than not.
        return f"{type(self).__name__}({reprlib.repr(self.value)})"


class unmapped(Annotation[T]):  # noqa: N801 - the reference's name
    """Pass the value whole to every child of a `.map` instead of one item each."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> T:
        return self.value


class allow_failure(Annotation[T]):  # noqa: N801 - the reference's name
    """Let the run start although this upstream failed; it then gets the exception as value."""

    __slots__ = ()


class quote(Annotation[T]):  # noqa: N801 - the reference's name
    """Do not look for futures inside the value; the function gets the value itself."""

    __slots__ = ()

    def unquote(self) -> T:
        """Return the value inside."""
        return self.value

"""What the names in annotations mean that are text (``from __future__ import annotations``).

A function knows the names of its module and those of the enclosing function that its body uses. A
type that is local to the enclosing function and only stands in an annotation is neither: it is
looked up where the decorator runs, in that function's frame.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Attribute of a function: what the names mean that only the enclosing function knows.
_KNOWN: Final = "__flowdeck_names__"


def remember(fn: Callable[..., Any]) -> None:
    """Keep what the names in a function's annotations mean to the code that decorates it."""
    if not isinstance(fn, types.FunctionType) or hasattr(fn, _KNOWN):
        return
    texts = fn.__annotations__.values()
    names = {name for text in texts if isinstance(text, str) for name in _names_in(text)}
    names -= vars(builtins).keys() | fn.__globals__.keys() | set(fn.__code__.co_freevars)
    if not names:
        return
    found: dict[str, Any] = {}
    for local in _scopes():
        found = {name: local[name] for name in names if name in local} | found
    if found:
        setattr(fn, _KNOWN, found)


def _names_in(text: str) -> Iterator[str]:
    """Yield the names that a text of an annotation uses, also in texts inside of it."""
    try:
        code = compile(text, "<annotation>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str) and constant != text:
            yield from _names_in(constant)


def _scopes() -> Iterator[dict[str, Any]]:
    """Yield the local names where the decorator runs: of class bodies, and of the function (or
    module) around them."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("flowdeck."):
        frame = frame.f_back
    while frame is not None:
        yield frame.f_locals
        if "__qualname__" not in frame.f_locals:
            return
        frame = frame.f_back


def namespace_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return what names mean where a function was defined, as far as it is known."""
    inner = inspect.unwrap(fn)
    inner = getattr(inner, "func", inner)  # a partial's function
    if not isinstance(inner, (types.FunctionType, types.MethodType, type)):
        inner = inspect.unwrap(type(inner).__call__)
    scope = getattr(inner, "__globals__", None)
    if scope is None:
        scope = vars(sys.modules.get(getattr(inner, "__module__", None) or "", typing))
    names = {**scope, **getattr(inner, _KNOWN, {})}
    closure = getattr(inner, "__closure__", None)
    if closure:
        names.update(zip(inner.__code__.co_freevars, map(_cell_value, closure), strict=True))
    return names


def _cell_value(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None

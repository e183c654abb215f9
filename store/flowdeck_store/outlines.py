"""What a recorded result looks like: a table, an array or a tree; read from the JSON in the record.

The engine makes them when a result is recorded (:mod:`flowdeck.values.outlines`). A record may come
from elsewhere, so what has another shape than it should have is left out, not trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

#: Bounds of what is read, whatever a record holds.
_ROWS: Final = 100
_DEPTH: Final = 20


@dataclass(frozen=True, slots=True)
class FrameOutline:
    """A table: its first rows, and the first of its columns."""

    type: str
    shape: tuple[int, ...]  # rows, columns
    columns: tuple[tuple[str, str], ...]  # name, type
    index: tuple[str, ...]  # the labels of the rows, if they have any
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ArrayOutline:
    """An array: its figures, and its first items (those of the first layers)."""

    type: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    least: str | None
    greatest: str | None
    sampled: bool  # least and greatest are those of an even draw
    device: str | None
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class TreeOutline:
    """A container or record, and what it holds."""

    key: str
    type: str
    text: str | None  # of a leaf
    n: int | None  # how many it holds; not all need be in ``items``
    items: tuple[TreeOutline, ...] = ()


Outline: TypeAlias = "FrameOutline | ArrayOutline | TreeOutline"


def outline_of(data: Any) -> Outline | None:
    """Return what a recorded outline says, ``None`` if it is none."""
    if not isinstance(data, dict):
        return None
    kind = data.get("kind")
    if kind == "tree":
        return _node(data.get("root"), _DEPTH)
    shape = tuple(n for n in _list(data.get("shape")) if isinstance(n, int))
    rows = tuple(tuple(map(str, _list(row))) for row in _list(data.get("rows")))
    if kind == "frame":
        columns = tuple(
            (_text(item.get("name")), _text(item.get("dtype")))
            for item in _list(data.get("columns"))
            if isinstance(item, dict)
        )
        index = tuple(map(str, _list(data.get("index"))))
        return FrameOutline(_text(data.get("type")), shape, columns, index, rows)
    if kind == "array":
        return ArrayOutline(
            _text(data.get("type")), shape, _text(data.get("dtype")), _number(data.get("nbytes")),
            _maybe(data.get("min")), _maybe(data.get("max")), data.get("sampled") is True,
            _maybe(data.get("device")), rows,
        )  # fmt: skip
    return None


def _node(data: Any, depth: int) -> TreeOutline | None:
    if not isinstance(data, dict) or not depth:
        return None
    items = (_node(item, depth - 1) for item in _list(data.get("items")))
    return TreeOutline(
        _text(data.get("key")),
        _text(data.get("type")),
        _maybe(data.get("text")),
        data["n"] if isinstance(data.get("n"), int) else None,
        tuple(item for item in items if item is not None),
    )


def _list(value: Any) -> list[Any]:
    return value[:_ROWS] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _maybe(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0

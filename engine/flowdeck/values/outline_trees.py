"""Outlines of containers and records: their upper levels, as a tree.

Level by level, so that what is left out of a large value is what lies deep, not what comes last.
Containers are walked by the methods of the built-in types, records by their fields: no code of
users runs, but for the reprs of the leaves, all of which share one deadline.
"""

from __future__ import annotations

import collections
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.outline_tables import shape_of
from flowdeck.values.previews import safe_repr, safe_reprs
from flowdeck.values.redaction import HIDDEN
from flowdeck.values.safe_repr import Walker
from flowdeck.values.safe_repr_objects import fields_of
from flowdeck.values.statics import bound, is_a, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Hides = Callable[[str], bool] | None

#: Nodes of a tree, children of a node, levels; characters of a leaf and of a key.
_NODES: Final = 120
_CHILDREN: Final = 40
_DEPTH: Final = 6
_TEXT: Final = 80
_KEY: Final = 40
#: Other built-in containers: whether their items have places.
_SEQUENCES: Final[dict[Any, bool]] = {
    list: True, tuple: True, collections.deque: True, set: False, frozenset: False,
}  # fmt: skip


def of_tree(value: object, hides: Hides) -> dict[str, Any] | None:
    """Return the outline of a container or record; ``None`` if it is neither, or is empty."""
    if not (_parts(value) or ("", 0))[1]:
        return None
    tree = _Tree(hides)
    root = tree.node("", value)
    tree.grow()
    return {"kind": "tree", "root": root}


class _Tree:
    def __init__(self, hides: Hides) -> None:
        self._hides = hides
        self._names = Walker(0, 0, hides=hides)
        self._left = _NODES
        #: Of this level: nodes with their values.
        self._open: list[tuple[dict[str, Any], object]] = []
        self._leaves: list[tuple[dict[str, Any], object]] = []

    def node(self, key: str, value: object) -> dict[str, Any]:
        """Return a node that is still to grow, or to get its text."""
        self._left -= 1
        found: dict[str, Any] = {"key": key, "type": type_name(value)}
        parts = _parts(value)
        shape = shape_of(value) if parts is None else None
        if shape is not None:
            found["text"] = shape
        elif parts is None or not parts[1]:
            self._leaves.append((found, value))
        else:
            found["n"] = parts[1]
            self._open.append((found, value))
        return found

    def grow(self) -> None:
        """Add levels while there is room, then the texts."""
        seen: set[int] = set()
        for _ in range(_DEPTH):
            level, self._open = self._open, []
            for node, value in level:
                if self._left <= 0 or id(value) in seen:  # a circle, or shown elsewhere
                    continue
                seen.add(id(value))
                node["items"] = self._children(value)
        texts = safe_reprs([value for _, value in self._leaves], _TEXT, 1, hides=self._hides)
        for (node, _), text in zip(self._leaves, texts, strict=True):
            node["text"] = text

    def _children(self, value: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        pairs = (_parts(value) or ((), 0))[0]
        first: object = None
        for key, child in islice(pairs, min(_CHILDREN, self._left)):
            name = bound(key, _KEY) if type(key) is str else safe_repr(key, _KEY, 1)
            # A header or a form field is a pair: ("authorization", "...").
            if self._names.hidden(key, child) or (key == "[1]" and self._is_secret(value, first)):
                self._left -= 1
                found.append({"key": name, "type": type_name(child), "text": HIDDEN})
            else:
                found.append(self.node(name, child))
            first = child
        return found

    def _is_secret(self, pair: Any, first: object) -> bool:
        """Say whether the second item of a tuple of two is named as a secret by the first."""
        if not is_a(pair, tuple) or tuple.__len__(pair) != 2:
            return False
        return self._names.hidden(first, tuple.__getitem__(pair, 1))


def _parts(value: Any) -> tuple[Iterable[tuple[object, object]], int] | None:
    """Return what a container or record holds, by key, and how much; ``None`` for what is neither."""
    fields = fields_of(value)
    if fields is not None:
        return fields, len(fields)
    if is_a(value, dict):
        return list(islice(dict.items(value), _CHILDREN)), dict.__len__(value)
    for kind, is_ordered in _SEQUENCES.items():
        if is_a(value, kind):
            some = list(islice(kind.__iter__(value), _CHILDREN))
            keys = [f"[{at}]" if is_ordered else "" for at in range(len(some))]
            return list(zip(keys, some, strict=True)), kind.__len__(value)
    return None

"""Marks by which it is told whether a value was changed in place."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowdeck.values.marks import is_immutable, mark_of


class Thing:
    def __init__(self) -> None:
        self.items = [1]


CHANGES: dict[str, tuple[Any, Any]] = {
    "list": ([1, 2], lambda v: v.append(3)),
    "sorted": ([2, 1], lambda v: v.sort()),
    "nested": ({"a": [{"b": 1}]}, lambda v: v["a"][0].update(b=2)),
    "set": ({1}, lambda v: v.add(2)),
    "bytes": (bytearray(b"ab"), lambda v: v.reverse()),
    "object": (Thing(), lambda v: v.items.append(2)),
    "the end of a large one": (list(range(300_000)), lambda v: v.append(1)),
    "the rows of a large one": ([{"v": 0} for _ in range(50_000)], lambda v: v[0].update(v=1)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_in_place_is_seen(kind: str) -> None:
    value, change = CHANGES[kind]
    before = mark_of(value)
    assert before is not None
    assert mark_of(value) == before
    change(value)
    assert mark_of(value) != before


def test_a_class_that_stands_in_a_function_is_told_too() -> None:
    class Local(Thing):
        pass

    value = Local()
    before = mark_of(value)
    assert before is not None
    value.items.append(2)
    assert mark_of(value) != before


def test_what_cannot_be_told_has_no_mark() -> None:
    assert mark_of([threading.Lock()]) is None


def test_only_values_that_nobody_changes_are_immutable() -> None:
    assert all(is_immutable(value) for value in (None, 1, "a", b"a", 1.5, range(3)))
    assert not any(is_immutable(value) for value in ([], {}, (1, []), set(), Thing()))

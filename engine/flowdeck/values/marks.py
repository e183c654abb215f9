"""Marks of results, by which it is told later whether code has changed them in place meanwhile.

A result that code of the user's has in hand may be another value at the end of the run than the task
returned: ``rows = extract(); rows.append(10)``. A mark is taken when the task returns; it must cost
next to nothing, so of large values it tells the size, the text of the preview and how they begin.
"""

from __future__ import annotations

import hashlib
import pickle
from typing import Any, Final

from flowdeck.values.previews import plain_repr, preview
from flowdeck.values.statics import module_of

#: Types whose values nobody can change.
_IMMUTABLE: Final = frozenset({type(None), bool, int, float, complex, str, bytes, range})
#: Characters of a repr that is its own mark: to take a digest of so few costs more.
_SHORT: Final = 60
#: Bytes of a value's pickle that count.
_MOST: Final = 1 << 16
#: Of these libraries pickling is cheap to break off; others may copy gigabytes first.
_CHEAP: Final = frozenset({"builtins", "collections", "numpy", "pandas"})


class _Enough(Exception):
    """What counts was seen."""


class _Start:
    """Takes in how a pickle begins."""

    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=8)
        self._left = _MOST

    def write(self, data: Any) -> int:
        with memoryview(data) as view, view.cast("B") as raw:
            self.digest.update(raw[: self._left])
            self._left -= raw.nbytes
        if self._left <= 0:
            raise _Enough
        return 0


def is_immutable(value: Any) -> bool:
    """Say whether a value is what it was whatever is done with it."""
    return type(value) in _IMMUTABLE


def mark_of(value: Any) -> str | None:
    """Return what another state of the same object most likely differs in; ``None`` if that cannot be
    told. Never raises."""
    text = plain_repr(value, _SHORT)
    if text is not None:
        return text
    start = _Start()
    try:
        if _is_cheap(type(value)) and _pickle(value, start):
            return start.digest.hexdigest()
        sized = len(value) if hasattr(type(value), "__len__") else 0
        start.digest.update(f"{sized} {preview(value)}".encode("utf-8", "surrogatepass"))
    except Exception:  # pickling may raise anything
        return None
    return start.digest.hexdigest()


def _pickle(value: Any, start: _Start) -> bool:
    """Take in a value's pickle; say whether all of it counted."""
    before = start.digest.copy()
    try:
        try:
            pickle.Pickler(start, 5).dump(value)
        except _Enough:
            raise
        except Exception:  # of a class that only stands in a function, maybe
            import cloudpickle

            start.digest = before
            cloudpickle.dump(value, start, protocol=5)
    except _Enough:
        return False
    return True


def _is_cheap(cls: type) -> bool:
    from flowdeck.values.code_digest import is_users

    return module_of(cls).partition(".")[0] in _CHEAP or is_users(cls)

"""The orders that listings come in, as tuples of SQL expressions.

Every order ends in the row's key, so it is total: a page can start after any row, and the reverse
(``-`` in front) is exactly the listing read backwards.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from flowdeck_store.query.fields import RETRYING_SQL

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

#: Failed, crashed, retrying, running, waiting, the rest.
_PROBLEMS: Final = (
    "CASE WHEN {a}.state = 4 THEN 0 WHEN {a}.state = 5 THEN 1 "
    f"WHEN {RETRYING_SQL} THEN 2 WHEN {{a}}.state IN (2, 6) THEN 3 "
    "WHEN {a}.state IN (0, 8) OR ({a}.state = 1 AND {a}.state_name IS NOT 'NotReady') THEN 4 "
    "ELSE 5 END"
)
#: Not started, ended by seconds, then what still runs, longest last. The time now is not in it, so
#: that two pages agree with each other; 2**60 us are 36,000 years, longer than any duration.
_DURATION: Final = (
    "CASE WHEN {a}.started_us IS NULL THEN -1 "
    "WHEN {a}.ended_us IS NULL THEN (1 << 60) - {a}.started_us "
    "ELSE {a}.ended_us - {a}.started_us END"
)
_START: Final = "coalesce({a}.started_us, 1 << 62)"
#: ``fetch-2`` before ``fetch-10``, ``fetch[2]`` before ``fetch[10]``: what stands before the
#: trailing number, then the shorter one.
_NAME: Final = (
    "rtrim(lower(coalesce({a}.name, '')), '0123456789])')",
    "length({a}.name)",
    "coalesce({a}.name, '')",
)

_TASK_ORDERS: Final[dict[str, tuple[str, ...]]] = {
    "number": (),
    "problems": (_PROBLEMS,),
    "duration": (_DURATION,),
    "start": (_START,),
    "name": _NAME,
}
_RUN_ORDERS: Final[dict[str, tuple[str, ...]]] = {
    "newest": (),
    "problems": (_PROBLEMS,),
    "duration": (_DURATION,),
    "start": (_START,),
    "name": _NAME,
    "flow": ("(SELECT lower(f.name) FROM flows f WHERE f.id = {a}.flow_id)",),
}

TASK_ORDERS: Final = tuple(_TASK_ORDERS)
RUN_ORDERS: Final = (*_RUN_ORDERS, "oldest")


@dataclass(frozen=True, slots=True)
class RowOrder:
    """A total order: ``keys`` ascending (or all descending when ``reverse``)."""

    keys: tuple[str, ...]
    reverse: bool

    def by(self, *, backwards: bool = False) -> str:
        """Return what follows ORDER BY."""
        down = self.reverse is not backwards
        # "-r.id ASC" would sort; "r.id DESC" walks the table by its key.
        return ", ".join(
            f"{key.removeprefix('-')} {'DESC' if down is not key.startswith('-') else 'ASC'}"
            for key in self.keys
        )

    @property
    def by_key(self) -> bool:
        """Whether rows come in the order of their key alone."""
        return len(self.keys) == 1

    def beyond(self, boundary: str, *, backwards: bool = False) -> str:
        """Return the condition that a row comes after (before) the one that ``boundary``, a
        FROM/WHERE clause over the same alias, selects."""
        keys = ", ".join(self.keys)
        return f"({keys}) {self.compare(backwards=backwards)} (SELECT {keys} {boundary})"

    def compare(self, *, backwards: bool = False) -> str:
        """Return the operator by which rows further on compare to a row."""
        return "<" if self.reverse is not backwards else ">"


def task_order(order: str) -> RowOrder:
    """Return the order of task runs (alias ``t``).

    Raises:
        ValueError: there is no such order; the message names those there are.
    """
    name, reverse = order.removeprefix("-"), order.startswith("-")
    if name not in _TASK_ORDERS:
        raise ValueError(f"no order {order!r} of task runs; there are {', '.join(TASK_ORDERS)}")
    return RowOrder((*(key.format(a="t") for key in _TASK_ORDERS[name]), "t.id"), reverse)


def run_order(order: str) -> RowOrder:
    """Return the order of flow runs (alias ``r``); equal ones come newest first.

    Raises:
        ValueError: there is no such order; the message names those there are.
    """
    name, reverse = order.removeprefix("-"), order.startswith("-")
    if name == "oldest":
        name, reverse = "newest", not reverse
    if name not in _RUN_ORDERS:
        raise ValueError(f"no order {order!r} of runs; there are {', '.join(RUN_ORDERS)}")
    return RowOrder((*(key.format(a="r") for key in _RUN_ORDERS[name]), "-r.id"), reverse)


@dataclass(frozen=True, slots=True)
class RowIndex:
    """The keys of a listing, in its order, at one moment: what lets a view jump to any row.

    ``ids`` is a :class:`range` when the keys are dense (any length costs nothing) or an array of
    8 bytes a row. Keys are packed task ids, run ids or log sequence numbers.
    """

    ids: Sequence[int]
    rising: bool  # ids ascend, so a position is found by bisection

    def __len__(self) -> int:
        return len(self.ids)

    def position(self, key: int) -> int | None:
        """Return where the row with this key stands, or ``None``."""
        if self.rising and isinstance(self.ids, array):
            found = bisect_left(self.ids, key)
            return found if found < len(self.ids) and self.ids[found] == key else None
        try:
            return self.ids.index(key)
        except ValueError:
            return None

    def slice(self, start: int, count: int) -> Sequence[int]:
        """Return up to ``count`` keys from position ``start`` on."""
        start = max(start, 0)
        return self.ids[start : start + max(count, 0)]


@dataclass(frozen=True, slots=True)
class Window(Generic[T]):
    """Rows ``start`` to ``start + len(rows)`` of a listing of ``total``.

    Pass ``index`` to the next call to keep the order as it was (a view whose rows must not jump).
    Rows that were deleted since the index was made are missing from ``rows``.
    """

    start: int
    rows: list[T]
    index: RowIndex

    @property
    def total(self) -> int:
        """How many rows the whole listing has."""
        return len(self.index)

"""What a value looks like, as data for the record: the head of a table, the figures of an array, the
upper levels of a tree.

It is made when the value is recorded, where the value is: nobody has to load it later to see what it
is, and a value that only an old version of its class can load is still seen. Bounded in characters
and time. Tables and arrays are known by the names of their classes, so nothing is imported for them;
those that compute what they hold only when asked (of Dask, xarray, lazy Polars) are left alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck.threads.deadlines import DeadlineExceeded, call_with_deadline
from flowdeck.values import outline_tables, outline_trees
from flowdeck.values.redaction import names_in_force
from flowdeck.values.statics import module_of, qualname
from flowdeck_store.events import OUTLINE, artifact, now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.events import Event

#: A value whose text is no longer than this is seen whole in a line.
_LINE: Final = 60
#: Seconds that the library of a table gets, and then to let go.
_SECONDS: Final = 0.1
_GRACE: Final = 0.01

#: By the package and name of a class, what draws it.
_TABLES: Final[dict[tuple[str, str], Callable[..., dict[str, Any] | None]]] = {
    ("numpy", "ndarray"): outline_tables.of_numpy,
    ("torch", "Tensor"): outline_tables.of_torch,
    ("pandas", "DataFrame"): outline_tables.of_pandas,
    ("pandas", "Series"): outline_tables.of_pandas_series,
    ("polars", "DataFrame"): outline_tables.of_polars,
    ("polars", "Series"): outline_tables.of_polars_series,
}


def outline_event(uid: str, no: int, value: object, text: str, *, is_kept: bool) -> Event | None:
    """Return the event that records what a result looks like; ``None`` if its text says it all.

    Tables and arrays are outlined whether they are kept or not, containers and records only if they
    are: a task that keeps nothing shall not pay for a tree.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        value: the result.
        text: its bounded repr.
        is_kept: whether its value is on the disk.
    """
    if not is_kept and module_of(type(value)).partition(".")[0] not in outline_tables.PACKAGES:
        return None
    found = outline(value, text)
    return None if found is None else artifact(uid, no, now_us(), OUTLINE, None, found)


def outline(value: object, text: str = "") -> str | None:
    """Return a value's outline as JSON (:mod:`flowdeck_store.outlines`), at most some kilobytes.

    Args:
        value: anything.
        text: its bounded repr, if that is known: what fits a line has no outline.

    Returns:
        ``None`` for what is neither table, array, container nor record, and where the library of a
        table fails or takes too long.
    """
    try:
        hides = names_in_force()
        draw = _table_of(type(value))
        if draw is not None:
            found = call_with_deadline(draw, (value, hides), {}, _SECONDS, grace=_GRACE)
        elif text and len(text) <= _LINE:
            return None
        else:
            found = outline_trees.of_tree(value, hides)
        return None if found is None else json.dumps(found, ensure_ascii=False)
    except (DeadlineExceeded, Exception):  # a help for readers, never a reason to fail
        return None


def _table_of(cls: type) -> Callable[..., dict[str, Any] | None] | None:
    for base in type.mro(cls) if type(cls) is type else cls.__mro__:
        draw = _TABLES.get((module_of(base).partition(".")[0], qualname(base)))
        if draw is not None:
            return draw
    return None

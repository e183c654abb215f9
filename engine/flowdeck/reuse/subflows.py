"""Whether a subflow run that was entered again came to the same, so that what took its result may be
taken over too.

Its function runs again in any case. It came to the same if all of its task runs were taken over, and what
it returned now is what it returned then: compared with the kept value, or with a text that says all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck import caching
from flowdeck.exceptions import MissingResult
from flowdeck.reuse import earlier_run
from flowdeck.states import LazyValue

if TYPE_CHECKING:
    from flowdeck.runs.results import ResultStore
    from flowdeck_store.read.records import ResultRecord


def returned_same(found: ResultRecord | None, value: Any, store: ResultStore) -> bool:
    """Say whether a subflow run returned what an earlier one did. In doubt it did not.

    Args:
        found: what the record has of the earlier one's result; ``None``: it returned ``None``.
        value: what this one returned.
        store: where kept values are.
    """
    try:
        if isinstance(value, LazyValue):
            value = value.load()
        if found is None:
            return value is None
        if found.location is None:
            return earlier_run.same(found.preview or "", value)
        return caching.same(store.read(found.location), value)
    except MissingResult:
        return False
    except Exception:  # what cannot be pickled cannot be compared; values of users may do anything
        return False


def can_be_compared(found: ResultRecord | None, store: ResultStore) -> bool:
    """Say whether :func:`returned_same` can be true of any value."""
    if found is None:
        return True
    if found.location is None:
        return earlier_run.is_whole(found.preview or "")
    try:
        store.find_kept(found.location, found.size)
    except MissingResult:
        return False
    return True

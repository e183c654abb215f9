"""What ``flowdeck retry RUN --failed`` would do, told from the record before anything starts.

The flow's code is not looked at: what it would call this time nobody knows. So this is what holds
if it makes the same calls with the same arguments.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowdeck import earlier
from flowdeck.exceptions import MissingResult
from flowdeck_store.states import CACHED, CANCELLED, CRASHED, FAILED

if TYPE_CHECKING:
    from flowdeck.results import ResultStore
    from flowdeck_store.reader import Reader
    from flowdeck_store.reader_reuse import EarlierCall, EarlierInputs

__all__ = ["Again", "Preview", "Why", "preview"]

_PAGE: Final = 512
_DEPTH: Final = 20  # of subflows in subflows


class Why(enum.Enum):
    """Why a task run is executed again; the value follows a number of them."""

    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    NOT_STARTED = "had not started"
    NOT_KEPT = "completed, but the result was not kept"
    DEPENDS = "completed, but depend on one that runs again"
    UNKNOWN_INPUTS = "completed, but what they were given cannot be compared"


#: Those that would be reused if results were kept.
FOR_WANT_OF_RESULTS: Final = frozenset({Why.NOT_KEPT, Why.UNKNOWN_INPUTS})


@dataclass(frozen=True, slots=True)
class Again:
    """A task run that is executed again."""

    run_id: int
    no: int
    name: str
    why: Why


@dataclass(slots=True)
class Preview:
    """What would be reused and what would run again, subflow runs included."""

    reused: int = 0
    again: list[Again] = field(default_factory=list)

    @property
    def reasons(self) -> dict[Why, int]:
        """How many run again, by reason."""
        counts = Counter(item.why for item in self.again)
        return {why: counts[why] for why in Why if counts[why]}

    @property
    def summary(self) -> str:
        """One sentence: ``3 reused, 5 run again: 2 failed, 3 had not started.``"""
        verb = "run" if len(self.again) != 1 else "runs"
        start = f"{self.reused:,} reused, {len(self.again):,} {verb} again"
        return ": ".join(filter(None, (start, self.why))) + "."

    @property
    def why(self) -> str:
        """The reasons with their numbers: ``2 failed, 3 had not started``."""
        return ", ".join(f"{count:,} {why.value}" for why, count in self.reasons.items())

    @property
    def hint(self) -> str:
        """What would make more be reused next time, ``""`` if nothing would."""
        if not FOR_WANT_OF_RESULTS & self.reasons.keys():
            return ""
        return (
            "Results are kept with persist_result=True (task or flow), or for all flows with the "
            "setting persist_results = true (FLOWDECK_PERSIST_RESULTS=1)."
        )


def preview(reader: Reader, run_id: int, store: ResultStore) -> Preview:
    """Return what running only what failed would do.

    Args:
        reader: of the record.
        run_id: the earlier run.
        store: where kept results are.
    """
    found = Preview()
    _look(reader, run_id, store, found, _DEPTH)
    return found


def _look(reader: Reader, run_id: int, store: ResultStore, found: Preview, depth: int) -> None:
    calls = reader.earlier_calls(run_id)
    reused: set[int] = set()
    for start in range(0, len(calls), _PAGE):
        page = calls[start : start + _PAGE]
        details = reader.earlier_inputs(run_id, [call.no for call in page])
        for call in page:
            if call.child_run is not None:
                if depth:
                    _look(reader, call.child_run, store, found, depth - 1)
                continue
            why = _why(call, details[call.no], run_id, store, reused)
            if why is None:
                reused.add(call.no)
                found.reused += 1
            else:
                found.again.append(Again(run_id, call.no, call.name, why))


def _why(
    call: EarlierCall, known: EarlierInputs, run_id: int, store: ResultStore, reused: set[int]
) -> Why | None:
    if not call.is_completed:
        return _ENDS.get(call.code, Why.NOT_STARTED)
    try:
        mark = earlier.check(known.result, store)
    except MissingResult:
        return Why.NOT_KEPT
    if any(run != run_id or no not in reused for _, run, no in known.edges):
        return Why.DEPENDS
    if mark is None and known.params is None and call.named == CACHED:
        return Why.UNKNOWN_INPUTS
    single = Counter(param for param, _, _ in known.edges)
    if mark is None:
        for name, text in (known.params or {}).items():
            if single[name] != 1 and not earlier.is_whole(text):
                return Why.UNKNOWN_INPUTS
    return None


_ENDS: Final = {FAILED: Why.FAILED, CRASHED: Why.CRASHED, CANCELLED: Why.CANCELLED}

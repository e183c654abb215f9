"""States of flow runs and task runs: types, codes, names, which are final, how they are counted.

The codes are what the database holds, so they never change meaning.
"""

from __future__ import annotations

import enum
from typing import Final


class StateType(enum.StrEnum):
    """The nine types a state can have. ``StateType.X.value == "X"``."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    PAUSED = "PAUSED"


#: Database code of each type: its index here.
TYPES: Final[tuple[StateType, ...]] = tuple(StateType)
CODES: Final[dict[StateType, int]] = {state_type: code for code, state_type in enumerate(TYPES)}

SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CRASHED, CANCELLING, CANCELLED, PAUSED = range(9)

FINAL_TYPES: Final[frozenset[StateType]] = frozenset(
    {StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED}
)
FINAL_CODES: Final[frozenset[int]] = frozenset(CODES[t] for t in FINAL_TYPES)

#: The default name of each type; a state's ``name`` is stored only when it differs.
DEFAULT_NAMES: Final[tuple[str, ...]] = tuple(t.value.capitalize() for t in TYPES)

#: Names that change how a task run is counted.
NOT_READY: Final = "NotReady"
CACHED: Final = "Cached"
#: Names of SCHEDULED states that say what a task run waits for.
AWAITING_SLOT: Final = "AwaitingConcurrencySlot"
AWAITING_RETRY: Final = "AwaitingRetry"

#: What ``tasks`` of a flow run counts: every task run is in exactly one bucket.
BUCKETS: Final[tuple[str, ...]] = (
    "scheduled",
    "pending",
    "running",
    "completed",
    "failed",
    "crashed",
    "cancelled",
    "cached",
    "not_ready",
)
_B: Final[dict[str, int]] = {name: index for index, name in enumerate(BUCKETS)}
#: Bucket index of each state code; CANCELLING still occupies a worker, PAUSED waits.
BUCKET_OF_CODE: Final[tuple[int, ...]] = (
    _B["scheduled"],
    _B["pending"],
    _B["running"],
    _B["completed"],
    _B["failed"],
    _B["crashed"],
    _B["running"],
    _B["cancelled"],
    _B["scheduled"],
)
CACHED_BUCKET: Final = _B["cached"]
NOT_READY_BUCKET: Final = _B["not_ready"]
#: ``prev`` of the first state of a task run: it was in no bucket before.
NO_BUCKET: Final = -1


def bucket(code: int, name: str | None) -> int:
    """Return the index into :data:`BUCKETS` that a task run in this state is counted under."""
    if name is not None:
        if code == COMPLETED and name == CACHED:
            return CACHED_BUCKET
        if code == PENDING and name == NOT_READY:
            return NOT_READY_BUCKET
    return BUCKET_OF_CODE[code]


def is_final(code: int, name: str | None = None) -> bool:
    """Say whether nothing follows this state by itself (``NotReady`` ends a task run too)."""
    return code in FINAL_CODES or (code == PENDING and name == NOT_READY)

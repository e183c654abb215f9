"""What a task run's time was spent on."""

from __future__ import annotations

from typing import Any

import pytest

from flowdeck_store.explain.time_split import TimeSplit, time_split
from flowdeck_store.read.records import StateRecord, TaskRunRecord
from flowdeck_store.states import (
    AWAITING_RETRY,
    AWAITING_SLOT,
    COMPLETED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
)

S = 1_000_000


def split(
    *history: tuple[float, int, str | None], ended: float | None, **options: Any
) -> TimeSplit:
    states = [
        StateRecord(n, 1, 1, code, named, int(at * S), None, None)
        for n, (at, code, named) in enumerate(history)
    ]
    started = next((state.us for state in states if state.code == RUNNING), None)
    task = TaskRunRecord(
        1, 1, "u", "r", "t", "k", "t-0", None, COMPLETED, None, None, 0, started,
        None if ended is None else int(ended * S), 0, 1, 0, None, None, None,
    )  # fmt: skip
    ready = options.get("ready")
    now = int(options.get("now", ended or 0) * S)
    return time_split(task, states, None if ready is None else int(ready * S), now)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (
            split((2, RUNNING, None), (5, COMPLETED, None), ended=5),
            TimeSplit(worker=2, running=3),
        ),
        (
            split((2, RUNNING, None), (5, COMPLETED, None), ended=5, ready=1.5),
            TimeSplit(inputs=1.5, worker=0.5, running=3),
        ),
        (
            split(
                (1, RUNNING, None), (2, SCHEDULED, AWAITING_RETRY), (4, RUNNING, "Retrying"),
                (5, COMPLETED, None), ended=5, ready=1,
            ),
            TimeSplit(inputs=1, running=2, retry=2),
        ),
        (
            split(
                (0, PENDING, None), (1, SCHEDULED, AWAITING_SLOT), (4, RUNNING, None),
                (5, COMPLETED, None), ended=5,
            ),
            TimeSplit(worker=1, slot=3, running=1),
        ),
        (
            split((1, RUNNING, None), (2, PAUSED, None), (4, RUNNING, None), ended=None, now=5),
            TimeSplit(worker=1, running=2, paused=2),
        ),
        (split(ended=None, ready=2, now=5), TimeSplit(inputs=2, worker=3)),
        (split(ended=None, now=5, ready=9), TimeSplit(inputs=5)),
    ],
)  # fmt: skip
def test_every_second_is_accounted_for_once(found: TimeSplit, wanted: TimeSplit) -> None:
    assert found == wanted


def test_a_clock_that_was_set_back_takes_no_time() -> None:
    assert split((3, RUNNING, None), (1, COMPLETED, None), ended=3).total == 3

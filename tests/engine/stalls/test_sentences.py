"""What is said of task runs that wait."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flowdeck.stalls.sentences import (
    LOOP,
    RETRY,
    SLOT,
    THREAD,
    UPSTREAM,
    WORKER,
    Busy,
    HeldBy,
    StallFacts,
    Waiter,
    causes_of,
    is_a_stall,
)


def waiters(count: int, kind: str, detail: Any = None) -> list[Waiter]:
    return [Waiter(f"r.{n}", f"task-{n}", kind, detail) for n in range(count)]


def texts(facts: StallFacts) -> list[str]:
    return [cause.text for cause in causes_of(facts)]


def test_ten_thousand_that_wait_for_one_slot_are_one_sentence() -> None:
    held = HeldBy("db", 1, "o.1", "query-0 (12.1)", " of run calm-owl in process 4711")
    assert texts(StallFacts(waiters(10_000, SLOT, ("db",)), holders=[held])) == [
        (
            "task-0 and 9,999 more wait for a slot of tag 'db' (limit 1), held by query-0 (12.1) of run "
            "calm-owl in process 4711"
        )
    ]


def test_one_that_stands_for_many_counts_as_many() -> None:
    some = [*waiters(2, SLOT, ("db",)), Waiter("", "", SLOT, ("db",), (), 9_998)]
    behind = [Waiter("a.1", "x", UPSTREAM, upstreams=("r.0",)), Waiter("", "", UPSTREAM, count=41)]
    (cause,) = causes_of(StallFacts([*some, *behind]))
    assert cause.count == 10_000
    assert cause.text == (
        "task-0 and 9,999 more wait for a slot of tag 'db'; 42 more wait for them: x waits for task-0"
    )


def test_a_holder_that_waits_for_who_waits_for_its_slot_is_told() -> None:
    facts = StallFacts(
        waiters(1, SLOT, ("db",)),
        waits_for={"r.9": "r.0"},
        holders=[HeldBy("db", 1, "r.9", "outer (12.9)")],
    )
    assert texts(facts) == [
        (
            "task-0 waits for a slot of tag 'db' (limit 1), held by outer (12.9), which waits for task-0 "
            "meanwhile: neither can go on"
        )
    ]


def test_those_behind_a_cause_are_counted_with_one_as_example() -> None:
    behind = [
        Waiter("a.1", "load", UPSTREAM, upstreams=("r.0",)),
        Waiter("a.2", "report", UPSTREAM, upstreams=("a.1",)),
    ]
    us = 1_795_341_600_000_000
    clock = time.strftime("%H:%M:%S", time.localtime(us / 1e6))
    assert texts(StallFacts([*reversed(behind), *waiters(1, RETRY, us)])) == [
        f"task-0 is tried again at {clock}; 2 more wait for it: report waits for load, that for task-0"
    ]


def test_a_circle_ends_the_sentence() -> None:
    circle = [
        Waiter("a.1", "load", UPSTREAM, upstreams=("a.2",)),
        Waiter("a.2", "report", UPSTREAM, upstreams=("a.1",)),
    ]
    assert texts(StallFacts(circle)) == [
        (
            "load and report cannot start: load waits for report, that for load: in a circle, so none of "
            "them ever starts"
        )
    ]


def test_retries_with_other_times_are_one_cause_and_its_key_stays() -> None:
    now, later = (
        causes_of(StallFacts([Waiter(f"r.{n}", f"t{n}", RETRY, n + us) for n in range(3)]))
        for us in (1_000_000, 90_000_000)
    )
    assert len(now) == len(later) == 1
    assert now[0].key == later[0].key


def test_another_holder_is_another_cause_and_another_count_is_not() -> None:
    def key(holder: str, count: int) -> Any:
        held = HeldBy("db", 1, holder, holder)
        (cause,) = causes_of(StallFacts(waiters(count, SLOT, ("db",)), holders=[held]))
        return cause.key

    assert key("o.1", 3) == key("o.1", 4)
    assert key("o.1", 3) != key("o.2", 3)


def test_what_each_thread_does_stands_behind_the_cause() -> None:
    busy = [Busy("a", "f at x.py:1", 0, True), Busy("b", "g at x.py:9", 0, True)]
    (cause,) = causes_of(StallFacts(waiters(1, THREAD), busy=busy, limit=2))
    assert cause.text == (
        "task-0 waits for a thread: all 2 are blocked in a wait for another thread"
    )
    assert cause.more == ": a in f at x.py:1, b in g at x.py:9"


def test_the_worst_that_names_can_hold_stays_one_line() -> None:
    bad = "x\n\x1b[31m" + "y" * 500
    waiting = [Waiter("r.1", bad, SLOT, (bad,)), Waiter("r.2", bad, UPSTREAM, upstreams=("r.1",))]
    (text,) = texts(StallFacts(waiting, holders=[HeldBy(bad, 1, "o.1", bad)]))
    assert text.isprintable()
    assert len(text) < 600


BLOCKED = Busy("a", "f at x.py:1", 0, True)
WORKS = Busy("b", "g at x.py:2", 0)


@pytest.mark.parametrize(
    ("facts", "executes", "stalls"),
    [
        (StallFacts(waiters(1, SLOT, ("db",))), False, True),
        (StallFacts(waiters(1, SLOT, ("db",))), True, False),
        (StallFacts(), False, False),
        (StallFacts(waiters(1, WORKER)), True, False),
        (StallFacts(waiters(1, THREAD), busy=[BLOCKED], limit=1), True, True),
        (StallFacts(waiters(1, THREAD), busy=[BLOCKED, WORKS], limit=2), True, False),
        (StallFacts(waiters(1, THREAD), busy=[BLOCKED], limit=2), True, False),
        (StallFacts(waiters(1, THREAD), busy=[BLOCKED], limit=1, beside=True), True, False),
        (StallFacts(waiters(1, LOOP), loop=WORKS), True, True),
        (StallFacts(waiters(1, LOOP)), True, False),
    ],
)
def test_only_where_nothing_can_go_on_it_is_said_unasked(
    facts: StallFacts, executes: bool, stalls: bool
) -> None:
    assert is_a_stall(facts, executes=executes) is stalls

"""The intake: order, memory bounds, and what happens to odd events."""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Any

from flowdeck_store import events as ev
from flowdeck_store.journal.chain import Journal
from flowdeck_store.record.intake import Intake

if TYPE_CHECKING:
    from pathlib import Path

UID = "7" * 32


def make(tmp_path: Path, cap: int = 50, quota: int = 10**9, woken: Any = None) -> Intake:
    journal = Journal(tmp_path, UID, {}, 16384)
    return Intake(
        journal, wake=woken or (lambda: None), on_cache=lambda e: None, queue_cap=cap, quota=quota
    )


def log(number: int, level: int = 20) -> ev.Event:
    return ev.log("run", number, number, level, "flow", f"line {number}")


def numbers(events: list[ev.Event]) -> list[int]:
    return [event[2] for event in events]


def drain(intake: Intake, most: int = 7) -> list[int]:
    found: list[int] = []
    while intake.waiting:
        found += numbers(intake.take_events(most))
    return found


def test_events_come_out_in_order_and_once(tmp_path: Path) -> None:
    intake = make(tmp_path)
    intake.append_many([log(n) for n in range(20)])
    assert numbers(intake.take_events(8)) == list(range(8))
    intake.append(log(20))
    assert drain(intake) == list(range(8, 21))
    assert intake.take_events(5) == []


def test_beyond_the_cap_events_are_read_back_from_the_journal(tmp_path: Path) -> None:
    intake = make(tmp_path, cap=50)
    intake.append_many([log(n) for n in range(500)])
    assert len(intake._queue) == 50
    taken = numbers(intake.take_events(60))
    intake.append_many([log(n) for n in range(500, 700)])
    assert taken + drain(intake) == list(range(700))
    intake.append_many([log(n) for n in range(700, 720)])  # back in memory
    assert len(intake._queue) == 20
    assert drain(intake) == list(range(700, 720))


def test_rewinding_goes_on_with_any_record_that_is_still_there(tmp_path: Path) -> None:
    intake = make(tmp_path, cap=50)
    intake.append_many([log(n) for n in range(100)])
    drain(intake)
    intake.append_many([log(n) for n in range(100, 110)])
    intake.rewind(37)
    assert drain(intake) == list(range(37, 110))


def test_threads_lose_no_event_and_keep_their_own_order(tmp_path: Path) -> None:
    intake = make(tmp_path, cap=100)

    def work(level: int) -> None:
        for number in range(2000):
            intake.append(log(number, level))

    threads = [threading.Thread(target=work, args=(level,)) for level in range(4)]
    for thread in threads:
        thread.start()
    found: list[ev.Event] = []
    while any(thread.is_alive() for thread in threads) or intake.waiting:
        found += intake.take_events(333)
    for level in range(4):
        assert [e[2] for e in found if e[4] == level] == list(range(2000))
    assert len(found) == intake.emitted == 8000


def test_only_the_first_event_after_a_rest_wakes_the_writer(tmp_path: Path) -> None:
    woken: list[int] = []
    intake = make(tmp_path, woken=lambda: woken.append(1))
    intake.append_many([log(n) for n in range(5)])
    assert len(woken) == 1
    drain(intake)
    intake.expect_wake()
    intake.append(log(5))
    assert len(woken) == 2


def test_a_full_journal_gives_up_small_talk_and_counts_it_but_keeps_the_rest(
    tmp_path: Path,
) -> None:
    intake = make(tmp_path, quota=40_000)
    for number in range(3000):
        intake.append(log(number))
    assert intake.dropped > 0
    kept = intake.emitted
    intake.append(log(9000, level=30))
    intake.append(ev.state(UID, 9001, 1, 2, 5, None, None, 1, None, None))
    intake.append(log(9002))
    assert intake.emitted == kept + 2
    assert drain(intake, 500)[-2:] == [9000, 9001]
    assert intake.dropped == 3000 - kept + 1


def test_subclasses_of_builtin_types_are_taken_as_their_base(tmp_path: Path) -> None:
    class Level(enum.IntEnum):
        INFO = 20

    class Name(enum.StrEnum):
        FLOW = "flow"

    class Odd:
        def __str__(self) -> str:
            return "odd"

    intake = make(tmp_path)
    intake.append(ev.log("run", 1, 2, Level.INFO, Name.FLOW, Odd()))  # type: ignore[arg-type]
    (event,) = intake.take_events(1)
    assert event == (ev.LOG, "run", 1, 2, 20, "flow", "odd")
    assert [type(item) for item in event] == [int, str, int, int, int, str, str]


def test_a_huge_message_is_cut_before_it_reaches_the_journal(tmp_path: Path) -> None:
    intake = make(tmp_path)
    intake.append(ev.log("run", 1, 2, 20, "flow", "x" * 10_000_000))
    (event,) = intake.take_events(1)
    assert len(event[-1]) < 70_000
    assert event[-1].endswith("… 9,934,504 more bytes")


def test_a_closed_intake_ignores_events(tmp_path: Path) -> None:
    intake = make(tmp_path)
    intake.append(log(0))
    intake.close()
    intake.append(log(1))
    assert intake.emitted == 1

"""Code that interrupts an emit and emits itself: signal handlers and finalisers that log."""

from __future__ import annotations

import gc
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events as ev
from flowdeck_store.journal import chain
from flowdeck_store.record.intake import Intake
from flowdeck_store.record.tuning import Tuning
from store_writing import Recorded, recording, rows

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

UID = "9" * 32
STORE = os.path.dirname(ev.__file__)


def test_a_signal_handler_may_emit_at_any_moment(home: Path) -> None:
    tuning = Tuning(segment_bytes=65_536, queue_cap=500, tick=0.01)
    interruptions = 0
    with recording(home, tuning=tuning) as session:
        run = Recorded(session.emit).run()

        def interrupt(*_: object) -> None:
            nonlocal interruptions
            interruptions += 1  # first: the handler is interrupted, too
            session.emit(ev.log(run.uid, 0, 5, 40, "signal", str(interruptions)))

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        try:
            until, number = time.monotonic() + 1.5, 0
            while time.monotonic() < until:
                session.emit(ev.log(run.uid, 0, number, 20, "flow", str(number)))
                number += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        run.end()
        assert session.flush(40)
        assert session.statistics().rejected == 0
    assert interruptions > 100
    lines = rows(home, "SELECT msg FROM logs WHERE level=20 ORDER BY seq")
    assert [int(msg) for (msg,) in lines] == list(range(number))
    lines = rows(home, "SELECT msg FROM logs WHERE level=40")
    assert sorted(int(msg) for (msg,) in lines) == list(range(1, interruptions + 1))


def test_an_interruption_by_an_exception_leaves_journal_and_queue_in_step(tmp_path: Path) -> None:
    journal = chain.Journal(tmp_path, UID, {}, 16_384)
    intake = Intake(
        journal, wake=lambda: None, on_cache=lambda e: None, queue_cap=10**6, quota=10**9
    )

    class Stop(Exception):
        pass

    def interrupt(_: int, frame: FrameType | None) -> None:
        # Not inside what the collector calls (finalisers, callbacks of libraries that other tests
        # imported): Python reports an exception there and drops it.
        if frame is None or not frame.f_code.co_filename.startswith(STORE):
            return
        while frame is not None:
            if frame.f_code is Intake.append.__code__:
                raise Stop
            frame = frame.f_back

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    stopped, until = 0, time.monotonic() + 1.5
    try:
        while time.monotonic() < until:
            try:
                intake.append(ev.log("run", 1, stopped, 20, "flow", "x" * (stopped % 300)))
            except Stop:
                stopped += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopped > 100
    emitted = intake.emitted
    queued = intake.take_events(10**6)
    assert len(queued) == emitted
    assert journal.read(journal.cursor(0), emitted, 10**6) == queued
    journal.close(delete=True)


@pytest.mark.parametrize("cap", [10**6, 40])
def test_a_finaliser_may_emit_at_any_allocation(tmp_path: Path, cap: int) -> None:
    journal = chain.Journal(tmp_path, UID, {}, 16_384)
    intake = Intake(journal, wake=lambda: None, on_cache=lambda e: None, queue_cap=cap, quota=10**9)
    finals: list[int] = []

    class Loud:
        def __init__(self) -> None:
            self.me = self  # only the collector can free it

        def __del__(self) -> None:
            finals.append(len(finals))
            intake.append(ev.log("run", finals[-1], 0, 40, "del", "y" * 50))

    thresholds = gc.get_threshold()
    gc.set_threshold(7)
    try:
        for number in range(4000):
            Loud()
            intake.append(ev.log("run", number, 0, 20, "flow", "x" * (number % 200)))
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    taken: list[ev.Event] = []
    while intake.waiting:
        taken += intake.take_events(1000)
    assert len(finals) == 4000
    assert [e[2] for e in taken if e[4] == 20] == list(range(4000))
    assert sorted(e[2] for e in taken if e[4] == 40) == finals
    assert journal.read(journal.cursor(0), intake.emitted, 10**6) == taken
    journal.close(delete=True)

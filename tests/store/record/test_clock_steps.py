"""The machine's clock is set while runs go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_store.record.clock_steps import Clock, steady
from store_writing import Recorded, recording, rows, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_clock_that_is_set_is_noticed_once() -> None:
    now = [1000.0, 50.0]
    clock = Clock(lambda: now[0], lambda: now[1])
    now[:] = [1100.0, 150.0]
    assert clock.step() == 0.0
    now[:] = [900.0, 150.5]
    assert clock.step() == -200.5
    assert clock.step() == 0.0
    now[:] = [5000.0, 151.0]
    assert clock.step() == 4099.5


def test_small_corrections_are_no_steps_even_when_they_add_up() -> None:
    now = [0.0, 0.0]
    clock = Clock(lambda: now[0], lambda: now[1])
    for _ in range(3):
        now[0] += 0.5
        assert clock.step() == 0.0
    assert steady() > 0


def test_the_log_of_each_run_that_goes_on_says_so(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run("over").end()
        going = Recorded(session.emit).run("going")
        assert session.flush()
        real = session._flusher.clock._wall
        session._flusher.clock._wall = lambda: real() - 3600
        wait_until(lambda: rows(home, "SELECT 1 FROM logs"), "the line")
        going.log("later").end()
    assert [(run, level) for run, level in rows(home, "SELECT run_id,level FROM logs")] == [
        (2, 30), (2, 20)
    ]  # fmt: skip
    ((text,),) = rows(home, "SELECT msg FROM logs WHERE level=30")
    assert "set back by 3,600 s" in text

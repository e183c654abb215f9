"""What is found out beside the runs: in which order, and for how long the end waits."""

from __future__ import annotations

import threading

from flowdeck.provenance import background


def test_what_a_re_run_decides_by_goes_before_what_takes_long() -> None:
    gate, done = threading.Event(), list[str]()
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        assert gate.wait(50)

    background.do(slow)
    assert begun.wait(50)
    background.do(lambda: done.append("packages"))
    background.do(lambda: done.append("code"), first=True)
    assert not background.wait(0)
    assert not background.wait_for_first(0)
    gate.set()
    assert background.wait_for_first(50)
    assert background.wait(50)
    assert done == ["code", "packages"]


def fails() -> None:
    raise ValueError


def test_what_raises_keeps_nothing_from_being_done() -> None:
    done = list[str]()
    background.do(fails, first=True)
    background.do(lambda: done.append("rest"))
    assert background.wait(50)
    assert done == ["rest"]

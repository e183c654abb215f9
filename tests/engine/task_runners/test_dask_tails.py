"""The last events of a task leave a Dask worker with the message of its end, and in no case later."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("distributed")

from flowdeck.task_runners._dask.tails import Tails


class Worker:
    """As much of Dask's as is asked for."""

    def __init__(self) -> None:
        self.executes = ""
        self.sent: list[tuple[str, bytes]] = []

    def get_current_task(self) -> str:
        return self.executes

    def log_event(self, topic: str, message: bytes) -> None:
        self.sent.append((topic, message))


@pytest.mark.parametrize(
    ("start", "finish"),
    [("executing", "memory"), ("long-running", "memory"), ("cancelled", "released")],
)
def test_a_tail_leaves_when_dask_moves_its_own_task_on(start: Any, finish: Any) -> None:
    worker = Worker()
    tails = Tails(worker)
    for key in ("a", "b"):
        worker.executes = key
        tails.hold("topic", key.encode())
    tails.transition("c", "ready", "executing")
    assert worker.sent == []
    tails.transition("b", start, finish)
    assert worker.sent == [("topic", b"b")]
    tails.transition("b", "memory", "released")
    assert worker.sent == [("topic", b"b")]


def test_a_worker_that_ends_sends_what_it_holds() -> None:
    worker = Worker()
    tails = Tails(worker)
    worker.executes = "a"
    tails.hold("topic", b"a")
    tails.teardown(worker)
    tails.transition("a", "executing", "memory")
    assert worker.sent == [("topic", b"a")]


def test_a_task_that_leaves_two_tails_loses_none_and_keeps_their_order() -> None:
    worker = Worker()
    tails = Tails(worker)
    worker.executes = "a"
    tails.hold("topic", b"first")
    tails.hold("topic", b"second")
    tails.transition("a", "executing", "memory")
    assert worker.sent == [("topic", b"first"), ("topic", b"second")]

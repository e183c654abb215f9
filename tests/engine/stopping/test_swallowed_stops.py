"""Stops that strike in a callback of C code, which swallows them, are raised anew."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref

import pytest

from flowdeck import flow, task
from flowdeck.stopping import cancellation
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck.threads.active import current_flow_run


class Watched:
    """What weak references are made for."""


def call_back_in_c(begun: threading.Event, stop: threading.Event) -> None:
    """Be in the callback of a weak reference until a moment after the stop was asked for."""

    def callback(_: object) -> None:
        begun.set()
        stop.wait(30)
        for _turn in range(50):
            time.sleep(0.002)

    watched = Watched()
    reference = weakref.ref(watched, callback)
    del watched
    assert reference() is None


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner(max_workers=2)])
def test_a_task_that_is_cancelled_there_ends(
    runner: BaseTaskRunner, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, stop, submitted = threading.Event(), threading.Event(), threading.Event()
    if isinstance(runner, SequentialTaskRunner):
        submitted.set()  # it executes the task meanwhile

    @task
    def busy() -> None:
        call_back_in_c(begun, stop)
        end = time.monotonic() + 40
        while time.monotonic() < end:
            time.sleep(0.005)

    @flow(task_runner=runner)
    def work() -> None:
        run = current_flow_run.get()

        def cancel() -> None:
            begun.wait(30)
            submitted.wait(30)  # a stop that strikes in there crashes the task run
            cancellation.cancel(run)
            stop.set()

        threading.Thread(target=cancel).start()
        future = busy.submit()
        submitted.set()
        future.wait()

    began = time.monotonic()
    assert work(return_state=True).name == "Cancelled"
    assert record.state_names("busy")[-1] == "Cancelled"
    assert time.monotonic() - began < 35
    assert "Exception ignored" not in capsys.readouterr().err


def test_a_flow_that_gets_a_signal_there_ends(record: Record) -> None:
    begun, stop = threading.Event(), threading.Event()

    @flow
    def work() -> None:
        def terminate() -> None:
            begun.wait(30)
            os.kill(os.getpid(), signal.SIGTERM)
            stop.set()

        threading.Thread(target=terminate).start()
        call_back_in_c(begun, stop)
        end = time.monotonic() + 40
        while time.monotonic() < end:
            time.sleep(0.005)

    # What wakes the main thread is a SIGTERM, too: one that is on its way when the block ends must not
    # end pytest.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with cancellation.ctrl_c_cancels():
            assert work(return_state=True).name == "Cancelled"
    finally:
        signal.signal(signal.SIGTERM, before)

"""What users' functions call and no stop may strike."""

from __future__ import annotations

import threading

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner
from flowdeck.threads.undisturbed import undisturbed


def test_outside_of_runs_it_is_an_ordinary_call() -> None:
    assert undisturbed(threading.get_ident) == threading.get_ident()


def test_a_run_gets_what_it_returned_or_raised(home: object) -> None:
    def fail() -> None:
        raise LookupError("mine")

    @task
    def asks() -> tuple[bool, int]:
        with pytest.raises(LookupError, match="mine"):
            undisturbed(fail)
        # One inside of another does not wait for itself.
        return undisturbed(threading.get_ident) == threading.get_ident(), undisturbed(
            undisturbed, lambda: 7
        )

    @flow(task_runner=ConcurrentTaskRunner())
    def asking() -> tuple[bool, int]:
        return asks.submit().result()

    assert asking() == (False, 7)


def test_a_time_limit_ends_the_wait_and_not_the_call(home: object) -> None:
    go, ended = threading.Event(), threading.Event()

    def slow() -> None:
        go.wait(30)
        ended.set()

    @task(timeout_seconds=0.1)
    def late() -> None:
        undisturbed(slow)

    @flow(task_runner=ConcurrentTaskRunner())
    def waits() -> str:
        return late.submit().wait().name

    try:
        assert waits() == "TimedOut"
        assert not ended.is_set()
    finally:
        go.set()
    assert ended.wait(30)

"""Stopping task runs: those that only wait end at once, those that execute are asked, and given up
when they do not listen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flowdeck.logging import ERROR, WARNING, line
from flowdeck.runs import slots, waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.runs.task_run import Stop, TaskRun

#: Seconds that executing functions get to stop. Python cannot stop a thread that is inside a C
#: call; after this time the run ends in the record and its thread is left behind.
GRACE = 2.0


def stop_runs(runs: Iterable[TaskRun], why: Stop) -> None:
    """Ask runs that have not ended to stop, from any thread. Does not wait."""
    asked = []
    # Those that execute come last: a worker that becomes free shall find nothing else to begin.
    for run in sorted(runs, key=lambda run: run.run_count):
        if run.is_final:
            continue
        run.cancel_requested = why
        with waiting.lock:
            waits = run.unfinished > 0
            run.unfinished = 0
        if waits:
            end_stopped(run, "before it started")
        else:
            run.owner.runner.cancel(run)
            stop_subflows(run)
            asked.append(run)
    if asked:
        timer = threading.Timer(GRACE, give_up, [asked])
        timer.name, timer.daemon = "flowdeck-give-up", True
        timer.start()


def stop_subflows(run: TaskRun) -> bool:
    """Cancel the subflow runs that a task's function called, after the function was asked to stop:
    it may be waiting for what they submitted. Say whether there are any.

    On a worker of a cluster nobody knows of them but the function: it stops them as it ends.
    """
    if run.owner is None:
        return False
    found = [child for child in run.owner.live_children() if child.called_in is run]
    for child in found:
        child.request_cancel()
    return bool(found)


def give_up(runs: Iterable[TaskRun]) -> None:
    """End, from outside, runs that did not stop in time."""
    for run in runs:
        if run.is_final:
            continue
        if run.run_count:
            line(run, WARNING, "The function did not stop: it goes on in the background")
            slots.linger(run)
            end_stopped(run, "while it was running; its function goes on in the background")
        else:
            end_stopped(run, "before it started")


def end_stopped(run: TaskRun, when: str) -> None:
    """Give a run that was asked to stop its last state from outside."""
    if run.is_final:
        return
    state = run.stopped(when)
    run.enter(state)
    line(run, ERROR, f"Finished in state {state}")
    run.owner.ended(run)

"""Admission of task runs that execute elsewhere: drives that half of the lifecycle in the flow's
process, and hands a run to the engine when it is through.

Nothing is decided here: what a run has to ask, and how it ends if it may not be executed or is asked to
stop meanwhile, says :mod:`flowdeck.lifecycle.admission`, as for runners whose tasks execute in the flow's
process. This module only finds a thread for it: a run that waits for a slot or a retry has none."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from flowdeck.lifecycle import admission
from flowdeck.lifecycle.drive import Parked
from flowdeck.lifecycle.execution import Execution
from flowdeck.lifecycle.task import admitted_again, conclude
from flowdeck.remote.payload import BlockedError
from flowdeck.runs import slots
from flowdeck.runs.stopping import end_stopped
from flowdeck.states import Pending
from flowdeck.states.transitions import crash_message
from flowdeck_store.states import AWAITING_SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowdeck.lifecycle.admission import Refusal
    from flowdeck.lifecycle.steps import Step
    from flowdeck.remote.remote_runs import RemoteRuns
    from flowdeck.runs.task_run import TaskRun


class Admissions:
    """The task runs of one flow run that the engine may not have yet.

    Each is driven on the thread of the remote runs or on one of its helpers, never on two at a time.
    Whoever takes a run out of ``_held`` is the one who ends it or hands it over.

    Args:
        runs: those that the engine has.
        send: hands a run to the engine. Called on any thread. What it raises ends the run, which it
            must not have added to those of the engine then.
    """

    def __init__(self, runs: RemoteRuns, send: Callable[[TaskRun], None]) -> None:
        self._runs = runs
        self._send = send
        self._held: set[TaskRun] = set()
        runs.on_retry = self._retry

    def submit(self, run: TaskRun) -> None:
        """Let a run through, now or later. Does not wait."""
        if not slots.is_needed(run):
            self._hand_over(run)
            return
        self._held.add(run)
        execution = Execution(run, _first)
        if run.task.cache_key_fn is not None:
            # The key may be computed from values that are on the cluster: that takes time.
            self._runs.call_on_helper(self._drive, execution)
        else:
            self._runs.call_soon(self._drive, execution)

    def _retry(self, run: TaskRun, delay: float) -> None:
        """On the thread of the remote runs: an attempt has come home and is to be tried again."""
        slots.give_back(run)
        self._held.add(run)
        self._drive(Execution(run, functools.partial(admitted_again, delay=delay)))

    def stop(self, run: TaskRun) -> bool:
        """Have a run that is held back notice that it was asked to stop; ``False`` if it is not held
        back."""
        if run not in self._held:
            return False
        interrupt = run.interrupt
        if interrupt is not None:  # else it looks by itself before it goes on
            interrupt()
        return True

    def take_back(self) -> list[TaskRun]:
        """Return the runs that are held back, for somebody else to end them."""
        return [run for run in list(self._held) if self._claim(run)]

    def _claim(self, run: TaskRun) -> bool:
        try:
            self._held.remove(run)
        except KeyError:
            return False
        return True

    def _drive(self, execution: Execution) -> None:
        """Go on with an admission until it is over or sleeps."""
        run = execution.run
        context = run.context
        if context is None:  # ended meanwhile
            self._held.discard(run)
            return
        try:
            seconds = context.run(execution.advance)
        except BaseException as error:
            if self._claim(run):
                run.owner.submissions.crash(run, crash_message(error), error)
            return
        if seconds is not None:
            Parked(run, lambda: self._runs.call_soon(self._drive, execution)).sleep(seconds)
        elif not self._claim(run):  # somebody has ended it meanwhile
            slots.give_back(run)
        elif execution.result is None:
            self._hand_over(run)
        else:
            self._finish(run, execution.result)

    def _hand_over(self, run: TaskRun) -> None:
        if run.is_final or run.context is None:  # ended from outside, because it did not stop
            slots.give_back(run)
        elif run.cancel_requested:
            end_stopped(run, BEFORE)
        else:
            if run.state.name == AWAITING_SLOT:  # over: from now on it waits for a worker
                run.enter(Pending())
            try:
                self._send(run)
            except BlockedError as blocked:
                run.owner.submissions.block(run, blocked.uid)
            except Exception as error:  # it cannot be sent: the flow goes on all the same
                run.owner.submissions.crash(run, crash_message(error), error)

    @staticmethod
    def _finish(run: TaskRun, refusal: Refusal) -> None:
        """Conclude a run here that no engine will see (any more)."""
        try:
            assert run.context is not None
            state, failure = refusal
            steps = functools.partial(conclude, state=state, failure=failure)
            run.context.run(Execution(run, steps).run_here)
        except BaseException as error:
            run.owner.submissions.crash(run, crash_message(error), error)
        else:
            run.owner.ended(run)


#: When a run ended that never came to an engine.
BEFORE: Final = "before it started"


def _first(run: TaskRun) -> Generator[Step, Any, Refusal | None]:
    """Admit a run for its first attempt."""
    refused: Refusal | None = None
    if run.task.cache_key_fn is not None:
        submitted = run.parameters
        refused = admission.prepare(run) or admission.look_up(run)
        # With its futures, not their values: those are on the cluster already.
        run.parameters = submitted
    elif run.cancel_requested:
        return run.stopped(BEFORE), None
    if refused is None and (run.tags or run.task.resources):
        refused = yield from admission.take_slots(run)
    return refused

"""One flow run: what it knows, its task runs and subflow runs, and how it is stopped.

:mod:`flowdeck.flow_life` decides what happens to it, :mod:`flowdeck.flow_drive` carries that out.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from flowdeck import cancellation, context
from flowdeck.exceptions import FlowCancelled, TerminationSignal
from flowdeck.logging import INFO, line
from flowdeck.reuse import Memory
from flowdeck.runs import FlowRunInfo, Stop, TaskRun
from flowdeck.states import Cancelling, Crashed, Pending, State
from flowdeck.stopping import end_stopped, give_up, stop_runs
from flowdeck.submission import Submissions
from flowdeck.transitions import TimeUp
from flowdeck_store import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.flows import Flow
    from flowdeck.recording import Recorder
    from flowdeck.task_runners.base import BaseTaskRunner


class Stand:
    """The task run in the parent that stands for a subflow run."""

    __slots__ = ("name", "no", "parent")

    def __init__(self, parent: FlowRun, no: int, name: str) -> None:
        self.parent = parent
        self.no = no
        self.name = name

    def mirror(self, before: State[Any], state: State[Any], child_uid: str) -> None:
        """Record that the stand-in enters the child's state."""
        data = json.dumps({"child": child_uid})
        self.parent.recorder.emit(
            events.state(
                self.parent.info.uid, self.no, before.bucket, state.code, state.us,
                state.stored_name, state.message, 1, None, data,
            )
        )  # fmt: skip


class FlowRun:
    """One run of a flow. ``no`` is 0: in the record it is task number 0 of itself."""

    no = 0
    logger_name = "flowdeck.flow_runs"

    def __init__(
        self,
        flow: Flow[Any, Any],
        info: FlowRunInfo,
        recorder: Recorder,
        runner: BaseTaskRunner,
        parameters: dict[str, Any],
        parent: FlowRun | None = None,
        stand: Stand | None = None,
    ) -> None:
        self.flow = flow
        self.info = info
        self.recorder = recorder
        self.runner = runner
        self.parameters = parameters
        self.parent = parent
        self.stand = stand
        self.state: State[Any] = Pending()
        #: A launcher gave the run its name, which then wins over the flow's template.
        self.name_was_requested = False
        self.submissions = Submissions(self)
        self.children: list[FlowRun] = []
        #: Bytes of results that were written because it, or a subflow run, did not complete.
        self.kept_bytes = 0
        self.cancel_requested = False
        self.timed_out = False
        self.terminated_by: int | None = None
        self._cancel_lock = threading.Lock()
        self._stopping = False
        self.told_of_cancellation = False  # its hooks
        self._memory = Memory() if flow.retries else None
        #: The task run in whose function the flow was called, if it was in one.
        self.called_in: TaskRun | None = None if parent is None else context.current_task_run.get()
        #: The thread that drives the run.
        self.thread = threading.get_ident()
        #: How to stop the body while it executes on a loop; called from any thread.
        self.stop_body: Callable[[], object] | None = None
        #: How to interrupt the body while it executes on a thread other than the main one.
        self.interrupt: Callable[[], None] | None = None
        self.body_thread: int | None = None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def title(self) -> str:
        """What the console calls it."""
        return f"Flow run {self.info.name!r}"

    @property
    def run_count(self) -> int:
        return self.info.run_count

    @property
    def log_prints(self) -> bool:
        return self.info.log_prints

    # -- states -----------------------------------------------------------------------------------

    def enter(self, state: State[Any], data: str | None = None) -> None:
        """Make ``state`` the run's state and record it, here and on the stand-in."""
        before, self.state = self.state, state
        if state._info is None:
            state.belong(self.info, 0)
        self.recorder.emit(
            events.state(
                self.info.uid, 0, 0, state.code, state.us, state.stored_name, state.message,
                self.info.run_count, None, data,
            )
        )  # fmt: skip
        if self.stand is not None:
            self.stand.mirror(before, state, self.info.uid)

    def rename(self, name: str) -> None:
        """Take the name that was computed when the run started."""
        self.info.name = name
        self.recorder.emit(events.rename(self.info.uid, 0, name))

    # -- task runs --------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Refuse new runs when this one is to end.

        Raises:
            TimeoutError: its time was up.
            TimeUp: that of a flow run that called it was up.
            FlowCancelled: it was cancelled.
        """
        if self.cancel_requested:
            raise FlowCancelled
        if self.timed_out:
            raise TimeoutError("Flow run timed out")
        if self.parent is not None:
            late = self.overdue()
            if late is not None:
                raise TimeUp(late)

    def overdue(self) -> FlowRun | None:
        """Return the flow run whose time is up: this one or one that called it."""
        run: FlowRun | None = self
        while run is not None and not run.timed_out:
            run = run.parent
        return run

    def why_stopped(self) -> BaseException:
        """Return what to raise out of the flow's function when it was made to stop."""
        if self.cancel_requested:
            return FlowCancelled()
        if self.terminated_by is not None:
            return TerminationSignal(self.terminated_by)
        late = self.overdue()
        return FlowCancelled() if late is None else TimeUp(late)

    def ended(self, run: TaskRun) -> None:
        """A task run of this flow run has ended (called by runners, from any thread)."""
        self.submissions.ended(run)

    def remembered(self, key: str, index: int, parameters: dict[str, Any]) -> Any:
        """Return the completed run of the same call in an earlier attempt."""
        return None if self._memory is None else self._memory.find(key, index, parameters)

    def remember(self, key: str, index: int, parameters: dict[str, Any], run: Any) -> None:
        """Keep a run for later attempts, if there may be any."""
        if self._memory is not None:
            self._memory.note(key, index, parameters, run)

    def child_states(self) -> list[State[Any]]:
        """Return the states that decide when the function returns ``None``."""
        tasks = [run.state for run in self.submissions.counted]
        return tasks + [child.state for child in self.children if child.called_in is None]

    def next_attempt(self) -> None:
        """Get ready to call the function again."""
        if self._memory is not None:
            self._memory.next_attempt()
        self.submissions.next_attempt()
        self.children = []
        self.timed_out = False
        self.info.run_count += 1

    # -- stopping -----------------------------------------------------------------------------------

    def request_cancel(self) -> None:
        """Begin to cancel, from any thread; later calls do nothing."""
        with self._cancel_lock:
            if self._stopping or self.state.is_final():
                return
            self._stopping = True
            self.cancel_requested = True
            self.enter(Cancelling())
        line(self, INFO, "Cancelling: queued tasks are dropped, running ones are asked to stop")
        for child in self.live_children():
            child.request_cancel()
        self.stop_tasks(Stop.CANCEL)

    def live_children(self) -> list[FlowRun]:
        """Return the subflow runs that have not ended."""
        return [child for child in list(self.children) if not child.state.is_final()]

    def stop_tasks(self, why: Stop) -> None:
        """Drop what is queued, ask what executes to stop."""
        stop_runs(list(self.submissions.open), why)
        for run in self.runner.drop_queued():
            run.cancel_requested = why
            end_stopped(run, "before it started")

    def interrupt_body(self) -> None:
        """Stop the flow's function (or the wait it is in) and those of its subflows, from any
        thread."""
        covered = False  # by a subflow that executes on top of it, on the same thread
        for child in self.live_children():
            child.interrupt_body()
            covered = covered or child.thread == self.thread
        if self.stop_body is not None:
            self.stop_body()
        elif covered:
            return
        elif self.body_thread == threading.main_thread().ident:
            cancellation.wake_main_thread()
        elif self.interrupt is not None:
            self.interrupt()

    def stop_on_loop(self) -> bool:
        """For a signal handler: stop an async body; ``False`` if the body is not on a loop."""
        if not self.flow.isasync:
            return False
        if self.stop_body is not None:
            self.stop_body()
        return True

    def cancel_task(self, no: int) -> None:
        """Cancel one task run of this flow run, or the subflow run that it stands for."""
        for run in list(self.submissions.open):
            if run.no == no:
                stop_runs([run], Stop.CANCEL)
                return
        for child in self.live_children():
            if child.stand is not None and child.stand.no == no:
                cancellation.cancel(child)

    def give_up_tasks(self) -> None:
        """End, from outside, task runs that did not stop in time."""
        give_up(list(self.submissions.open))

    def die(self, message: str) -> None:
        """Record that the process is about to end, here and for the subflow runs."""
        if self.state.is_final():
            return
        for child in list(self.children):
            child.die(message)
        for run in list(self.submissions.open):
            run.enter(Crashed(message=message))
        self.enter(Crashed(message=message))
        self.recorder.flush(2.0)

"""One flow run: what it knows, its task runs and subflow runs, and how it is stopped.

:mod:`flowdeck.lifecycle.flow` decides what happens to it.
"""

from __future__ import annotations

import functools
import json
import threading
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import FlowCancelled, TerminationSignal
from flowdeck.logging import INFO, WARNING, line
from flowdeck.runs.completed_calls import CompletedCalls
from flowdeck.runs.lineage import Lineage
from flowdeck.runs.stopping import end_stopped, give_up, stop_runs
from flowdeck.runs.submission import Submissions
from flowdeck.runs.task_run import FlowRunInfo, Stop, TaskRun
from flowdeck.settings import get_settings
from flowdeck.states import Cancelling, Crashed, Pending, State
from flowdeck.states.transitions import TimeUp
from flowdeck.stopping import cancellation
from flowdeck.threads import active, child_processes, loop
from flowdeck.values.redaction import recorded_message
from flowdeck_store import clock, events

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.definitions.bases import FlowDefinition, TaskRunnerLike
    from flowdeck.runs.recorder import Recorder


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
                state.stored_name, recorded_message(state.message), 1, None, data,
            )
        )  # fmt: skip


class FlowRun:
    """One run of a flow. ``no`` is 0: in the record it is task number 0 of itself."""

    no = 0
    returned: str | None = None  # what its result was when it ended
    logger_name = "flowdeck.flow_runs"

    def __init__(
        self,
        flow: FlowDefinition[Any, Any],
        info: FlowRunInfo,
        recorder: Recorder,
        runner: TaskRunnerLike,
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
        self.lineage = Lineage()
        self.submissions = Submissions(self)
        self.children: list[FlowRun] = []
        #: Transactions whose blocks were left in haste: they are settled when the tasks have ended.
        self.unsettled: list[Any] = []
        #: Bytes of results that were written because it, or a subflow run, did not complete.
        self.kept_bytes = 0
        self.cancel_requested = False
        self.timed_out = False
        #: When its time is up, on the engine's clock.
        self.due: float | None = None
        #: Tasks that run always are not started any more, either.
        self.clean_up_is_over = False
        self.cleanup_seconds = get_settings().cleanup_seconds
        self.stall_seconds = get_settings().stall_seconds
        self._clean_up_is_bounded = False
        #: Something crashed it: it did not just return a state that says so.
        self.is_broken = False
        self.terminated_by: int | None = None
        self._cancel_lock = threading.Lock()
        self._stopping = False
        self.told_of_cancellation = False  # its hooks
        #: What completed in earlier attempts, if there may be any.
        self.memory = CompletedCalls() if flow.retries else None
        #: The task run in whose function the flow was called, if it was in one.
        self.called_in: TaskRun | None = None if parent is None else active.current_task_run.get()
        #: The thread that drives the run.
        self.thread = threading.get_ident()
        #: How to stop the body while it executes on a loop; called from any thread.
        self.stop_body: Callable[[], object] | None = None
        #: How to interrupt the body while it executes on a thread other than the main one, or what
        #: it waits for while it executes on a loop.
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

    def hand_over(self, state: State[Any], value: Any, *, is_kept: bool) -> None:
        """Code of this run gets the value of a run: it is recognised when it is an argument.

        Args:
            state: whose value it is.
            value: the value.
            is_kept: the state holds it.
        """
        info, no = state.belongs_to
        if info is not self.info:
            no = info.parent_no if info.parent_uid == self.info.uid else 0
        if no:
            is_kept = is_kept and active.current_task_run.get() is None
            self.lineage.enter(value, no, is_kept=is_kept)

    # -- states -----------------------------------------------------------------------------------

    def enter(self, state: State[Any], data: str | None = None) -> None:
        """Make ``state`` the run's state and record it, here and on the stand-in."""
        state.belong(self.info, 0)
        self.recorder.emit(
            events.state(
                self.info.uid, 0, 0, state.code, state.us, state.stored_name,
                recorded_message(state.message), self.info.run_count, None, data,
            )
        )  # fmt: skip
        if self.stand is not None:
            self.stand.mirror(self.state, state, self.info.uid)
        # Last: whatever strikes before, the run does not look as if its end were recorded.
        self.state = state

    def enter_unless_stopping(self, state: State[Any]) -> None:
        """As :meth:`enter`, but nothing comes between *Cancelling* and the end."""
        with self._cancel_lock:
            if not self._stopping and not self.state.is_final():
                self.enter(state)

    def rename(self, name: str) -> None:
        """Take the name that was computed when the run started."""
        self.info.name = name
        self.recorder.emit(events.rename(self.info.uid, 0, name))

    # -- task runs --------------------------------------------------------------------------------

    def check_open(self, always: bool = False) -> None:
        """Refuse new runs when this one is to end.

        Args:
            always: the new run cleans up, which it may for a while after this one was stopped.

        Raises:
            TimeoutError: its time was up.
            TimeUp: that of a flow run that called it was up.
            FlowCancelled: it was cancelled.
        """
        if always and self.is_stopping() and not self.clean_up_is_over:
            self.bound_clean_up()
            return
        if self.cancel_requested:
            raise FlowCancelled
        if self.timed_out:
            raise TimeoutError("Flow run timed out")
        if self.parent is not None:
            late = self.overdue()
            if late is not None:
                raise TimeUp(late)

    def is_stopping(self) -> bool:
        """Say whether only tasks that clean up may start."""
        return self.cancel_requested or self.overdue() is not None

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

    def child_states(self) -> list[State[Any]]:
        """Return the states that decide when the function returns ``None``."""
        tasks = [run.state for run in self.submissions.counted]
        return tasks + [child.state for child in self.children if child.called_in is None]

    def next_attempt(self) -> None:
        """Get ready to call the function again."""
        if self.memory is not None:
            self.memory.next_attempt()
        self.submissions.next_attempt()
        self.children = []
        self.timed_out = self.clean_up_is_over = self._clean_up_is_bounded = False
        self.info.run_count += 1

    # -- stopping -----------------------------------------------------------------------------------

    def request_cancel(self, interrupt: bool = False) -> None:
        """Begin to cancel, from any thread; later calls only interrupt again.

        Args:
            interrupt: stop the functions of the flow and its subflows, too. That comes before the
                tasks are stopped: a function that is woken by the end of a task is struck then and
                there, not in the middle of what it does to clean up.
        """
        begun = self._begin_to_cancel()
        if interrupt:
            self.interrupt_body()
        for run in begun:
            run.stop_tasks(Stop.CANCEL)

    def _begin_to_cancel(self) -> list[FlowRun]:
        """Mark this run and its subflow runs; return those that were not marked before."""
        with self._cancel_lock:
            if self._stopping or self.state.is_final():
                return []
            self._stopping = True
            self.cancel_requested = True
            self.enter(Cancelling())
        line(self, INFO, "Cancelling: queued tasks are dropped, running ones are asked to stop")
        begun = [run for child in self.live_children() for run in child._begin_to_cancel()]
        return [*begun, self]

    def live_children(self) -> list[FlowRun]:
        """Return the subflow runs that have not ended."""
        return [child for child in list(self.children) if not child.state.is_final()]

    def stop_tasks(self, why: Stop, always: bool = False) -> None:
        """Drop what is queued, ask what executes to stop.

        Args:
            why: what becomes of them.
            always: also those that run always; if the process is to end they are stopped, too.
        """
        always = always or why is Stop.CRASH
        self.clean_up_is_over = always
        stop_runs(
            [run for run in self.submissions.open.copy() if always or not run.task.always], why
        )
        for run in self.runner.drop_queued():
            if not always and run.task.always:
                self.submissions.ready(run)
                continue
            run.cancel_requested = why
            end_stopped(run, "before it started")

    def bound_clean_up(self) -> None:
        """Tasks that run always, and were started by the function, end within the bound from now
        on; later calls do nothing."""
        if self._clean_up_is_bounded:
            return
        self._clean_up_is_bounded = True
        loop.call_later(
            self.cleanup_seconds,
            cancellation.in_background,
            functools.partial(self._end_clean_up, self.info.run_count),
        )

    def _end_clean_up(self, attempt: int) -> None:
        if self.info.run_count != attempt or self.state.ends_run or self.clean_up_is_over:
            return
        line(self, WARNING, "The time for cleaning up is over: those tasks are asked to stop, too")
        self.stop_tasks(Stop.CANCEL, always=True)
        self.interrupt_body()  # it may sit in a call that only a signal ends

    def start_clock(self, seconds: float | None) -> None:
        """The function, and what it submits, have so many seconds from now on."""
        self.due = None if seconds is None else clock.monotonic() + seconds

    def seconds_left(self) -> float | None:
        """Return how long it may go on, ``None`` without a limit."""
        return None if self.due is None else max(self.due - clock.monotonic(), 0.0)

    def time_up(self) -> None:
        """The run's own time is up: stop what goes on besides the function."""
        self.timed_out = True
        self.stop_the_rest()

    def stop_the_rest(self) -> None:
        """Stop what goes on besides the function: subflow runs called in tasks, and the tasks."""
        for child in self.live_children():
            child.interrupt_body()
        self.stop_tasks(Stop.CANCEL)

    def interrupt_body(self) -> None:
        """Stop the flow's function (or the wait it is in) and those of its subflows, from any
        thread."""
        covered = False  # by a subflow that executes on top of it, on the same thread
        for child in self.live_children():
            child.interrupt_body()
            covered = covered or child.thread == self.thread
        if self.stop_body is not None:
            self._stop_on_loop(self.stop_body)
            if self.interrupt is not None:
                self.interrupt()
        elif covered:
            return
        elif self.body_thread == threading.main_thread().ident:
            child_processes.wait_until_started(self.body_thread or 0)
            cancellation.wake_main_thread()
        elif self.interrupt is not None:
            self.interrupt()

    def stop_on_loop(self) -> bool:
        """For a signal handler: stop an async body; ``False`` if the body is not on a loop."""
        if not self.flow.isasync:
            return False
        if self.stop_body is not None:
            self._stop_on_loop(self.stop_body)
        return True

    def _stop_on_loop(self, stop: Callable[[], object]) -> None:
        stop()
        cancellation.in_background(self._bound_what_cleans_up)

    def _bound_what_cleans_up(self) -> None:
        """If the function is just awaiting a task that runs always, that is not stopped yet."""
        inline = self.runner.submit_blocks
        if any(r.task.always and (inline or r.direct) for r in self.submissions.open.copy()):
            self.bound_clean_up()

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
        going = list(self.submissions.open)
        for run in going:
            run.enter(Crashed(message=message))
        self.enter(Crashed(message=message))
        self.recorder.flush(2.0)
        child_processes.kill([self, *going])

"""From a call of a task inside a flow run to a task run that its runner executes, and on from its end to
those that waited for it.

What a task is given counts as it is at the call, and so does the order of the calls: a run has its
number and the index of its call before anything can go wrong, so the same call is found again in
another attempt or in a re-run. Making a run and entering it are two steps: until the second nobody
knows of it, and from then on somebody has to end it, whatever strikes.

A run is handed to its runner when its last upstream has ended, on the thread that ended that one.
So the end of a run may end thousands of others that cannot start any more, and those in turn others:
that is a loop and not a recursion, for a chain of 20,000 runs may fall in one go.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
from typing import TYPE_CHECKING, Any, Protocol

from flowdeck.inputs import nested
from flowdeck.inputs.given import Snapshots, draw
from flowdeck.logging import ERROR, INFO, line
from flowdeck.runs import computed_names, lost, scheduler, slots, waiting
from flowdeck.runs.fading import Fading
from flowdeck.runs.failures import record_failure
from flowdeck.runs.input_digests import input_digest, mark_of_run
from flowdeck.runs.recorder import Entries
from flowdeck.runs.scheduler import UpstreamEnd, Verdict
from flowdeck.runs.task_run import TaskRun
from flowdeck.runs.upstreams import (
    CallingRun,
    Edge,
    OnlyAwaited,
    Upstream,
    first_bad_state,
    not_ready,
    of_call,
    runs_of,
)
from flowdeck.states import Crashed, State
from flowdeck.states.transitions import crash_message
from flowdeck.threads import active
from flowdeck_store.ids import MAX_NUMBER
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.runs.completed_calls import CompletedCalls, EarlierResults

#: Task runs of one flow run: their number has 24 bits in the record.


class SubmittingRun(CallingRun, Protocol):
    """What is needed here of the flow run."""

    def check_open(self, always: bool = False) -> None: ...
    @property
    def memory(self) -> CompletedCalls | None: ...


class Submissions:
    """Creates the task runs of one flow run and starts each when its inputs are there."""

    def __init__(self, flow_run: SubmittingRun) -> None:
        self._flow_run = flow_run
        self._numbers = itertools.count(1)
        self._indexes: dict[str, itertools.count[int]] = {}
        self.entries = Entries(flow_run)
        #: Those whose states count for the flow's final state, in order.
        self.counted: list[TaskRun] = []
        #: Those that have not ended (also the ones that do not count).
        self.open: set[TaskRun] = set()
        #: What runs that are not to be executed take over from an earlier flow run.
        self.reuse: EarlierResults | None = None
        #: The arguments of what is submitted, as they are then.
        self.lineage = flow_run.lineage
        self.given = Snapshots(self.lineage.carry)
        self.fading = Fading()
        #: By number, what stands for the arguments of those whose results are kept.
        self.input_digests: dict[int, str | None] = {}
        #: Whether any of them may belong to a transaction.
        self.in_transactions = active.current_transaction.get() is not None

    def next_attempt(self) -> None:
        """Count calls anew; numbers go on."""
        self._indexes.clear()
        self.counted = []

    # -- creating -------------------------------------------------------------------------------

    def make(
        self,
        task: TaskDefinition[Any, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[Any] | None,
        *,
        direct: int = 0,
        edges: Sequence[tuple[str, Any]] = (),
    ) -> tuple[TaskRun, list[Upstream], Any, bool]:
        """Make a task run that nobody knows of yet, or find the completed one of an earlier
        attempt.

        Args:
            task: of which.
            parameters: bound, defaults included.
            wait_for: further upstreams.
            direct: the thread that calls it, if it is not submitted.
            edges: (parameter, future or state) to record besides those found in the parameters.

        Returns:
            The run; its upstreams, each with whether its failure is allowed; edges to record;
            whether its arguments are all there.
        """
        flow_run = self._flow_run
        flow_run.check_open(task.always)
        index = self.next_index(task.key)
        look = nested.needs_look(parameters)
        good = not look or draw(parameters, task.binder.starred)
        recorded: tuple[Edge, ...] | None = None
        upstreams: list[Upstream] = []
        if look or edges or wait_for is not None or self.lineage.is_used:
            recorded, upstreams = of_call(flow_run, parameters, wait_for, edges, look)
        memory = flow_run.memory
        reused = None
        if memory is not None:
            reused = memory.find(task.key, index, parameters, upstreams)
        if reused is not None:
            line(reused, INFO, f"Reused: it completed in an earlier attempt ({reused.state})")
            self.counted.append(reused)
            return reused, [], None, True
        no = next(self._numbers)
        if no > MAX_NUMBER:
            raise RuntimeError(
                f"A flow run can have {MAX_NUMBER:,} task runs; put the work into subflows."
            )
        tags = active.with_current_tags(task.tags)
        run = TaskRun(task, flow_run.info, flow_run.recorder, no, index, "", parameters, tags)
        run.owner = flow_run
        if recorded and self.lineage.is_used:
            self.lineage.note_given(no, [up for _, uid, up in recorded if uid is None])
        run.context = contextvars.copy_context()
        if memory is not None:
            memory.note(task.key, index, parameters, upstreams, run)
        if direct:
            run.direct = direct
            run.called_in = active.current_task_run.get()
        return run, upstreams, recorded, good

    def enter(self, run: TaskRun, edges: Any, map_index: int | None = None) -> None:
        """Record a run that was made; from now on the flow run does not end before it.

        Args:
            run: the run.
            edges: as :meth:`make` gave them.
            map_index: which child of a ``.map`` it is.
        """
        if run.is_final:  # that of an earlier attempt
            return
        flow_run, task, parameters = self._flow_run, run.task, run.parameters or {}
        if run.called_in is None:
            self.counted.append(run)
        self.open.add(run)
        if self.in_transactions:
            block = active.transaction_of(run.context)
            if block is not None:
                block.note(run, edges)
        if task.task_run_name is not None:
            computed_names.name_early(run)
        self.entries.record(run, map_index, edges)
        if flow_run.info.persist_result or task.persist_result or task.cache_key_fn is not None:
            self.input_digests[run.no] = input_digest(parameters)
        if self.reuse is not None:
            self.reuse.offer(run, edges)
        text = f"Created task run {run.name!r} for task {task.name!r}"
        line(flow_run, INFO, text, clean=True)

    def next_index(self, key: str) -> int:
        """Count a call of the task or flow with this key."""
        counter = self._indexes.get(key)
        if counter is None:
            counter = self._indexes.setdefault(key, itertools.count())
        return next(counter)

    def next_number(self) -> int:
        """Return the number of the next task run."""
        return next(self._numbers)

    # -- starting ---------------------------------------------------------------------------------

    def dispatch(self, run: TaskRun, upstreams: list[Upstream]) -> None:
        """Hand the run to the runner now, or when its upstreams have ended."""
        if run.is_final:
            return
        runner = self._flow_run.runner
        if upstreams and runner.submit_blocks:
            waiting.wait(runs_of(upstreams))  # those of other flow runs may be going on
        if self._admit(run, upstreams):
            try:
                runner.submit(run)
            except Exception as error:
                if not runner.may_refuse:
                    raise
                self._refused(run, error)

    def _admit(self, run: TaskRun, upstreams: list[Upstream]) -> bool:
        """Say whether the run can go to the runner at once; if not, all is arranged."""
        if upstreams:
            settled = first_bad_state(upstreams)
            if settled is not None:
                self.block(run, settled)
                return False
            awaited = self._awaited_here(run, upstreams)
            with waiting.lock:
                verdict, blocker = scheduler.add(run, awaited)
            if verdict is Verdict.BLOCKED:
                assert blocker is not None
                self.block(run, blocker.name)
                return False
            if verdict is Verdict.WAIT:
                self._announce(run)
                return False
        if self.reuse is not None and self.reuse.serve(run):
            self.ended(run)
            return False
        self._announce(run)
        return True

    def _awaited_here(self, run: TaskRun, upstreams: list[Upstream]) -> list[Upstream]:
        """Return the upstream runs that must have ended before the runner gets the run.

        Those whose values it needs may be left to the runner's engine, so that values stay where
        they are. Not those that it only waits for: an engine would move their values too. And not
        if the flow's process has something to do first, looking into the cache or taking slots.
        """
        runner = self._flow_run.runner
        tracked = (
            runner.tracks_dependencies
            and not slots.is_needed(run)
            and not (self.reuse is not None and self.reuse.offers(run))
        )
        return [
            (pair[0].task_run, pair[1])
            for pair in upstreams
            if not isinstance(pair[0], State)
            and not (
                tracked
                and type(pair) is not OnlyAwaited
                and not pair[1]  # engines know of failures, but not of the other ends
                and runner.tracks(pair[0].task_run)
            )
        ]

    def _announce(self, run: TaskRun) -> None:
        if self._flow_run.runner.submit_blocks:
            text = f"Executing {run.name!r} immediately..."
        else:
            text = f"Submitted task run {run.name!r} for execution."
        line(self._flow_run, INFO, text, clean=True)

    async def dispatch_async(self, run: TaskRun, upstreams: list[Upstream]) -> None:
        """As :meth:`dispatch`, for an async task of an async flow."""
        if run.is_final:
            return
        if upstreams and self._flow_run.runner.submit_blocks:
            await waiting.wait_async(runs_of(upstreams))
        if self._admit(run, upstreams):
            runner = self._flow_run.runner
            try:
                await runner.submit_async(run)
            except Exception as error:
                if not runner.may_refuse:
                    raise
                self._refused(run, error)

    def ready(self, run: TaskRun) -> None:
        """Hand a run to the runner; its upstreams have ended, the last one just now."""
        try:
            self._flow_run.runner.submit(run)
        except Exception as error:
            self._refused(run, error)

    def end_calls_left(self) -> None:
        """End direct calls made on this thread that have not ended: on the thread on which the
        flow's function has returned they have, too, if by an exception that nobody saw."""
        here = threading.get_ident()
        for run in [run for run in list(self.open) if run.direct == here]:
            self.crash(run, "Its call was left without its end being recorded.")

    def _refused(self, run: TaskRun, error: Exception) -> None:
        """The runner does not take the run (an argument that cannot be pickled, a runner that is
        gone): only this run ends; the flow, or the thread that ended its upstream, goes on."""
        self.crash(run, crash_message(error), error)

    def block(self, run: TaskRun, upstream: str) -> None:
        """End a run that cannot start because of an upstream with this name."""
        state = not_ready(upstream)
        run.enter(state)
        line(run, INFO, f"Finished in state {state}")
        self.ended(run)

    def crash(self, run: TaskRun, message: str, error: BaseException | None = None) -> None:
        """End a run that something other than its function ended."""
        if run.is_final:
            return
        line(run, ERROR, f"Crash detected! {message}")
        if not run.state.ends_run:  # else a hook crashed after the last state
            state = Crashed(message=message, data=error)
            record_failure(run, state, None)
            run.enter(state)
            line(run, ERROR, f"Finished in state {state}")
        self.ended(run)

    # -- ending -------------------------------------------------------------------------------------

    def ended(self, run: TaskRun) -> None:
        """Enter that a run has ended; start or block the runs that waited for it."""
        ended = [run]
        while ended:
            run = ended.pop()
            decided: list[tuple[TaskRun, Verdict]] = []
            completed = run.state.type is StateType.COMPLETED
            if completed and run.returned is None and run.outcome is UpstreamEnd.WAITING:
                run.returned = mark_of_run(run)
            if not run.run_count and run.task.task_run_name is not None:
                computed_names.name_late(run)
            try:
                with waiting.lock:
                    if run.outcome is not UpstreamEnd.WAITING:
                        continue
                    outcome = UpstreamEnd.OK if completed else UpstreamEnd.BAD
                    decided = scheduler.finish(run, outcome)
                    run.context = run.parameters = run.common = run.interrupt = run.loop = None
                self.tidy_up(run)
                while decided:
                    dependent, verdict = decided[-1]
                    self._go_on_after(run, dependent, verdict, ended)
                    decided.pop()
            except BaseException as error:
                lost.finish_ending(run, decided, ended, error)
                raise

    def tidy_up(self, run: TaskRun) -> None:
        """Tell of the end of a run all who wait for it; doing it twice does no harm."""
        submissions = run.owner.submissions
        submissions.open.discard(run)
        if run.slots:
            slots.give_back(run)
        if not submissions.open:
            submissions.given.forget()
            submissions.lineage.forget_copies()
        if submissions.input_digests:
            submissions.input_digests.pop(run.no, None)
        if run.callbacks:
            waiting.call_back(run)
        if run.state.type is StateType.FAILED and not self._flow_run.flow.retries:
            submissions.fading.add(run)

    def _go_on_after(
        self, run: TaskRun, dependent: TaskRun, verdict: Verdict, ended: list[TaskRun]
    ) -> None:
        """Start a run that waited for this one, or add it to those that have ended."""
        submissions = dependent.owner.submissions
        if verdict is Verdict.READY:
            if submissions.reuse is None or not submissions.reuse.serve(dependent):
                submissions.ready(dependent)
            else:
                ended.append(dependent)
            return
        state = not_ready(run.name)
        dependent.enter(state)
        line(dependent, INFO, f"Finished in state {state}")
        ended.append(dependent)

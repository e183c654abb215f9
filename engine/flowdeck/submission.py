"""From a call of a task inside a flow run to a task run that its runner executes."""

from __future__ import annotations

import contextvars
import itertools
import json
from typing import TYPE_CHECKING, Any

from flowdeck import context, inputs, scheduler, waiting
from flowdeck.logging import ERROR, INFO, line
from flowdeck.runs import TaskRun
from flowdeck.scheduler import Outcome, Verdict
from flowdeck.states import State
from flowdeck.upstreams import (
    OnlyAwaited,
    Upstream,
    first_bad,
    first_bad_state,
    not_ready,
    of_call,
    runs_of,
)
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.flow_run import FlowRun
    from flowdeck.rerun import Reuse
    from flowdeck.tasks import Task

#: Task runs of one flow run: their number has 24 bits in the record.
MAX_TASK_RUNS = (1 << 24) - 1


class Submissions:
    """Creates the task runs of one flow run and starts each when its inputs are there."""

    def __init__(self, flow_run: FlowRun) -> None:
        self._flow_run = flow_run
        self._numbers = itertools.count(1)
        self._indexes: dict[str, itertools.count[int]] = {}
        self._described: set[str] = set()
        #: Those whose states count for the flow's final state, in order.
        self.counted: list[TaskRun] = []
        #: Those that have not ended (also the ones that do not count).
        self.open: set[TaskRun] = set()
        #: What runs that are not to be executed take over from an earlier flow run.
        self.reuse: Reuse | None = None
        #: By number, what stands for the arguments of those whose results are kept.
        self.marks: dict[int, str | None] = {}

    def next_attempt(self) -> None:
        """Count calls anew; numbers go on."""
        self._indexes.clear()
        self.counted = []

    # -- creating -------------------------------------------------------------------------------

    def create(
        self,
        task: Task[Any, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[Any] | None,
        *,
        direct: bool,
        map_index: int | None = None,
        edges: Iterable[tuple[str, Any]] = (),
    ) -> tuple[TaskRun, list[Upstream]]:
        """Make and record a task run, or find the completed one of an earlier attempt.

        Args:
            task: of which.
            parameters: bound, defaults included.
            wait_for: further upstreams.
            direct: called, not submitted.
            map_index: which child of a ``.map`` it is.
            edges: (parameter, future or state) to record besides those found in the parameters.

        Returns:
            The run and its upstreams, each with whether its failure is allowed.
        """
        flow_run = self._flow_run
        flow_run.check_open()
        index = self.next_index(task.key)
        inputs.materialise(parameters)
        reused = flow_run.remembered(task.key, index, parameters)
        if reused is not None:
            line(reused, INFO, f"Reused: it completed in an earlier attempt ({reused.state})")
            self.counted.append(reused)
            return reused, []
        recorded, upstreams = of_call(flow_run, parameters, wait_for, edges)
        no = next(self._numbers)
        if no > MAX_TASK_RUNS:
            raise RuntimeError(
                f"A flow run can have {MAX_TASK_RUNS:,} task runs; put the work into subflows."
            )
        tags = _union(task.tags, context.current_tags())
        run = TaskRun(
            task,
            flow_run.info,
            flow_run.recorder,
            no,
            index,
            "",
            parameters,
            tags,
        )
        run.owner = flow_run
        run.direct = direct
        run.context = contextvars.copy_context()
        if direct:
            run.called_in = context.current_task_run.get()
        if run.called_in is None:
            self.counted.append(run)
        self.open.add(run)
        flow_run.remember(task.key, index, parameters, run)
        self._record(run, map_index, recorded)
        if flow_run.info.persist_result or task.persist_result or task.cache_key_fn is not None:
            from flowdeck.rerun import mark

            self.marks[no] = mark(parameters)
        if self.reuse is not None:
            self.reuse.offer(run, recorded)
        line(flow_run, INFO, f"Created task run {run.name!r} for task {task.name!r}")
        return run, upstreams

    def next_index(self, key: str) -> int:
        """Count a call of the task or flow with this key."""
        counter = self._indexes.get(key)
        if counter is None:
            counter = self._indexes.setdefault(key, itertools.count())
        return next(counter)

    def _record(self, run: TaskRun, map_index: int | None, edges: Any) -> None:
        task = run.task
        if task.definition_key not in self._described:
            self._described.add(task.definition_key)
            tags = json.dumps(sorted(task.tags)) if task.tags else None
            run.emit(
                events.task_def(task.definition_key, task.name, task.source, tags, task.retries)
            )
        run.emit(
            events.task(
                run.info.uid, run.no, run.state.us, task.definition_key, run.name, map_index, edges
            )
        )

    def stand_in(self, name: str, definition: str, index: int, edges: Any) -> tuple[int, str]:
        """Record a task run that stands for a subflow run; return its number and name."""
        flow_run = self._flow_run
        no = next(self._numbers)
        run_name = f"{name}-{index}"
        if definition not in self._described:
            self._described.add(definition)
            flow_run.recorder.emit(events.task_def(definition, name, None, None, 0))
        uid = flow_run.info.uid
        flow_run.recorder.emit(events.task(uid, no, now_us(), definition, run_name, None, edges))
        return no, run_name

    # -- starting ---------------------------------------------------------------------------------

    def dispatch(self, run: TaskRun, upstreams: list[Upstream]) -> None:
        """Hand the run to the runner now, or when its upstreams have ended."""
        if run.is_final:
            return
        if upstreams and self._flow_run.runner.submit_blocks:
            waiting.wait(runs_of(upstreams))  # those of other flow runs may be going on
        if self._admit(run, upstreams):
            self.ready(run)

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
                self.block(run, blocker.uid)
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
            and run.task.cache_key_fn is None
            and not (run.tags and run.recorder.has_limits())
            and not (self.reuse is not None and self.reuse.offers(run))
        )
        return [
            (pair[0].task_run, pair[1])
            for pair in upstreams
            if not isinstance(pair[0], State)
            and not (tracked and type(pair) is not OnlyAwaited and runner.tracks(pair[0].task_run))
        ]

    def _announce(self, run: TaskRun) -> None:
        if self._flow_run.runner.submit_blocks:
            line(self._flow_run, INFO, f"Executing {run.name!r} immediately...")
        else:
            line(self._flow_run, INFO, f"Submitted task run {run.name!r} for execution.")

    def wait_for_direct(self, run: TaskRun, upstreams: list[Upstream]) -> bool:
        """Block until the upstreams of a called task have ended; say whether it may run."""
        if run.is_final:
            return False
        waiting.wait(runs_of(upstreams))
        return self._may_run_here(run, upstreams)

    async def wait_for_direct_async(self, run: TaskRun, upstreams: list[Upstream]) -> bool:
        """As :meth:`wait_for_direct`, on a loop."""
        if run.is_final:
            return False
        await waiting.wait_async(runs_of(upstreams))
        return self._may_run_here(run, upstreams)

    def _may_run_here(self, run: TaskRun, upstreams: list[Upstream]) -> bool:
        bad = first_bad(upstreams)
        if bad is not None:
            self.block(run, bad)
            return False
        if self.reuse is not None and self.reuse.serve(run):
            self.ended(run)
            return False
        line(self._flow_run, INFO, f"Executing {run.name!r} immediately...")
        return True

    async def dispatch_async(self, run: TaskRun, upstreams: list[Upstream]) -> None:
        """As :meth:`dispatch`, for an async task of an async flow."""
        if run.is_final:
            return
        if upstreams and self._flow_run.runner.submit_blocks:
            await waiting.wait_async(runs_of(upstreams))
        if self._admit(run, upstreams):
            try:
                await self._flow_run.runner.submit_async(run)
            except Exception as error:
                self._refused(run, error)

    def ready(self, run: TaskRun) -> None:
        """Hand a run to the runner; its upstreams have ended."""
        try:
            self._flow_run.runner.submit(run)
        except Exception as error:
            self._refused(run, error)

    def _refused(self, run: TaskRun, error: Exception) -> None:
        """The runner does not take the run (an argument that cannot be pickled, a runner that is
        gone): only this run ends; the flow, or the thread that ended its upstream, goes on."""
        from flowdeck.transitions import crash_message

        self.crash(run, crash_message(error), error)

    def block(self, run: TaskRun, upstream_uid: str) -> None:
        """End a run that cannot start because of an upstream."""
        state = not_ready(upstream_uid)
        run.enter(state)
        line(run, INFO, f"Finished in state {state}")
        self.ended(run)

    def crash(self, run: TaskRun, message: str, error: BaseException | None = None) -> None:
        """End a run that something other than its function ended."""
        from flowdeck.endings import record_failure
        from flowdeck.states import Crashed

        if run.is_final:
            return
        line(run, ERROR, f"Crash detected! {message}")
        if not run.state.ends_run:  # else a hook crashed after the last state
            state = Crashed(message=message, data=error)
            record_failure(run, state, error)
            run.enter(state)
            line(run, ERROR, f"Finished in state {state}")
        if run.tags and run.recorder.has_limits():
            run.recorder.release_slots(run.info.uid, run.no)
        self.ended(run)

    # -- ending -------------------------------------------------------------------------------------

    def ended(self, run: TaskRun) -> None:
        """Enter that a run has ended; start or block the runs that waited for it.

        Iterative, because a chain of 20,000 runs may fall in one go.
        """
        ended = [run]
        while ended:
            run = ended.pop()
            with waiting.lock:
                if run.outcome is not Outcome.WAITING:
                    continue
                decided = scheduler.finish(run, _outcome_of(run))
                callbacks, run.callbacks = run.callbacks, None
                run.context = run.parameters = run.interrupt = None
            run.owner.submissions.open.discard(run)
            if run.owner.submissions.marks:
                run.owner.submissions.marks.pop(run.no, None)
            for callback in callbacks or ():
                callback(run)
            for dependent, verdict in decided:
                submissions = dependent.owner.submissions
                if verdict is Verdict.READY:
                    if submissions.reuse is None or not submissions.reuse.serve(dependent):
                        submissions.ready(dependent)
                    else:
                        ended.append(dependent)
                    continue
                state = not_ready(run.uid)
                dependent.enter(state)
                line(dependent, INFO, f"Finished in state {state}")
                ended.append(dependent)


def _union(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Join two sets; mostly one is empty, and 100,000 task runs can share the other."""
    if not other:
        return one
    return one | other if one else other


def _outcome_of(run: TaskRun) -> Outcome:
    state = run.state
    if state.is_completed():
        return Outcome.OK
    return Outcome.FAILED if state.is_failed() else Outcome.BLOCKING

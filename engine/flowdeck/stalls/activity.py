"""What a flow run of this process does at one moment: what executes, what waits.

A task run that waits in its own code for other task runs does not execute, nor does one whose function
called a task or flow directly: what goes on there, goes on in the one that was called.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.runs import slots, waiting
from flowdeck.stalls import sentences
from flowdeck.stalls.sentences import Waiter
from flowdeck_store.states import AWAITING_RETRY, AWAITING_SLOT, NOT_READY, StateType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun

#: Compared one by one by `in`: hashing a member of an enumeration is slower.
_WAIT: Final = (StateType.PENDING, StateType.SCHEDULED)
#: What asks a person is not stuck: it is as busy as one that computes.
_GOES_ON: Final = (StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED)
#: Task runs with one cause that are looked at one by one; of more only the number is told.
_MOST: Final = 200


@dataclass(slots=True)
class Activity:
    """What one flow run does, without the subflow runs below it.

    Attributes:
        run: the flow run.
        body: its own code is being executed.
        executing: task runs whose functions are.
        waiting: task runs that have not started, or wait for another try.
        tries: how often functions were called: it grows when something goes on.
    """

    run: FlowRun
    body: bool = False
    executing: list[TaskRun] = field(default_factory=list)
    waiting: list[TaskRun] = field(default_factory=list)
    tries: int = 0

    @property
    def executes(self) -> bool:
        """Whether anything is being executed."""
        return self.body or bool(self.executing)


def activity_of(run: FlowRun) -> Activity:
    """Look through the task runs of a flow run that have not ended (about 1 µs for each)."""
    found = Activity(run)
    open_runs = run.submissions.open.copy()
    inside: set[Any] = {task_run.called_in for task_run in open_runs if task_run.direct}
    inside |= {child.called_in for child in run.live_children()}
    for flow_run, task_run, _ in list(waiting.waits.values()):
        if task_run is not None or flow_run is run:
            inside.add(task_run)
    for task_run in open_runs:
        found.tries += task_run.run_count
        state = task_run.state
        kind = state.type
        if kind in _GOES_ON:
            if task_run not in inside:
                found.executing.append(task_run)
        elif task_run.left_behind is not None and not task_run.left_behind.has_left():
            found.executing.append(task_run)
        elif kind in _WAIT and state.name != NOT_READY:
            found.waiting.append(task_run)
        elif not task_run.is_final:  # its hooks, or its result is being written
            found.executing.append(task_run)
    in_function = run.body_thread is not None or run.stop_body is not None
    calls = None in inside or (run.runner.submit_blocks and bool(open_runs))
    goes_on = run.state.is_running() or run.state.is_paused()
    found.body = in_function and goes_on and not calls
    return found


def waiters(activities: Iterable[Activity]) -> list[Waiter]:
    """Say of the task runs that wait for what: of the first ones with the same cause one by one, of
    the others how many there are."""
    waiting = [
        run for activity in activities for run in sorted(activity.waiting, key=lambda run: run.no)
    ]
    first = [run for run in waiting if run.unfinished][:_MOST]
    upstreams = _upstreams(set(first))
    counts: Counter[tuple[str, Any]] = Counter()
    found: list[Waiter] = []
    for run in waiting:
        if run.unfinished and run not in upstreams:
            counts[sentences.UPSTREAM, None] += 1
            continue
        kind, detail, awaited = _reason(run, run.owner.runner, upstreams.get(run, ()))
        cause = kind, None if kind == sentences.RETRY else detail
        counts[cause] += 1
        if counts[cause] <= _MOST:
            found.append(Waiter(run.uid, run.name, kind, detail, tuple(x.uid for x in awaited)))
    told = Counter((one.kind, None if one.kind == sentences.RETRY else one.detail) for one in found)
    rest = counts - told
    return [*found, *(Waiter("", "", kind, detail, (), n) for (kind, detail), n in rest.items())]


def _upstreams(dependents: set[TaskRun]) -> dict[TaskRun, list[TaskRun]]:
    """Return, of task runs that wait for others, for which: they know only how many there are."""
    from flowdeck.stopping import cancellation

    found: dict[TaskRun, list[TaskRun]] = {}
    live: list[Any] = list(cancellation.live.values()) if dependents else []
    for flow_run in live:
        for upstream in flow_run.submissions.open.copy():
            for dependent, _ in upstream.dependents or ():
                if dependent in dependents:
                    found.setdefault(dependent, []).append(upstream)
    return found


def _reason(
    run: TaskRun, runner: Any, upstreams: Iterable[TaskRun]
) -> tuple[str, Any, tuple[TaskRun, ...]]:
    state = run.state
    if state.name == AWAITING_SLOT:
        return sentences.SLOT, slots.lines_of(run.recorder).waited_for(run) or _tags(run), ()
    if state.name == AWAITING_RETRY:
        when = state.state_details.scheduled_time
        return sentences.RETRY, 0 if when is None else int(when.timestamp() * 1e6), ()
    awaited = tuple(upstreams)
    if not awaited and run.direct:
        awaited = _awaited_by_call(run)
    awaited = awaited or runner.awaited_by_engine(run)
    if awaited:
        return sentences.UPSTREAM, None, awaited
    reason = runner.why_not_started(run)
    if reason is not None:
        return sentences.ENGINE, reason, ()
    if runner.tracks_dependencies:
        return sentences.WORKER, None, ()
    if runner.submit_blocks or run.direct:
        return sentences.START, None, ()
    return (sentences.LOOP if run.task.isasync else sentences.THREAD), None, ()


def _tags(run: TaskRun) -> tuple[str, ...]:
    return tuple(sorted(run.tags & run.recorder.limited_tags()))


def _awaited_by_call(run: TaskRun) -> tuple[TaskRun, ...]:
    """Return what the code waits for that called a task which has not started."""
    return tuple(
        awaited
        for flow_run, task_run, awaited in list(waiting.waits.values())
        if task_run is run.called_in and (task_run is not None or flow_run is run.owner)
    )


def waits_in_code() -> tuple[dict[str, str], dict[str, str]]:
    """Return which task runs wait in their code for which, by their uids, and what those are called."""
    waits: dict[str, str] = {}
    names: dict[str, str] = {}
    for _, task_run, awaited in list(waiting.waits.values()):
        names[awaited.uid] = awaited.name
        if task_run is not None:
            waits[task_run.uid] = awaited.uid
            names[task_run.uid] = task_run.name
    return waits, names

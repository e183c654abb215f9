"""Two runs of a flow beside each other: what they were given, what they ran as, what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.explain.changes import Change, CodeChange, changes_between
from flowdeck_store.states import CACHED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord
    from flowdeck_store.read.summaries import TaskGroup

#: Task runs of one run that are compared one by one.
MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class TaskDifference:
    """All runs of one task in both flow runs; ``None``: the flow run has none."""

    task: str
    before: TaskGroup | None
    now: TaskGroup | None


@dataclass(frozen=True, slots=True)
class TaskRunDifference:
    """The same call in both flow runs: it ended, or returned, something else.

    Attributes:
        before: in the earlier run; ``None``: it was not called there.
        now: in the later run; the same.
        result_before: the short text of what it returned.
        result_now: the same.
    """

    before: TaskRunRecord | None
    now: TaskRunRecord | None
    result_before: str | None
    result_now: str | None


@dataclass(frozen=True, slots=True)
class RunDifference:
    """What differs between two runs.

    Attributes:
        before: the earlier run.
        now: the later run.
        causes: what they failed of.
        changed: what they were given and ran as.
        code: which code changed.
        tasks: every task of either.
        task_runs: calls that ended or returned something else.
        is_whole: whether all task runs were compared; only the first :data:`MOST` are.
    """

    before: FlowRunRecord
    now: FlowRunRecord
    causes: tuple[Cause | None, Cause | None]
    changed: tuple[Change, ...]
    code: tuple[CodeChange, ...]
    tasks: tuple[TaskDifference, ...]
    task_runs: tuple[TaskRunDifference, ...]
    is_whole: bool


def differences(reader: Reader, before: FlowRunRecord, now: FlowRunRecord) -> RunDifference:
    """Compare two runs.

    Raises:
        StoreError: the record cannot be read.
    """
    changed, code = changes_between(reader, before, now)
    return RunDifference(
        before,
        now,
        (reader.cause(before), reader.cause(now)),
        tuple(changed),
        tuple(code),
        tuple(_tasks(reader.task_groups(before.id), reader.task_groups(now.id))),
        tuple(_task_runs(reader, before, now)),
        max(sum(before.counts), sum(now.counts)) <= MOST,
    )


def _tasks(then: Iterable[TaskGroup], now: Iterable[TaskGroup]) -> Iterable[TaskDifference]:
    old = {group.task_key: group for group in then}
    new = {group.task_key: group for group in now}
    for key in dict.fromkeys([*old, *new]):
        one, two = old.get(key), new.get(key)
        group = two or one
        assert group is not None
        yield TaskDifference(group.task, one, two)


def _task_runs(
    reader: Reader, before: FlowRunRecord, now: FlowRunRecord
) -> Iterable[TaskRunDifference]:
    old, new = _calls(reader, before.id), _calls(reader, now.id)
    old_texts, new_texts = _texts(reader, before.id, old), _texts(reader, now.id, new)
    for call in dict.fromkeys([*old, *new]):
        one, two = old.get(call), new.get(call)
        texts = old_texts.get(call), new_texts.get(call)
        if _ended(one) != _ended(two) or texts[0] != texts[1]:
            yield TaskRunDifference(one, two, *texts)


def _ended(task: TaskRunRecord | None) -> tuple[int, str | None] | None:
    """Return how a task run ended; whether it ran for it or took a result over is the same."""
    if task is None:
        return None
    return task.code, None if task.named == CACHED else task.named


#: A task by its key, and how often it had been called before.
_Call = tuple[str, int]


def _calls(reader: Reader, run_id: int) -> dict[_Call, TaskRunRecord]:
    counts: dict[str, int] = {}
    found: dict[_Call, TaskRunRecord] = {}
    for task in reader.tasks(run_id, order="number", limit=MOST):
        count = counts.get(task.task_key, 0)
        counts[task.task_key] = count + 1
        found[task.task_key, count] = task
    return found


def _texts(
    reader: Reader, run_id: int, calls: dict[_Call, TaskRunRecord]
) -> dict[_Call, str | None]:
    results = reader.results_by_nos(run_id, [task.no for task in calls.values()])
    return {call: results[task.no].preview for call, task in calls.items() if task.no in results}

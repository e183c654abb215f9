"""Why a task run did what it did: ran, waited, was skipped, was taken over, missed the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.explain.changes import code_changes
from flowdeck_store.explain.stall import retry_us, stall_of
from flowdeck_store.explain.time_split import TimeSplit, time_split
from flowdeck_store.read.causes import plain
from flowdeck_store.read.provenance import code_key
from flowdeck_store.states import (
    AWAITING_RETRY,
    CACHED,
    COMPLETED,
    NOT_READY,
    PENDING,
    RUNNING,
    SCHEDULED,
    is_final,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.explain.stall import StallRecord
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import StateRecord, TaskRunRecord

#: Links from a run that was skipped back to the one that failed.
_DEEPEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Missed:
    """Why a kept result was not used, as far as the record shows.

    Attributes:
        before: of the earlier task runs of the same task that kept their results, the newest of those
            whose arguments are most like its own.
        arguments: the arguments whose recorded texts differ from its own.
        code: the functions and constants that the task uses and that were others then.
    """

    before: TaskRunRecord
    arguments: tuple[str, ...]
    code: tuple[str, ...] = ()


def _waits(task: TaskRunRecord) -> bool:
    return task.code in {PENDING, SCHEDULED} and not is_final(task.code, task.named)


@dataclass(frozen=True, slots=True)
class TaskWhy:
    """What is known of why a task run went as it did.

    Attributes:
        task: the task run.
        is_skipped: it did not run because of an upstream.
        split: what its time was spent on.
        last_upstream: the one that ended last, for which it waited.
        blocked_by: from the upstream that it was skipped for back to the one that failed first.
        taken_over: the task run of an earlier flow run whose result it took over, as users type it.
        cached_from: the task run whose kept result it used; ``None`` also where that is not known.
        missed: why it did not use a kept one, if its task keeps results and there was one.
        error: what it ended with, if that is not good; without boilerplate.
        tries: how many times its function was called.
        waits_for: its upstreams that have not ended, if it has not started.
        retry_us: when it is tried again, while it waits for that, µs.
        stall: what the record says of its flow run, while it waits and nothing ends or begins there.
    """

    task: TaskRunRecord
    is_skipped: bool
    split: TimeSplit
    last_upstream: TaskRunRecord | None
    blocked_by: tuple[TaskRunRecord, ...]
    taken_over: str | None
    cached_from: TaskRunRecord | None
    missed: Missed | None
    error: str
    tries: int
    waits_for: tuple[TaskRunRecord, ...] = ()
    retry_us: int | None = None
    stall: StallRecord | None = None

    @property
    def waits(self) -> bool:
        """Whether it has not started, or waits for another try."""
        return _waits(self.task)


def why_task(reader: Reader, task: TaskRunRecord, now_us: int) -> TaskWhy:
    """Say why a task run went as it did.

    Args:
        reader: of the record.
        task: the task run.
        now_us: the end of what has not ended.

    Raises:
        StoreError: the record cannot be read.
    """
    states = reader.states(task.run_id, task.no)
    last = _task(reader, reader.last_upstream(task))
    is_skipped = task.code == PENDING and task.named == NOT_READY
    waits = _waits(task)
    run = reader.run(task.run_id) if waits else None
    going = tuple(_going(reader, task)) if waits else ()
    ready_us = now_us if going else None if last is None else last.ended_us
    return TaskWhy(
        task=task,
        is_skipped=is_skipped,
        split=time_split(task, states, ready_us, now_us),
        last_upstream=last,
        blocked_by=_blocked_by(reader, task) if is_skipped else (),
        taken_over=_taken_over(reader, states),
        cached_from=_cached_from(reader, task),
        missed=_missed(reader, task),
        error="" if task.code == COMPLETED or is_skipped else plain(task.message),
        tries=sum(state.code == RUNNING for state in states),
        waits_for=going,
        retry_us=retry_us(states) if task.named == AWAITING_RETRY else None,
        stall=None if run is None else stall_of(reader, run),
    )


def _going(reader: Reader, task: TaskRunRecord) -> Iterator[TaskRunRecord]:
    for one in reader.tasks_by_ids(reader.going_upstreams(task)):
        if not is_final(one.code, one.named):
            yield one


def _blocked_by(reader: Reader, task: TaskRunRecord) -> tuple[TaskRunRecord, ...]:
    """Return the way from a run that was skipped to the one that is to blame."""
    way: list[TaskRunRecord] = []
    seen = {task.id}
    while len(way) < _DEEPEST:
        bad = [task_id for task_id in reader.bad_upstreams(task) if task_id not in seen]
        blamed = _task(reader, bad[0] if bad else None)
        if blamed is None:
            break
        task = blamed
        seen.add(task.id)
        way.append(task)
        if task.named != NOT_READY:
            break
    return tuple(way)


def _taken_over(reader: Reader, states: list[StateRecord]) -> str | None:
    for state in states:
        place = (state.data or {}).get("reused_from")
        if isinstance(place, str):
            uid, _, no = place.rpartition(".")
            run = reader.run_by_uid(uid)
            return place if run is None else f"{run.id}.{no}"
    return None


def _cached_from(reader: Reader, task: TaskRunRecord) -> TaskRunRecord | None:
    if task.named != CACHED:
        return None
    result = reader.result(task.run_id, task.no)
    if result is None or result.location is None:
        return None
    return _task(reader, reader.kept_by(result.location))


def _missed(reader: Reader, task: TaskRunRecord) -> Missed | None:
    if task.cache_key is None or task.named == CACHED:
        return None
    now = reader.task_parameters(task.run_id, task.no)
    nearest: tuple[TaskRunRecord, list[str]] | None = None
    for before in reader.tasks_by_ids(reader.same_calls_before(task)):  # the newest first
        then = reader.task_parameters(before.run_id, before.no)
        differing = [name for name in {**now, **then} if then.get(name) != now.get(name)]
        if nearest is None or len(differing) < len(nearest[1]):
            nearest = before, differing
        if not differing:
            break
    if nearest is None:
        return None
    before, names = nearest
    return Missed(before, tuple(names), _changed_code(reader, before, task))


def _changed_code(reader: Reader, before: TaskRunRecord, task: TaskRunRecord) -> tuple[str, ...]:
    if before.run_id == task.run_id:
        return ()
    key = code_key(task.task_key)
    changes = code_changes(reader.code(before.run_id), reader.code(task.run_id))
    return tuple(change.name for change in changes if key in change.used_by)


def _task(reader: Reader, task_id: int | None) -> TaskRunRecord | None:
    if task_id is None:
        return None
    found = reader.tasks_by_ids([task_id])
    return found[0] if found else None

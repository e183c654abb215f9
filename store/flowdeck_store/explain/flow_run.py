"""Why a flow run ended as it did and took as long as it did, beside the last run that was good."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.explain.changes import Change, CodeChange, changes_between
from flowdeck_store.explain.critical_path import CriticalPath, critical_path
from flowdeck_store.explain.stall import retry_us, stall_of
from flowdeck_store.ids import task_run_id
from flowdeck_store.states import AWAITING_RETRY, BUCKETS

if TYPE_CHECKING:
    from flowdeck_store.explain.stall import StallRecord
    from flowdeck_store.questions import Question
    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: A task is slower if its median grew by this factor, and by so many seconds.
_SLOWER: Final = 1.5
_AT_LEAST_S: Final = 0.1
#: Links of a path whose tries are looked at.
_LOOKED_INTO: Final = 1_000
#: Of the slower tasks, and of the path, so many are told.
_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class Slower:
    """A task that took longer than in the last good run: medians in seconds."""

    task: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class RunWhy:
    """What is known of why a flow run went as it did.

    Attributes:
        run: the flow run.
        cause: what it failed of.
        followed: how many task runs were not started, cancelled, crashed because of it, by bucket.
        repeats: the run that it was to do again.
        before: the last run of the flow that was good.
        changed: what is another than then.
        code: which code of its tasks is another than then.
        slower: which tasks took longer than then, the worst first.
        path: which task runs decided its duration; the links' tasks are in ``tasks``.
        tasks: the task runs of the path by number.
        retry_us: when it is tried again, µs, while it waits for that.
        stall: what its task runs wait for, while it goes on and nothing ends or begins in it.
        retry_us: when it is tried again, UTC microseconds, while it waits for that.
        asks: the questions in it, and in subflow runs below it, that wait for an answer.
    """

    run: FlowRunRecord
    cause: Cause | None
    followed: dict[str, int]
    repeats: FlowRunRecord | None
    before: FlowRunRecord | None
    changed: tuple[Change, ...]
    code: tuple[CodeChange, ...]
    slower: tuple[Slower, ...]
    path: CriticalPath | None
    tasks: dict[int, TaskRunRecord]
    stall: StallRecord | None = None
    retry_us: int | None = None
    asks: tuple[Question, ...] = ()


def why_run(reader: Reader, run: FlowRunRecord, now_us: int) -> RunWhy:
    """Say why a flow run went as it did.

    Args:
        reader: of the record.
        run: the flow run.
        now_us: the end of what has not ended.

    Raises:
        StoreError: the record cannot be read.
    """
    before_id = reader.last_good_id(run)
    before = None if before_id is None else reader.run(before_id)
    changed, code = ([], []) if before is None else changes_between(reader, before, run)
    path = path_of(reader, run, now_us)
    shown = reader.tasks_by_ids(task_run_id(run.id, no) for no in _told(path))
    counts = dict(zip(BUCKETS, run.counts, strict=True))
    cause = reader.cause(run)
    return RunWhy(
        run=run,
        cause=cause,
        followed={
            name: counts[name]
            for name in ("not_ready", "cancelled", "crashed")
            if cause is not None and counts.get(name)
        },
        repeats=None if run.rerun_of is None else reader.run_by_uid(run.rerun_of),
        before=before,
        changed=tuple(changed),
        code=tuple(code),
        slower=() if before is None else tuple(_slower(reader, before, run)),
        path=path,
        tasks={task.no: task for task in shown},
        stall=stall_of(reader, run),
        retry_us=retry_us(reader.states(run.id)) if run.named == AWAITING_RETRY else None,
        asks=tuple(reader.open_questions(run.id)) if run.asks else (),
    )


def _told(path: CriticalPath | None) -> list[int]:
    """Return the numbers of the links that took longest, in their order."""
    if path is None:
        return []
    longest = sorted(path.links, key=lambda link: link.run_us + link.queue_us)[-_TOLD:]
    chosen = {link.no for link in longest}
    return [link.no for link in path.links if link.no in chosen]


def path_of(reader: Reader, run: FlowRunRecord, now_us: int) -> CriticalPath | None:
    """Return which task runs decided a run's duration; ``None`` if it has not started."""
    if run.started_us is None:
        return None
    upstreams = reader.upstream_numbers(run.id)
    end = now_us if run.ended_us is None else run.ended_us
    path = critical_path(
        reader.task_spans(run.id), lambda no: upstreams.get(no, ()), run.started_us, end
    )
    return path.with_pauses(_pauses(reader, run.id, path, end))


def _pauses(reader: Reader, run_id: int, path: CriticalPath, end_us: int) -> dict[int, int]:
    """Return how long the longest links of a path waited between tries, by number."""
    longest = sorted(path.links, key=lambda link: link.run_us)[-_LOOKED_INTO:]
    found = {}
    for row in reader.timeline(run_id, [link.no for link in longest]):
        found[row.no] = sum(
            max(0, (end_us if part.end_us is None else part.end_us) - part.start_us)
            for part in row.segments
            if part.kind in {"retry", "pause"}
        )
    return {no: us for no, us in found.items() if us}


def _slower(reader: Reader, before: FlowRunRecord, run: FlowRunRecord) -> list[Slower]:
    then = {group.task_key: group.p50 for group in reader.task_groups(before.id)}
    found = []
    groups = reader.task_groups(run.id)
    names = Counter(group.task for group in groups)
    for group in groups:
        old = then.get(group.task_key)
        if old is None or group.p50 is None or names[group.task] > 1:
            continue
        if group.p50 > old * _SLOWER and group.p50 - old >= _AT_LEAST_S:
            found.append(Slower(group.task, old, group.p50))
    return sorted(found, key=lambda slow: slow.before - slow.now)

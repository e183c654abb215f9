"""Explanations as JSON; like :mod:`flowdeck_store.read.json_shape`, fields are only ever added."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from flowdeck_store.states import BUCKETS
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from flowdeck_store.explain.changes import CodeChange
    from flowdeck_store.explain.critical_path import CriticalPath
    from flowdeck_store.explain.differences import RunDifference
    from flowdeck_store.explain.flow_run import RunWhy
    from flowdeck_store.explain.stall import StallRecord
    from flowdeck_store.explain.task_run import TaskWhy
    from flowdeck_store.read.records import TaskRunRecord
    from flowdeck_store.read.summaries import TaskGroup

Json: TypeAlias = dict[str, Any]


def run_why(why: RunWhy) -> Json:
    """Return why a flow run went as it did."""
    cause = why.cause
    return {
        "flow_run": why.run.id,
        "state": why.run.state,
        "cause": None
        if cause is None
        else {"task_run": None if cause.task is None else cause.task.ref, "error": cause.error},
        "followed": why.followed,
        "repeats": None if why.repeats is None else why.repeats.id,
        "last_good_run": None if why.before is None else why.before.id,
        "changed": [asdict(change) for change in why.changed],
        "code": [_code(change) for change in why.code],
        "slower": [asdict(slow) for slow in why.slower],
        "critical_path": None if why.path is None else critical_path(why.run.id, why.path),
        "stall": None if why.stall is None else stall(why.stall),
        "retry_at": iso(why.retry_us),
    }


def stall(found: StallRecord) -> Json:
    """Return what the task runs of a live run wait for."""
    return {
        "nothing_executes": found.is_stall,
        "since": iso(found.since_us),
        "noted": iso(found.us),
        "causes": [asdict(cause) for cause in found.causes],
        "busy": [
            {"name": busy.name, "place": busy.place, "since": iso(busy.since_us)}
            for busy in found.busy
        ],
    }


def critical_path(run_id: int, path: CriticalPath) -> Json:
    """Return the chain of task runs that decided a run's duration; durations in seconds."""
    return {
        "seconds": path.total_us / 1e6,
        "running": path.run_us / 1e6,
        "waiting_for_a_worker": path.queue_us / 1e6,
        "between_tries": path.pause_us / 1e6,
        "flow_code": path.code_us / 1e6,
        "task_runs": [
            {
                "id": f"{run_id}.{link.no}",
                "after": None if link.after is None else f"{run_id}.{link.after}",
                "is_upstream": link.is_upstream,
                "flow_code": link.code_us / 1e6,
                "waiting_for_a_worker": link.queue_us / 1e6,
                "running": link.run_us / 1e6,
                "between_tries": link.pause_us / 1e6,
                "started": iso(link.started_us),
                "ended": iso(link.ended_us),
            }
            for link in path.links
        ],
    }


def task_why(why: TaskWhy) -> Json:
    """Return why a task run went as it did."""
    return {
        "id": why.task.ref,
        "state": why.task.state,
        "tries": why.tries,
        "error": why.error or None,
        "skipped_because_of": [task.ref for task in why.blocked_by],
        "taken_over_from": why.taken_over,
        "cached_from": None if why.cached_from is None else why.cached_from.ref,
        "missed_cache": None
        if why.missed is None
        else {
            "of": why.missed.before.ref,
            "arguments": list(why.missed.arguments),
            "code": list(why.missed.code),
        },
        "seconds": {**asdict(why.split), "total": why.split.total},
        "last_upstream": None if why.last_upstream is None else why.last_upstream.ref,
        "waits_for": [task.ref for task in why.waits_for],
        "retry_at": iso(why.retry_us),
        "stall": None if why.stall is None else stall(why.stall),
    }


def _code(change: CodeChange) -> Json:
    return {
        "name": change.name,
        "used_by": list(change.used_by),
        "diff": change.unified("before", "now"),
    }


def run_difference(found: RunDifference) -> Json:
    """Return what differs between two runs."""
    return {
        "before": found.before.id,
        "now": found.now.id,
        "states": [found.before.state, found.now.state],
        "seconds": [found.before.duration, found.now.duration],
        "causes": [None if cause is None else cause.headline for cause in found.causes],
        "changed": [asdict(change) for change in found.changed],
        "code": [_code(change) for change in found.code],
        "tasks": [
            {"task": task.task, "before": _group(task.before), "now": _group(task.now)}
            for task in found.tasks
        ],
        "task_runs": [
            {
                "before": _call(call.before, call.result_before),
                "now": _call(call.now, call.result_now),
            }
            for call in found.task_runs
        ],
        "is_whole": found.is_whole,
    }


def _group(group: TaskGroup | None) -> Json | None:
    if group is None:
        return None
    return {"task_runs": dict(zip(BUCKETS, group.counts, strict=True)), "p50": group.p50}


def _call(task: TaskRunRecord | None, preview: str | None) -> Json | None:
    if task is None:
        return None
    return {
        "id": task.ref,
        "name": task.name,
        "label": task.label,
        "state": task.state,
        "preview": preview,
    }

"""The JSON that scripts may depend on: one object for each kind of thing (``--json``).

Fields are only ever added. Times are ISO 8601 UTC with microseconds, durations seconds (``null``
while it goes on), texts exactly as recorded.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck_store.states import BUCKETS
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.records import (
        FailureRecord,
        FlowRunRecord,
        InputRecord,
        LogRecord,
        ResultRecord,
        StateRecord,
        TaskRunRecord,
        UpstreamRecord,
    )

Json: TypeAlias = dict[str, Any]

#: How many causes and frames a failure shows; deeper ones are in the app and in exports.
_MAX_CAUSES: Final = 50
_NO_MASK: Final = (1 << 24) - 1


def task_ref(packed: int) -> str:
    """Return ``"1234.17"`` for a packed task id."""
    return f"{packed >> 24}.{packed & _NO_MASK}"


def flow_run(run: FlowRunRecord) -> Json:
    """Return a flow run as JSON; ``tasks`` counts its task runs per state."""
    return {
        "id": run.id,
        "uid": run.uid,
        "name": run.name,
        "flow": run.flow,
        "file": _file(run.source),
        "state": run.state,
        "state_type": run.state_type.value,
        "message": run.message,
        "runner": run.runner,
        "parameters": _json(run.params, {}),
        "tags": list(run.tags),
        "created": iso(run.created_us),
        "started": iso(run.started_us),
        "ended": iso(run.ended_us),
        "duration": run.duration,
        "tasks": dict(zip(BUCKETS, run.counts, strict=True)),
        "parent_task_run": None if run.parent_task is None else task_ref(run.parent_task),
        "pid": run.pid,
        "host": run.host,
    }


def task_run(
    task: TaskRunRecord,
    result: ResultRecord | None = None,
    failure: FailureRecord | None = None,
    upstream: Iterable[InputRecord | UpstreamRecord] = (),
) -> Json:
    """Return a task run as JSON; ``flow_run`` is the number of its flow run."""
    return {
        "id": task.ref,
        "uid": task.uid,
        "flow_run": task.run_id,
        "name": task.name,
        "task": task.task,
        "state": task.state,
        "state_type": task.state_type.value,
        "message": task.message,
        "created": iso(task.created_us),
        "started": iso(task.started_us),
        "ended": iso(task.ended_us),
        "duration": task.duration,
        "attempt": task.attempt,
        "worker": task.worker,
        "upstream": list(dict.fromkeys(edge.ref for edge in upstream)),
        "result": None if result is None else _result(result),
        "failure": None if failure is None else _failure(failure),
    }


def state(record: StateRecord) -> Json:
    """Return one entry of a state history as JSON."""
    return {
        "type": record.state_type.value,
        "name": record.state,
        "message": record.message,
        "at": iso(record.us),
    }


def log(record: LogRecord) -> Json:
    """Return a log line as JSON; ``task_run`` is ``null`` for the flow function's own lines."""
    task = record.run_id << 24 | record.task_no
    return {
        "at": iso(record.us),
        "level": logging.getLevelName(record.level),
        "logger": record.logger,
        "message": record.message,
        "flow_run": record.run_id,
        "task_run": task_ref(task) if record.task_no else None,
    }


def _result(result: ResultRecord) -> Json:
    return {"type": result.type, "size": result.size, "preview": result.preview}


def _failure(failure: FailureRecord) -> Json:
    exception = failure.exception or {}
    return {
        "type": failure.exc_type,
        "message": failure.exc_msg,
        "causes": _causes(exception),
        "frames": [_frame(frame) for frame in exception.get("frames") or ()],
    }


def _causes(exception: Json) -> list[Json]:
    """The chain that led to an exception, nearest first, as a traceback would print it."""
    found: list[Json] = []
    while len(found) < _MAX_CAUSES:
        hidden = exception.get("suppress_context")
        cause = exception.get("cause") or (None if hidden else exception.get("context"))
        if not isinstance(cause, dict):
            break
        found.append({"type": cause.get("type"), "message": cause.get("message")})
        exception = cause
    return found


def _frame(frame: Json) -> Json:
    return {
        "file": frame.get("file"),
        "line": frame.get("lineno"),
        "function": frame.get("func"),
        "code": _code(frame),
        "user": bool(frame.get("is_user")),
    }


def _code(frame: Json) -> str | None:
    """The recorded source line that failed, without its indentation."""
    first, lines = frame.get("source") or (0, [])
    index = (frame.get("lineno") or 0) - first
    return lines[index].strip() if 0 <= index < len(lines) else None


def _file(source: str | None) -> str | None:
    """The file of ``<file>:<line>``."""
    if source is None:
        return None
    file, colon, line = source.rpartition(":")
    return file if colon and line.isdigit() else source


def _json(text: str | None, default: Any) -> Any:
    try:
        return default if text is None else json.loads(text)
    except ValueError:
        return default

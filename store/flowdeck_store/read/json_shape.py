"""The JSON that scripts may depend on: one object for each kind of thing (``--json``).

Fields are only ever added. Times are ISO 8601 UTC with microseconds, durations seconds (``null``
while it goes on), texts exactly as recorded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck_store import ids, json_text
from flowdeck_store.states import BUCKETS
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowdeck_store.notes import Note
    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.provenance import CodeRecord, ProvenanceRecord
    from flowdeck_store.read.records import (
        FailureRecord,
        FlowRunRecord,
        InputRecord,
        LogRecord,
        ProgressRecord,
        ResultRecord,
        StateRecord,
        TaskRunRecord,
        UpstreamRecord,
    )
    from flowdeck_store.usage import UsageRecord

Json: TypeAlias = dict[str, Any]

#: How many causes and frames a failure shows; deeper ones are in the app and in exports.
_MAX_CAUSES: Final = 50


def flow_run(run: FlowRunRecord, cause: Cause | None = None) -> Json:
    """Return a flow run as JSON; ``tasks`` counts its task runs per state."""
    return {
        "id": run.id,
        "uid": run.uid,
        "name": run.name,
        "flow": run.flow,
        "file": file_of(run.source),
        "state": run.state,
        "state_type": run.state_type.value,
        "message": run.message,
        "runner": run.runner,
        "parameters": _json(run.params, {}),
        "tags": list(run.tags),
        "notes": [note(item) for item in run.notes],
        "created": iso(run.created_us),
        "started": iso(run.started_us),
        "ended": iso(run.ended_us),
        "duration": run.duration,
        "tasks": dict(zip(BUCKETS, run.counts, strict=True)),
        "parent_task_run": None if run.parent_task is None else ids.ref(run.parent_task),
        "pid": run.pid,
        "host": run.host,
        "questions": run.asks,
        "cause": None if cause is None else _cause(cause),
    }


def provenance(record: ProvenanceRecord, code: Mapping[str, Iterable[CodeRecord]]) -> Json:
    """Return what a run ran as as JSON: empty objects, and ``null``, for what is not recorded."""
    return {
        "process": dict(record.process),
        "packages": dict(record.packages),
        "packages_id": record.packages_id,
        "git": dict(record.git),
        "diff": record.diff,
        "source": dict(record.source),
        "code": {key: [_code_record(one) for one in records] for key, records in code.items()},
    }


def _code_record(record: CodeRecord) -> Json:
    return {
        "python": record.python,
        "parts": [
            {"name": p.name, "digest": p.digest, "line": p.line, "source": p.source}
            for p in record.parts.values()
        ],
    }


def task_run(
    task: TaskRunRecord,
    result: ResultRecord | None = None,
    failure: FailureRecord | None = None,
    upstream: Iterable[InputRecord | UpstreamRecord] = (),
    tags: Iterable[str] = (),
    inputs: Mapping[str, str] | None = None,
) -> Json:
    """Return a task run as JSON; ``flow_run`` is the number of its flow run."""
    return {
        "id": task.ref,
        "uid": task.uid,
        "flow_run": task.run_id,
        "name": task.name,
        "label": task.label,
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
        "result": None if result is None else result_of(result),
        "failure": None if failure is None else failure_of(failure),
        "tags": list(tags),
        "inputs": dict(inputs or {}),
        "progress": None if task.progress is None else progress(task.progress),
        "usage": None if task.usage is None else usage(task.usage),
    }


def usage(record: UsageRecord) -> Json:
    """Return what a task run used as JSON: seconds and bytes, ``null`` where nobody can tell."""
    return {
        "cpu_seconds": record.cpu_seconds,
        "peak_memory": record.peak,
        "memory_growth": record.growth,
        "read_bytes": record.read,
        "written_bytes": record.written,
    }


def progress(record: ProgressRecord) -> Json:
    """Return how far a run says it is as JSON; ``total`` is ``null`` where nobody knows."""
    return {
        "done": _plain_number(record.done),
        "total": None if record.total is None else _plain_number(record.total),
        "message": record.message,
        "at": iso(record.us),
    }


def _plain_number(value: float) -> float:
    """Return whole numbers as such: the record has them as floats."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value


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
    task = ids.task_run_id(record.run_id, record.task_no)
    return {
        "at": iso(record.us),
        "level": logging.getLevelName(record.level),
        "logger": record.logger,
        "message": record.message,
        "flow_run": record.run_id,
        "task_run": ids.ref(task) if record.task_no else None,
    }


def note(record: Note) -> Json:
    """Return a note on a run as JSON."""
    return {"text": record.text, "by": record.by, "at": iso(record.us)}


def _cause(cause: Cause) -> Json:
    return {
        "headline": cause.headline,
        "task_run": None if cause.task is None else cause.task.ref,
        "error": cause.error,
    }


def result_of(result: ResultRecord) -> Json:
    """Return what a run returned as JSON: type, size in bytes where it is kept, a short text."""
    return {"type": result.type, "size": result.size, "preview": result.preview}


def failure_of(failure: FailureRecord) -> Json:
    """Return a failure as JSON: type, message, causes, frames."""
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


def file_of(source: str | None) -> str | None:
    """Return the file of ``<file>:<line>``."""
    if source is None:
        return None
    file, colon, line = source.rpartition(":")
    return file if colon and line.isdigit() else source


def _json(text: str | None, default: Any) -> Any:
    try:
        return default if text is None else json_text.loads(text)
    except ValueError:
        return default

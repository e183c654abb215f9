"""Records made up for tests: every moment is fixed, so what is drawn is always the same."""

from __future__ import annotations

from datetime import UTC

from flowdeck_app.views.rows import RunRow, TaskRow
from flowdeck_store import states
from flowdeck_store.read.records import (
    FlowRunRecord,
    LogRecord,
    RunPoint,
    TaskRunRecord,
    UpstreamRecord,
)

#: 22 November 2026, 10:42:37 UTC.
NOW = 1_795_344_157_000_000
SECOND = 1_000_000
ZONE = UTC
UID = "0123456789abcdef0123456789abcdef"
#: What must never be parsed, executed, or put a row out of line.
HOSTILE = (
    "[/foo] dict[str, int] [x]",
    "[red]not red[/red] [@click=app.quit]no link[/]",
    "tab\there\nnew line\r\x1b[31mescape\x07\x00",
    "\u202eright to left override\u202c",
    "שלום עולם مرحبا بالعالم",
    "👨\u200d👩\u200d👧 ❤️ 🇩🇪 emoji",
    "日本語のタスク名がここに入ります",
    "e\u0301\u0323\u0302 combining",
    "\ud800 lone surrogate",
    "x" * 100_000,
    "",
)


def task(no: int, name: str = "", code: int = states.COMPLETED, **changes: object) -> TaskRunRecord:
    """Return a task run of run 1234."""
    started = NOW - 70 * SECOND
    values: dict[str, object] = {
        "run_id": 1234,
        "no": no,
        "run_uid": UID,
        "run_name": "brave-otter",
        "task": "fetch",
        "task_key": "flows/etl.py:fetch",
        "name": name or f"fetch[{no}]",
        "map_index": no,
        "code": code,
        "named": None,
        "message": None,
        "created_us": started - SECOND,
        "started_us": None if code in {states.PENDING, states.SCHEDULED} else started,
        "ended_us": started + 1_100_000 if code in states.FINAL_CODES else None,
        "state_us": started,
        "attempt": 1,
        "retries": 2,
        "worker": "w-0",
        "cache_key": None,
        "child_run": None,
    }
    return TaskRunRecord(**{**values, **changes})  # type: ignore[arg-type]


def task_row(no: int, name: str = "", code: int = states.COMPLETED, **changes: object) -> TaskRow:
    """Return a row of the task table."""
    return TaskRow(task(no, name, code, **changes))


def upstream(no: int, name: str, code: int = states.COMPLETED) -> UpstreamRecord:
    """Return an edge to a task run of the same run."""
    return UpstreamRecord("x", 1234, no, name, name, code, None)


def run(
    run_id: int, name: str = "", code: int = states.COMPLETED, **changes: object
) -> FlowRunRecord:
    """Return a flow run that began a while ago."""
    started = NOW - 3600 * SECOND
    values: dict[str, object] = {
        "id": run_id,
        "uid": f"{run_id:032x}",
        "name": name or f"run-{run_id}",
        "flow": "etl_daily",
        "flow_key": "flows/etl.py:etl_daily",
        "source": "flows/etl.py:14",
        "code": code,
        "named": None,
        "message": None,
        "runner": "dask",
        "given": "{}",
        "tags": ("prod",),
        "created_us": started - SECOND,
        "started_us": started,
        "ended_us": started + 118 * SECOND if code in states.FINAL_CODES else None,
        "state_us": started,
        "attempt": 1,
        "counts": (0, 0, 0, 200, 0, 0, 0, 12, 0),
        "n_logs": 0,
        "n_warnings": 0,
        "n_errors": 0,
        "parent_task": None,
        "rerun_of": None,
        "pinned": False,
        "pid": 40112,
        "host": "box",
    }
    if "params" in changes:
        changes["given"] = changes.pop("params")
    return FlowRunRecord(**{**values, **changes})  # type: ignore[arg-type]


def run_row(run_id: int, name: str = "", code: int = states.COMPLETED, **changes: object) -> RunRow:
    """Return a row of the run table."""
    return RunRow(run(run_id, name, code, **changes), None, 120.0)


def log(seq: int, message: str = "", level: int = 20, **changes: object) -> LogRecord:
    """Return a log line; one every 10 ms."""
    values: dict[str, object] = {
        "seq": seq,
        "run_id": 1234,
        "task_no": 1,
        "us": NOW - 60 * SECOND + seq * 10_000,
        "level": level,
        "logger": "flowdeck.task_runs",
        "message": message or f"line {seq}",
    }
    return LogRecord(**{**values, **changes})  # type: ignore[arg-type]


def history(*points: tuple[int, float | None]) -> tuple[RunPoint, ...]:
    """Return a strip of runs: state code and seconds."""
    return tuple(RunPoint(i, code, NOW, seconds) for i, (code, seconds) in enumerate(points))

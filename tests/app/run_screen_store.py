"""A store for the tests of the run and task screens: one live run, failed ones, a hostile one."""

from __future__ import annotations

import functools
import json
import zlib
from typing import TYPE_CHECKING, Any

from app_data import HOSTILE, NOW, SECOND

from flowdeck_store import failures
from flowdeck_store.states import (
    CANCELLED,
    FAILED,
    NOT_READY,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path

LIVE, FAILED_RUN, EARLIER, CHILD, EMPTY, HOSTILE_RUN = 2, 3, 1, 4, 5, 6
SOURCE = [
    "async def fetch(page: int) -> list[Invoice]:",
    '    url = f"{BASE}/invoices?page={page}"',
    "    async with client() as http:",
    "        r = await http.get(url, timeout=10)",
    "        r.raise_for_status()",
    "        return parse(r.json())",
]


def ago(seconds: float) -> int:
    return NOW - round(seconds * SECOND)


def frame(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "file": "/flows/invoices.py", "lineno": 57, "end_lineno": 57, "col": 8, "end_col": 26,
        "func": "fetch", "module": "invoices", "is_user": True, "source": [53, SOURCE],
        "locals": [
            {"name": "page", "type": "int", "repr": "3"},
            {"name": "url", "type": "str", "repr": "'https://api.example.com/invoices?page=3'"},
            {"name": "token", "type": "str", "repr": "<hidden>", "hidden": True},
        ],
    }  # fmt: skip
    return {**values, **changes}


def library(**changes: Any) -> dict[str, Any]:
    values = {
        "file": "/lib/site-packages/httpx/_models.py", "lineno": 829, "end_lineno": 829,
        "func": "Response.raise_for_status", "module": "httpx._models", "is_user": False,
        "source": [828, ["        message = self.message", "        raise HTTPError(message)"]],
        "locals": [],
    }  # fmt: skip
    return frame(**{**values, **changes})


def exception(kind: str = "HTTPError", message: str = "502 Bad Gateway", **more: Any) -> Any:
    values: dict[str, Any] = {
        "type": kind, "module": "httpx", "message": message, "notes": [],
        "frames": [frame(), library(lineno=10, func="wrap"), library(func="send"), library()],
        "suppress_context": False, "group": [],
    }  # fmt: skip
    return {**values, **more}


HTTP_ERROR = exception(
    cause=exception(
        "ReadError", "peer closed", frames=[library(file="/lib/httpcore/_sync.py", lineno=133)]
    ),
    notes=["while syncing the invoices of November"],
)
GROUP = exception(
    "ExceptionGroup", "2 rows are bad", frames=[frame(func="check", lineno=55)],
    group=[exception("ValueError", "row 1", frames=[frame(func="row")]),
           exception("KeyError", "'day'", frames=[frame(func="row", lineno=56)])],
)  # fmt: skip


def add_failure(
    builder: StoreBuilder, run_id: int, no: int, captured: Any, *, attempt: int = 1, us: int = NOW
) -> None:
    structure, variables = failures.split(captured)
    key = zlib.crc32(structure.encode()).to_bytes(16, "big")
    builder.db.execute(
        "INSERT OR IGNORE INTO tracebacks VALUES(?, ?)", (key, zlib.compress(structure.encode()))
    )
    builder._insert(
        "failures", run_id=run_id, task_no=no, us=us, attempt=attempt, exc_type=captured["type"],
        exc_msg=str(captured["message"])[:1000], tb=key, locals=variables,
    )  # fmt: skip


def fill(home: Path) -> StoreBuilder:
    """Fill the store of a home folder; the numbers of the runs are the constants above."""
    builder = StoreBuilder(home)
    _earlier(builder)
    _live(builder)
    _failed(builder)
    _child(builder)
    builder.run("still-dove", flow="nothing", state=RUNNING, created=ago(3), started=ago(3))
    return builder


def _earlier(builder: StoreBuilder) -> None:
    """Completed a day ago in 90 s, with one failed task."""
    day = 86_400
    run = builder.run("keen-swift", created=ago(day), started=ago(day), seconds=90.0)
    assert run == EARLIER
    builder.task(run, 1, name="fetch[3]", state=FAILED, started=ago(day), seconds=3)
    add_failure(builder, run, 1, HTTP_ERROR, us=ago(day - 3))


def _live(builder: StoreBuilder) -> None:
    run = builder.run(
        "brave-otter", state=RUNNING, created=ago(73), started=ago(72), tags=["prod", "eu"],
        runner="dask", params=json.dumps({"since": "2026-11-22", "limit": 500, "dry_run": False}),
        info=json.dumps({"target": "/flows/etl.py:etl", "cwd": "/flows", "python": "3.13.1"}),
    )  # fmt: skip
    assert run == LIVE
    task = functools.partial(builder.task, created_us=ago(72))
    task(run, 1, task="prepare", name="prepare", started=ago(72), seconds=0.4, worker="w-0")
    for no in range(2, 8):
        task(run, no, name=f"fetch[{no - 2}]", started=ago(71), seconds=1.1, worker="w-1")
        builder.edge(run, no, 1, "day")
    task(run, 8, name="fetch[6]", state=FAILED, started=ago(60), seconds=12.4, attempt=3,
         worker="w-2", state_msg="HTTPError: 502 Bad Gateway")  # fmt: skip
    add_failure(builder, run, 8, HTTP_ERROR, attempt=3, us=ago(47))
    task(run, 9, name="fetch[7]", state=SCHEDULED, state_name="AwaitingRetry", started=ago(20),
         attempt=2, state_msg="ReadTimeout")  # fmt: skip
    task(run, 10, task="clean", name="clean[0]", state=RUNNING, started=ago(4.1), worker="w-1")
    builder.edge(run, 10, 2, "rows")
    builder.state(run, 10, PENDING, us=ago(10))
    builder.state(run, 10, RUNNING, us=ago(4.1), data={"params": {"rows": "[1, 2, 3]"}})
    task(run, 11, task="clean", name="clean[6]", state=PENDING, state_name=NOT_READY)
    builder.edge(run, 11, 8, "rows")
    task(run, 12, task="clean", name="clean[1]", state=PENDING)
    builder.edge(run, 12, 3, "rows")
    task(run, 13, name="fetch[8]", state_name="Cached", started=ago(70), seconds=0)
    task(run, 14, task="audit", name="audit", state=RUNNING, started=ago(30))
    for place, text in enumerate(("read eu.parquet", "dropped 212 rows", "7 rows clipped")):
        level = 30 if place == 2 else 20
        builder.log(run, 10, text, us=ago(4 - place), level=level, logger="flowdeck.task_runs")
    builder.log(run, 0, "Beginning flow run 'brave-otter'", us=ago(72))
    builder.log(run, 2, "debugging", us=ago(71), level=10)
    builder.result(run, 1, type="Path", size=1200, preview="PosixPath('/tmp/raw')", location="ab/c")
    builder.result(run, 2, type="list", size=None, preview="[1, 2, 3]")


def _failed(builder: StoreBuilder) -> None:
    """Ended an hour ago; a task failed three times, the flow with it."""
    run = builder.run(
        "odd-lynx", state=FAILED, created=ago(3600), started=ago(3600), seconds=44.1,
        state_msg="Flow run encountered an exception. HTTPError: 502 Bad Gateway", runner="concurrent",
        params="{}",
    )  # fmt: skip
    assert run == FAILED_RUN
    start = ago(3600)
    task = builder.task(
        run, 1, name="fetch[3]", state=FAILED, started=start + SECOND, seconds=12.4, attempt=3,
        worker="w-2", state_msg="Task run encountered an exception HTTPError: 502 Bad Gateway",
        created_us=start,
    )  # fmt: skip
    assert task == run << 24 | 1
    steps = ((PENDING, None, 0), (RUNNING, None, 1), (SCHEDULED, "AwaitingRetry", 3),
             (RUNNING, "Retrying", 6), (SCHEDULED, "AwaitingRetry", 8), (RUNNING, "Retrying", 11),
             (FAILED, None, 13.4))  # fmt: skip
    for code, name, second in steps:
        data = {"params": {"page": "3", "client": "AsyncClient(...)"}} if second == 1 else None
        us = start + round(second * SECOND)
        builder.state(run, 1, code, name=name, us=us, data=data)
    first = exception(message="429 Too Many Requests", frames=[frame(lineno=56, col=None)])
    add_failure(builder, run, 1, first, attempt=1, us=start + 3 * SECOND)
    add_failure(builder, run, 1, HTTP_ERROR, attempt=3, us=start + 13 * SECOND)
    builder.task(run, 2, name="fetch[4]", started=start, seconds=1.0)
    builder.edge(run, 1, 2, "session")
    builder.task(run, 3, task="check", name="check", state=FAILED, started=start, seconds=0.2)
    add_failure(builder, run, 3, GROUP)
    builder.task(run, 4, task="publish", name="publish", state=CANCELLED, started=start)
    builder.edge(run, 4, 1, "rows")
    builder.log(run, 1, "GET /invoices?page=3", us=start + 2 * SECOND)
    add_failure(builder, run, 0, exception("RuntimeError", "the flow itself", frames=[frame()]))


def _child(builder: StoreBuilder) -> None:
    """A subflow run that the task run 14 of the live run stands for."""
    run = builder.run(
        "quiet-wren", flow="audit", state=RUNNING, created=ago(30), started=ago(30),
        parent_task=LIVE << 24 | 14,
    )  # fmt: skip
    assert run == CHILD
    builder.db.execute("UPDATE task_runs SET child_run = ? WHERE id = ?", (run, LIVE << 24 | 14))
    builder.task(run, 1, task="look", name="look", state=RUNNING, started=ago(29))


def add_hostile(builder: StoreBuilder) -> None:
    """Every text is something that must neither be parsed nor put a row out of line."""
    texts = [text for text in HOSTILE if "\ud800" not in text]
    run = builder.run(
        texts[0], flow=texts[0], state=FAILED, created=ago(50), started=ago(50), seconds=10,
        state_msg=texts[0] * 20, runner=texts[1], params=json.dumps(dict.fromkeys(texts[:8], texts[2])),
        tags=texts[:8], info=json.dumps({"cwd": texts[0], "argv": texts[:3], "git": texts[4]}),
    )  # fmt: skip
    assert run == HOSTILE_RUN
    for no, text in enumerate(texts, 1):
        builder.task(
            run, no, task=text[:50] or "empty", name=text, state=FAILED, started=ago(50),
            seconds=1, worker=text[:100], state_msg=text,
        )  # fmt: skip
        builder.log(run, no, text, logger=text[:100] or "x", level=40)
        builder.log(run, no, "x" * 1_000_000 + "[/foo]")
        builder.state(run, no, RUNNING, us=ago(50), data={"params": {text[:80]: text[:4000]}})
        builder.state(run, no, FAILED, us=ago(49), msg=text)
        builder.result(run, no, type=text[:100], preview=text, location=text[:80])
        bad = frame(
            file=text[:300], func=text[:300], source=[55, [text[:400]] * 4],
            locals=[{"name": text[:90], "type": text[:90], "repr": text[:4000]}],
        )  # fmt: skip
        captured = exception(
            text[:200], text, frames=[bad], notes=[text], module=text[:50],
            context=exception(text[:100], text, frames=[]), group=[exception(text[:90], text)],
        )  # fmt: skip
        add_failure(builder, run, no, captured)
        builder.edge(run, no, 1, text[:90] or "x")

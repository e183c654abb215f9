"""Fills a store with plain SQL, so that the tests of the read side know exactly what is in it."""

from __future__ import annotations

import functools
import json
import tempfile
import uuid
import zlib
from pathlib import Path
from typing import Any

from flowdeck_store import failures
from flowdeck_store.file.connection import connect_rw, make_home
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.states import (
    BUCKETS,
    COMPLETED,
    FINAL_CODES,
    PENDING,
    RUNNING,
    bucket,
    is_final,
)

SECOND = 1_000_000
#: 2026-11-22 10:00:00 UTC.
T0 = 1_795_341_600 * SECOND


@functools.cache
def _empty_store() -> bytes:
    """The bytes of an empty store: making one takes half a second, and tests make hundreds."""
    with tempfile.TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder))
        make_home(paths)
        connect_rw(paths).close()
        return paths.db.read_bytes()


class StoreBuilder:
    """A writable store below ``home`` and short ways to put rows into it."""

    def __init__(self, home: Path) -> None:
        self.paths = StorePaths(home)
        make_home(self.paths)
        if not self.paths.db.exists():
            self.paths.db.write_bytes(_empty_store())
        self.db = connect_rw(self.paths)
        self.db.execute("UPDATE meta SET value = ? WHERE key = 'db_uid'", (uuid.uuid4().hex,))
        self.session = self._insert(
            "sessions", uid="s" * 32, host="here", pid=4711, started_us=T0, beat_us=T0
        )

    def close(self) -> None:
        self.db.close()

    def _insert(self, table: str, **columns: Any) -> int:
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table}({names}) VALUES({marks})"
        return self.db.execute(sql, list(columns.values())).lastrowid or 0

    def _id_of(self, table: str, key: str, **columns: Any) -> int:
        row = self.db.execute(f"SELECT id FROM {table} WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else self._insert(table, key=key, **columns)

    def run(
        self,
        name: str = "brave-otter",
        *,
        flow: str = "etl",
        state: int = COMPLETED,
        state_name: str | None = None,
        created: int = T0,
        started: int | None = T0,
        seconds: float | None = 2.0,
        uid: str | None = None,
        tags: list[str] | None = None,
        **more: Any,
    ) -> int:
        flow_id = self._id_of(
            "flows", f"/flows/{flow}.py:{flow}", name=flow, source=f"/flows/{flow}.py:14",
            first_us=T0, last_us=T0,
        )  # fmt: skip
        count = self.db.execute("SELECT count(*) FROM flow_runs").fetchone()[0]
        ended = None
        if state in FINAL_CODES and started is not None and seconds is not None:
            ended = started + round(seconds * SECOND)
        more.setdefault("session_id", self.session)
        return self._insert(
            "flow_runs", uid=uid or f"{count + 1:032x}", flow_id=flow_id, name=name, state=state,
            state_name=state_name, state_us=created, created_us=created, started_us=started,
            ended_us=ended, tags=None if tags is None else json.dumps(tags), **more,
        )  # fmt: skip

    def task(
        self,
        run_id: int,
        no: int,
        *,
        task: str = "fetch",
        name: str | None = None,
        state: int = COMPLETED,
        state_name: str | None = None,
        started: int | None = T0,
        seconds: float | None = 1.0,
        **more: Any,
    ) -> int:
        task_id = self._id_of("tasks", f"/flows/etl.py:{task}", name=task, retries=2)
        ended = None
        if is_final(state, state_name) and started is not None and seconds is not None:
            ended = started + round(seconds * SECOND)
        if state == PENDING:
            started = None
        more.setdefault("created_us", T0)
        self._insert(
            "task_runs", id=run_id << 24 | no, task_id=task_id, name=name or f"{task}-{no}",
            state=state, state_name=state_name, state_us=T0, started_us=started, ended_us=ended,
            **more,
        )  # fmt: skip
        column = f"n_{BUCKETS[bucket(state, state_name)]}"
        self.db.execute(f"UPDATE flow_runs SET {column} = {column} + 1 WHERE id = ?", (run_id,))
        return run_id << 24 | no

    def state(
        self,
        run_id: int,
        no: int,
        code: int = RUNNING,
        *,
        name: str | None = None,
        us: int = T0,
        msg: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> int:
        return self._insert(
            "states", run_id=run_id, task_no=no, state=code, us=us, name=name, msg=msg,
            data=None if data is None else json.dumps(data),
        )  # fmt: skip

    def log(
        self,
        run_id: int,
        no: int = 0,
        msg: str = "a line",
        *,
        level: int = 20,
        us: int = T0,
        logger: str = "flowdeck.flow_runs",
    ) -> int:
        self.db.execute("INSERT OR IGNORE INTO log_sources(name) VALUES(?)", (logger,))
        (src,) = self.db.execute("SELECT id FROM log_sources WHERE name = ?", (logger,)).fetchone()
        seq = self._insert(
            "logs", run_id=run_id, task_no=no, us=us, level=level, src=src, msg=msg
        )  # fmt: skip
        self.db.execute(
            "UPDATE flow_runs SET n_logs = n_logs + 1, log_lo = coalesce(log_lo, ?), log_hi = ?, "
            "n_warn = n_warn + ?, n_err = n_err + ? WHERE id = ?",
            (seq, seq, 30 <= level < 40, level >= 40, run_id),
        )
        return seq

    def edge(self, run_id: int, no: int, upstream: int, param: str = "x") -> None:
        self._insert(
            "task_inputs", task=run_id << 24 | no, upstream=run_id << 24 | upstream, param=param
        )

    def result(self, run_id: int, no: int, **columns: Any) -> None:
        columns = {"us": T0, "type": "int", "size": 8, "preview": "42"} | columns
        self._insert("results", task=run_id << 24 | no, **columns)

    def failure(
        self,
        run_id: int,
        no: int,
        *,
        message: str = "boom",
        line: int = 57,
        attempt: int = 1,
        us: int = T0,
    ) -> int:
        structure, variables = failures.split(captured(message, line))
        key = line.to_bytes(16, "big")
        self.db.execute(
            "INSERT OR IGNORE INTO tracebacks VALUES(?, ?)",
            (key, zlib.compress(structure.encode())),
        )
        return self._insert(
            "failures", run_id=run_id, task_no=no, us=us, attempt=attempt, exc_type="ValueError",
            exc_msg=message, tb=key, locals=variables,
        )  # fmt: skip


def captured(message: str = "boom", line: int = 57) -> dict[str, Any]:
    """Return an exception as the engine captures it."""
    return {
        "type": "ValueError",
        "module": "builtins",
        "message": message,
        "notes": [],
        "frames": [
            {
                "file": "/flows/etl.py", "lineno": line, "end_lineno": line, "col": 8,
                "end_col": 20, "func": "fetch", "module": "etl", "is_user": True,
                "source": [line - 1, ["def fetch(page):", "    raise ValueError(page)"]],
                "locals": [{"name": "page", "type": "str", "repr": repr(message)}],
            }
        ],
        "cause": {
            "type": "OSError", "module": "builtins", "message": f"cause of {message}",
            "notes": [], "frames": [], "suppress_context": False, "group": [],
        },
        "suppress_context": True,
        "group": [],
    }  # fmt: skip

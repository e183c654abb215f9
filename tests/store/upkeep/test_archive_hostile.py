"""Archives that are made to break whoever reads them, and records that hold such things already."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from flowdeck_store import events as ev
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.errors import StoreCorrupt
from flowdeck_store.failures import split
from flowdeck_store.json_text import MAX_DEPTH, is_too_deep, loads
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import FAILED, RUNNING
from store_writing import Recorded, recording, rows

DEEP = "[" * 100_000 + "]" * 100_000
FAILURE = {
    "type": "ValueError", "module": "builtins", "message": "no", "notes": ["a note"],
    "frames": [{
        "file": "/x.py", "lineno": 1, "func": "f", "source": [1, ["line"]],
        "locals": [{"name": "x", "type": "int", "repr": "1"}],
    }],
}  # fmt: skip
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def record(home: Path, name: str = "etl") -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run(
            f"run of {name}", params='{"day": [1, [2]]}', tags='["a"]', info='{"target": "x.py:x"}'
        )
        run.task(1).state(1, RUNNING, data='{"params": {"n": "1"}}')
        structure, variables = split(FAILURE)
        session.emit(ev.failure(run.uid, 1, run.us(), 1, "ValueError", "no", structure, variables))
        session.emit(ev.artifact(run.uid, 1, run.us(), "table", "key", '{"rows": []}'))
        run.state(1, FAILED).end(FAILED)


def change(db: Path, sql: str, *parameters: Any) -> None:
    with closing(sqlite3.connect(db)) as conn, conn:
        assert conn.execute(sql, parameters).rowcount > 0


def change_structure(db: Path, structure: str) -> None:
    data = zlib.compress(structure.encode())
    digest = blake2b(b"ValueError\0" + structure.encode(), digest_size=16).digest()
    with closing(sqlite3.connect(db)) as conn, conn:
        conn.execute("UPDATE tracebacks SET hash=?,data=?", (digest, data))
        conn.execute("UPDATE failures SET tb=?", (digest,))


def edited(**changes: Any) -> tuple[str, str]:
    return split({**FAILURE, **changes})


COLUMNS = [
    ("flow_runs", "params"), ("flow_runs", "tags"), ("flow_runs", "info"), ("tasks", "tags"),
    ("states", "data"), ("artifacts", "data"), ("failures", "locals"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("text", [DEEP, '{"a":' * 5_000 + "1" + "}" * 5_000, "{", "7"])
def test_texts_that_are_too_deep_or_of_another_shape_are_refused(
    home: Path, tmp_path: Path, table: str, column: str, text: str
) -> None:
    record(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    if table == "artifacts" and text == "7":
        text = "7 8"  # it may be any JSON
    change(tmp_path / "run.flowdeck", f"UPDATE {table} SET {column}=?", text)
    with pytest.raises(StoreCorrupt, match="cannot be read"):
        import_run(tmp_path / "other", tmp_path / "run.flowdeck")
    assert rows(tmp_path / "other", "SELECT 1 FROM flow_runs") == []


BAD: list[dict[str, Any]] = [
    {"frames": "abc"}, {"frames": [7]}, {"frames": [{"source": 5}]},
    {"frames": [{"source": ["x", ["y"]]}]}, {"frames": [{"locals": [3]}]},
    {"frames": [{"lineno": "1"}]}, {"notes": [1]}, {"type": 3}, {"cause": {"type": None}},
    {"group": [{"type": "X", "frames": [{"func": []}]}]},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_tracebacks_of_another_shape_are_refused(
    home: Path, tmp_path: Path, bad: dict[str, Any]
) -> None:
    record(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    try:
        structure, variables = edited(**bad)
    except (TypeError, ValueError, AttributeError):  # not even to be cut in two: as it is
        structure, variables = json.dumps({**FAILURE, **bad}), "{}"
    change_structure(tmp_path / "run.flowdeck", structure)
    change(tmp_path / "run.flowdeck", "UPDATE failures SET locals=?", variables)
    with pytest.raises(StoreCorrupt, match="a traceback cannot be read"):
        import_run(tmp_path / "other", tmp_path / "run.flowdeck")


def test_a_sound_archive_comes_in(home: Path, tmp_path: Path) -> None:
    record(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    import_run(tmp_path / "other", tmp_path / "run.flowdeck")
    with Reader.open(tmp_path / "other") as reader:
        (failure,) = reader.failures(1)
        assert failure.exception == FAILURE


def test_names_are_clean_when_they_are_in(home: Path, tmp_path: Path) -> None:
    record(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    evil = "\x1b]0;mine\x07\x1b[2J\rx\ny"
    for table, column in (
        ("flows", "name"), ("flows", "key"), ("tasks", "name"), ("tasks", "key"),
        ("flow_runs", "name"), ("flow_runs", "runner"), ("task_runs", "name"),
        ("task_runs", "worker"), ("sessions", "host"), ("states", "name"),
        ("flow_runs", "state_name"), ("artifacts", "key"),
    ):  # fmt: skip
        change(tmp_path / "run.flowdeck", f"UPDATE {table} SET {column}=?", evil)
    import_run(tmp_path / "other", tmp_path / "run.flowdeck")
    with Reader.open(tmp_path / "other") as reader:
        (run,) = reader.runs()
        (task,) = reader.tasks(run.id)
        for text in (
            run.name, run.flow, run.flow_key, run.runner, run.host, run.state, task.name,
            task.task, task.task_key, task.worker, reader.states(run.id)[-1].state,
            reader.artifacts(run.id)[0].key,
        ):  # fmt: skip
            assert text
            assert CONTROL.search(text) is None, text


READ_ALL = """
import sys
from flowdeck_app.cli.root import flowdeck
for verb in ("runs --json", "runs", "show 1", "show 1 --json", "tasks 1 --json", "task 1.1",
             "task 1.1 --json", "logs 1 --json", "runs tag:a"):
    flowdeck(["--home", sys.argv[1], *verb.split()], standalone_mode=False)
"""


@pytest.mark.parametrize(("table", "column"), [*COLUMNS, ("tracebacks", "data")])
def test_one_field_that_cannot_be_read_spoils_nothing_else(
    home: Path, table: str, column: str
) -> None:
    record(home)
    if table == "tracebacks":
        change_structure(home / "flowdeck.db", DEEP)
    else:
        change(home / "flowdeck.db", f"UPDATE {table} SET {column}=?", DEEP)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(home)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    if (table, column) in {("flow_runs", "params"), ("failures", "locals"), ("tracebacks", "data")}:
        assert "unreadable" in said


def test_depth_is_told_without_going_there() -> None:
    for deep in (DEEP, "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), '{"a":' * (MAX_DEPTH + 1)):
        assert is_too_deep(deep)
        with pytest.raises(ValueError, match="deep"):
            loads(deep)
    for flat in ("[" * MAX_DEPTH + "]" * MAX_DEPTH, "[[]," * 150 + "1" + "]" * 150,
                 json.dumps(["[" * 1000, '\\"[{' * 300])):  # fmt: skip
        assert not is_too_deep(flat)
        loads(flat)

"""The JSON that scripts depend on: exactly these fields, exactly these shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.read import json_shape
from flowdeck_store.read.reader import Reader
from flowdeck_store.read.records import LogRecord
from flowdeck_store.states import FAILED, RUNNING
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


def test_a_flow_run(builder: StoreBuilder, reader: Reader) -> None:
    id_ = builder.run(
        "brave-otter", state=FAILED, state_name="TimedOut", state_msg="too slow", uid="ab" * 16,
        tags=["x"], params='{"day": "2026-11-22"}', runner="dask", parent_task=3 << 24 | 17,
        created=T0 + 1, seconds=1.25,
    )  # fmt: skip
    builder.task(id_, 1, state=RUNNING)
    run = reader.run(id_)
    assert run is not None
    assert json_shape.flow_run(run) == {
        "id": id_,
        "uid": "ab" * 16,
        "name": "brave-otter",
        "flow": "etl",
        "file": "/flows/etl.py",
        "state": "TimedOut",
        "state_type": "FAILED",
        "message": "too slow",
        "runner": "dask",
        "parameters": {"day": "2026-11-22"},
        "tags": ["x"],
        "notes": [],
        "created": "2026-11-22T10:00:00.000001Z",
        "started": "2026-11-22T10:00:00.000000Z",
        "ended": "2026-11-22T10:00:01.250000Z",
        "duration": 1.25,
        "tasks": {
            "scheduled": 0, "pending": 0, "running": 1, "completed": 0, "failed": 0,
            "crashed": 0, "cancelled": 0, "cached": 0, "not_ready": 0,
        },
        "parent_task_run": "3.17",
        "pid": 4711,
        "host": "here",
        "questions": 0,
        "cause": None,
    }  # fmt: skip


def test_a_task_run_that_failed(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run(uid="cd" * 16)
    for no in (1, 2):
        builder.task(run, no)
    builder.task(run, 17, state=FAILED, state_msg="boom", attempt=3, worker="w-1", seconds=2)
    builder.edge(run, 17, 2, "b")
    builder.edge(run, 17, 1, "a")
    builder.edge(run, 17, 1, "c")
    builder.failure(run, 17, message="boom", line=57)
    builder.result(run, 17, type="list", size=80, preview="[1, 2]")
    task = reader.task(run, 17)
    assert task is not None
    shape = json_shape.task_run(
        task, reader.result(run, 17), reader.last_failure(run, 17), reader.inputs(run, 17)
    )
    assert shape == {
        "id": f"{run}.17",
        "uid": f"{'cd' * 16}.17",
        "flow_run": run,
        "name": "fetch-17",
        "label": "fetch-17",
        "task": "fetch",
        "state": "Failed",
        "state_type": "FAILED",
        "message": "boom",
        "created": "2026-11-22T10:00:00.000000Z",
        "started": "2026-11-22T10:00:00.000000Z",
        "ended": "2026-11-22T10:00:02.000000Z",
        "duration": 2.0,
        "attempt": 3,
        "worker": "w-1",
        "upstream": [f"{run}.1", f"{run}.2"],
        "result": {"type": "list", "size": 80, "preview": "[1, 2]"},
        "failure": {
            "type": "ValueError",
            "message": "boom",
            "causes": [{"type": "OSError", "message": "cause of boom"}],
            "frames": [
                {
                    "file": "/flows/etl.py",
                    "line": 57,
                    "function": "fetch",
                    "code": "raise ValueError(page)",
                    "user": True,
                }
            ],
        },
        "tags": [],
        "inputs": {},
        "progress": None,
        "usage": None,
    }
    upstream = reader.upstreams(run, [17])[17]
    assert json_shape.task_run(task, upstream=upstream)["upstream"] == [f"{run}.1", f"{run}.2"]


def test_a_task_run_that_has_not_started_has_nulls(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    builder.task(run, 1, state=1)
    task = reader.task(run, 1)
    assert task is not None
    shape = json_shape.task_run(task)
    assert [key for key, value in shape.items() if value is None] == [
        "message", "started", "ended", "duration", "worker", "result", "failure", "progress",
        "usage",
    ]  # fmt: skip
    assert shape["upstream"] == []


def test_a_state_and_a_log_line(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    builder.state(run, 0, FAILED, name="TimedOut", us=T0 + SECOND // 2, msg="late")
    (state,) = reader.states(run)
    assert json_shape.state(state) == {
        "type": "FAILED",
        "name": "TimedOut",
        "message": "late",
        "at": "2026-11-22T10:00:00.500000Z",
    }
    line = LogRecord(1, 12, 3, T0, 30, "app.x", "[/b] hot")
    assert json_shape.log(line) == {
        "at": "2026-11-22T10:00:00.000000Z",
        "level": "WARNING",
        "logger": "app.x",
        "message": "[/b] hot",
        "flow_run": 12,
        "task_run": "12.3",
    }
    assert json_shape.log(LogRecord(1, 12, 0, T0, 35, "", ""))["task_run"] is None
    assert json_shape.log(LogRecord(1, 12, 0, T0, 35, "", ""))["level"] == "Level 35"


def test_a_cause_that_is_suppressed_is_left_out_and_a_loop_ends(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.task(run, 1)
    builder.failure(run, 1)
    task, failure = reader.task(run, 1), reader.last_failure(run, 1)
    assert task is not None
    assert failure is not None
    assert failure.exception is not None
    deep: dict[str, object] = {"type": "E", "message": "m"}
    deep["context"] = deep
    for exception, causes in (
        ({"context": {"type": "A", "message": "a"}, "suppress_context": True}, 0),
        ({"context": {"type": "A", "message": "a"}, "suppress_context": False}, 1),
        ({"cause": {"type": "A", "message": "a"}, "suppress_context": True}, 1),
        (deep, 50),
        ({}, 0),
    ):
        failure.exception.clear()
        failure.exception.update(exception)
        assert len(json_shape.task_run(task, failure=failure)["failure"]["causes"]) == causes


@pytest.mark.parametrize(
    ("source", "file"),
    [("/a/b.py:3", "/a/b.py"), ("C:b.py", "C:b.py"), ("mod", "mod"), (None, None)],
)
def test_the_file_is_the_source_without_the_line(
    builder: StoreBuilder, reader: Reader, source: str | None, file: str | None
) -> None:
    id_ = builder.run(params="not json")
    builder.db.execute("UPDATE flows SET source = ?", (source,))
    run = reader.run(id_)
    assert run is not None
    shape = json_shape.flow_run(run)
    assert (shape["file"], shape["parameters"]) == (file, {})
    assert json.loads(json.dumps(shape)) == shape

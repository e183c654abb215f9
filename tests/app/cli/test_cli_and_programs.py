"""The command line's JSON and the record for programs: the same fields, with the same values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli_builder import Record, exception_dict, objects

from flowdeck.record import Record as Programs
from flowdeck_store import events
from flowdeck_store import states as st
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Fields whose property has another name, and those that it says in another way.
RENAMED: Final = {"id": "number", "tasks": "counts"}
RENAMED_OF_TASKS: Final = {"id": "ref"}
OTHERWISE: Final = {
    "message", "cause", "notes", "failure", "result", "flow_run", "upstream", "questions",
}  # fmt: skip


@pytest.fixture
def programs(record: Record, home: Path) -> Iterator[Programs]:
    """A failed run with one of everything, its subflow run, and the record for programs."""
    uid = record.run(
        "odd-lynx", code=st.FAILED, message="1/3 states failed.", tags='["prod"]',
        params=json.dumps({"day": 2}),
    )  # fmt: skip
    record.task(uid, 1, "fetch-0", params={"page": "1"})
    record.emit(events.result(uid, 1, 1, "int", 4, "41", None))
    record.task(uid, 2, "fetch-1", code=st.FAILED, inputs=(("rows", None, 1),), message="bad page")
    record.failure(uid, 2, exception_dict())
    record.task(uid, 3, "load-0")
    record.log(uid, 2, "a line", level=30)
    record.run("child", flow="sub", parent_uid=uid, parent_no=3)
    with Programs(home) as found:
        yield found


def _value(value: Any) -> Any:
    """What a property says, as JSON has it."""
    if hasattr(value, "timestamp"):
        return iso(round(value.timestamp() * 1e6))
    if isinstance(value, tuple):
        return list(value)
    return value.value if isinstance(value, st.StateType) else value


@pytest.mark.parametrize("ref", ["odd-lynx", "child"])
def test_a_flow_run(cli: Any, programs: Programs, ref: str) -> None:
    (shown,) = objects(cli("runs", "--subflows", f"name:{ref}", "--json"))
    run = programs.run(ref)
    assert run.as_json() == shown
    for name in shown:
        found = getattr(run, RENAMED.get(name, name))
        if name not in OTHERWISE:
            assert _value(found) == shown[name], name
    assert len(run.questions) == shown["questions"]
    if shown["cause"] is not None:
        assert run.cause == shown["cause"]["headline"]
    assert list(run.notes) == [note["text"] for note in shown["notes"]]


def test_task_runs(cli: Any, programs: Programs) -> None:
    shown = objects(cli("tasks", "odd-lynx", "--json"))
    tasks = programs.run("odd-lynx").tasks()
    assert [task.as_json() for task in tasks] == shown
    for task, fields in zip(tasks, shown, strict=True):
        for name in fields:
            found = getattr(task, RENAMED_OF_TASKS.get(name, name))
            if name not in OTHERWISE:
                assert _value(found) == fields[name], name
        assert task.flow_run.number == fields["flow_run"]
        assert [ref for _, ref in task.upstream] == fields["upstream"]
        if fields["failure"] is not None:
            assert task.failure is not None
            assert task.failure.type == fields["failure"]["type"]
            assert task.failure.message == fields["failure"]["message"]
        if fields["result"] is not None:
            assert task.result_preview == fields["result"]["preview"]


def test_log_lines(cli: Any, programs: Programs) -> None:
    shown = objects(cli("logs", "odd-lynx", "--json"))
    assert shown
    assert [line.as_json() for line in programs.run("odd-lynx").logs()] == shown


def test_why_is_the_same_reading(cli: Any, programs: Programs) -> None:
    (shown,) = objects(cli("why", "odd-lynx", "--json"))
    why = programs.run("odd-lynx").why()
    assert why.cause is not None
    assert why.cause.error == shown["cause"]["error"]
    assert why.followed == shown["followed"]

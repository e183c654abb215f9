"""The reading verbs: what they show, what they give as JSON, what they refuse."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import SECOND, T0, Record, exception_dict, objects, write

from flowdeck_store import events
from flowdeck_store import states as st
from flowdeck_store.upkeep.retention import delete_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli_builder import Shell

    from flowdeck_store.read.reader import Reader

FLOW_RUN = {
    "id", "notes", "uid", "name", "flow", "file", "state", "state_type", "message", "runner", "parameters",
    "tags", "created", "started", "ended", "duration", "tasks", "parent_task_run", "pid", "host",
    "cause",
    "questions",
}  # fmt: skip
TASK_RUN = {
    "id", "uid", "flow_run", "name", "label", "task", "state", "state_type", "message", "created", "started",
    "ended", "duration", "attempt", "worker", "upstream", "result", "failure",
    "tags", "inputs", "progress", "usage",
}  # fmt: skip


@pytest.fixture
def failed(record: Record) -> str:
    """A failed run: two tasks, one of them with a traceback, and log lines."""
    uid = record.run(
        "odd-lynx",
        code=st.FAILED,
        message="1/2 states failed.",
        params=json.dumps({"day": "2026-11-22", "limit": 5}),
        tags=json.dumps(["prod"]),
    )
    record.task(uid, 1, "fetch-0", params={"page": "1"})
    record.task(
        uid, 2, "fetch-1", code=st.FAILED, message="ValueError: bad page 3",
        inputs=(("page", None, 1),), params={"page": "3"},
    )  # fmt: skip
    record.failure(uid, 2, exception_dict())
    record.emit(events.result(uid, 1, T0, "int", None, "41", None))
    record.log(uid, 0, "starting")
    record.log(uid, 2, "about to fail", level=logging.WARNING, us=T0 + SECOND)
    record.log(uid, 2, "it failed", level=logging.ERROR, us=T0 + 2 * SECOND)
    return uid


def test_runs_are_listed_newest_first(cli: Any, record: Record, failed: str) -> None:
    record.run("calm-heron", flow="train", created=T0 + 60 * SECOND)
    result = cli("runs")
    assert result.exit_code == 0
    assert result.stderr == ""
    heading, first, second = result.stdout.splitlines()
    assert heading.split()[:3] == ["Run", "Name", "Flow"]
    assert first.split()[:5] == ["2", "calm-heron", "train", "✓", "Completed"]
    assert second.split()[:5] == ["1", "odd-lynx", "etl", "✗", "Failed"]
    assert "2/2" in second
    assert second.endswith("fetch-1 ValueError: bad page 3")


def test_failed_tasks_show_in_a_list_of_runs_whatever_became_of_the_run(
    cli: Any, record: Record
) -> None:
    uid = record.run("lenient")
    record.task(uid, 1, "fetch-0", code=st.FAILED, message="no")
    record.task(uid, 2, "fetch-1")
    line = cli("runs").stdout.splitlines()[1]
    assert "✓ Completed" in line
    assert "✗ 1  2/2" in line


def test_every_view_of_a_failed_run_names_the_same_cause(cli: Any, record: Record) -> None:
    """The flow's own exception, not that of a task which it may have handled."""
    uid = record.run(
        "odd-lynx", code=st.FAILED, message="Flow run encountered an exception. KeyError: 'day'"
    )
    record.task(
        uid, 1, "fetch-0", code=st.FAILED,
        message="Task run encountered an exception ValueError: no",
    )  # fmt: skip
    for verb in (["runs"], ["show", "1"], ["watch", "1"], ["wait", "1"]):
        text = cli(*verb).stdout
        assert "KeyError: 'day'" in text, verb
        assert "run encountered an exception" not in text, verb
    assert cli("runs").stdout.splitlines()[1].endswith("concurrent  KeyError: 'day'")
    cause = {"headline": "KeyError: 'day'", "task_run": None, "error": "KeyError: 'day'"}
    for verb in (["runs"], ["show", "1"], ["wait", "1"]):
        assert objects(cli(*verb, "--json"))[0]["cause"] == cause
    for verb in (["tasks", "1"], ["task", "1.1"]):
        assert "encountered" not in cli(*verb).stdout
        assert "ValueError: no" in cli(*verb).stdout


def test_runs_as_json_have_exactly_the_fields_of_the_contract(cli: Any, failed: str) -> None:
    [run] = objects(cli("runs", "--json"))
    assert run.keys() == FLOW_RUN
    assert run["id"] == 1
    assert run["uid"] == failed
    assert (run["state"], run["state_type"]) == ("Failed", "FAILED")
    assert run["parameters"] == {"day": "2026-11-22", "limit": 5}
    assert run["created"] == "2026-11-22T10:00:00.000000Z"
    assert run["duration"] == 2.5
    assert (run["tasks"]["completed"], run["tasks"]["failed"]) == (1, 1)
    assert run["file"] == "/flows/etl.py"


def test_runs_can_be_filtered_and_limited(cli: Any, record: Record) -> None:
    for index in range(7):
        record.run(f"run-{index}", code=st.FAILED if index % 2 else st.COMPLETED)
    assert [r["name"] for r in objects(cli("runs", "state:failed", "--json"))] == [
        "run-5", "run-3", "run-1",
    ]  # fmt: skip
    limited = cli("runs", "--limit", "2")
    assert len(limited.stdout.splitlines()) == 3
    assert limited.stderr == "flowdeck: 2 of 7 runs; --limit 0 shows all.\n"
    assert len(objects(cli("runs", "--limit", "0", "--json"))) == 7
    assert cli("runs", "state:failed", "run-3", "--json").stdout.count("\n") == 1
    assert [r["name"] for r in objects(cli("runs", "-state:failed", "-name:run-6", "--json"))] == [
        "run-4", "run-2", "run-0",
    ]  # fmt: skip
    assert len(objects(cli("runs", "--json", "--", "-run-6"))) == 6


def test_an_empty_record_says_how_to_start_and_is_no_error(cli: Any, home: Any) -> None:
    result = cli("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is recorded" in result.stderr
    assert str(home) in result.stderr
    assert not home.exists()


def test_a_bad_query_points_at_the_place(cli: Any, record: Record) -> None:
    result = cli("runs", "stat:failed")
    assert result.exit_code == 2
    assert result.stderr.startswith("flowdeck: ")
    assert "stat" in result.stderr
    assert "state" in result.stderr


@pytest.mark.parametrize("ref", ["1", "odd-lynx", "odd", "@last", "@last-failed"])
def test_show_takes_every_kind_of_reference(cli: Any, failed: str, ref: str) -> None:
    result = cli("show", ref)
    assert result.exit_code == 0
    assert result.stdout.startswith("✗ Failed  odd-lynx  etl  #1  2.5s\n")


def test_show_tells_everything_about_a_run(cli: Any, failed: str) -> None:
    text = cli("show", failed).stdout
    for part in (
        "1/2 states failed.", "/flows/etl.py:14", failed, "prod", "✓ 1 completed  ✗ 1 failed",
        "3, 1 errors, 1 warnings", "day    \"2026-11-22\"", "limit  5", "▸ Running", "fetch-1",
        "flowdeck task 1.2 shows the traceback",
    ):  # fmt: skip
        assert part in text
    [run] = objects(cli("show", "@last", "--json"))
    assert run.keys() == FLOW_RUN | {"provenance"}


@pytest.mark.parametrize(
    ("ref", "message"),
    [("999", "999"), ("odd-linx", "odd-lynx"), ("@first", "@first"), ("o" * 10_000, "No run")],
)
def test_a_run_that_is_not_there_is_a_usage_error(
    cli: Any, failed: str, ref: str, message: str
) -> None:
    result = cli("show", ref)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("flowdeck: ")
    assert message in result.stderr or "no run" in result.stderr.lower()
    assert len(result.stderr) < 1000


def test_a_prefix_of_two_runs_is_ambiguous(cli: Any, record: Record) -> None:
    record.run("brave-otter")
    record.run("brave-heron")
    result = cli("show", "brave")
    assert result.exit_code == 2
    assert "brave-otter" in result.stderr
    assert "brave-heron" in result.stderr


def test_tasks_lists_the_task_runs_of_a_run(cli: Any, failed: str) -> None:
    result = cli("tasks", "@last")
    heading, first, second = result.stdout.splitlines()
    assert heading.split()[:3] == ["Task", "run", "Name"]
    assert first.split()[:4] == ["1.1", "fetch-0", "✓", "Completed"]
    assert second.split()[:4] == ["1.2", "fetch-1", "✗", "Failed"]
    assert "1/3" in second
    assert [t["id"] for t in objects(cli("tasks", "1", "state:failed", "--json"))] == ["1.2"]


def test_tasks_as_json_have_exactly_the_fields_of_the_contract(cli: Any, failed: str) -> None:
    first, second = objects(cli("tasks", "@last", "--json"))
    assert first.keys() == second.keys() == TASK_RUN
    assert first["result"] == {"type": "int", "size": None, "preview": "41"}
    assert first["failure"] is None
    assert second["upstream"] == ["1.1"]
    assert second["failure"]["type"] == "ValueError"
    assert second["failure"]["frames"][0]["code"] == "return parse(page) + 1"


def test_many_tasks_are_paged_and_the_rest_is_told(cli: Any, record: Record) -> None:
    uid = record.run(code=st.RUNNING)
    record.session.emit(events.task_def("k", "work", None, None, 0))
    for no in range(1, 451):
        record.session.emit(events.task(uid, no, T0, "k", f"work-{no}", None, None))
    record.flushed(uid)
    result = cli("tasks", "@last")
    assert len(result.stdout.splitlines()) == 101
    assert result.stderr == "flowdeck: 100 of 450 task runs; --limit 0 shows all.\n"
    everything = cli("tasks", "@last", "--limit", "0").stdout.splitlines()
    assert [line.split()[0] for line in everything[1:]] == [f"1.{no}" for no in range(1, 451)]


@pytest.mark.parametrize("ref", ["1.2", "@last/fetch-1", "odd-lynx/fetch-1"])
def test_task_shows_states_inputs_traceback_and_logs(cli: Any, failed: str, ref: str) -> None:
    text = cli("task", ref).stdout
    assert text.startswith("✗ Failed  fetch-1  of odd-lynx  #1.2")
    for part in (
        "▸ Running", "page  3", "from fetch-0 #1.1 ✓ Completed", "ValueError: bad page 3",
        "> 5     return parse(page) + 1", "page", "int = 3", "| ERROR   | Task run 'fetch-1' - it failed",
        "about to fail",
    ):  # fmt: skip
        assert part in text
    assert "<hidden>" not in text
    assert "in inner" not in text
    assert "in inner" in cli("task", ref, "--all-frames").stdout
    [task] = objects(cli("task", ref, "--json"))
    assert task.keys() == TASK_RUN


@pytest.mark.parametrize("ref", ["1.99", "1.0", "@last/nothing", "1", "@last/"])
def test_a_task_run_that_is_not_there_is_a_usage_error(cli: Any, failed: str, ref: str) -> None:
    result = cli("task", ref)
    assert result.exit_code == 2
    assert result.stderr.startswith("flowdeck: ")


def test_logs_look_like_the_console(cli: Any, failed: str) -> None:
    lines = cli("logs", "@last").stdout.splitlines()
    assert [line.partition(" | ")[2] for line in lines] == [
        "INFO    | Flow run 'odd-lynx' - starting",
        "WARNING | Task run 'fetch-1' - about to fail",
        "ERROR   | Task run 'fetch-1' - it failed",
    ]


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (["--level", "warning"], ["about to fail", "it failed"]),
        (["--level", "40"], ["it failed"]),
        (["--task", "fetch-1"], ["about to fail", "it failed"]),
        (["--task", "fetch*"], ["about to fail", "it failed"]),
        (["--task", "fetch-0"], []),
        (["--search", "failed"], ["it failed"]),
        (["--tail", "1"], ["it failed"]),
        (["--tail", "0"], []),
    ],
)
def test_logs_can_be_narrowed(
    cli: Any, failed: str, options: list[str], messages: list[str]
) -> None:
    assert [line["message"] for line in objects(cli("logs", "1", "--json", *options))] == messages


def test_logs_of_one_task_run_and_their_json(cli: Any, failed: str) -> None:
    lines = objects(cli("logs", "1.2", "--json"))
    assert [line["message"] for line in lines] == ["about to fail", "it failed"]
    assert lines[0] == {
        "at": "2026-11-22T10:00:01.000000Z",
        "level": "WARNING",
        "logger": "flowdeck.task_runs",
        "message": "about to fail",
        "flow_run": 1,
        "task_run": "1.2",
    }


def test_logs_of_more_than_one_page_come_whole_and_in_order(cli: Any, record: Record) -> None:
    uid = record.run()
    for index in range(1203):
        record.session.emit(events.log(uid, 0, T0 + index, 20, "x", f"line {index}"))
    record.flushed(uid)
    lines = objects(cli("logs", "@last", "--json"))
    assert [line["message"] for line in lines] == [f"line {index}" for index in range(1203)]
    followed = objects(cli("logs", "@last", "-f", "--tail", "3", "--json"))
    assert [line["message"] for line in followed] == ["line 1200", "line 1201", "line 1202"]


def test_an_unknown_level_is_refused_before_anything_is_read(cli: Any) -> None:
    result = cli("logs", "@last", "--level", "loud")
    assert result.exit_code == 2
    assert result.stderr == (
        "flowdeck: 'loud' is not a log level.\n"
        "  levels are DEBUG, INFO, WARNING, ERROR, CRITICAL.\n"
    )


def test_hostile_text_reaches_the_terminal_disarmed(cli: Any, record: Record) -> None:
    evil = "[bold]x[/bold]\x1b[2J\n" + "🦦" * 20 + "n" * 10_000
    uid = record.run(evil, flow=evil, code=st.FAILED, message=evil)
    record.task(uid, 1, "t-" + evil, code=st.FAILED, message=evil)
    record.log(uid, 1, evil + "\x00\x07binary" + "z" * 200_000)
    record.failure(uid, 1, exception_dict(message=evil))
    for verb in (["runs"], ["show", "1"], ["tasks", "1"], ["task", "1.1"], ["logs", "1"]):
        result = cli(*verb)
        assert result.exit_code == 0, verb
        assert "\x1b" not in result.output
        assert "\x00" not in result.output
        assert "[bold]x[/bold]" in result.output
    assert objects(cli("runs", "--json"))[0]["name"].startswith("[bold]x[/bold]\x1b[2J\n")


@pytest.mark.parametrize(
    ("code", "exit_code"), [(st.COMPLETED, 0), (st.FAILED, 1), (st.CRASHED, 1), (st.CANCELLED, 130)]
)
@pytest.mark.parametrize("verb", ["wait", "watch"])
def test_wait_and_watch_exit_with_the_code_of_the_run(
    cli: Any, record: Record, verb: str, code: int, exit_code: int
) -> None:
    record.run(code=code, message="so it ended")
    result = cli(verb, "@last")
    assert result.exit_code == exit_code
    assert "brave-otter" in result.stdout
    assert "so it ended" in result.stdout


def test_wait_gives_up_after_its_timeout(cli: Any, record: Record) -> None:
    record.run(code=st.RUNNING)
    result = cli("wait", "@last", "--timeout", "0.1")
    assert result.exit_code == 124
    assert result.stderr == "flowdeck: brave-otter is still Running after 0.1 s.\n"


def test_wait_as_json_gives_the_run(cli: Any, record: Record) -> None:
    record.run()
    [run] = objects(cli("wait", "@last", "--json"))
    assert run.keys() == FLOW_RUN


def test_a_task_run_is_found_by_task_and_index_when_its_name_holds_a_hash(
    cli: Any, record: Record
) -> None:
    uid = record.run()
    for no, index in ((1, 0), (2, 3), (3, 13)):
        record.task(uid, no, f"fetch-3633879f-{index}")
    assert objects(cli("task", "@last/fetch-3", "--json"))[0]["id"] == "1.2"
    assert objects(cli("task", "@last/fetch-3633879f-1", "--json"))[0]["id"] == "1.3"
    assert cli("task", "@last/fetch-4").exit_code == 2


def test_a_record_that_another_program_has_locked_is_waited_for_with_a_word(
    shell: Shell, home: Path
) -> None:
    write("one.py", "from flowdeck import flow\n\n\n@flow\ndef one():\n    pass\n")
    assert shell("run", "one.py", "-q").returncode == 0
    other = sqlite3.connect(home / "flowdeck.db", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")  # keeps readers out, too
    reading = subprocess.Popen(
        shell.command("runs"), env={**os.environ, **shell.env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert reading.stderr is not None
    assert "locked the record; waiting" in reading.stderr.readline()
    other.close()
    out, _ = reading.communicate(timeout=50)
    assert reading.returncode == 0
    assert "one" in out


@pytest.mark.parametrize(
    ("verb", "act"), [("wait", "waited for"), ("watch", "watched")], ids=["wait", "watch"]
)
def test_a_run_that_is_deleted_meanwhile_has_no_end(
    cli: Any, record: Record, home: Path, monkeypatch: pytest.MonkeyPatch, verb: str, act: str
) -> None:
    uid = record.run(code=st.RUNNING)

    def deleted(reader: Reader, deadline: float | None = None) -> Iterator[bool]:
        yield True  # the run is seen as it goes on
        record.state(uid, 0, st.COMPLETED)
        record.flushed(uid)
        delete_runs(home, [1])
        yield True

    monkeypatch.setattr("flowdeck_app.cli.following.changes", deleted)
    result = cli(verb, "@last")
    assert result.exit_code == 2
    assert result.stderr == f"flowdeck: brave-otter was deleted while it was {act}.\n"

"""errors: what failed, as groups, and retry on a group."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import exception_dict, objects, runs, write

from flowdeck_store import states as st

if TYPE_CHECKING:
    from pathlib import Path

    from cli_builder import Record

BROKEN = """
    from pathlib import Path
    from flowdeck import flow, task

    @task
    def count(name):
        with Path("log").open("a") as file:
            print("count", name, file=file)
        return 7

    @task
    def load(number):
        with Path("log").open("a") as file:
            print("load", number, file=file)
        if not Path("fixed").exists():
            raise ConnectionError(f"no {number}")

    @flow
    def {flow}():
        load(count("{flow}"))
"""


def _three(record: Record) -> None:
    for index, message in enumerate(("bad page 3", "bad page 4", "bad page 4")):
        uid = record.run(f"run-{index}", code=st.FAILED)
        record.task(uid, 1, "fetch-0", code=st.FAILED)
        record.failure(uid, 1, exception_dict(message=message))


def test_the_same_error_of_three_runs_is_one_line(cli: Any, record: Record) -> None:
    _three(record)
    result = cli("errors")
    assert (result.exit_code, result.stderr) == (0, "")
    heading, line = result.stdout.splitlines()
    assert heading.split() == [
        "Group", "Error", "Tasks", "Runs", "Repair", "First", "Last", "Flows", "Example"
    ]  # fmt: skip
    assert "ValueError at etl.py:5" in line
    assert line.split()[-2:] == ["etl", "3.1"]
    (group,) = objects(cli("errors", "--json"))
    assert (group["task_runs"], group["runs"], group["open_runs"]) == (3, 3, [3, 2, 1])
    assert (group["repaired"], group["file"], group["line"]) == (False, "/flows/etl.py", 5)


def test_a_group_shows_messages_runs_and_the_newest_traceback(cli: Any, record: Record) -> None:
    _three(record)
    (group,) = objects(cli("errors", "--json"))
    page = cli("errors", group["id"]).stdout
    assert page.startswith("ValueError at etl.py:5  ×3")
    assert "2  bad page 4" in page
    assert "1  bad page 3" in page
    assert "return parse(page) + 1" in page
    assert "3.1, 2.1, 1.1" in page
    (whole,) = objects(cli("errors", group["id"], "--json"))
    assert [(m["message"], m["failures"]) for m in whole["messages"]] == [
        ("bad page 4", 2), ("bad page 3", 1)
    ]  # fmt: skip


def test_a_query_and_since_filter_the_runs(cli: Any, record: Record) -> None:
    _three(record)
    (group,) = objects(cli("errors", "name:run-1", "--json"))
    assert group["runs"] == 1
    assert cli("errors", "--since", "2100-01-01").stderr == "flowdeck: no failure matches.\n"
    assert cli("errors", "--since", "nonsense").exit_code == 2
    assert len(objects(cli("errors", "since:2000-01-01", "-name:run-1", "--json"))) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--retry"], "--retry repairs a GROUP"),
        (["ffff"], "no group of errors"),
        (["stat:failed"], "there is no filter"),
    ],
)
def test_what_makes_no_sense_is_said(cli: Any, record: Record, words: list[str], said: str) -> None:
    _three(record)
    result = cli("errors", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_hostile_names_of_errors_do_not_reach_the_terminal(cli: Any, record: Record) -> None:
    uid = record.run(code=st.FAILED)
    record.task(uid, 1, code=st.FAILED)
    record.failure(uid, 1, exception_dict(type="\x1b[31mEvil\n[bold]", message="\x1b]0;x\x07"))
    (group,) = objects(cli("errors", "--json"))
    shown = cli("errors").stdout + cli("errors", group["id"]).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]" in shown


@pytest.fixture
def group(cli: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two runs of one flow failed, and one of another, at one line of a file that both use."""
    monkeypatch.delitem(sys.modules, "tools", raising=False)
    write("tools.py", BROKEN.replace("{flow}", "first"))
    write("second.py", "from flowdeck import flow\nfrom tools import count, load\n"
          "@flow\ndef second():\n    load(count('second'))\n")  # fmt: skip
    for target, name in (
        ("tools.py:first", "a"),
        ("tools.py:first", "b"),
        ("second.py:second", "c"),
    ):
        assert cli("run", target, "--name", name, "-q").exit_code == 1
    (found,) = objects(cli("errors", "--json"))
    assert found["type"] == "ConnectionError"
    assert (found["task_runs"], found["runs"]) == (3, 3)
    assert set(found["flows"]) == {"first", "second"}
    return found


def test_retry_repairs_the_newest_failed_run_of_each_flow(
    cli: Any, home: Path, group: dict[str, Any]
) -> None:
    write("fixed", "")
    before = len(_log())
    refused = cli("errors", group["id"], "--retry")
    assert "add --yes" in refused.stderr
    assert len(runs(home)) == 3
    result = cli("errors", group["id"], "--retry", "--yes")
    assert result.exit_code == 0, result.output
    again = runs(home)[:2]
    assert all(run.state == "Completed" for run in again)
    by_uid = {run.uid: run.name for run in runs(home)}
    assert {by_uid[str(run.rerun_of)] for run in again} == {"b", "c"}
    assert [line.split()[0] for line in _log()[before:]] == ["load", "load"]  # count was reused
    (left,) = objects(cli("errors", "--json"))
    assert len(left["open_runs"]) == 1
    assert cli("errors", "--open", "--json").stdout
    assert cli("errors", "@last").exit_code == 0


def test_a_dry_run_of_a_retry_starts_nothing(cli: Any, home: Path, group: dict[str, Any]) -> None:
    result = cli("errors", group["id"], "--retry", "--dry-run")
    assert "would retry 2 runs" in result.stderr
    assert result.exit_code == 0
    assert len(runs(home)) == 3


def test_retry_takes_a_group_too(cli: Any, home: Path, group: dict[str, Any]) -> None:
    write("fixed", "")
    planned = cli("retry", "--group", group["id"], "--dry-run")
    assert "would retry 2 runs" in planned.stderr
    assert len(runs(home)) == 3
    assert "add --yes" in cli("retry", "--group", "@last").stderr
    result = cli("retry", "--group", "@last", "-y", "--json")
    assert result.exit_code == 0, result.output
    assert [run.state for run in runs(home)[:2]] == ["Completed", "Completed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "issing argument 'RUN' (or --group GROUP)"),
        (["1", "--group", "@last"], "--group repeats runs as they were"),
        (["--group", "@last", "-p", "a=1"], "--group repeats runs as they were"),
        (["--group", "ffff"], "no group of errors"),
    ],
)
def test_what_goes_with_no_group_is_said(
    cli: Any, record: Record, words: list[str], said: str
) -> None:
    _three(record)
    result = cli("retry", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_runs_that_completed_all_the_same_are_not_called_repaired(cli: Any, record: Record) -> None:
    uid = record.run("calm-owl", code=st.COMPLETED)
    record.task(uid, 1, "fetch-0", code=st.FAILED)
    record.failure(uid, 1, exception_dict())
    assert "– none open" in cli("errors").stdout
    _three(record)
    assert "✗ 3 open" in cli("errors").stdout
    for number in (2, 3, 4):
        record.run(f"again-{number}", rerun_of=f"{number:032x}")
    assert "✓ repaired" in cli("errors").stdout
    (shape,) = objects(cli("errors", "--json"))
    assert (shape["open_runs"], shape["repaired_runs"]) == ([], [4, 3, 2])


def test_a_retry_that_fails_again_says_so_by_its_exit_code(
    cli: Any, home: Path, group: dict[str, Any]
) -> None:
    assert cli("errors", group["id"], "--retry", "-y").exit_code == 1
    assert len(runs(home)) == 5


def _log() -> list[str]:
    from pathlib import Path

    return Path("log").read_text().splitlines()

"""Two runs of a flow beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import Record, objects, write

from flowdeck_store import states as st

if TYPE_CHECKING:
    from cli_builder import Shell

FLOW = """
    from flowdeck import flow, task

    @task
    def clean(n):
        return n + 1

    @flow
    def etl(n: int = 1):
        return clean(n)
"""


@pytest.fixture
def changed(shell: Shell, home: Path) -> None:
    """A run, and one after a task and a parameter had changed."""
    write("etl.py", FLOW)
    assert shell("run", "etl.py:etl", "--quiet").returncode == 0
    write("etl.py", FLOW.replace("n + 1", "n + 10"))
    assert shell("run", "etl.py:etl", "-p", "n=2", "--quiet").returncode == 0


def test_the_last_run_is_compared_with_the_last_good_one(cli: Any, changed: None) -> None:
    shown = cli("diff").stdout
    assert shown == cli("diff", "@last").stdout
    assert "parameter  n     1       2" in shown
    assert "Code of etl.clean, used by etl.clean, flow etl.etl" in shown
    assert "  -    return n + 1\n  +    return n + 10\n" in shown
    assert "clean-0   ✓ Completed  2         ✓ Completed  12" in shown


def test_any_two_runs_are_compared_the_older_one_first(cli: Any, changed: None) -> None:
    (found,) = objects(cli("diff", "2", "1", "--json"))
    assert (found["before"], found["now"]) == (1, 2)
    assert {"kind": "parameter", "name": "n", "before": "1", "now": "2"} in found["changed"]
    assert found["code"][0]["name"] == "etl.clean"
    assert found["task_runs"][0]["now"]["preview"] == "12"
    assert found["is_whole"]


def test_why_names_the_code_that_changed(cli: Any, changed: None) -> None:
    assert "changed: the code of etl.clean; parameter n from 1 to 2." in cli("why", "2").stdout


def test_task_runs_that_one_run_only_has_are_shown(cli: Any, record: Record) -> None:
    record.task(record.run("calm-owl"), 1, "fetch-0")
    second = record.run("odd-lynx")
    record.task(second, 1, "fetch-0")
    record.task(second, 2, "fetch-1", code=st.FAILED, message="ValueError: no")
    shown = cli("diff", "1", "2").stdout
    assert "Nothing that the record knows of." in shown
    assert "fetch-1   –" in shown
    assert "fetch-0 " not in shown.partition("Task runs that")[2]


def test_a_result_that_was_taken_over_is_no_difference(cli: Any, record: Record) -> None:
    record.task(record.run("calm-owl"), 1, "fetch-0")
    record.task(record.run("odd-lynx"), 1, "fetch-0", named=st.CACHED)
    assert "Task runs that" not in cli("diff", "1", "2").stdout


def test_without_a_good_run_before_it_asks_for_two(cli: Any, record: Record) -> None:
    record.run("calm-owl")
    result = cli("diff", "@last")
    assert result.exit_code == 2
    assert "`flowdeck diff RUN RUN` compares any two." in result.stderr

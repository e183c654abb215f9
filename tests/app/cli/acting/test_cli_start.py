"""The first minutes: ``flowdeck init`` and ``flowdeck demo``."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_builder import objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli_builder import Shell
    from click.testing import Result


def test_what_init_writes_runs_as_it_says(cli: Callable[..., Result], shell: Shell) -> None:
    told = cli("init", "first/flows.py")
    assert told.exit_code == 0
    assert (
        told.stderr == "flowdeck: wrote first/flows.py. Run it: flowdeck run first/flows.py:count\n"
    )
    Path("few.txt").write_text("a\nb\n")
    done = shell("run", "first/flows.py:count", "-p", "pattern=*.txt", "--json")
    assert done.returncode == 0
    (run,) = objects(done)
    assert (run["state"], run["tasks"]["completed"]) == ("Completed", 1)
    text = Path("first/flows.py").read_text()
    assert "flowdeck run first/flows.py:count " in (ast.get_docstring(ast.parse(text)) or "")


def test_init_replaces_no_file_unless_it_is_told_to(cli: Callable[..., Result]) -> None:
    Path("flows.py").write_text("mine")
    refused = cli("init")
    assert refused.exit_code == 2
    assert "flows.py is there already" in refused.stderr
    assert Path("flows.py").read_text() == "mine"
    assert objects(cli("init", "--force", "--json")) == [
        {"file": "flows.py", "target": "flows.py:count"}
    ]
    assert "@flow" in Path("flows.py").read_text()


@pytest.mark.parametrize("name", ["flows", "notes.txt"])
def test_init_writes_python_files_only(cli: Callable[..., Result], name: str) -> None:
    refused = cli("init", name)
    assert refused.exit_code == 2
    assert "is no Python file" in refused.stderr
    assert not Path(name).exists()


def test_the_demo_needs_no_file_and_can_be_told_from_other_runs(shell: Shell) -> None:
    (run,) = objects(shell("demo", "--files", "3", "--json"))
    assert (run["flow"], run["state"], run["tags"]) == ("census", "Completed", ["demo"])
    assert run["tasks"]["completed"] > 0
    assert [found["id"] for found in objects(shell("runs", "tag:demo", "--json"))] == [run["id"]]

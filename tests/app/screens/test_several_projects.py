"""Flows of several projects in one list, each with the Python of its project."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from app_harness import screen_text, settle

from flowdeck import settings
from flowdeck.launch import interpreters
from flowdeck.launch.discovery import Problem
from flowdeck_app.app import FlowdeckApp
from flowdeck_app.screens.home.flow_rows import problems_text

pytestmark = pytest.mark.anyio


@pytest.fixture
def projects(tmp_path: Path) -> list[Path]:
    """Two projects, each with a flow and a virtual environment; the user's file names a third."""
    found = [tmp_path / "first", tmp_path / "second"]
    for folder in found:
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").touch()
        (folder / "flows.py").write_text(
            f"from flowdeck import flow\n@flow\ndef of_{folder.name}(): ...\n"
        )
    Path(os.environ["FLOWDECK_CONFIG"]).write_text('flow_paths = ["first", "second", "moved"]\n')
    settings.reload()
    return found


async def test_home_lists_flows_of_all_projects_and_says_which_path_is_missing(
    app_for: Callable[..., FlowdeckApp], projects: list[Path], tmp_path: Path
) -> None:
    app = app_for(folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: "of-second" in screen_text(app))
        text = screen_text(app)
        assert "of-first" in text
        assert "moved: No such file or directory" in text


def test_each_flow_has_the_python_of_its_project(projects: list[Path]) -> None:
    for folder in projects:
        chosen = interpreters.choose(folder, environ={})
        assert chosen.environment == (folder / ".venv").resolve()
        assert str(folder) in chosen.why


def test_a_missing_folder_comes_before_files_that_cannot_be_read() -> None:
    broken, gone = Problem(Path("/x/a.py"), "invalid syntax", 3), Problem(Path("/x/y"), "gone")
    assert problems_text([broken]) == "a.py cannot be read as Python"
    assert problems_text([broken, gone]) == "y: gone and 1 more"

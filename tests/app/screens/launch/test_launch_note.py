"""The launch dialog says in which Python a flow runs, where that is not flowdeck's own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from flowdeck.launch.inspection import Inspection
from flowdeck_app.screens.launch.note import error_content, note_lines

FOLDER = Path("/flows")
PROJECT = Inspection(
    "etl.py:etl", doc="Load it.\n\nMore.", python="/flows/.venv/bin/python",
    chosen_by="the .venv in /flows",
)  # fmt: skip


def test_the_python_of_a_project_is_named_with_why_it_is_that_one() -> None:
    line = "Runs with .venv/bin/python (chosen by the .venv in /flows)"
    assert note_lines(PROJECT, FOLDER) == ["Load it.", line]
    elsewhere = replace(PROJECT, doc=None, python="/envs/jobs/bin/python", chosen_by="VIRTUAL_ENV")
    assert note_lines(elsewhere, FOLDER) == [
        "Runs with /envs/jobs/bin/python (chosen by VIRTUAL_ENV)"
    ]
    failed = error_content(replace(PROJECT, error="It has no flow."), FOLDER).plain
    assert failed.splitlines()[:2] == ["It has no flow.", line]


def test_flowdecks_own_python_is_not_worth_a_line() -> None:
    own = replace(PROJECT, python=sys.executable, chosen_by="flowdeck itself")
    assert note_lines(own, FOLDER) == ["Load it."]
    assert note_lines(replace(own, python=""), FOLDER) == ["Load it."]

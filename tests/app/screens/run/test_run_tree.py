"""A run with all its subflows in one: tasks, timeline and log on its screen, and as commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from click.testing import CliRunner
from run_screen_steps import opened, to_tab
from run_screen_store import CHILD, EMPTY, LIVE, ago, fill

from flowdeck_app.cli.root import flowdeck
from flowdeck_app.drawing.signs import ASCII, UNICODE
from flowdeck_app.drawing.stems import stem_text
from flowdeck_app.screens.run.body import RunBody

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]


@pytest.fixture
def nested(home: Path) -> None:
    builder = fill(home)
    builder.log(CHILD, 1, "looking closely", us=ago(2))
    builder.close()


def test_stems_are_two_cells_a_level() -> None:
    assert stem_text((), UNICODE) == ""
    assert stem_text((True, False, True), UNICODE) == "│   ├╴"
    assert stem_text((False,), ASCII) == "`-"
    assert len(stem_text((True,) * 40, UNICODE)) == 12


@pytest.mark.usefixtures("nested")
async def test_a_key_shows_the_run_with_its_subflows_and_folds_them(app_for: AppFor) -> None:
    async with app_for().run_test(size=(130, 30)) as pilot:
        screen = await opened(pilot.app, pilot, LIVE)
        assert "X Subflows" in screen_text(pilot.app)
        await pilot.press("X")
        await settle(pilot, lambda: screen.table.count == 15)
        assert "└╴look" in screen_text(pilot.app)
        assert "with subflows" in screen_text(pilot.app)
        assert await screen.table.select_key(CHILD << 24 | 1)
        await pilot.press("h")  # folds what the row is in, and goes there
        await settle(pilot, lambda: screen.table.count == 14)
        await settle(pilot, lambda: screen.table.current_key == LIVE << 24 | 14)
        assert "audit [+]" in screen_text(pilot.app)
        await pilot.press("l")
        await settle(pilot, lambda: screen.table.count == 15)
        await pilot.press("a")
        await settle(pilot, lambda: screen.table.count == 14)
        await pilot.press("a")
        await settle(pilot, lambda: screen.table.count == 15)
        await to_tab(screen, pilot, "timeline")
        await settle(pilot, lambda: "└╴look" in screen_text(pilot.app))
        await to_tab(screen, pilot, "logs")
        await settle(pilot, lambda: "audit > look" in screen_text(pilot.app))
        assert "looking closely" in screen_text(pilot.app)
        await pilot.press("X")
        await settle(pilot, lambda: "looking closely" not in screen_text(pilot.app))
        assert not screen.query_one(RunBody).below.whole


@pytest.mark.usefixtures("nested")
async def test_a_run_without_subflows_has_no_such_key(app_for: AppFor) -> None:
    async with app_for().run_test(size=(160, 45)) as pilot:
        await opened(pilot.app, pilot, EMPTY)
        assert "X Subflows" not in screen_text(pilot.app)


@pytest.mark.usefixtures("nested")
def test_commands_show_the_tree(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("FLOWDECK_HOME", str(home))
    monkeypatch.setattr("flowdeck_app.cli.record.look_after_dead", lambda: None)

    def said(*args: str) -> str:
        result = CliRunner().invoke(flowdeck, [*args, "--tree"], prog_name="flowdeck")
        assert result.exit_code == 0, result.output
        return result.stdout

    run = str(LIVE)
    assert "└╴look" in said("tasks", run)
    assert "look" in said("timeline", run, "--limit", "0")
    rows = [json.loads(line) for line in said("tasks", run, "--json").splitlines()]
    assert [(row["id"], row["path"]) for row in rows if row["path"]] == [(f"{CHILD}.1", ["audit"])]
    assert len(rows) == 15
    rows = [json.loads(line) for line in said("timeline", run, "--json").splitlines()]
    assert {row["id"]: row["path"] for row in rows}[f"{CHILD}.1"] == ["audit"]
    lines = said("logs", run).splitlines()
    assert next(line for line in lines if "looking closely" in line).startswith("audit ")
    rows = [json.loads(line) for line in said("logs", run, "--json").splitlines()]
    assert [row["path"] for row in rows if row["flow_run"] == CHILD] == [["audit"]]
    result = CliRunner().invoke(flowdeck, ["timeline", run, "--tree", "--by", "task"])
    assert result.exit_code == 2
    assert "--tree" in result.output

"""The Logs tab of a run: whose lines, patterns, and the levels over time above them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from click.testing import CliRunner
from run_screen_steps import opened, to_tab
from run_screen_store import LIVE, ago, fill

from flowdeck_app.cli.root import flowdeck
from flowdeck_app.screens.run.logs import LogsPane
from flowdeck_app.widgets.log_levels import LogLevels

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]


@pytest.fixture
def logged(home: Path) -> None:
    builder = fill(home)
    builder.log(LIVE, 2, "Finished in state Completed()", us=ago(60), logger="flowdeck.task_runs")
    for page in range(12):
        builder.log(
            LIVE, 3, f"GET /invoices?page={page}", us=ago(50 - page), level=20 + page // 6 * 10
        )
    text = "oh\nTraceback (most recent call last):\n  File 'a'\nValueError: no"
    builder.log(LIVE, 3, text, us=ago(2), level=40)
    builder.db.execute(
        "UPDATE flow_runs SET n_logs = (SELECT count(*) FROM logs WHERE run_id = id), "
        "log_lo = (SELECT min(seq) FROM logs WHERE run_id = id), "
        "log_hi = (SELECT max(seq) FROM logs WHERE run_id = id)"
    )
    builder.close()


@pytest.mark.usefixtures("logged")
async def test_keys_fold_lines_and_leave_out_the_engines(app_for: AppFor) -> None:
    async with app_for().run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot.app, pilot, LIVE)
        await to_tab(screen, pilot, "logs")
        pane = screen.query_one(LogsPane)

        def shown() -> str:
            return screen_text(pilot.app)

        await settle(pilot, lambda: "oh ValueError: no [traceback of 3 lines]" in shown())
        assert "Finished in state Completed()" in shown()
        await settle(pilot, lambda: "1 err, 7 warn" in shown())
        await pilot.press("O")
        await settle(pilot, lambda: "Finished in state" not in shown())
        assert "lines mine" in shown()
        await pilot.press("i")
        await settle(pilot, lambda: "GET /invoices?page=* ×6" in shown())
        assert "folded" in shown()
        await pilot.press("escape")  # takes back whose lines; what is folded stays
        await settle(pilot, lambda: "Finished in state" in shown())
        folded = pane.log_view.count
        await pilot.press("g", "enter")
        await settle(pilot, lambda: pane.log_view.count > folded)
        assert not pane.patterns
        await pilot.press("G", "a")
        await settle(pilot, lambda: "File 'a'" in shown())
        await pilot.press("a")
        await settle(pilot, lambda: "File 'a'" not in shown())


@pytest.mark.usefixtures("logged")
async def test_a_click_on_a_bar_goes_to_its_first_line(app_for: AppFor) -> None:
    async with app_for().run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot.app, pilot, LIVE)
        await to_tab(screen, pilot, "logs")
        view = screen.query_one(LogsPane).log_view
        bars = screen.query_one(LogLevels)
        await settle(pilot, lambda: "1 err, 7 warn" in screen_text(pilot.app))
        row = next(piece for piece in bars.rows(bars.look, bars.size.width)[0] if piece.key)
        bars.picked(row.key)  # type: ignore[arg-type]
        await settle(pilot, lambda: view.current_key == row.key)
        assert not view.follow


@pytest.mark.usefixtures("logged")
def test_the_command_does_the_same(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("FLOWDECK_HOME", str(home))
    monkeypatch.setattr("flowdeck_app.cli.record.look_after_dead", lambda: None)

    def said(*args: str) -> str:
        result = CliRunner().invoke(flowdeck, ["logs", str(LIVE), *args], prog_name="flowdeck")
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "Finished in state" in said()
    assert "Finished in state" not in said("--mine")
    assert "GET /invoices?page=0" in said("--mine", "-t", "fetch")
    assert "×6      GET /invoices?page=*" in said("--patterns")
    objects = [json.loads(line) for line in said("--patterns", "--json").splitlines()]
    assert [o["lines"] for o in objects if o["pattern"].startswith("GET")] == [6, 6]
    result = CliRunner().invoke(flowdeck, ["logs", str(LIVE), "--patterns", "-f"])
    assert result.exit_code == 2

"""F: running again only what failed, from Runs, Run and Task, after seeing what that means."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from textual.widgets import Button, Input

from flowdeck_app.screens.home.health import read_health
from flowdeck_app.screens.launch.fields import FieldRow
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED, FAILED
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp
    from flowdeck_store.read.records import FlowRunRecord

pytestmark = pytest.mark.timeout(120)

FLOWS = """
from pathlib import Path
from flowdeck import flow, task

@task
def fetch(number):
    return number

@task
def load(number):
    return number + int(Path("needed.txt").read_text())

@task
def publish(numbers):
    return sum(numbers)

@flow
def etl(count: int = 3, note: str = ""):
    fetched = [fetch.submit(number) for number in range(count)]
    return publish.submit([load.submit(fetched[0]), *fetched[1:]])
"""


@pytest.fixture
def failed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a flow that has failed once, and could do better now."""
    folder = home.parent / "work"
    folder.mkdir()
    (folder / "flows.py").write_text(FLOWS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FLOWDECK_HOME", str(home))
    command = [sys.executable, "-m", "flowdeck_app", "run", "flows.py:etl", "-q", "--name", "first"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1
    (folder / "needed.txt").write_text("1")
    return folder


async def dialog(app: FlowdeckApp, pilot: Pilot[Any]) -> LaunchScreen:
    await settle(pilot, lambda: isinstance(app.screen, LaunchScreen), 60)
    screen = app.screen
    assert isinstance(screen, LaunchScreen)
    await settle(pilot, lambda: len(screen.query(FieldRow)) >= 2, 60)
    await settle(pilot, lambda: "3 reused" in screen_text(app), 60)
    return screen


async def ended(home: Path, run_id: int, pilot: Pilot[Any]) -> FlowRunRecord:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with Reader.open(home) as reader:
            run = reader.run(run_id)
        if run is not None and run.is_final:
            return run
        await pilot.pause(0.1)
    pytest.fail("the run did not end")


@pytest.mark.anyio
async def test_it_says_what_runs_again_before_it_starts_and_then_runs_that(
    app_for: Callable[..., Any], failed: Path, home: Path
) -> None:
    app = app_for(folder=failed)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_run(1)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run)
        await pilot.press("F")
        screen = await dialog(app, pilot)
        text = screen_text(app)
        assert "Run etl again, from what failed in first" in text
        assert "3 reused, 2 run again: 1 failed, 1 had not started." in text
        assert "Runs again: load-" in text
        assert "$ flowdeck retry 1 --failed --runner concurrent --detach" in text
        note = next(row for row in screen.query(FieldRow) if row.spec.name == "note")
        note.query_one(Input).value = "second try"
        await settle(pilot, lambda: "-p 'note=second try'" in screen_text(app))
        assert "at most 3 reused, at least 2 run again" in screen_text(app)
        await settle(pilot, lambda: not screen.query_one("#run", Button).disabled)
        await pilot.press("ctrl+r")
        await settle(
            pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == 2, 60
        )
        run = await ended(home, 2, pilot)
    with Reader.open(home) as reader:
        states = [task.state for task in reader.tasks(2)]
        first = reader.run(1)
    assert run.state == "Completed"
    assert states == ["Cached", "Cached", "Cached", "Completed", "Completed"]
    assert first is not None
    assert run.rerun_of == first.uid
    assert '"second try"' in (run.params or "")


@pytest.mark.parametrize("place", ["runs", "task"])
@pytest.mark.anyio
async def test_it_is_there_wherever_a_failed_run_is(
    app_for: Callable[..., Any], failed: Path, place: str
) -> None:
    app = app_for(folder=failed)
    async with app.run_test(size=(110, 40)) as pilot:
        if place == "runs":
            await pilot.press("2")
            await settle(pilot, lambda: "first" in screen_text(app))
        else:
            app.open_task(1, 4)
            await settle(pilot, lambda: "needed.txt" in screen_text(app))
        await settle(pilot, lambda: "F From failed" in screen_text(app))
        await pilot.press("F")
        await dialog(app, pilot)


@pytest.mark.anyio
async def test_a_run_that_completed_has_nothing_to_offer(
    app_for: Callable[..., Any], failed: Path
) -> None:
    command = [sys.executable, "-m", "flowdeck_app", "retry", "1", "--failed", "-q"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    app = app_for(folder=failed)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_run(2)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run)
        await pilot.press("F")
        await settle(pilot, lambda: "R Re-run" in screen_text(app))
        assert isinstance(app.screen, RunScreen)
        assert "From failed" not in screen_text(app)


def test_a_failure_that_was_run_again_well_is_not_the_last_failure(tmp_path: Path) -> None:
    builder = StoreBuilder(tmp_path / "built")

    def shown() -> int | None:
        with Reader.open(tmp_path / "built") as reader:
            run = read_health(reader, 10**15).failed_run
        return None if run is None else run.id

    def uid(run_id: int) -> str:
        with Reader.open(tmp_path / "built") as reader:
            found = reader.run(run_id)
        assert found is not None
        return found.uid

    old = builder.run(state=FAILED)
    builder.run(state=COMPLETED, rerun_of=uid(old))
    assert shown() is None
    first = builder.run(state=FAILED)
    second = builder.run(state=FAILED, rerun_of=uid(first))
    assert shown() == second
    builder.run(state=COMPLETED, rerun_of=uid(second))
    assert shown() is None
    other = builder.run(state=FAILED)
    assert shown() == other
    builder.close()

"""The launch dialog: a form from the signature, checked as it is typed, that starts a real run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import come_to_snapshot, screen_text, settle
from textual.widgets import Button, Input

from flowdeck_app.screens.launch.fields import FieldRow, RunnerChoice
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.widgets.toggles import PlainRadio
from flowdeck_store.explain.what_if import plan_of
from flowdeck_store.read.paths import Span
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

FLOWS = '''
from typing import Literal
import datetime
from flowdeck import flow, task


@task
def double(x):
    return 2 * x


@flow
def shop(day: datetime.date, limit: int = 500, mode: Literal["full", "delta"] = "full",
         dry: bool = False, regions: list[str] = ["eu"]):
    """Load yesterday's orders."""
    return double.submit(limit).result()
'''

HOSTILE_FLOW = '''
from typing import Literal
from flowdeck import flow


@flow(name="[odd] \\x1b[31m")
def odd(text: str = "[/b] x\\x1b[2J", pick: Literal["[red]a", "[/b]"] = "[red]a",
        more: dict[str, int] = {"[/c]": 1}):
    """[/foo] dict[str, int] [x] \\x1b[31m"""
'''
LAUNCH_SIZES = ((80, 24), (100, 36), (160, 45))


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a flow; the app is started in it, as users do."""
    flows = home.parent / "work"
    flows.mkdir()
    (flows / "flows.py").write_text(FLOWS)
    monkeypatch.chdir(flows)
    return flows


async def opened(app: FlowdeckApp, pilot: Pilot[Any], target: str) -> LaunchScreen:
    app.open_launch(target)
    await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))
    screen = app.screen
    assert isinstance(screen, LaunchScreen)
    deadline = time.monotonic() + 60
    while screen._form is None or not screen.query_one("#command").content:
        await pilot.pause(0.05)
        assert time.monotonic() < deadline
    return screen


@pytest.mark.parametrize("size", LAUNCH_SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_form_shows_every_parameter_and_the_command(
    app_for: Callable[..., Any], folder: Path, size: tuple[int, int]
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=size) as pilot:
        screen = await opened(app, pilot, "flows.py:shop")
        await settle(pilot, lambda: len(screen.query(FieldRow)) >= 5)
        names = [row.spec.key for row in screen.query(FieldRow) if row.group == "p"]
        assert names[:5] == ["day", "limit", "mode", "dry", "regions"]
        assert names[5:] == ["regions.0", "regions.1"]
        assert screen.query_one("#run", Button).disabled
        text = screen_text(app)
        assert "needs a value" in text
        assert "Load yesterday's orders." in text
        assert "--detach" in text
        assert "Cancel" in text
        await come_to_snapshot(pilot, "launch_screen", f"launch-{size[0]}x{size[1]}", behind_hidden)


def behind_hidden(text: str) -> str:
    """Leave out Home, which lies behind the dialog: it tells of this machine's disk."""
    lines = text.splitlines()
    top = next(i for i, line in enumerate(lines) if "╭─ Run" in line)
    start = lines[top].index("╭─ Run")
    end = lines[top].index("╮", start) + 1
    shown = [line[start:end] for line in lines[top:]]
    last = next(i for i, line in enumerate(shown) if line.startswith("╰") and line.endswith("╯"))
    return "\n".join(shown[: last + 1]) + "\n"


async def test_hostile_texts_of_a_flow_are_drawn_as_they_are(
    app_for: Callable[..., Any], folder: Path
) -> None:
    (folder / "odd.py").write_text(HOSTILE_FLOW, encoding="utf-8")
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 34)) as pilot:
        screen = await opened(app, pilot, "odd.py:odd")
        await settle(pilot, lambda: len(screen.query(FieldRow)) >= 3)
        text = screen_text(app)
    assert "[/foo] dict[str, int]" in text  # the description
    assert "[/b] x" in text  # a default
    assert "[red]a" in text  # a choice
    assert "\x1b" not in text


async def test_values_are_checked_as_they_are_typed_and_the_command_follows(
    app_for: Callable[..., Any], folder: Path
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(110, 40)) as pilot:
        screen = await opened(app, pilot, "flows.py:shop")
        await settle(pilot, lambda: len(screen.query(FieldRow)) >= 5)
        day = screen.query(FieldRow).first().query_one(Input)
        day.value = "22.11.2026"
        await settle(pilot, lambda: "not a date" in screen_text(app))
        day.value = "2026-11-22"
        await settle(pilot, lambda: "-p day=2026-11-22" in screen_text(app))
        await settle(pilot, lambda: not screen.query_one("#run", Button).disabled)


async def test_running_records_a_detached_run_and_opens_it(
    app_for: Callable[..., Any], folder: Path, home: Path
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(110, 40)) as pilot:
        screen = await opened(app, pilot, "flows.py:shop")
        await settle(pilot, lambda: len(screen.query(FieldRow)) >= 5)
        screen.query(FieldRow).first().query_one(Input).value = "2026-11-22"
        await settle(pilot, lambda: not screen.query_one("#run", Button).disabled)
        await pilot.press("ctrl+r")
        deadline = time.monotonic() + 60
        while not isinstance(app.screen, RunScreen):
            await pilot.pause(0.05)
            assert time.monotonic() < deadline
        run_id = app.screen.run_id
        while True:
            with Reader.open(home) as reader:
                run = reader.run(run_id)
            assert run is not None
            if run.is_final:
                break
            await pilot.pause(0.1)
            assert time.monotonic() < deadline
    assert run.state == "Completed"
    assert run.params is not None
    assert "2026-11-22" in run.params


async def test_a_file_that_fails_at_import_says_why_and_can_still_be_run(
    app_for: Callable[..., Any], folder: Path
) -> None:
    (folder / "bad.py").write_text(
        "from flowdeck import flow\n\n@flow\ndef f():\n    pass\n\nraise RuntimeError('no [db]')\n"
    )
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot, "bad.py:f")
        await settle(pilot, lambda: "RuntimeError: no [db]" in screen_text(app))
        assert "recorded as a failed run" in screen_text(app)


async def test_without_a_flow_it_asks_which(app_for: Callable[..., Any], folder: Path) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_launch(None)
        await settle(pilot, lambda: "flows.py:shop" in screen_text(app))
        await pilot.press("enter")
        deadline = time.monotonic() + 60
        while "needs a value" not in screen_text(app):
            await pilot.pause(0.05)
            assert time.monotonic() < deadline


async def test_the_arrows_choose_a_runner_from_the_chosen_one_on_however_fast(
    app_for: Callable[..., Any], folder: Path
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 36)) as pilot:
        screen = await opened(app, pilot, "flows.py:shop")
        choice = screen.query_one(RunnerChoice)
        choice.focus()
        await settle(pilot, lambda: choice.has_focus)
        assert choice.pressed_button is not None
        assert choice.pressed_button.name == "concurrent"
        for _ in range(3):
            choice.action_next_button()  # a slow app has all keys at once
        await settle(pilot, lambda: "--runner ray" in str(screen.query_one("#command").content))
        assert [b.name for b in choice.query(PlainRadio) if b.value] == ["ray"]
        await pilot.press("up", "up", "up", "up")
        await settle(pilot, lambda: "sequential" in str(screen.query_one("#command").content))
        assert [b.name for b in choice.query(PlainRadio) if b.value] == ["sequential"]


async def test_beside_each_runner_stands_how_long_it_would_take(
    app_for: Callable[..., Any], folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of([Span(no, no, no, 3_000_000 + no) for no in (1, 2)], {}, 0, 3_000_002,
                   runner="concurrent")  # fmt: skip
    monkeypatch.setattr("flowdeck_app.screens.launch.screen.plans_for", lambda *_: [plan])
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await opened(app, pilot, "flows.py:shop")
        await settle(pilot, lambda: "sequential      6.0s" in screen_text(app))
        await settle(pilot, lambda: "Expected 3.0s, a guess: 1 run on it" in screen_text(app))
        choice = screen.query_one(RunnerChoice)
        choice.focus()
        await settle(pilot, lambda: choice.has_focus)
        choice.action_next_button()

        def workers() -> list[FieldRow]:
            rows = screen.query(FieldRow)
            return [row for row in rows if row.spec.doc.startswith("processes")]

        await settle(pilot, lambda: bool(workers()))
        workers()[0].query_one(Input).value = "1"
        await settle(
            pilot, lambda: "Expected 6.0s, a guess: 1 run played again" in screen_text(app)
        )

"""No event ends the app: keys, clicks, resizes, news and screens that come and go, all at once.

Events are put into the app's queue without waiting for what the ones before do, so that they meet
screens that are not composed yet, that are closing, and that are gone. Each seed is one sequence;
``RANDOM_INPUT_SEEDS=200:400`` runs those.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from run_screen_store import FAILED_RUN, LIVE, fill
from textual import events
from textual.geometry import Size
from textual.keys import _character_to_key
from textual.widgets import Input

from flowdeck.launch.inspection import inspect_target
from flowdeck_app.live import Health, HealthChanged, StoreChanged, StoreHealth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowdeck.launch.inspection import Inspection
    from flowdeck_app.app import FlowdeckApp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

FLOWS = '''
from typing import Literal

from flowdeck import flow


@flow
def shop(day: str, limit: int = 500, mode: Literal["full", "delta"] = "full", dry: bool = False):
    """Load the orders of a day."""
'''
#: Everything that is bound somewhere, twice what opens and closes; not what leaves the app.
KEYS = [
    *"jkghlrRFcxDu/nN!twTsSzvb+-0ad *=yYoPJ:?12fe[],.",
    *["tab", "shift+tab", "enter", "escape", "up", "down", "left", "right", "home", "end", "pageup", "pagedown", "backspace", "delete", "space", "f1", "f5", "ctrl+c", "ctrl+d", "ctrl+t", "ctrl+e", "ctrl+l", "ctrl+z", "ctrl+p", "ctrl+r", "ctrl+s", "ctrl+u", "ctrl+y", "ctrl+a", "ctrl+k", "escape", "escape", "enter", "enter", "enter"],
    *":::rR?J12",
]  # fmt: skip
SIZES = ((100, 30), (80, 24), (60, 15), (20, 5), (160, 45))
EVENTS = 120


def seeds() -> range:
    first, _, end = os.environ.get("RANDOM_INPUT_SEEDS", "0:3").partition(":")
    return range(int(first), int(end))


@pytest.fixture(scope="module")
def form(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """What the child process tells of a flow, asked once."""
    folder = tmp_path_factory.mktemp("flows")
    (folder / "flows.py").write_text(FLOWS)
    found = inspect_target("flows.py:shop", cwd=folder)
    assert found.ok, found.error
    return found


@pytest.fixture
def folder(home: Path, form: Inspection, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a flow that the dialog reads at once, and that never starts."""

    def read(target: str, folder: Path) -> Inspection:
        return form

    def start(*given: object) -> None:
        raise OSError("nothing is started here")

    async def stay(app: FlowdeckApp) -> None:
        """A click on the last key of the footer would leave."""

    monkeypatch.setattr("flowdeck_app.app.FlowdeckApp.action_app_quit", stay)
    monkeypatch.setattr("flowdeck_app.screens.launch.screen.inspect", read)
    monkeypatch.setattr("flowdeck_app.screens.launch.screen.start", start)
    folder = home.parent / "work"
    folder.mkdir()
    (folder / "flows.py").write_text(FLOWS)
    monkeypatch.chdir(folder)
    return folder


def key(name: str) -> events.Key:
    if len(name) == 1:
        return events.Key(_character_to_key(name), name)
    return events.Key(name, {"space": " ", "enter": "\r", "tab": "\t"}.get(name))


def mouse(kind: type[events.MouseEvent], x: int, y: int, button: int = 1) -> events.MouseEvent:
    return kind(None, x, y, 0, 0, button, False, False, False, screen_x=x, screen_y=y)


def clicks(random_: random.Random, size: Size) -> list[events.Event]:
    """A click, or several at one place; often beside what lies in the middle."""
    x, y = random_.randrange(size.width), random_.randrange(size.height)
    if random_.random() < 0.3:
        x, y = random_.choice([(1, size.height - 1), (size.width - 1, size.height // 2), (0, 0)])
    found: list[events.Event] = [mouse(events.MouseMove, x, y, 0)]
    for _ in range(random_.choice((1, 1, 2, 2, 3))):
        found += [mouse(events.MouseDown, x, y), mouse(events.MouseUp, x, y)]
    return found


def drag(random_: random.Random, size: Size) -> list[events.Event]:
    """A press, moves, and a release elsewhere."""
    places = [(random_.randrange(size.width), random_.randrange(size.height)) for _ in range(4)]
    return [
        mouse(events.MouseDown, *places[0]),
        *(mouse(events.MouseMove, *place) for place in places[1:3]),
        mouse(events.MouseUp, *places[3]),
    ]


def something(random_: random.Random, app: FlowdeckApp) -> list[Any]:
    """The next thing that happens: events for the app's queue, or a call."""
    size = app.size if app.size.width and app.size.height else Size(*SIZES[0])
    share = random_.random()
    if share < 0.55:
        return [key(random_.choice(KEYS))]
    if share < 0.72:
        return clicks(random_, size)
    if share < 0.78:
        return drag(random_, size)
    if share < 0.81:
        wheel = random_.choice((events.MouseScrollUp, events.MouseScrollDown))
        return [mouse(wheel, random_.randrange(size.width), random_.randrange(size.height), 0)]
    if share < 0.84:
        other = Size(*random_.choice(SIZES))
        return [events.Resize(other, other)]
    if share < 0.87:
        return [events.Paste(random_.choice(("x", "a\nb\nc", "state:failed")))]
    if share < 0.92:
        return [StoreChanged(random_.choice((frozenset(), frozenset({LIVE}))), reset=share < 0.88)]
    if share < 0.93:
        return [HealthChanged(StoreHealth(random_.choice(list(Health)), "as the test says"))]
    return [random_.choice([
        lambda: app.open_run(LIVE),
        lambda: app.open_run(FAILED_RUN),
        lambda: app.open_run(77_777),
        lambda: app.open_task(FAILED_RUN, 1),
        lambda: app.open_launch("flows.py:shop"),
        lambda: app.open_launch(None),
        lambda: app.back_to(1),
        lambda: app.show_mode(random_.choice(("home", "runs"))),
        lambda: app.confirm("Really?", lambda: None, detail="Nothing follows."),
        lambda: app.show_message("A message", "Of a line.\n" * 40),
        app.action_app_palette,
        app.action_app_help,
    ])]  # fmt: skip


@pytest.mark.parametrize("seed", seeds())
async def test_no_event_ends_the_app_at_any_moment_of_a_screens_life(
    app_for: Callable[..., Any], home: Path, folder: Path, seed: int
) -> None:
    random_ = random.Random(seed)
    fill(home).close()
    app: FlowdeckApp = app_for(folder=folder)
    done: list[str] = []
    async with app.run_test(size=SIZES[0]) as pilot:
        for _ in range(EVENTS):
            for what in something(random_, app):
                done.append(f"{what}")
                if isinstance(what, events.Event | StoreChanged | HealthChanged):
                    app.post_message(what)
                else:
                    app.call_later(what)
            if random_.random() < 0.4:  # let the app get to some point or other
                for _ in range(random_.choice((1, 2, 5, 10, 40))):
                    await asyncio.sleep(0)
            elif random_.random() < 0.05:
                await pilot.pause()
            assert app._exception is None, done[-12:]
        deadline = time.monotonic() + 60
        while app.message_queue_size:
            await asyncio.sleep(0.01)
            assert app._exception is None, done[-12:]
            assert time.monotonic() < deadline, "the app does not come to rest"
        await settle(pilot, lambda: app.screen.is_mounted)
        assert app.is_running


async def test_a_double_click_beside_the_palette_closes_only_the_palette(
    app_for: Callable[..., Any], home: Path
) -> None:
    app: FlowdeckApp = app_for()
    async with app.run_test(size=SIZES[0]) as pilot:
        app.open_run(1)
        await pilot.pause()
        below = app.screen
        app.action_app_palette()
        await pilot.pause()
        assert app.screen is not below
        for kind in (events.MouseDown, events.MouseUp) * 2:
            app.post_message(mouse(kind, 1, SIZES[0][1] - 2))
        await pilot.pause()
        assert app.screen is below
        assert app._exception is None


async def test_what_is_typed_before_a_dialog_is_composed_goes_into_it(
    app_for: Callable[..., Any], home: Path
) -> None:
    app: FlowdeckApp = app_for()
    async with app.run_test(size=SIZES[0]) as pilot:
        for name in ":history":
            app.post_message(key(name))
        await settle(pilot, lambda: bool(app.screen.query(Input)))
        await settle(pilot, lambda: app.screen.query_one(Input).value == "history")


async def test_a_dialog_that_is_done_under_another_one_closes_that_too(
    app_for: Callable[..., Any], home: Path
) -> None:
    app: FlowdeckApp = app_for()
    answers: list[object] = []
    async with app.run_test(size=SIZES[0]) as pilot:
        await pilot.pause()
        below = app.screen
        app.confirm("Really?", lambda: answers.append("yes"))
        dialog = app.screen
        app.show_message("Over it", "A message")
        await pilot.pause()
        assert app.screen is not dialog
        dialog.dismiss(True)
        dialog.dismiss(True)  # once more: it has been answered
        await pilot.pause()
        assert app.screen is below
        assert answers == ["yes"]


async def test_a_fault_in_a_handler_is_logged_and_told_and_the_app_goes_on(
    app_for: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck_app.app.FlowdeckApp.is_headless", False)  # as for a user
    app: FlowdeckApp = app_for()

    def fault() -> None:
        raise LookupError("of ours")

    async with app.run_test(size=SIZES[0], notifications=True) as pilot:
        await pilot.pause()
        app.call_later(fault)
        app.screen.call_later(fault)
        app.screen.query_one("#flows").call_later(fault)
        await settle(pilot, lambda: "(LookupError)" in screen_text(app))
        await pilot.press("2")
        await settle(pilot, lambda: "Views" in screen_text(app))
        assert not app.crashed
    assert (home / "app.log").read_text().count("LookupError: of ours") == 3


async def test_faults_without_end_end_the_app(
    app_for: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck_app.app.FlowdeckApp.is_headless", False)
    app: FlowdeckApp = app_for()

    def fault() -> None:
        if app.is_running:
            app.call_later(fault)
        raise LookupError("again and again")

    with pytest.raises(LookupError, match="again and again"):
        async with app.run_test(size=SIZES[0]) as pilot:
            await pilot.pause()
            app.call_later(fault)
            await settle(pilot, lambda: app.crashed)
    assert app.crashed

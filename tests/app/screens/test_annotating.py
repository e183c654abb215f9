"""Tags and notes by key: on the history, on marked runs, on a run's own screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from run_screen_store import EARLIER, FAILED_RUN, fill

from flowdeck_app.screens.parts.annotating import tag_changes
from flowdeck_app.screens.parts.ask_text import AskTextScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.runs.screen import RunsScreen
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp
    from flowdeck_store.read.records import FlowRunRecord

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(home: Path) -> Iterator[Any]:
    builder = fill(home)
    yield builder
    builder.close()


def run_of(home: Path, run_id: int) -> FlowRunRecord:
    with Reader.open(home) as reader:
        run = reader.run(run_id)
        assert run is not None
        return run


async def history(app: FlowdeckApp, pilot: Pilot[Any], run_id: int) -> RunsScreen:
    app.show_mode("runs")
    await settle(pilot, lambda: isinstance(app.screen, RunsScreen))
    screen = app.screen
    assert isinstance(screen, RunsScreen)
    await settle(pilot, lambda: screen.table.loaded)
    await screen.table.select_key(run_id)
    await settle(pilot, lambda: screen.failed_run is not None and screen.failed_run.id == run_id)
    return screen


async def answer(app: FlowdeckApp, pilot: Pilot[Any], key: str, text: str) -> None:
    await pilot.press(key)
    await settle(pilot, lambda: isinstance(app.screen, AskTextScreen))
    await pilot.press(*text, "enter")
    await settle(pilot, lambda: not isinstance(app.screen, AskTextScreen))


async def test_m_writes_a_note_on_the_run_under_the_cursor(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        await history(app, pilot, FAILED_RUN)
        await answer(app, pilot, "m", "disk full")
        await settle(pilot, lambda: bool(run_of(home, FAILED_RUN).notes))
        (note,) = run_of(home, FAILED_RUN).notes
        assert note.text == "disk full"
        assert note.by
        await pilot.press("m")
        await settle(pilot, lambda: "disk full" in screen_text(app))  # what there is already


async def test_M_changes_the_tags_of_all_marked_runs(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    annotations.change_tags(home, [EARLIER], ["old"])
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await history(app, pilot, FAILED_RUN)
        screen.table.set_marks({FAILED_RUN, EARLIER})
        await answer(app, pilot, "M", "new -old")
        await settle(pilot, lambda: "new" in run_of(home, FAILED_RUN).tags)
        assert "new" in run_of(home, EARLIER).tags
        assert "old" not in run_of(home, EARLIER).tags


async def test_the_screen_of_a_run_shows_what_it_was_given(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        app.open_run(FAILED_RUN)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        await settle(pilot, lambda: app.screen.run is not None)
        await answer(app, pilot, "m", "ann is on it")
        await settle(pilot, lambda: "note ann is on it" in screen_text(app))
        await answer(app, pilot, "M", "known")
        await settle(pilot, lambda: "known" in screen_text(app))
        annotations.add_note(home, FAILED_RUN, "[/foo]\x1b[31mred")
        app.screen.reload()
        await settle(pilot, lambda: "[/foo]" in screen_text(app))
        assert "\x1b[31m" not in screen_text(app)


@pytest.mark.parametrize(("key", "text"), [("m", "  "), ("M", ""), ("M", "x -x")])
async def test_what_is_no_answer_changes_nothing(
    app_for: Callable[..., Any], home: Path, store: Any, key: str, text: str
) -> None:
    before = run_of(home, FAILED_RUN)
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        await history(app, pilot, FAILED_RUN)
        await answer(app, pilot, key, text)
        await settle(pilot, lambda: not any(worker.is_running for worker in app.workers))
        after = run_of(home, FAILED_RUN)
        assert (after.tags, after.notes) == (before.tags, before.notes)


async def test_escape_closes_the_question(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(60, 15)) as pilot:
        await history(app, pilot, FAILED_RUN)
        await pilot.press("m")
        await settle(pilot, lambda: isinstance(app.screen, AskTextScreen))
        await pilot.press("x", "escape")
        await settle(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert run_of(home, FAILED_RUN).notes == ()


def test_words_are_tags_to_add_and_those_with_a_minus_to_take_away() -> None:
    assert tag_changes("a +b, -c") == (["a", "b"], ["c"])
    assert tag_changes("-a,b c,d") == (["c", "d"], ["a", "b"])
    assert tag_changes("+a,-b,+c - , x") == (["a", "c", "x"], ["b", ""])
    assert tag_changes("  ") == ([], [])

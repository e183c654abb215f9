"""Answering in the app: the mark on a run that asks, the dialog, and what the run says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle

from answerer import asked
from flowdeck import ask, flow
from flowdeck.settings import using
from flowdeck_app.screens.parts.answering import AnswerScreen
from flowdeck_app.screens.run.screen import RunScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio


@flow
def deploy() -> Any:
    return ask("Deploy [bold]now[/]?", bool), ask("How many?", int, default=3, timeout_seconds=60)


@pytest.fixture
def going_on(home: Path) -> Iterator[list[Any]]:
    """The flow on a thread, once it has asked."""
    found: list[Any] = []

    def run() -> None:
        with using(home=home, console=False):
            found.append(deploy())

    thread = threading.Thread(target=run)
    thread.start()
    asked(home)
    yield found
    thread.join(30)


def dialog(app: FlowdeckApp) -> AnswerScreen:
    assert isinstance(app.screen, AnswerScreen)
    return app.screen


async def opened(app: FlowdeckApp, pilot: Pilot[Any], key: str) -> None:
    await settle(pilot, lambda: bool(app.screen.can_answer))  # type: ignore[attr-defined]
    await pilot.press("A")
    await settle(pilot, lambda: isinstance(app.screen, AnswerScreen))
    assert dialog(app).question.key == key


async def test_home_says_that_a_run_waits_and_its_questions_are_answered(
    app_for: Callable[..., Any], home: Path, going_on: list[Any]
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot, lambda: "1 run waits for you" in screen_text(app))
        app.open_run(1)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        await settle(pilot, lambda: "Waits for you: Deploy [bold]now[/]?" in screen_text(app))
        await opened(app, pilot, "deploy-bold-now")
        await pilot.press("up", "enter")  # no comes first: one key too many is no yes
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))

        await settle(pilot, lambda: "Waits for you: How many?" in screen_text(app))
        await opened(app, pilot, "how-many")
        await pilot.press(*"lots", "enter")
        await settle(pilot, lambda: "valid integer" in screen_text(app))
        await pilot.press(*["backspace"] * 4, "enter")  # the default
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        await settle(pilot, lambda: going_on != [])
    assert going_on == [(True, 3)]


async def test_esc_leaves_the_question_open(
    app_for: Callable[..., Any], home: Path, going_on: list[Any]
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_mode("runs")
        await settle(pilot, lambda: "asks you" in screen_text(app))
        await opened(app, pilot, "deploy-bold-now")
        await pilot.press("escape")
        await settle(pilot, lambda: not isinstance(app.screen, AnswerScreen))
    for value in ("no", "4"):
        (question,) = asked(home, lambda found: bool(found))
        question.answer(value)

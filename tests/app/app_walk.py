"""A walk through every screen of the app, and through what they are when they stand still."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from app_harness import screen_text, settle

from flowdeck_app.screens.errors.group import ErrorGroupScreen
from flowdeck_app.screens.errors.screen import ErrorsScreen
from flowdeck_app.screens.help import HelpScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.runs.screen import RunsScreen
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.tabs import TabStrip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from textual.app import App
    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

RUN_TABS = ("tasks", "timeline", "graph", "logs", "results", "params")
TASK_TABS = ("traceback", "states", "inputs", "logs", "result")
#: Characters that a terminal would act on, or that would put a line out of order.
ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


async def still(pilot: Pilot[Any]) -> None:
    """Wait until nothing is read any more and what is drawn stays as it is."""
    app = pilot.app
    drawn = [""]

    def ready() -> bool:
        before, drawn[0] = drawn[0], screen_text(app)
        views = [view for view in app.screen.query(LineView) if view.size.height and view.display]
        read = all(view.loaded or view.error for view in views if _shown(view))
        return read and not any(w.is_running for w in app.workers) and before == drawn[0]

    await settle(pilot, ready)
    await settle(pilot, ready)


def _shown(view: LineView[Any]) -> bool:
    return all(getattr(node, "display", True) for node in view.ancestors_with_self)


async def walk(
    app: FlowdeckApp, pilot: Pilot[Any], run_id: int, tasks: Sequence[int], tabs: bool = True
) -> AsyncIterator[str]:
    """Go from screen to screen; yields the name of each when it stands still.

    Args:
        app: the app, just started.
        pilot: its pilot.
        run_id: number of a run.
        tasks: numbers of task runs of it.
        tabs: show every tab of the run and of the task runs, not only the first.
    """
    app.show_mode("home")
    await still(pilot)
    yield "home"
    async for name in _dialogs(app, pilot):
        yield name
    app.show_mode("runs")
    await settle(pilot, lambda: isinstance(app.screen, RunsScreen))
    await still(pilot)
    yield "runs"
    await pilot.press("g", "space", "space", "equals_sign")  # the first two rows
    await settle(pilot, lambda: not isinstance(app.screen, RunsScreen))
    await still(pilot)
    yield "compare"
    app.back_to(1)
    app.show_mode("errors")
    await settle(pilot, lambda: isinstance(app.screen, ErrorsScreen))
    await still(pilot)
    yield "errors"
    await pilot.press("enter")
    await settle(pilot, lambda: isinstance(app.screen, ErrorGroupScreen))
    await still(pilot)
    yield "error"
    app.back_to(1)
    app.show_mode("runs")
    await settle(pilot, lambda: isinstance(app.screen, RunsScreen))
    app.open_run(run_id)
    await settle(pilot, lambda: isinstance(app.screen, RunScreen))
    async for name in _tabs(app, pilot, "#run-tabs", RUN_TABS if tabs else RUN_TABS[:1]):
        yield f"run-{name}"
    for no in tasks:
        app.open_task(run_id, no)
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen))
        async for name in _tabs(app, pilot, "#task-tabs", TASK_TABS if tabs else TASK_TABS[:1]):
            yield f"task{no}-{name}"
        app.back_to(1)
    app.back_to(1)


async def _dialogs(app: FlowdeckApp, pilot: Pilot[Any]) -> AsyncIterator[str]:
    await pilot.press("question_mark")
    await settle(pilot, lambda: isinstance(app.screen, HelpScreen))
    await still(pilot)
    yield "help"
    await pilot.press("escape")
    app.action_app_palette()
    await settle(pilot, lambda: "Home" in screen_text(app))
    await still(pilot)
    yield "palette"
    await pilot.press("escape")
    app.confirm("Delete 2 runs?", lambda: None, detail="They go for good.", yes="Delete")
    await still(pilot)
    yield "confirm"
    await pilot.press("escape")
    app.show_message("The record cannot be read", "What happened, where, what to do.", error=True)
    await still(pilot)
    yield "message"
    await pilot.press("escape")


async def _tabs(
    app: FlowdeckApp, pilot: Pilot[Any], strip: str, tabs: Sequence[str]
) -> AsyncIterator[str]:
    await still(pilot)
    for tab in tabs:
        found = app.screen.query_one(strip, TabStrip)
        if tab in {each.key for each in found.tabs}:
            found.choose(tab)
            await still(pilot)
            yield tab


def check_drawn(app: App[Any], where: str) -> None:
    """Nothing of what is drawn acts on the terminal, nor is any of it a link or an action."""
    for number, strip in enumerate(app.screen._compositor.render_strips()):
        acting = ACTING.search(strip.text)
        assert acting is None, f"{where}, line {number}: {strip.text!r}"
        assert strip.cell_length == app.size.width, f"{where}, line {number}: {strip.text!r}"
        for segment in strip:
            style = segment.style
            if style is not None:
                assert not segment.control
                assert style.link is None, f"{where}: {segment}"
                assert "@click" not in (style.meta or {}), f"{where}: {segment}"

"""What counts from a moment counts from the same one everywhere, and what says "ago" goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, SECOND
from app_harness import screen_text, settle
from run_screen_store import FAILED_RUN, fill

from flowdeck_app.live import StoreChanged
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.views.timeline import bar_of_group
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_app.widgets.timeline import Timeline
from flowdeck_store import states
from flowdeck_store.read.summaries import TaskGroup
from flowdeck_store.states import BUCKETS
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path

AppFor = Callable[..., Any]


@pytest.mark.anyio
async def test_ages_in_headers_go_on(app_for: AppFor, home: Path) -> None:
    fill(home).close()
    now = [NOW]
    app = app_for(clock=lambda: now[0])
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_run(FAILED_RUN)
        await settle(
            pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None
        )
        await settle(pilot, lambda: "1h ago" in screen_text(app).splitlines()[0])
        now[0] += 7200 * SECOND
        app.screen._look_at_clock()
        await settle(pilot, lambda: "3h ago" in screen_text(app).splitlines()[0])
        app.open_task(FAILED_RUN, 1)
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen))
        await settle(pilot, lambda: "(1d ago)" in screen_text(app))
        now[0] += 3 * 86_400 * SECOND
        app.screen._look_at_clock()
        await settle(pilot, lambda: "(4d ago)" in screen_text(app))


@pytest.mark.anyio
async def test_log_times_and_timeline_count_from_the_start_also_when_seen_before(
    app_for: AppFor, home: Path
) -> None:
    builder = StoreBuilder(home)
    created = NOW - 60 * SECOND
    run = builder.run(state=states.PENDING, created=created, started=None)
    builder.task(run, 1, state=states.RUNNING, started=NOW - 30 * SECOND, seconds=None)
    builder.log(run, 1, "from the task", us=NOW - 10 * SECOND)
    builder.db.commit()
    app = app_for()
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_run(run)
        await settle(
            pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None
        )
        screen = app.screen
        for tab in ("timeline", "logs"):
            screen.query_one("#run-tabs", TabStrip).choose(tab)
            await pilot.pause()
        await settle(pilot, lambda: "+50.000" in screen_text(app))
        builder.db.execute(
            "UPDATE flow_runs SET started_us = ?, state = ? WHERE id = ?",
            (NOW - 40 * SECOND, states.RUNNING, run),
        )
        builder.db.commit()
        app.post_message(StoreChanged(frozenset({run})))
        await settle(pilot, lambda: "+30.000" in screen_text(app))
        assert "+50.000" not in screen_text(app)
        zeros = {view.start_us for view in screen.query(LogView)}
        zeros |= {view.start_us for view in screen.query(Timeline)}
        assert zeros == {NOW - 40 * SECOND}
        builder.db.execute(
            "UPDATE flow_runs SET ended_us = ?, state = ? WHERE id = ?",
            (NOW, states.COMPLETED, run),
        )
        builder.db.commit()
        app.post_message(StoreChanged(frozenset({run})))
        await settle(pilot, lambda: {view.end_us for view in screen.query(Timeline)} == {NOW})
    builder.close()


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"cached": 3}, (states.COMPLETED, "Cached")),
        ({"not_ready": 2}, (states.PENDING, "NotReady")),
        ({"cancelled": 2}, (states.CANCELLED, None)),
        ({"cached": 1, "completed": 1}, (states.COMPLETED, None)),
        ({"completed": 1, "not_ready": 1}, (states.PENDING, "NotReady")),
        ({"failed": 1, "pending": 4}, (states.FAILED, None)),
        ({"scheduled": 2}, (states.PENDING, None)),
    ],
    ids=json.dumps,
)
def test_a_group_on_the_timeline_is_what_its_worst_task_run_is(
    counts: dict[str, int], shown: tuple[int, str | None]
) -> None:
    group = TaskGroup(
        "fetch", "key", tuple(counts.get(name, 0) for name in BUCKETS), 0, None, None, None,
        None, None,
    )  # fmt: skip
    bar = bar_of_group(group)
    assert (bar.code, bar.named) == shown
    assert not bar.segments


@pytest.mark.anyio
async def test_a_preview_that_gets_room_later_shows_the_task_under_the_cursor(
    app_for: AppFor, home: Path
) -> None:
    fill(home).close()
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_run(FAILED_RUN)
        await settle(
            pilot,
            lambda: isinstance(app.screen, RunScreen) and app.screen.table.current is not None,
        )
        await pilot.resize_terminal(120, 40)
        head = re.compile(r"^\s+fetch\[3\] ── Logs ", re.MULTILINE)
        await settle(pilot, lambda: head.search(screen_text(app)) is not None)

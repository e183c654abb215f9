"""The workers of a run: as data, on the command line and as a tab of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from cli_builder import SECOND, Record, objects
from click.testing import CliRunner

from flowdeck_app.cli.root import flowdeck
from flowdeck_app.drawing.look import Look
from flowdeck_app.screens.run.filters import TaskFilter
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.run.workers import WorkersPane
from flowdeck_app.views.workers import address_in, read_workers, trend
from flowdeck_store import events
from flowdeck_store import states as st
from flowdeck_store.events import now_us
from flowdeck_store.read.reader import Reader
from flowdeck_store.read.records import LogRecord
from flowdeck_store.session import RecordingSession
from flowdeck_store.usage import sample_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flowdeck_app.app import FlowdeckApp

ADDRESS = "http://127.0.0.1:8787/status"
TOLD = f"The Dask dashboard is available at {ADDRESS}"


@pytest.fixture
def now(home: Path) -> Iterator[int]:
    """When a run goes on: of its two workers one runs a task, the other was silent for long."""
    now = now_us()
    session = RecordingSession.open(home, version="test", on_warning=lambda text: None)
    record = Record(home, session)
    uid = record.run("busy-otter", code=st.RUNNING, runner="dask", created=now - 90 * SECOND)
    record.emit(events.log(uid, 0, now, 20, "flowdeck.task_runner.dask", TOLD))
    for no, code in ((1, st.COMPLETED), (2, st.RUNNING)):
        record.task(uid, no, f"fetch-{no}", code=code)  # on the worker "thread-1"
    for worker, ago, cpu, memory, stored, count in (
        ("", 1, 5.0, 1_000_000, None, None),
        ("thread-1", 2, 40.0, 9_000_000, 7_000, 9),
        ("thread-1", 1, 80.0, 5_000_000, 4_000, 2),
        ("[b]gone", 61, 20.0, 3_000_000, 1_000, 40),
        ("[b]gone", 60, 20.0, 3_000_000, 2_000, 30),
    ):
        us = now - ago * SECOND
        record.emit(
            sample_event(uid, us, worker, cpu=cpu, memory=memory, stored=stored, stored_count=count)
        )
    assert session.flush()
    yield now
    session.close()


def test_each_worker_has_what_it_uses_runs_and_has_ended(home: Path, now: int) -> None:
    with Reader.open(home) as reader:
        own, gone, busy = read_workers(reader, 1, now)
    assert (own.name, own.ended, own.running, own.live) == ("", 0, 0, True)
    assert (gone.name, gone.live, gone.cpu, gone.memory) == ("[b]gone", False, 20.0, 3_000_000)
    assert (busy.name, busy.ended, busy.running, busy.first) == ("thread-1", 1, 1, "fetch-2")
    assert (busy.cpu, busy.memory) == (80.0, 5_000_000)
    assert (busy.mean_cpu, busy.peak) == (60.0, 9_000_000)
    assert [one.stored for one in (own, gone, busy)] == [(None, None), (2_000, 40), (4_000, 2)]
    assert busy.peak_stored == 7_000


def test_the_command_line_lists_them_with_the_dashboard(now: int) -> None:
    text = CliRunner().invoke(flowdeck, ["workers", "1"]).stdout
    heading, own, gone, busy, last = text.splitlines()
    assert last == f"dashboard: {ADDRESS}"
    assert "Stored" in heading
    assert own.split()[-3:] == ["–", "0", "–"]
    assert "2.0 kB (40)" in gone
    assert "4.0 kB (2)" in busy
    found = objects(CliRunner().invoke(flowdeck, ["workers", "1", "--json"]))
    assert [one["worker"] for one in found] == [None, "[b]gone", "thread-1"]
    assert (found[2]["peak_memory"], found[2]["ended_tasks"]) == (9_000_000, 1)
    assert found[0]["dashboard"] == ADDRESS
    assert [one["stored"] for one in found] == [None, None, 4_000]
    assert [one["stored_values"] for one in found] == [None, None, 2]
    assert [one["peak_stored"] for one in found] == [None, 2_000, 7_000]


def test_only_a_task_runner_can_tell_where_the_dashboard_is() -> None:
    def line(logger: str, message: str) -> LogRecord:
        return LogRecord(1, 1, 0, 0, 20, logger, message)

    assert address_in([line("flowdeck.flow_runs", TOLD)]) is None
    assert address_in([line("flowdeck.task_runner.dask", TOLD + "\x1b[31m")]) is None
    assert address_in([line("flowdeck.task_runner.dask", TOLD)]) == ADDRESS
    ray = "The Ray UI is available at http://127.0.0.1:8265"
    assert address_in([line("flowdeck.task_runner.ray", ray)]) == "http://127.0.0.1:8265"


def test_a_trend_begins_at_nothing_and_takes_the_means_of_neighbours() -> None:
    look = Look(0)
    assert trend([0, 50, 100], look, 9) == "▁▅█"
    assert trend([0, 0, 100, 100], look, 2) == "▁█"
    assert trend([0.0], look, 3) == "▁"
    assert trend([], look, 3) == ""


@pytest.mark.anyio
async def test_enter_on_a_worker_shows_its_task_runs(
    app_for: Callable[..., FlowdeckApp], now: int
) -> None:
    app = app_for(clock=lambda: now)
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_run(1)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        screen: Any = app.screen
        tabs = screen.body.tabs
        await settle(pilot, lambda: any(tab.key == "workers" for tab in tabs.tabs))
        await settle(pilot, lambda: screen.body.tasks.chosen is not None)
        tabs.choose("workers")
        table = app.screen.query_one(WorkersPane).table
        await settle(pilot, lambda: table.loaded and table.count == 3)
        await settle(pilot, lambda: table.current is not None and table.current.name == "thread-1")
        await settle(pilot, lambda: f"dashboard {ADDRESS}" in screen_text(app))
        assert "[b]gone" in screen_text(app)
        assert "4.0 kB (2)" in screen_text(app)
        await pilot.press("enter")
        await settle(pilot, lambda: screen.tab == "tasks")
        bar = screen.query_one(TaskFilter)
        await settle(pilot, lambda: bar.applied == 'worker:"thread-1"')
        await settle(pilot, lambda: screen.table.loaded and screen.table.count == 2)

"""Home: flows found and recorded as one list, recent runs, health, and what the keys do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW
from app_harness import SIZES, come_to_snapshot, screen_text, settle
from rich.cells import cell_len
from run_screen_store import FAILED_RUN, add_hostile, fill

from flowdeck_app.screens.home.health import HealthPanel
from flowdeck_app.screens.home.room import Room, share
from flowdeck_app.screens.home.screen import FlowTable, HomeScreen
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_store.states import FAILED
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio

FLOWS = '''
from flowdeck import flow
from flowdeck.task_runners import DaskTaskRunner


@flow
def never_run(x: int = 1):
    """Has no runs yet."""


@flow(name="on dask", task_runner=DaskTaskRunner())
def on_dask():
    ...
'''


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two flows; the app is started in it, as users do."""
    flows = home.parent / "work"
    flows.mkdir()
    (flows / "flows.py").write_text(FLOWS)
    monkeypatch.chdir(flows)
    return flows


@pytest.fixture
def store(home: Path) -> Iterator[Any]:
    builder = fill(home)
    yield builder
    builder.close()


async def shown(app: FlowdeckApp, pilot: Pilot[Any], flows: int) -> HomeScreen:
    """Wait until Home and its three panels are there."""
    await settle(pilot, lambda: isinstance(app.screen, HomeScreen))
    screen = app.screen
    assert isinstance(screen, HomeScreen)
    table = screen.query_one("#flows", FlowTable)
    await settle(pilot, lambda: table.loaded and table.count == flows)
    await settle(pilot, lambda: screen.query_one("#health", HealthPanel).health is not None)
    recent = screen.query_one("#recent", RunTable)
    if screen.query_one("#lower").display:  # a panel that is not shown reads nothing
        await settle(pilot, lambda: recent.loaded)
    return screen


def everywhere(text: str) -> str:
    """Replace what differs from machine to machine: sizes of files and disks, engines."""
    text = re.sub(r"[\d.]+ [kMGT]?B\b( free)? *", lambda m: "#".ljust(len(m.group())), text)
    return text.replace("not installed", "installed    ")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_home_at_every_size(
    app_for: Callable[..., Any], folder: Path, store: Any, size: tuple[int, int]
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=size) as pilot:
        await shown(app, pilot, await flows_of(app) + 2)
        await come_to_snapshot(pilot, "home_screen", f"home-{size[0]}x{size[1]}", everywhere)


async def flows_of(app: FlowdeckApp) -> int:
    return len(await app.access.ask(lambda reader: reader.flows()))


async def test_home_in_ascii(app_for: Callable[..., Any], folder: Path, store: Any) -> None:
    app = app_for(folder=folder, ascii_only=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot, await flows_of(app) + 2)
        drawn = screen_text(app)
    # User text stays what it is; everything that is ours is ASCII.
    ours = [line for line in drawn.splitlines() if "foo" not in line]
    assert all(ord(c) < 128 for line in ours[:2] for c in line)
    assert "+ completed" in drawn or "x failed" in drawn


async def test_an_empty_home_says_how_to_get_a_flow(
    app_for: Callable[..., Any], home: Path
) -> None:
    empty = home.parent / "empty"
    empty.mkdir()
    app = app_for(folder=empty)
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot, 0)
        text = screen_text(app)
    assert "No flows found in" in text
    assert "@flow" in text
    assert "No runs yet" in text


async def test_a_flow_found_in_a_file_is_listed_before_it_ever_ran(
    app_for: Callable[..., Any], folder: Path
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot, 2)
        text = screen_text(app)
    assert "never-run" in text
    assert "never run" in text
    assert "dask" in text


async def test_a_file_that_does_not_parse_is_named(
    app_for: Callable[..., Any], folder: Path
) -> None:
    (folder / "broken.py").write_text("from flowdeck import flow\n\n@flow\ndef f(:\n")
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await shown(app, pilot, 2)
        pane = screen.query_one("#flows-pane")
        await settle(pilot, lambda: "broken.py" in str(pane.border_subtitle))


async def test_a_subflow_stands_below_the_flow_that_ran_it(
    app_for: Callable[..., Any], home: Path
) -> None:
    empty = home.parent / "empty"
    empty.mkdir()
    builder = StoreBuilder(home)
    builder.run("old", flow="old", created=NOW - 9_000_000)
    parent = builder.run("p", flow="parent", created=NOW - 5_000_000)
    stand_in = builder.task(parent, 1, task="child")
    child = builder.run("c", flow="child", created=NOW - 4_000_000, parent_task=stand_in)
    again = builder.task(child, 1, task="grandchild")
    builder.run("g", flow="grandchild", created=NOW - 3_000_000, parent_task=again)
    builder.run("n", flow="new", created=NOW - 1_000_000)
    builder.close()
    app = app_for(folder=empty)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await shown(app, pilot, 5)
        table = screen.query_one("#flows", FlowTable)
        rows = [table.row_at(place) for place in range(5)]
        assert [row.name for row in rows if row is not None] == [
            "new", "parent", "child", "grandchild", "old",
        ]  # fmt: skip


async def test_a_flow_stays_below_the_one_that_ran_it_while_that_runs_again(
    app_for: Callable[..., Any], home: Path
) -> None:
    builder = StoreBuilder(home)
    parent = builder.run("p", flow="parent", created=NOW - 5_000_000)
    builder.run(
        "c",
        flow="child",
        created=NOW - 4_000_000,
        parent_task=builder.task(parent, 1, task="child"),
    )
    builder.run("q", flow="parent", created=NOW - 1_000_000)
    loop = builder.run("l", flow="loop", created=NOW - 9_000_000)
    builder.run(
        "m", flow="loop", created=NOW - 8_000_000, parent_task=builder.task(loop, 1, task="loop")
    )
    builder.close()
    app = app_for(folder=home)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await shown(app, pilot, 3)
        table = screen.query_one("#flows", FlowTable)
        rows = [table.row_at(place) for place in range(3)]
        assert [(row.name, row.depth) for row in rows if row is not None] == [
            ("parent", 0), ("child", 1), ("loop", 0),
        ]  # fmt: skip


async def test_the_preview_says_what_the_flow_under_the_cursor_takes_and_last_failed_of(
    app_for: Callable[..., Any], folder: Path
) -> None:
    builder = StoreBuilder(folder.parent / "home")
    builder.run("odd-lynx", flow="never-run", created=NOW, started=NOW, state=FAILED,
                state_msg="ValueError: no such region [/red]")  # fmt: skip
    key = f"{folder / 'flows.py'}:never_run"
    builder.db.execute("UPDATE flows SET key = ?", (key,))
    builder.db.commit()
    builder.close()
    app = app_for(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(app, pilot, 2)
        await settle(pilot, lambda: "no such region" in screen_text(app))
        text = screen_text(app)
        assert "Has no runs yet." in text
        assert "takes    x: int = 1" in text
        assert "in odd-lynx: ValueError: no such region [/red]" in text
        await pilot.press("j")
        await settle(pilot, lambda: "takes    no parameters" in screen_text(app))
        assert "no such region" not in screen_text(app)


def test_flows_get_the_lines_of_their_rows_and_the_preview_what_is_free() -> None:
    assert share(28, 4, 4, low=False) == Room(7, 7)
    assert share(28, 12, 100, low=False) == Room(12, 0)
    assert share(43, 4, 100, low=False) == Room(7, 16)
    assert share(20, 4, 4, low=True) == Room(7, 13)
    assert share(11, 7, 4, low=True) == Room(11, 0)


async def test_names_that_match_a_filter_come_before_descriptions(
    app_for: Callable[..., Any], home: Path
) -> None:
    folder = home.parent / "many"
    folder.mkdir()
    (folder / "flows.py").write_text(
        "from flowdeck import flow\n\n"
        "@flow\ndef a():\n    'How many are there.'\n\n"
        "@flow\ndef many():\n    ...\n"
    )
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await shown(app, pilot, 2)
        table = screen.query_one("#flows", FlowTable)
        await pilot.press("slash", *"many", "enter")
        await settle(pilot, lambda: table.current is not None and table.current.name == "many")
        assert table.cursor == 0
        assert table.count == 2


async def test_filtering_and_escape(app_for: Callable[..., Any], folder: Path) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await shown(app, pilot, 2)
        table = screen.query_one("#flows", FlowTable)
        await pilot.press("slash", *"dask")
        await settle(pilot, lambda: table.count == 1)
        await pilot.press("escape")
        await settle(pilot, lambda: screen.query_one("#bar", QueryBar).is_open is False)
        if table.count != 2:
            await pilot.press("escape")
        await settle(pilot, lambda: table.count == 2)


async def test_r_opens_the_launch_dialog_for_the_flow_under_the_cursor(
    app_for: Callable[..., Any], folder: Path
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot, 2)
        await pilot.press("r")
        await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))


async def test_f_opens_the_last_failure(
    app_for: Callable[..., Any], folder: Path, store: Any
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot, await flows_of(app) + 2)
        await pilot.press("f")
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen))
        assert app.screen.run_id >= FAILED_RUN


async def test_f_opens_a_failed_task_of_a_run_that_completed(
    app_for: Callable[..., Any], home: Path
) -> None:
    builder = StoreBuilder(home)
    run = builder.run("fine-all-the-same", created=NOW, started=NOW)
    builder.task(run, 1, name="fetch[0]", started=NOW)
    builder.task(run, 2, name="fetch[1]", state=FAILED, started=NOW)
    builder.close()
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot, 1)
        assert "fetch[1]" in screen_text(app)
        await pilot.press("f")
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen | RunScreen))
        assert app.screen.run_id == run


async def test_r_repeats_the_run_under_the_cursor_with_its_values(
    app_for: Callable[..., Any], folder: Path, home: Path
) -> None:
    builder = StoreBuilder(home)
    builder.run(
        "old-run", created=NOW, started=NOW, params='{"x": 7, "gone": 1}', runner="sequential",
        info='{"target": "flows.py:never_run"}', tags=["prod"],
    )  # fmt: skip
    builder.close()
    app = app_for(folder=folder)
    async with app.run_test(size=(110, 34)) as pilot:
        screen = await shown(app, pilot, 3)
        screen.query_one("#recent").focus()
        await pilot.press("R")
        await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))
        command = "flows.py:never_run -p x=7 --runner sequential --tag prod --detach"
        await settle(pilot, lambda: command in " ".join(screen_text(app).split()))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_hostile_texts_neither_break_home_nor_put_a_row_out_of_line(
    app_for: Callable[..., Any], folder: Path, store: Any, size: tuple[int, int]
) -> None:
    add_hostile(store)
    app = app_for(folder=folder)
    async with app.run_test(size=size) as pilot:
        await shown(app, pilot, 6)
        text = screen_text(app)
        assert "[/foo]" in text
        assert {cell_len(line) for line in text.splitlines()[-5:-1]} == {size[0]}
        await pilot.press("right_square_bracket")
        await settle(pilot, lambda: "brave-otter" in screen_text(app))


async def test_one_panel_at_a_time_on_a_small_terminal(
    app_for: Callable[..., Any], folder: Path, store: Any
) -> None:
    app = app_for(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(app, pilot, await flows_of(app) + 2)
        assert not screen.query_one("#lower").display
        await pilot.press("right_square_bracket")
        await settle(pilot, lambda: screen.query_one("#lower").display)
        recent = screen.query_one("#recent", RunTable)
        assert recent.has_focus
        await settle(pilot, lambda: recent.loaded and recent.count > 0)
        assert "brave-otter" in screen_text(app)

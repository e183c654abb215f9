"""The history: filter, views, marks, compare, delete with undo, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW
from app_harness import SIZES, come_to_snapshot, screen_text, settle
from rich.cells import cell_len
from run_screen_store import EARLIER, FAILED_RUN, HOSTILE_RUN, add_hostile, fill

from flowdeck_app.screens.compare import CompareScreen
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.runs.parts import RunPreview, SummaryLine
from flowdeck_app.screens.runs.screen import RunsScreen
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_store.states import FAILED
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(home: Path) -> Iterator[Any]:
    builder = fill(home)
    yield builder
    builder.close()


async def shown(app: FlowdeckApp, pilot: Pilot[Any]) -> tuple[RunsScreen, RunTable]:
    app.show_mode("runs")
    await settle(pilot, lambda: isinstance(app.screen, RunsScreen))
    screen = app.screen
    assert isinstance(screen, RunsScreen)
    table = screen.query_one("#runs", RunTable)
    await settle(pilot, lambda: table.loaded)
    await settle(pilot, lambda: screen.query_one("#summary", SummaryLine).summary is not None)
    return screen, table


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_runs_at_every_size(
    app_for: Callable[..., Any], store: Any, size: tuple[int, int]
) -> None:
    app = app_for()
    async with app.run_test(size=size) as pilot:
        screen, _ = await shown(app, pilot)
        await settle(pilot, lambda: screen.query_one("#preview").preview is not None)
        await come_to_snapshot(pilot, "runs_screen", f"runs-{size[0]}x{size[1]}")


async def test_runs_in_ascii(app_for: Callable[..., Any], store: Any) -> None:
    app = app_for(ascii_only=True)
    async with app.run_test(size=(100, 30)) as pilot:
        screen, _ = await shown(app, pilot)
        await settle(pilot, lambda: screen.query_one("#preview").preview is not None)
        await come_to_snapshot(pilot, "runs_screen", "runs-ascii")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_hostile_texts_neither_break_the_history_nor_put_a_row_out_of_line(
    app_for: Callable[..., Any], store: Any, size: tuple[int, int]
) -> None:
    add_hostile(store)
    app = app_for()
    async with app.run_test(size=size) as pilot:
        screen, table = await shown(app, pilot)
        await table.select_key(HOSTILE_RUN)
        await settle(pilot, lambda: shows(screen, HOSTILE_RUN))
        text = screen_text(app)
        assert "[/foo]" in text
        if size[0] >= 100:
            borders = [line for line in text.splitlines() if line.startswith("│")]
            assert len(borders) >= 3
            assert {cell_len(line) for line in borders} == {size[0]}


def shows(screen: RunsScreen, run_id: int) -> bool:
    preview = screen.query_one("#preview", RunPreview).preview
    return preview is not None and preview.run.id == run_id


async def test_hostile_runs_are_compared(app_for: Callable[..., Any], store: Any) -> None:
    add_hostile(store)
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        table.set_marks({FAILED_RUN, HOSTILE_RUN})
        await pilot.press("equals_sign")
        await settle(pilot, lambda: "odd-lynx" in screen_text(app) and "[/foo]" in screen_text(app))


async def test_r_repeats_the_run_under_the_cursor_with_its_values(
    app_for: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    (home.parent / "flows.py").write_text(
        "from flowdeck import flow\n\n@flow\ndef shop(limit: int = 5, mode: str = 'full'):\n    ...\n"
    )
    builder = StoreBuilder(home)
    builder.run(
        "old-run", created=NOW, started=NOW, params='{"limit": 7, "mode": "full"}',
        info='{"target": "flows.py:shop"}',
    )  # fmt: skip
    builder.close()
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot)
        await pilot.press("R")
        await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))
        command = "flowdeck run flows.py:shop -p limit=7 --detach"
        await settle(pilot, lambda: command in screen_text(app))


async def test_an_empty_history_says_so(app_for: Callable[..., Any]) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        app.show_mode("runs")
        await settle(pilot, lambda: "No runs yet" in screen_text(app))


async def test_a_filter_is_applied_as_it_is_typed_and_escape_takes_it_back(
    app_for: Callable[..., Any], store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen, table = await shown(app, pilot)
        everything = table.count
        await pilot.press("slash", *"state:failed")
        await settle(pilot, lambda: 0 < table.count < everything)
        assert screen.query_text == "state:failed"
        await pilot.press("escape")
        await settle(pilot, lambda: screen.query_text == "")
        await settle(pilot, lambda: table.count == everything)


async def test_nothing_is_previewed_when_nothing_matches(
    app_for: Callable[..., Any], store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen, table = await shown(app, pilot)
        await settle(pilot, lambda: screen.query_one("#preview").preview is not None)
        screen.show_query("state:cancelled")
        await settle(pilot, lambda: table.count == 0)
        await settle(pilot, lambda: screen.query_one("#preview").preview is None)
        assert "still-dove" not in screen_text(app)


async def test_problems_only_and_all_again(app_for: Callable[..., Any], store: Any) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        everything = table.count
        await pilot.press("exclamation_mark")
        await settle(pilot, lambda: table.count < everything)
        await pilot.press("exclamation_mark")
        await settle(pilot, lambda: table.count == everything)


async def test_enter_opens_the_run_and_escape_comes_back(
    app_for: Callable[..., Any], store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen, _ = await shown(app, pilot)
        await pilot.press("enter")
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("escape")
        await settle(pilot, lambda: app.screen is screen)


async def test_two_marked_runs_are_compared(app_for: Callable[..., Any], store: Any) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        table.set_marks({EARLIER, FAILED_RUN})
        await pilot.press("equals_sign")
        await settle(pilot, lambda: isinstance(app.screen, CompareScreen))
        await settle(pilot, lambda: "keen-swift" in screen_text(app))
        text = screen_text(app)
        assert "completed" in text
        assert "failed" in text
        await come_to_snapshot(pilot, "runs_screen", "compare-100x30")
        heads = next(line for line in text.splitlines()[1:] if "odd-lynx" in line)
        assert heads.split() == ["keen-swift", f"#{EARLIER}", "odd-lynx", f"#{FAILED_RUN}"]
        await pilot.press("d")
        await settle(pilot, lambda: "differences only, d all" in screen_text(app))


async def test_a_failure_that_was_made_good_says_by_which_run(
    app_for: Callable[..., Any], home: Path
) -> None:
    builder = StoreBuilder(home)
    builder.run("bad-bat", uid="a" * 32, state=FAILED)
    builder.run("worse-bat", uid="b" * 32, state=FAILED, rerun_of="a" * 32)
    builder.run("good-bat", uid="c" * 32, rerun_of="b" * 32)
    builder.run("lone-wolf", uid="d" * 32, state=FAILED)
    builder.close()
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        lines = {word: line for line in screen_text(app).splitlines() for word in line.split()}
        assert "✓ re-run good-bat" in lines["bad-bat"]
        assert "✓ re-run good-bat" in lines["worse-bat"]
        assert "re-run" not in lines["lone-wolf"]
        assert "failed" in lines["bad-bat"]
        assert [table.row_at(i).repaired_by for i in range(table.count)] == [
            None, None, "good-bat", "good-bat",
        ]  # fmt: skip


async def test_names_are_whole_at_80_cells_when_there_is_room(
    app_for: Callable[..., Any], home: Path
) -> None:
    builder = StoreBuilder(home)
    for name in ("wondrous-mouse", "incredible-otter"):
        builder.run(name, flow="census")
    builder.close()
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(app, pilot)
        text = screen_text(app)
        assert "wondrous-mouse" in text
        assert "incredible-otter" in text


async def test_deleting_asks_hides_and_can_be_undone(
    app_for: Callable[..., Any], store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        everything = table.count
        table.set_marks({EARLIER, FAILED_RUN})
        await pilot.press("D")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "2 runs" in screen_text(app)
        await pilot.press("y")
        await settle(pilot, lambda: table.count == everything - 2)
        await pilot.press("u")
        await settle(pilot, lambda: table.count == everything)
        left = await app.access.ask(lambda reader: reader.run(EARLIER))
        assert left is not None


async def test_a_deletion_that_is_not_undone_is_done_when_the_app_ends(
    app_for: Callable[..., Any], store: Any, home: Path
) -> None:
    from flowdeck_store.read.reader import Reader

    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        everything = table.count
        table.set_marks({EARLIER})
        await pilot.press("D")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await settle(pilot, lambda: table.count == everything - 1)
    with Reader.open(home) as reader:
        assert reader.run(EARLIER) is None


async def test_export_writes_json_lines_beside_the_user(
    app_for: Callable[..., Any], store: Any, home: Path
) -> None:
    import json

    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        table.set_marks({FAILED_RUN})
        await pilot.press("J")
        path = home.parent / f"flowdeck-run-{FAILED_RUN}.jsonl"
        await settle(pilot, path.exists)
        await app.workers.wait_for_complete()
    kinds = {json.loads(line)["kind"] for line in path.read_text().splitlines()}
    assert {"flow_run", "task_run"} <= kinds


async def test_views_step_with_the_brackets(app_for: Callable[..., Any], store: Any) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen, _ = await shown(app, pilot)
        await pilot.press("right_square_bracket")
        await settle(pilot, lambda: screen.query_text == "state:running")
        await pilot.press("left_square_bracket")
        await settle(pilot, lambda: screen.query_text == "")

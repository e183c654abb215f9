"""Why a run, or a task run, went as it did: in the headline, in lines, in a dialog."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, SECOND
from app_harness import screen_text, settle
from hypothesis import given
from hypothesis import strategies as st
from run_screen_steps import opened

from flowdeck_app.drawing.cells import width
from flowdeck_app.reports.why import run_sentences, task_sentences
from flowdeck_app.screens.parts.headline import Headline, first_lines
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.screens.run import header
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_store.explain.flow_run import why_run
from flowdeck_store.explain.task_run import why_task
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import FAILED, NOT_READY, PENDING, RUNNING
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]
GOOD, BAD, GOES_ON = 1, 2, 3
CHANGED = "Since the last good run, calm-owl (#1), changed: parameter day from 1 to 2."


@pytest.fixture
def store(home: Path) -> Iterator[StoreBuilder]:
    """A good run, one with another parameter that failed, one that goes on."""
    builder = StoreBuilder(home)
    start = NOW - 3600 * SECOND
    good = builder.run(
        "calm-owl", created=start, started=start, seconds=10.0, params=json.dumps({"day": 1})
    )
    builder.task(good, 1, name="fetch-0", started=start, created_us=start, seconds=10.0)
    start += 60 * SECOND
    bad = builder.run(
        "odd-lynx", state=FAILED, state_msg="1/3 states failed.", created=start, started=start,
        seconds=10.0, params=json.dumps({"day": 2}),
    )  # fmt: skip
    builder.task(
        bad, 1, name="fetch-0", state=FAILED, started=start + SECOND, seconds=9.0, created_us=start,
        state_msg="Task run encountered an exception ValueError: bad page",
    )  # fmt: skip
    builder.state(bad, 1, PENDING, us=start)
    builder.state(bad, 1, RUNNING, us=start + SECOND)
    builder.state(bad, 1, FAILED, us=start + 10 * SECOND)
    builder.task(bad, 2, task="load", name="load-0", state=PENDING, state_name=NOT_READY)
    builder.edge(bad, 2, 1, "rows")
    going = builder.run("brave-otter", state=RUNNING, created=start, started=start)
    builder.task(going, 1, name="fetch-0", state=RUNNING, started=start)
    assert (good, bad, going) == (GOOD, BAD, GOES_ON)
    yield builder
    builder.close()


def headline(app: FlowdeckApp) -> str:
    """Return the headline as one text, whatever lines it has."""
    widget = app.screen.query_one("#run-trouble", Headline)
    return widget.after if widget.display else ""


async def at_rest(pilot: Pilot[Any]) -> None:
    await settle(pilot, lambda: not any(w.is_running for w in pilot.app.workers))


async def test_the_headline_says_what_followed_and_what_changed_since_the_last_good_run(
    app_for: AppFor, home: Path, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(160, 30)) as pilot:
        app = pilot.app
        await opened(app, pilot, BAD)
        await settle(pilot, lambda: CHANGED in screen_text(app))
        lines = [line.strip() for line in screen_text(app).splitlines()]
        cause = next(i for i, line in enumerate(lines) if "fetch-0 ValueError: bad page" in line)
        followed = "What followed from it for other task runs: 1 not started."
        assert lines[cause + 1] == f"{followed} {CHANGED}"
        assert headline(app).split(". ", 1)[0] in run_sentences(_why(home, BAD), NOW)[1]


async def test_a_low_terminal_has_the_cause_alone(app_for: AppFor, store: StoreBuilder) -> None:
    async with app_for().run_test(size=(80, 19)) as pilot:
        await opened(pilot.app, pilot, BAD)
        await at_rest(pilot)
        assert "fetch-0 ValueError: bad page" in screen_text(pilot.app)
        assert "last good run" not in screen_text(pilot.app)


async def test_a_good_run_says_what_decided_its_duration(
    app_for: AppFor, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(120, 36)) as pilot:
        await opened(pilot.app, pilot, GOOD)
        said = "Its 10.0s were decided by one task run, longest fetch-0 (10.0s)"
        await settle(pilot, lambda: said in screen_text(pilot.app))
        await pilot.resize_terminal(120, 24)
        await settle(pilot, lambda: said not in screen_text(pilot.app))


async def test_a_run_that_goes_on_is_not_explained_in_the_headline(
    app_for: AppFor, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(120, 36)) as pilot:
        await opened(pilot.app, pilot, GOES_ON)
        await at_rest(pilot)
        assert headline(pilot.app) == ""


async def test_the_explanation_of_a_run_that_has_ended_is_read_once(
    app_for: AppFor, store: StoreBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(reader: Reader, run: Any, now_us: int) -> Any:
        read.append(run.id)
        return why_run(reader, run, now_us)

    monkeypatch.setattr(header, "why_run", counted)
    async with app_for().run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot.app, pilot, BAD)
        await settle(pilot, lambda: bool(headline(pilot.app)))
        for _ in range(3):
            screen.reload()
            await at_rest(pilot)
        assert read == [BAD]


@pytest.mark.parametrize("run_id", [GOOD, BAD, GOES_ON])
async def test_the_key_opens_the_whole_explanation_as_the_command_prints_it(
    app_for: AppFor, home: Path, store: StoreBuilder, run_id: int
) -> None:
    async with app_for().run_test(size=(120, 36)) as pilot:
        await opened(pilot.app, pilot, run_id)
        await pilot.press("W")
        await settle(pilot, lambda: isinstance(pilot.app.screen, MessageScreen))
        assert pilot.app.screen.text.split("\n\n") == run_sentences(_why(home, run_id), NOW)


async def test_a_task_run_says_why_below_its_views_and_whole_on_the_key(
    app_for: AppFor, home: Path, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(120, 36)) as pilot:
        app = pilot.app
        app.open_task(BAD, 2)
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen))
        said = (
            "Why     load-0 (2.2) did not start: it depends on fetch-0 (2.1). That one is Failed:"
        )
        await settle(pilot, lambda: said in screen_text(app))
        await pilot.press("W")
        await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
        with Reader.open(home) as reader:
            (task,) = reader.tasks_by_nos(BAD, [2])
            assert app.screen.text.split("\n\n") == task_sentences(why_task(reader, task, NOW), NOW)


async def test_the_preview_of_a_task_run_says_why_below_its_states(
    app_for: AppFor, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot.app, pilot, BAD)
        screen.preview.action_go_next_tab()
        await settle(
            pilot, lambda: "It waited for a worker 1.0s, ran 9.0s." in screen_text(pilot.app)
        )


async def test_the_flow_itself_is_explained_as_its_run(
    app_for: AppFor, home: Path, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(120, 36)) as pilot:
        app = pilot.app
        app.open_task(BAD, 0)
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen) and app.screen.known)
        await at_rest(pilot)
        assert "Why     " not in screen_text(app)
        await pilot.press("W")
        await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
        assert app.screen.text.split("\n\n") == run_sentences(_why(home, BAD), NOW)


def _why(home: Path, run_id: int) -> Any:
    with Reader.open(home) as reader:
        run = reader.run(run_id)
        assert run is not None
        return why_run(reader, run, NOW)


@given(
    st.text(st.characters(exclude_categories=["C", "Z", "M"]) | st.just(" "), max_size=300),
    st.integers(0, 90),
    st.integers(0, 5),
)
def test_first_lines_keep_to_the_room(text: str, cells: int, most: int) -> None:
    lines = first_lines(text, cells, most, "~")
    assert len(lines) <= most
    assert all(width(line) <= max(cells, 2) for line in lines)
    kept = "".join(lines).replace(" ", "").removesuffix("~")
    assert text.replace(" ", "").startswith(kept)


def test_what_does_not_fit_is_left_out_at_the_end() -> None:
    assert first_lines("one two three four", 8, 2, "~") == ["one two", "three f~"]
    assert first_lines("one", 8, 2, "~") == ["one"]
    assert first_lines("", 8, 2, "~") == []

"""Sources over a real store: windows, order, search, growth, from the app's own threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_app.access import SLOW, StoreAccess
from flowdeck_app.log_sources import LogSource
from flowdeck_app.sources import (
    ListSource,
    RunSource,
    TaskSource,
    TimelineSource,
    group_bars,
    worker_bars,
)
from flowdeck_app.widgets.lines.data import LineData, ShownRows
from flowdeck_store import states
from flowdeck_store.errors import StoreCorrupt
from flowdeck_store.file.paths import StorePaths
from store_builder import T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
TOP = ShownRows(0, 20, 0, None, 0, None, False)


@pytest.fixture
def store(home: Path) -> Iterator[StoreBuilder]:
    builder = StoreBuilder(home)
    yield builder
    builder.close()


@pytest.fixture
def access(home: Path) -> Iterator[StoreAccess]:
    lanes = StoreAccess(home)
    yield lanes
    lanes.close()


def filled(store: StoreBuilder) -> int:
    run = store.run(state=states.RUNNING, seconds=None)
    first = store.task(run, 1, task="prepare", name="prepare")
    store.task(run, 2, name="fetch[0]", state=states.FAILED)
    store.task(run, 3, name="fetch[1]", state=states.RUNNING)
    store.db.execute(
        "INSERT INTO task_inputs(task, upstream, param) VALUES (?, ?, 'x')", (run << 24 | 3, first)
    )
    return run


async def test_problems_come_first_and_rows_know_what_they_wait_for(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run = filled(store)
    data = LineData(TaskSource(access, run))
    data.accept(await data.snapshot(TOP))
    names = [data.row(i).record.name for i in range(data.count)]  # type: ignore[union-attr]
    assert names == ["fetch[0]", "fetch[1]", "prepare"]
    waiting = data.row(1)
    assert waiting is not None
    assert [up.name for up in waiting.upstreams] == ["prepare"]


async def test_a_filter_and_an_order_are_the_stores(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run = filled(store)
    source = TaskSource(access, run, "state:failed,running", "-number")
    data = LineData(source)
    data.accept(await data.snapshot(TOP))
    assert [data.row(i).record.no for i in range(data.count)] == [3, 2]  # type: ignore[union-attr]
    assert await source.run(lambda: source.index_of(run << 24 | 2)) == 1
    assert await source.run(lambda: source.index_of("no key")) is None


async def test_search_finds_rows_in_their_order_and_goes_round(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run = filled(store)
    source = TaskSource(access, run, order="number")
    await source.run(source.renew)
    assert await source.run(lambda: source.find("FETCH", 0, 1)) == 1
    assert await source.run(lambda: source.find("fetch", 3, 1)) == 1
    assert await source.run(lambda: source.find("fetch", 0, -1)) == 2
    assert await source.run(lambda: source.find('"] state:x', 0, 1)) is None


async def test_rows_are_brought_up_to_date_without_a_new_order(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run = filled(store)
    data = LineData(TaskSource(access, run))
    data.accept(await data.snapshot(TOP))
    store.db.execute(
        "UPDATE task_runs SET state = 3, ended_us = ? WHERE id = ?", (T0, run << 24 | 3)
    )
    await data.refresh_rows(0, 2)
    assert data.row(1).record.code == states.COMPLETED  # type: ignore[union-attr]


async def test_runs_know_their_first_failure_and_their_flows_median(
    store: StoreBuilder, access: StoreAccess
) -> None:
    for seconds in (2.0, 4.0, 6.0):
        store.run(seconds=seconds)
    run = store.run("odd-lynx", state=states.FAILED)
    store.task(run, 1, name="publish", state=states.FAILED)
    data = LineData(RunSource(access))
    data.accept(await data.snapshot(TOP))
    newest = data.row(0)
    assert newest is not None
    assert (newest.record.name, newest.failed_in) == ("odd-lynx", "publish")
    assert newest.p50 == pytest.approx(4.0)


async def test_a_short_list_of_runs_is_cut(store: StoreBuilder, access: StoreAccess) -> None:
    for _ in range(9):
        store.run()
    data = LineData(RunSource(access, most=4))
    data.accept(await data.snapshot(TOP))
    assert data.count == 4


async def test_a_log_grows_without_being_read_anew(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run, other = store.run(), store.run("calm-fox")
    for n in range(250):
        store.log(run, msg=f"line {n}")
        store.log(other, msg="noise")
    source = LogSource(access, run)
    data = LineData(source)
    data.accept(await data.snapshot(ShownRows(0, 20, 0, None, 0, None, True)))
    assert data.count == 250
    store.log(other, msg="more noise")
    store.log(run, msg="the last line")
    data.accept(await data.snapshot(ShownRows(230, 20, 249, None, 249, None, True)))
    assert data.count == 251
    assert data.row(250).message == "the last line"  # type: ignore[union-attr]
    assert await source.run(lambda: source.find("the last", 0, 1)) == 250


async def test_a_filtered_log_can_show_the_lines_round_each_match(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run = store.run()
    for n in range(50):
        store.log(run, msg=f"line {n}", level=40 if n in {0, 20, 23, 49} else 20)
        store.log(store.run("other") if n == 7 else run + 1, msg="noise")
    source = LogSource(access, run, None, "level:error", context=2)
    data = LineData(source)
    data.accept(await data.snapshot(TOP))
    shown = [data.row(i) for i in range(data.count)]
    expected = [0, 1, 2, 18, 19, 20, 21, 22, 23, 24, 25, 47, 48, 49]
    assert [row.message for row in shown if row] == [f"line {n}" for n in expected]
    assert [row.message for row in shown if row and source.is_match(row)] == [
        "line 0", "line 20", "line 23", "line 49"
    ]  # fmt: skip
    plain = source.with_context(-3)
    assert plain.context == 0
    await plain.run(plain.renew)
    assert plain.count() == 4


async def test_timeline_groups_and_workers_are_bars(
    store: StoreBuilder, access: StoreAccess
) -> None:
    run = filled(store)
    source = TimelineSource(access, run)
    data = LineData(source)
    data.accept(await data.snapshot(TOP))
    assert {data.row(i).name for i in range(data.count)} == {"prepare", "fetch[0]", "fetch[1]"}  # type: ignore[union-attr]
    assert source.start_us == T0
    for made in (group_bars(access, run), worker_bars(access, run)):
        await made.run(made.renew)
        assert made.count() >= 1
        assert made.fetch(0, 1)[0].name


async def test_an_absent_store_is_an_empty_list_and_is_picked_up_when_it_comes(
    home: Path, access: StoreAccess
) -> None:
    data = LineData(RunSource(access))
    data.accept(await data.snapshot(TOP))
    assert data.count == 0
    store = StoreBuilder(home)
    store.run()
    data.accept(await data.snapshot(TOP))
    assert data.count == 1
    store.close()


async def test_a_damaged_store_is_an_error_with_the_path(home: Path, access: StoreAccess) -> None:
    home.mkdir()
    StorePaths(home).db.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreCorrupt, match=r"flowdeck\.db"):
        await access.ask(lambda reader: reader.count_runs())


async def test_lanes_have_readers_of_their_own_and_are_closed(
    home: Path, store: StoreBuilder
) -> None:
    lanes = StoreAccess(home)
    first = await lanes.ask(lambda reader: id(reader))
    again = await lanes.ask(lambda reader: id(reader))
    other = await lanes.ask(lambda reader: id(reader), lane=SLOW)
    assert first == again != other
    assert lanes.ask_now(lambda reader: reader.count_runs()) == 0
    lanes.close()
    with pytest.raises(RuntimeError, match="closed"):
        await lanes.ask(lambda reader: 0)


async def test_a_list_source_reads_anew_at_every_look(
    store: StoreBuilder, access: StoreAccess
) -> None:
    source = ListSource(access, lambda reader: reader.flows(), key=lambda flow: flow.key)
    data = LineData(source)
    data.accept(await data.snapshot(TOP))
    assert data.count == 0
    store.run(seconds=3.0)
    data.accept(await data.snapshot(TOP))
    assert data.count == 1

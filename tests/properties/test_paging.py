"""Pages put together are the listing: for any rows, page size, order and filter, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowdeck_store.query.ordering import RUN_ORDERS, TASK_ORDERS
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING, SCHEDULED
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODES = st.sampled_from([COMPLETED, FAILED, PENDING, RUNNING, SCHEDULED, CANCELLED])
NAMES = st.sampled_from(["fetch-1", "fetch-10", "fetch-2", "Fetch[3]", "load", "", "…"])
TASKS = st.dictionaries(
    st.integers(1, 40),
    st.tuples(CODES, NAMES, st.integers(0, 3), st.sampled_from([0.0, 0.5, 2.0])),
    max_size=25,
)
DOWN = st.booleans()
SIZES = st.integers(1, 30)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path_factory.mktemp("store"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def reader(builder: StoreBuilder) -> Iterator[Reader]:
    with Reader.open(builder.paths.home) as found:
        yield found


module_stores = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
    deadline=None,
)


def fill(builder: StoreBuilder, tasks: dict[int, tuple[int, str, int, float]]) -> int:
    builder.db.execute("BEGIN")
    run = builder.run()
    for no, (code, name, start, seconds) in tasks.items():
        started = T0 + start * SECOND if start else None
        retrying = "AwaitingRetry" if code == SCHEDULED else None
        builder.task(
            run, no, name=name or None, state=code, started=started, seconds=seconds,
            state_name=retrying,
        )  # fmt: skip
    builder.db.execute("COMMIT")
    return run


def walk(page: Callable[[int | None], list[int]]) -> list[int]:
    """Put pages together, each beginning behind the last row of the one before."""
    found: list[int] = []
    while rows := page(found[-1] if found else None):
        found += rows
        assert len(found) == len(set(found)), "a page repeats rows"
    return found


def walk_back(last: int, page: Callable[[int], list[int]]) -> list[int]:
    found = [last]
    while rows := page(found[0]):
        found = rows + found
        assert len(found) == len(set(found)), "a page repeats rows"
    return found


@module_stores
@given(tasks=TASKS, size=SIZES, order=st.sampled_from(TASK_ORDERS), down=DOWN,
       query=st.sampled_from([None, "state:problem", "-fetch"]))  # fmt: skip
def test_pages_of_tasks_are_the_listing_in_any_order_and_both_directions(
    builder: StoreBuilder,
    reader: Reader,
    tasks: dict[int, tuple[int, str, int, float]],
    size: int,
    order: str,
    down: bool,
    query: str | None,
) -> None:
    order = f"-{order}" if down else order
    run = fill(builder, tasks)
    index = reader.task_index(run, query, order)
    listing = [id_ & 0xFFFFFF for id_ in index.ids]

    def after(no: int | None) -> list[int]:
        rows = reader.tasks(run, query, order=order, after_no=no, limit=size)
        assert len(rows) <= size
        return [row.no for row in rows]

    def before(no: int) -> list[int]:
        return [r.no for r in reader.tasks(run, query, order=order, before_no=no, limit=size)]

    assert walk(after) == listing
    assert len(set(listing)) == len(listing) == reader.count_tasks(run, query)
    if listing:
        assert walk_back(listing[-1], before) == listing
    if query is None:
        assert sorted(listing) == sorted(tasks)


@module_stores
@given(tasks=TASKS, order=st.sampled_from(TASK_ORDERS), down=DOWN, start=st.integers(0, 45),
       count=st.integers(0, 45))  # fmt: skip
def test_a_window_is_a_slice_of_the_listing_and_positions_lead_back(
    builder: StoreBuilder,
    reader: Reader,
    tasks: dict[int, tuple[int, str, int, float]],
    order: str,
    down: bool,
    start: int,
    count: int,
) -> None:
    order = f"-{order}" if down else order
    run = fill(builder, tasks)
    listing = [task.no for task in reader.tasks(run, order=order, limit=1000)]
    window = reader.tasks_window(run, None, order, start, count)
    assert [row.no for row in window.rows] == listing[start : start + count]
    assert window.total == len(tasks)
    assert [window.index.position(run << 24 | no) for no in listing] == list(range(len(listing)))
    assert window.index.position(run << 24) is None


@module_stores
@given(tasks=TASKS, order=st.sampled_from(TASK_ORDERS))
def test_the_reverse_of_an_order_is_the_listing_backwards(
    builder: StoreBuilder,
    reader: Reader,
    tasks: dict[int, tuple[int, str, int, float]],
    order: str,
) -> None:
    run = fill(builder, tasks)
    up = [task.no for task in reader.tasks(run, order=order, limit=1000)]
    down = [task.no for task in reader.tasks(run, order=f"-{order}", limit=1000)]
    assert down == up[::-1]


@module_stores
@given(
    lines=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([10, 20, 30, 40])),
        max_size=40,
    ),
    size=SIZES,
    no=st.sampled_from([None, 0, 1]),
    level=st.sampled_from([0, 20, 30, 40]),
    query=st.sampled_from([None, "level:>=info", "-odd", "task:fetch"]),
)
def test_pages_of_logs_are_all_lines_of_the_run_in_both_directions(
    builder: StoreBuilder,
    reader: Reader,
    lines: list[tuple[int, int, int]],
    size: int,
    no: int | None,
    level: int,
    query: str | None,
) -> None:
    builder.db.execute("BEGIN")
    runs = [builder.run(), builder.run(), builder.run()]
    builder.task(runs[0], 1)
    mine = []
    for number, (owner, task, line_level) in enumerate(lines):
        text = ("even", "odd")[number % 2]
        seq = builder.log(runs[owner], task, text, level=line_level)
        fits = {None: True, "level:>=info": line_level >= 20, "-odd": text == "even",
                "task:fetch": task == 1}[query]  # fmt: skip
        if owner == 0 and (no is None or no == task) and line_level >= level and fits:
            mine.append(seq)
    builder.db.execute("COMMIT")

    def page(**where: int | bool | None) -> list[int]:
        found = reader.logs(
            runs[0], no, query=query, min_level=level, limit=size, **where  # type: ignore[arg-type]
        )  # fmt: skip
        return [line.seq for line in found]

    assert walk(lambda seq: page(after_seq=seq)) == mine
    assert page(tail=True) == mine[-size:]
    assert reader.count_logs(runs[0], no, query=query, min_level=level) == len(mine)
    if mine:
        assert walk_back(mine[-1], lambda seq: page(before_seq=seq)) == mine
    if level == 0:
        window = reader.logs_window(runs[0], no, query, 1, size)
        assert [line.seq for line in window.rows] == mine[1 : 1 + size]
        assert window.total == len(mine)


@pytest.fixture(scope="module")
def many_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    builder = StoreBuilder(tmp_path_factory.mktemp("runs"))
    codes = [COMPLETED, FAILED, RUNNING, PENDING, CANCELLED]
    for number in range(60):
        builder.run(
            f"otter-{number % 17}", flow=("etl", "hello", "Backup")[number % 3],
            state=codes[number % 5], seconds=number % 4, started=T0 + number % 7 or None,
        )  # fmt: skip
    builder.db.execute("DELETE FROM flow_runs WHERE id % 7 = 3")
    builder.close()
    with Reader.open(builder.paths.home) as reader:
        yield reader


@module_stores
@given(size=SIZES, oldest=st.booleans(), query=st.sampled_from([None, "flow:etl", "-state:ok"]))
def test_pages_of_runs_are_the_listing_towards_older_and_newer(
    many_runs: Reader, size: int, oldest: bool, query: str | None
) -> None:
    order = "oldest" if oldest else "newest"
    listing = [run.id for run in many_runs.runs(query, order=order, limit=1000)]
    assert sorted(listing, reverse=not oldest) == listing
    assert len(listing) == many_runs.count_runs(query) > 10

    def older(id_: int) -> list[int]:
        rows = many_runs.runs(query, order=order, before_id=id_, limit=size)
        assert [row.id for row in rows] == sorted((r.id for r in rows), reverse=not oldest)
        return sorted(row.id for row in rows)

    def newer(id_: int) -> list[int]:
        return sorted(r.id for r in many_runs.runs(query, order=order, after_id=id_, limit=size))

    rising = sorted(listing)
    assert walk_back(rising[-1], older) == rising
    assert walk(lambda id_: newer(id_ or 0)) == rising


@module_stores
@given(order=st.sampled_from(RUN_ORDERS), down=DOWN, start=st.integers(0, 60), count=SIZES)
def test_windows_of_runs_are_slices_of_the_listing(
    many_runs: Reader, order: str, down: bool, start: int, count: int
) -> None:
    order = f"-{order}" if down else order
    listing = [run.id for run in many_runs.runs(order=order, limit=1000)]
    window = many_runs.runs_window(None, order, start, count)
    assert [run.id for run in window.rows] == listing[start : start + count]
    assert [window.index.position(id_) for id_ in listing] == list(range(len(listing)))
    reverse = order.removeprefix("-") if down else f"-{order}"
    assert [run.id for run in many_runs.runs(order=reverse, limit=1000)] == listing[::-1]

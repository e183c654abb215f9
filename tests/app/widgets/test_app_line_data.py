"""Pages, snapshots and where the window stands after news: the line view without a widget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_app.widgets.lines.data import LineData, ShownRows, top_after
from flowdeck_app.widgets.lines.pages import Pages
from flowdeck_app.widgets.lines.source import FakeSource, MemorySource

pytestmark = pytest.mark.anyio


def ask(
    top: int = 0, cursor: int = 0, key: object = None, *, body: int = 10, follow: bool = False
) -> ShownRows:
    return ShownRows(top, body, cursor, key, cursor, key, follow)  # type: ignore[arg-type]


def numbers(total: int, *, stable: bool = False) -> FakeSource[int]:
    return FakeSource(lambda index: index, total, key=lambda row: row, stable=stable)


# -- pages -----------------------------------------------------------------------------------


def test_a_page_that_was_not_drawn_for_long_is_forgotten_first() -> None:
    pages: Pages[int] = Pages(size=10, most=2)
    for number in (0, 1):
        pages.keep(number, list(range(number * 10, number * 10 + 10)))
    pages.touch([0])
    pages.keep(2, list(range(20, 30)))
    assert (pages.row(5), pages.row(15), pages.row(25)) == (5, None, 25)


def test_stale_pages_are_drawn_until_fresh_ones_come() -> None:
    pages: Pages[str] = Pages(size=2)
    pages.keep(0, ["a", "b"])
    pages.expire()
    assert pages.row(0) == "a"
    assert pages.missing(0, 1, 2) == [0]
    pages.keep(0, ["c", "b"])
    assert pages.row(0) == "c"
    assert pages.missing(0, 1, 2) == []


def test_rows_that_did_not_change_stay_the_same_objects() -> None:
    pages: Pages[tuple[int, str]] = Pages(size=2)
    first, second = (1, "x"), (2, "y")
    pages.keep(0, [first, second])
    pages.keep(0, [(1, "x"), (2, "z")])  # type: ignore[list-item]
    assert pages.row(0) is first
    assert pages.row(1) == (2, "z")


def test_a_page_that_is_being_fetched_is_not_asked_for_again() -> None:
    pages: Pages[int] = Pages(size=10)
    assert pages.missing(0, 25, 100) == [0, 1, 2]
    pages.in_flight.add(1)
    assert pages.missing(0, 25, 100) == [0, 2]


@given(st.integers(0, 500), st.integers(-50, 600), st.integers(0, 100))
def test_only_pages_within_the_rows_are_missing(count: int, first: int, length: int) -> None:
    pages: Pages[int] = Pages(size=10)
    for number in pages.missing(first, first + length, count):
        assert 0 <= number * 10 < count


# -- where the window stands -----------------------------------------------------------------


@given(
    st.integers(0, 300), st.integers(1, 50), st.integers(0, 300), st.integers(0, 400),
    st.none() | st.integers(0, 399), st.booleans(),
)  # fmt: skip
def test_the_window_never_leaves_the_rows(
    top: int, body: int, cursor: int, count: int, now: int | None, follow: bool
) -> None:
    found = top_after(ShownRows(top, body, cursor, "k", cursor, "k", follow), count, now)
    assert 0 <= found <= max(0, count - body)


@given(st.integers(1, 200), st.integers(5, 40), st.integers(0, 39), st.integers(0, 500))
def test_the_anchor_keeps_its_line_on_the_screen(top: int, body: int, line: int, now: int) -> None:
    line = min(line, body - 1)
    count = 10_000
    found = top_after(ShownRows(top, body, top + line, "k", top + line, "k", False), count, now)
    assert found == max(0, now - line)


def test_at_the_top_news_is_seen_while_the_cursor_stays_in_view() -> None:
    assert top_after(ask(0, 2, "k"), 100, 3) == 0
    assert top_after(ask(0, 9, "k"), 100, 10) == 1


def test_following_shows_the_end() -> None:
    assert top_after(ask(0, 0, "k", follow=True), 100, 0) == 90


# -- snapshots -------------------------------------------------------------------------------


async def test_a_snapshot_fetches_only_the_pages_of_the_window() -> None:
    source = numbers(1_000_000)
    data = LineData(source)
    snapshot = await data.snapshot(ask(top=500_000, cursor=500_003, key=500_003))
    assert data.accept(snapshot)
    assert (data.count, snapshot.top, snapshot.cursor) == (1_000_000, 500_000, 500_003)
    assert data.row(500_005) == 500_005
    assert sum(n for _, n in source.asked) <= 200


async def test_an_answer_that_was_overtaken_is_dropped() -> None:
    data = LineData(numbers(10))
    first = await data.snapshot(ask())
    second = await data.snapshot(ask())
    assert not data.accept(first)
    assert data.accept(second)


async def test_pages_of_an_older_order_are_dropped() -> None:
    data = LineData(numbers(1000))
    data.accept(await data.snapshot(ask()))
    source = data.source
    original = source.run

    async def overtaken(work):  # type: ignore[no-untyped-def]
        data.epoch += 1
        return await original(work)

    source.run = overtaken  # type: ignore[method-assign]
    assert not await data.load([5])
    assert data.row(500) is None


async def test_append_only_rows_are_fetched_once() -> None:
    source = numbers(1000, stable=True)
    data = LineData(source)
    data.accept(await data.snapshot(ask(top=0)))
    source.asked.clear()
    source.total = 1001
    data.accept(await data.snapshot(ask(top=0)))
    assert source.asked == []
    data.accept(await data.snapshot(ask(top=990, follow=True)))
    assert data.row(1000) == 1000


async def test_the_tail_of_append_only_rows_is_fetched_anew_when_it_grew() -> None:
    source = numbers(150, stable=True)
    data = LineData(source)
    data.accept(await data.snapshot(ask(top=140, follow=True)))
    source.total = 160
    data.accept(await data.snapshot(ask(top=140, follow=True)))
    assert data.row(159) == 159


async def test_neighbouring_pages_are_fetched_in_one_call() -> None:
    source = numbers(1000)
    data = LineData(source)
    data.accept(await data.snapshot(ask()))
    source.asked.clear()
    await data.load([3, 4, 7])
    assert source.asked == [(300, 200), (700, 100)]


async def test_visible_rows_change_in_place_without_moving() -> None:
    source = MemorySource([(1, "a"), (2, "b")], key=lambda row: row[0])
    data = LineData(source)
    data.accept(await data.snapshot(ask()))
    source.rows = [(2, "B"), (1, "A")]
    await data.refresh_rows(0, 1)
    assert (data.row(0), data.row(1)) == ((1, "A"), (2, "B"))


async def test_a_source_is_told_by_its_error() -> None:
    source = numbers(10)
    source.error = RuntimeError("gone")
    data = LineData(source)
    with pytest.raises(RuntimeError, match="gone"):
        await data.snapshot(ask())
    assert not data.loaded


async def test_search_goes_round_the_end() -> None:
    source = MemorySource(["apple", "pear", "APPLE pie"])
    source.renew()
    assert source.find("apple", 1, 1) == 2
    assert source.find("apple", 3, 1) == 0
    assert source.find("apple", -1, -1) == 2
    assert source.find("plum", 0, 1) is None

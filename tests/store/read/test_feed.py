"""Following the record by a cursor: nothing missed, nothing twice."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.read import feed as feed_module
from flowdeck_store.read.feed import Cursor, Feed
from flowdeck_store.states import COMPLETED, RUNNING
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def feed(builder: StoreBuilder, tmp_path: Path) -> Iterator[Feed]:
    with Feed(tmp_path) as found:
        yield found


def test_poll_says_yes_once_for_every_write_of_another_connection(
    builder: StoreBuilder, feed: Feed
) -> None:
    assert feed.poll()
    assert not feed.poll()
    run = builder.run()
    assert feed.poll()
    assert not feed.poll()
    builder.log(run)
    builder.log(run)
    assert feed.poll()
    assert not feed.poll()


def test_changes_are_what_was_written_behind_the_cursor(builder: StoreBuilder, feed: Feed) -> None:
    old, new = builder.run(), builder.run()
    builder.state(old, 1)
    builder.log(old, 1, "before")
    cursor = feed.start()
    builder.state(new, 2, RUNNING)
    builder.state(new, 2, COMPLETED)
    builder.log(old, 1, "after")
    changes = feed.changes(cursor)
    assert [(state.run_id, state.state) for state in changes.states] == [
        (new, "Running"), (new, "Completed"),
    ]  # fmt: skip
    assert [line.message for line in changes.logs] == ["after"]
    assert changes.run_ids == {old, new}
    assert not changes.more
    assert not changes.reset
    again = feed.changes(changes.cursor)
    assert again.states == again.logs == ()
    assert again.cursor == changes.cursor


def test_changes_of_one_run_leave_the_others_out_and_pass_them(
    builder: StoreBuilder, feed: Feed
) -> None:
    mine, other = builder.run(), builder.run()
    cursor = feed.start()
    for run in (other, mine, other):
        builder.state(run, 1)
        builder.log(run, 1, str(run))
    changes = feed.changes(cursor, mine)
    assert [state.run_id for state in changes.states] == [mine]
    assert [line.message for line in changes.logs] == [str(mine)]
    assert changes.cursor == feed.start()


def test_small_pages_put_together_are_all_changes(builder: StoreBuilder, feed: Feed) -> None:
    run = builder.run()
    cursor = feed.start()
    written = [builder.state(run, number % 3) for number in range(25)]
    lines = [builder.log(run, 0, str(number)) for number in range(11)]
    states: list[int] = []
    logs: list[int] = []
    more = True
    while more:
        changes = feed.changes(cursor, limit=4)
        states += [state.seq for state in changes.states]
        logs += [line.seq for line in changes.logs]
        cursor, more = changes.cursor, changes.more
    assert states == written
    assert logs == lines


def test_logs_can_be_left_out(builder: StoreBuilder, feed: Feed) -> None:
    run = builder.run()
    cursor = feed.start()
    builder.log(run)
    builder.state(run, 0)
    changes = feed.changes(cursor, logs=False)
    assert (len(changes.states), changes.logs) == (1, ())


def test_a_cursor_far_behind_is_told_to_reload(
    builder: StoreBuilder, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MAX_BEHIND", 10)
    run = builder.run()
    cursor = feed.start()
    for _ in range(11):
        builder.log(run)
    changes = feed.changes(cursor)
    assert changes.reset
    assert changes.logs == ()
    assert changes.cursor == feed.start()
    assert not feed.changes(cursor, logs=False).reset
    one = feed.changes(cursor, run)
    assert not one.reset, "who follows one run reads it all"
    assert len(one.logs) == 11


def test_deleted_rows_do_not_move_the_cursor_back(builder: StoreBuilder, feed: Feed) -> None:
    run = builder.run()
    builder.state(run, 1)
    cursor = feed.start()
    builder.db.execute("DELETE FROM states")
    behind = feed.changes(cursor)
    assert behind.cursor == cursor
    seq = builder.state(run, 2)
    assert seq > cursor.states
    assert [state.seq for state in feed.changes(behind.cursor).states] == [seq]


def test_rows_that_are_not_committed_are_not_seen_and_then_they_are(
    builder: StoreBuilder, feed: Feed
) -> None:
    run = builder.run()
    feed.poll()
    cursor = feed.start()
    builder.db.execute("BEGIN IMMEDIATE")
    builder.state(run, 1)
    assert not feed.poll()
    assert feed.changes(cursor).states == ()
    builder.db.execute("COMMIT")
    assert feed.poll()
    assert len(feed.changes(cursor).states) == 1


def test_following_begins_before_there_is_a_store(tmp_path: Path) -> None:
    home = tmp_path / "later"
    with Feed(home) as feed:
        cursor = feed.start()
        assert cursor == Cursor()
        with closing(StoreBuilder(home)) as builder:
            run = builder.run()
            builder.log(run, 0, "the very first line")
            changes = feed.changes(cursor)
            assert [line.message for line in changes.logs] == ["the very first line"]
            assert changes.cursor.store

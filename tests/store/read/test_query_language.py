"""The filter language by example: what each filter means, and what its errors teach."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import QueryError
from flowdeck_store.query.language import parse, quote
from flowdeck_store.query.values import duration_us, time_us
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import (
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


def runs(reader: Reader, text: str) -> list[str]:
    return [run.name for run in reader.runs(text, order="oldest")]


@pytest.fixture
def some_runs(builder: StoreBuilder) -> None:
    builder.run("a", flow="etl_daily", tags=["prod", "eu"], runner="dask", seconds=60)
    builder.run("b", flow="etl_hourly", state=FAILED, tags=["test"], seconds=3)
    builder.run("c", flow="hello", state=CRASHED, state_msg="process 12 is gone", seconds=1)
    parent = builder.run("d", flow="hello", state=RUNNING, started=T0)
    child = parent << 24 | 1
    builder.run("e", flow="etl_daily", state=PENDING, started=None, parent_task=child)
    builder.run("f", flow="hello", state=SCHEDULED, state_name="AwaitingRetry")


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "abcdef"),
        ("   ", "abcdef"),
        ("state:failed", "b"),
        ("state:failed,crashed", "bc"),
        ("-state:failed,crashed", "adef"),
        ("state:problem", "bcf"),
        ("state:live", "def"),
        ("state:final", "abc"),
        ("state:Retrying", "f"),
        ("state:awaiting-retry", "f"),
        ('state:"AwaitingRetry"', "f"),
        ("state:Await*", "f"),
        ('state:"Failed"', "b"),
        ("type:scheduled", "f"),
        ("flow:hello", "cdf"),
        ("flow:HELLO", "cdf"),
        ("flow:etl*", "abe"),
        ("flow:*ly", "abe"),
        ('flow:"etl*"', ""),
        ("flow:etl_daily", "ae"),
        ("flow:etl%", ""),
        ("runner:dask", "a"),
        ("-runner:dask", "bcdef"),
        ("tag:prod", "a"),
        ("tag:prod,test", "ab"),
        ("tag:prod tag:eu", "a"),
        ("tag:prod -tag:eu", ""),
        ("duration:>2s", "abdf"),
        ("duration:<=3s", "bc"),
        ("duration:2s..10s", "b"),
        ("id:2..3", "bc"),
        ("id:#1,3", "ac"),
        ("parent:root", "abcdf"),
        ("parent:any", "abcdef"),
        ("parent:4", "e"),
        ("-parent:root", "e"),
        ("daily", "ae"),
        ("gone", "c"),
        ('"12 is"', "c"),
        ("-daily state:live", "df"),
        ("flow:etl* daily state:completed", "a"),
    ],
)
def test_filters_of_runs(reader: Reader, text: str, names: str) -> None:
    assert "".join(runs(reader, text)) == names


def test_days_and_times_bound_the_runs(builder: StoreBuilder, reader: Reader) -> None:
    for name, created in (("old", T0 - 9 * DAY), ("yesterday", T0 - DAY), ("now", T0)):
        builder.run(name, created=created)
    now = T0 + HOUR

    def found(text: str) -> list[str]:
        where, parameters = parse(text, "runs").sql("runs", now)
        sql = f"SELECT r.name FROM flow_runs r WHERE {where}"
        return [row[0] for row in builder.db.execute(sql, parameters).fetchall()]

    assert found("since:7d") == ["yesterday", "now"]
    assert found("since:2h") == ["now"]
    assert found("until:2h") == ["old", "yesterday"]
    assert found("since:7d until:2h") == ["yesterday"]
    assert found("-since:7d") == ["old"]


def test_a_day_as_the_end_is_included(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    day = 1_795_305_600 * SECOND  # 2026-11-22 00:00 UTC
    assert time_us("2026-11-22", T0) == day
    assert time_us("2026-11-22", T0, end=True) == day + DAY
    assert time_us("today", T0) == day
    assert time_us("yesterday", T0, end=True) == day
    assert time_us("2026-11-22T10:00", T0, end=True) == T0
    assert time_us("2026-11-22T12:00+02:00", T0) == T0
    assert time_us("2026-11-22T10:00:00.000001Z", T0) == T0 + 1
    assert time_us("now", T0) == T0
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("5s", 5 * SECOND), ("5", 5 * SECOND), ("250ms", SECOND // 4), ("1m30s", 90 * SECOND),
        ("1.5h", 5400 * SECOND), ("7d", 7 * DAY), ("2w", 14 * DAY), ("3us", 3),
    ],
)  # fmt: skip
def test_durations(text: str, us: int) -> None:
    assert duration_us(text) == us


@pytest.mark.parametrize(
    ("text", "nos"),
    [
        ("task:fetch", [1, 2]),
        ("task:fetch-2", [2]),
        ("name:clean*", [3, 4]),
        ("state:notready", [4]),
        ("state:pending", []),
        ("state:cached", [1]),
        ("state:completed", []),
        ("state:ok", [1]),
        ("type:completed", [1]),
        ("state:running", [2, 3]),
        ("state:cancelling", [3]),
        ("worker:w-*", [2]),
        ("attempt:>1", [2]),
        ("attempt:1", [1, 3, 4]),
        ("id:2..3", [2, 3]),
        ("id:1.4", [4]),
        ("id:2.4", []),
        ("502", [2]),
        ("tag:slow", [1, 2]),
        ("flow:etl", [1, 2, 3, 4]),
        ("flow:other", []),
        ("duration:>0.5s", [1, 2, 3]),
    ],
)
def test_filters_of_tasks(builder: StoreBuilder, reader: Reader, text: str, nos: list[int]) -> None:
    run = builder.run()
    builder.task(run, 1, state_name="Cached")
    builder.task(run, 2, state=RUNNING, worker="w-2", attempt=2, state_msg="HTTP 502")
    builder.task(run, 3, task="clean", state=CANCELLING)
    builder.task(run, 4, task="clean", state=PENDING, state_name="NotReady")
    builder.db.execute("UPDATE tasks SET tags = '[\"slow\"]' WHERE name = 'fetch'")
    assert [task.no for task in reader.tasks(run, text)] == nos


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("level:>=warning", "cd"),
        ("level:warning", "c"),
        ("level:>warning", "d"),
        ("level:<info", "a"),
        ("level:<=info", "ab"),
        ("level:20", "b"),
        ("level:ERROR,debug", "ad"),
        ("-level:>=warning", "ab"),
        ("logger:app", "a"),
        ("logger:app*", "ab"),
        ("task:fetch", "bcd"),
        ("task:fetch-2", "cd"),
        ("-task:fetch-2", "ab"),
        ("id:1", "b"),
        ("id:0", "a"),
        ("B", "b"),
    ],
)
def test_filters_of_logs(builder: StoreBuilder, reader: Reader, text: str, lines: str) -> None:
    run = builder.run()
    builder.task(run, 1)
    builder.task(run, 2)
    builder.log(run, 0, "a", level=10, logger="app")
    builder.log(run, 1, "b", level=20, logger="app.x")
    builder.log(run, 2, "c", level=30)
    builder.log(run, 2, "d", level=40)
    assert "".join(line.message for line in reader.logs(run, query=text)) == lines


@pytest.mark.parametrize(
    ("text", "subject", "message", "position"),
    [
        ("stat:failed", None, "did you mean 'state'?", 0),
        ("x state:faild", None, "did you mean 'failed'?", 8),
        ("state:loaded", None, 'state of your own in quotes: state:"Name"', 6),
        ("type:compelted", None, "did you mean 'completed'?", 5),
        ("level:wraning", None, "did you mean 'warning'?", 6),
        ("level:>=1.5", None, "is no log level", 6),
        ("since:soon", None, "no time such as 7d, 2h, today", 6),
        ("since:2026-13-01", None, "is no time", 6),
        ("duration:5s", None, "say longer or shorter", 9),
        ("duration:>5x", None, "is no duration such as 5s", 9),
        ("duration:>", None, "is missing", 9),
        ("duration:>999999999w99999999w", None, "too long", 9),
        ("id:one", None, "'one' is no number", 3),
        ("parent:child", None, "neither root, any nor the number", 7),
        ("state:", None, "needs a value (failed, running", 6),
        ("state:failed,", None, "needs a value", 13),
        ("state:,failed", None, "needs a value", 6),
        ('flow:"etl', None, "the quote that opens here is not closed", 5),
        ('flow:"etl"x', None, "a blank or a comma must follow", 10),
        ("http://x", None, 'quote it: "http:', 0),
        ("a level:error", "runs", "level: filters logs, not runs", 2),
        ("runner:dask", "tasks", "runner: filters runs, not tasks", 0),
        ("state:failed", "logs", "state: filters runs and tasks, not logs", 0),
        ("x" * 5000, None, "longer than 4000 characters", 4000),
        ("name:" + ",".join("abcdefghij" * 30), None, "more than 200 values", 0),
    ],
)
def test_errors_say_what_is_wrong_where_and_what_was_meant(
    text: str, subject: str | None, message: str, position: int
) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text, subject)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.position == position


def test_a_filter_that_does_not_fit_the_subject_is_an_error_when_used() -> None:
    query = parse("level:error")
    with pytest.raises(QueryError, match="filters logs, not tasks"):
        query.sql("tasks")


@pytest.mark.parametrize("text", ["10:42", "-", "a:b:c".replace("a", "1"), "--", "100%", "a,b"])
def test_texts_that_are_no_filters_are_searched_for(text: str) -> None:
    (term,) = parse(text).terms
    assert term.field is None


def test_queries_know_what_they_mention_and_whether_they_move_with_the_clock() -> None:
    assert parse("").empty
    assert parse("parent:any").mentions("parent")
    assert not parse("parent").mentions("parent")
    assert parse("since:7d").moves
    assert parse("duration:>5s").moves
    assert parse("until:today").moves
    assert not parse("since:2026-11-22 flow:x").moves


def test_any_value_can_be_quoted_into_a_query(builder: StoreBuilder, reader: Reader) -> None:
    odd = 'a "b" \\ c,d:* %_'
    builder.run(odd)
    builder.run("plain")
    assert runs(reader, f"name:{quote(odd)}") == [odd]
    assert runs(reader, f"-name:{quote(odd)}") == ["plain"]
    assert runs(reader, quote('"b" \\ c,d:* %')) == [odd]


def test_a_state_of_ones_own_is_found_by_its_quoted_name(
    builder: StoreBuilder, reader: Reader
) -> None:
    builder.run("a", state=COMPLETED, state_name="Nothing to do")
    builder.run("b")
    assert runs(reader, 'state:"nothing to do"') == ["a"]
    assert runs(reader, "state:Nothing*") == ["a"]
    assert runs(reader, "type:completed") == ["a", "b"]

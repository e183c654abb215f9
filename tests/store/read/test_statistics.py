"""Figures over runs and within one: flows, histograms, totals, groups, graphs, timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.file.schema import SCHEMA_VERSION
from flowdeck_store.query.language import parse
from flowdeck_store.read import groups as reader_groups
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import (
    BUCKETS,
    CANCELLED,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowdeck_store.read.summaries import TimelineSegment

HOUR = 3600 * SECOND


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


def counts(**expected: int) -> tuple[int, ...]:
    assert set(expected) <= set(BUCKETS)
    return tuple(expected.get(bucket, 0) for bucket in BUCKETS)


def test_flows_come_with_their_last_runs_that_with_the_newest_run_first(
    builder: StoreBuilder, reader: Reader
) -> None:
    for number in range(30):
        builder.run(flow="etl", seconds=number, state=FAILED if number % 10 == 9 else COMPLETED)
    builder.run(flow="hello", state=RUNNING)
    builder.run(flow="never")
    builder.db.execute("DELETE FROM flow_runs WHERE id = 32")
    hello, etl, never = reader.flows()
    assert (hello.name, etl.name, never.name) == ("hello", "etl", "never")
    assert etl.runs == 30
    assert [point.run_id for point in etl.history] == list(range(7, 31))
    assert [point.seconds for point in etl.history][-2:] == [28.0, 29.0]
    assert etl.last is not None
    assert etl.last.id == 30
    assert etl.success_rate == pytest.approx(21 / 24)
    assert etl.p50_seconds == 17.0
    assert (hello.success_rate, hello.p50_seconds, hello.ended) == (None, None, ())
    assert (never.runs, never.history, never.last) == (0, (), None)


def test_a_flow_is_found_by_name_or_key(builder: StoreBuilder, reader: Reader) -> None:
    builder.run(flow="etl")
    flow = reader.flow("etl")
    assert flow is not None
    assert reader.flow(flow.key) == flow
    assert flow.source == "/flows/etl.py:14"
    assert reader.flow("nobody") is None


def test_the_histogram_has_every_bucket_and_counts_per_state(
    builder: StoreBuilder, reader: Reader
) -> None:
    for hour, code, flow in (
        (0, COMPLETED, "a"),
        (0, FAILED, "a"),
        (2, CRASHED, "b"),
        (3, RUNNING, "a"),
    ):
        builder.run(state=code, created=T0 + hour * HOUR + 1, flow=flow)
    found = reader.run_histogram(T0, HOUR, until_us=T0 + 3 * HOUR)
    assert [bucket.start_us for bucket in found] == [T0, T0 + HOUR, T0 + 2 * HOUR]
    assert [bucket.counts for bucket in found] == [
        counts(completed=1, failed=1), counts(), counts(crashed=1),
    ]  # fmt: skip
    of_a = reader.run_histogram(T0, 2 * HOUR, "flow:a", until_us=T0 + 3 * HOUR)
    assert [sum(bucket.counts) for bucket in of_a] == [2, 0]
    assert reader.run_histogram(T0, HOUR, until_us=T0) == []


def test_a_histogram_of_nonsense_is_refused(reader: Reader) -> None:
    with pytest.raises(ValueError, match="has no length"):
        reader.run_histogram(T0, 0)
    with pytest.raises(ValueError, match="are more than 10000"):
        reader.run_histogram(0, 1)


def test_the_summary_is_of_what_the_filter_lets_through(
    builder: StoreBuilder, reader: Reader
) -> None:
    for seconds in range(1, 21):
        builder.run(seconds=seconds)
    builder.run(state=FAILED, seconds=900)
    builder.run(state=PENDING, state_name="NotReady", flow="other")
    summary = reader.run_summary()
    assert summary.counts == counts(completed=20, failed=1, not_ready=1)
    assert summary.total == 22
    assert (summary.p50, summary.p95) == (11.0, 20.0)
    assert reader.run_summary(parse("flow:other")).counts == counts(not_ready=1)
    assert reader.run_summary("flow:nobody").p50 is None


def test_totals_come_from_the_counters(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run(state=RUNNING)
    builder.task(run, 1)
    builder.task(run, 2, state_name="Cached")
    builder.log(run)
    builder.run()
    totals = reader.totals()
    assert totals.run_counts == counts(running=1, completed=1)
    assert totals.task_counts == counts(completed=1, cached=1)
    assert (totals.runs, totals.task_runs, totals.logs, totals.live) == (2, 2, 1, 1)


def test_store_info_weighs_the_files(builder: StoreBuilder, reader: Reader) -> None:
    builder.run()
    builder.paths.results.mkdir()
    (builder.paths.results / "a").write_bytes(b"x" * 100)
    (builder.paths.journal / "j").write_bytes(b"x" * 10)
    info = reader.store_info()
    assert (info.path, info.exists, info.schema) == (builder.paths.db, True, SCHEMA_VERSION)
    assert info.written_by == "flowdeck"
    assert (info.results_bytes, info.journal_bytes) == (100, 10)
    assert info.db_bytes > 0
    assert info.wal_bytes > 0
    assert info.bytes == info.db_bytes + info.wal_bytes + 110
    assert info.totals.runs == 1


@pytest.fixture
def grouped(builder: StoreBuilder) -> int:
    run = builder.run(state=RUNNING)
    builder.task(run, 1, task="prepare", seconds=0.5)
    for no in range(2, 12):
        builder.task(run, no, started=T0 + no * SECOND, seconds=no)
        builder.edge(run, no, 1)
    builder.task(run, 12, state_name="Cached", started=None)
    builder.task(run, 13, state=FAILED, seconds=99)
    builder.task(run, 14, state=SCHEDULED, state_name="AwaitingRetry")
    builder.task(run, 15, state=RUNNING, state_name="Retrying")
    builder.task(run, 16, task="clean", state=PENDING)
    builder.task(run, 17, task="clean", state=PENDING, state_name="NotReady")
    for no in (16, 17):
        builder.edge(run, no, 2, "a")
        builder.edge(run, no, 3, "b")
    builder.edge(run, 16, 99, "gone")
    other = builder.run()
    builder.task(other, 1, task="prepare", seconds=77)
    return run


def test_task_groups_in_the_order_of_their_first_run(reader: Reader, grouped: int) -> None:
    prepare, fetch, clean = reader.task_groups(grouped)
    assert [group.task for group in (prepare, fetch, clean)] == ["prepare", "fetch", "clean"]
    assert (prepare.counts, prepare.n, prepare.p50) == (counts(completed=1), 1, 0.5)
    assert fetch.counts == counts(completed=10, cached=1, failed=1, scheduled=1, running=1)
    assert (fetch.retrying, fetch.p50) == (2, 7.0)
    assert (fetch.longest, fetch.longest_no) == (99.0, 13)
    assert (fetch.first_us, fetch.last_us) == (T0, T0 + 99 * SECOND)
    assert clean.counts == counts(pending=1, not_ready=1)
    assert (clean.p50, clean.longest, clean.longest_no, clean.first_us) == (None,) * 4
    assert reader.task_groups(99) == []


def test_medians_of_big_groups_are_drawn_and_those_of_small_ones_exact(
    builder: StoreBuilder, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_groups, "_EXACT", 100)
    run = builder.run()
    builder.db.execute("BEGIN")
    for no in range(1, 1001):
        builder.task(run, no, seconds=no / 100)
    builder.task(run, 1001, task="small", seconds=3)
    builder.db.execute("COMMIT")
    big, small = reader.task_groups(run)
    assert big.p50 == pytest.approx(5, abs=1)
    assert (big.longest, big.longest_no) == (10.0, 1000)
    assert small.p50 == 3.0


def test_the_graph_has_groups_and_counted_edges(reader: Reader, grouped: int) -> None:
    graph = reader.graph(grouped)
    names = {group.task_key: group.task for group in graph.groups}
    edges = {(names[edge.source], names[edge.target]): edge.count for edge in graph.edges}
    assert edges == {("prepare", "fetch"): 10, ("fetch", "clean"): 4}


def test_expected_seconds_are_the_medians_of_earlier_completed_runs(
    builder: StoreBuilder, reader: Reader
) -> None:
    for seconds in (100, 1, 2, 3):
        run = builder.run()
        builder.task(run, 1, seconds=seconds)
        builder.task(run, 2, seconds=0.001, state_name="Cached")
        builder.task(run, 3, task="bad", state=FAILED)
    failed = builder.run(state=FAILED)
    builder.task(failed, 1, seconds=50)
    other = builder.run(flow="other")
    builder.task(other, 1, seconds=60)
    now = builder.run(state=RUNNING)
    assert reader.expected_seconds(now, runs=3) == {"/flows/etl.py:fetch": 2.0}
    assert reader.expected_seconds(1) == {}


def spans(segments: tuple[TimelineSegment, ...]) -> list[tuple[str, float, float | None, int]]:
    return [
        (s.kind, (s.start_us - T0) / SECOND, s.end_us and (s.end_us - T0) / SECOND, s.attempt)
        for s in segments
    ]  # fmt: skip


def test_the_timeline_shows_waiting_running_retrying_and_pausing(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.task(run, 1, name="one", worker="w-1", state=FAILED)
    builder.task(run, 2, state=RUNNING)
    builder.task(run, 3, state=CANCELLED, started=None)
    history = [
        (1, PENDING, None, 0), (1, RUNNING, None, 1), (1, SCHEDULED, "AwaitingRetry", 2),
        (1, RUNNING, "Retrying", 4), (1, PAUSED, None, 5), (1, RUNNING, None, 6), (1, FAILED, None, 7),
        (2, RUNNING, None, 0), (3, PENDING, None, 0), (3, CANCELLED, None, 3),
    ]  # fmt: skip
    for no, code, name, second in history:
        builder.state(run, no, code, name=name, us=T0 + second * SECOND)
    third, first, second = reader.timeline(run, [3, 1, 99, 2])
    assert (first.no, first.name, first.worker, first.state) == (1, "one", "w-1", "Failed")
    assert spans(first.segments) == [
        ("wait", 0, 1, 1), ("run", 1, 2, 1), ("retry", 2, 4, 2), ("run", 4, 5, 2),
        ("pause", 5, 6, 2), ("run", 6, 7, 2),
    ]  # fmt: skip
    assert spans(second.segments) == [("run", 0, None, 1)]
    assert spans(third.segments) == [("wait", 0, 3, 1)]


def test_the_timeline_of_a_task_run_without_history_is_what_its_row_says(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.task(run, 1, started=T0 + SECOND, seconds=2)
    builder.task(run, 2, state=RUNNING, started=T0 + SECOND)
    builder.task(run, 3, state=PENDING)
    one, two, three = reader.timeline(run, [1, 2, 3])
    assert spans(one.segments) == [("wait", 0, 1, 1), ("run", 1, 3, 1)]
    assert spans(two.segments) == [("wait", 0, 1, 1), ("run", 1, None, 1)]
    assert spans(three.segments) == [("wait", 0, None, 1)]

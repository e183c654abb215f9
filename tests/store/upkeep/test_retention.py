"""Taking runs out of the store: what may go, all of it, nothing else."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store.errors import LiveRun, NotFound, StoreBusy
from flowdeck_store.events import now_us
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import CRASHED, FAILED, RUNNING
from flowdeck_store.upkeep import deletion, retention
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400 * SECOND
TABLES = (
    "flow_runs", "task_runs", "states", "logs", "task_inputs", "results", "artifacts", "failures",
    "tracebacks", "cache", "control",
)  # fmt: skip


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    # The process of these runs has gone in good order.
    found.db.execute("UPDATE sessions SET ended_us = ?", (T0,))
    yield found
    found.close()


@pytest.fixture
def home(builder: StoreBuilder) -> Path:
    return builder.paths.home


def rows(builder: StoreBuilder) -> dict[str, int]:
    return {
        table: builder.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in TABLES
    }  # fmt: skip


def fill(builder: StoreBuilder, run: int, *, tasks: int = 2, line: int = 57) -> None:
    """Put something into every table for a run."""
    results = builder.paths.results
    results.mkdir(exist_ok=True)
    for no in range(1, tasks + 1):
        builder.task(run, no)
        builder.state(run, no)
        builder.log(run, no)
        builder.edge(run, no, no - 1)
        builder.result(run, no, location=f"{run}-{no}")
        (results / f"{run}-{no}").write_bytes(b"x" * 1000)
    builder.failure(run, 1, line=line)
    builder._insert("artifacts", task=run << 24 | 1, us=T0, kind="table", data="[]")
    builder._insert("control", run_id=run, verb="cancel", us=T0)
    builder._insert(
        "cache", key=f"key of {run}", task=run << 24 | 1, us=T0, location=f"{run}-1"
    )  # fmt: skip


def ids(builder: StoreBuilder) -> list[int]:
    return [row[0] for row in builder.db.execute("SELECT id FROM flow_runs ORDER BY id").fetchall()]


def test_a_deleted_run_leaves_nothing_and_the_others_keep_everything(
    builder: StoreBuilder, home: Path
) -> None:
    kept, gone = builder.run(), builder.run()
    fill(builder, kept, line=1)
    before = rows(builder)
    fill(builder, gone, line=2)
    builder.paths.launches.mkdir()
    uid = builder.db.execute("SELECT uid FROM flow_runs WHERE id = ?", (gone,)).fetchone()[0]
    (builder.paths.launches / f"{uid}.log").write_text("printed")
    report = retention.delete_runs(home, [gone])
    assert report.run_ids == (gone,)
    assert (report.files, report.freed) == (2, 2000)
    assert rows(builder) == before | {"flow_runs": 1}
    assert ids(builder) == [kept]
    assert sorted(file.name for file in builder.paths.results.iterdir()) == ["1-1", "1-2"]
    assert list(builder.paths.launches.iterdir()) == []


def test_subflow_runs_go_with_the_run_that_called_them(builder: StoreBuilder, home: Path) -> None:
    parent, other = builder.run(), builder.run()
    child = builder.run(parent_task=parent << 24 | 1)
    grandchild = builder.run(parent_task=child << 24 | 5)
    for run in (parent, child, grandchild, other):
        fill(builder, run)
    assert retention.delete_runs(home, [parent]).run_ids == (parent, child, grandchild)
    assert ids(builder) == [other]


def test_a_subflow_run_that_is_deleted_alone_is_forgotten_by_its_parent(
    builder: StoreBuilder, home: Path
) -> None:
    parent = builder.run()
    child = builder.run(parent_task=parent << 24 | 1)
    builder.task(parent, 1, child_run=child)
    retention.delete_runs(home, [child])
    with Reader.open(home) as reader:
        task = reader.task(parent, 1)
        assert task is not None
        assert task.child_run is None


@pytest.mark.parametrize("live_one", ["run itself", "subflow run"])
def test_a_run_that_goes_on_is_refused_and_nothing_is_deleted(
    builder: StoreBuilder, home: Path, live_one: str
) -> None:
    ended = builder.run()
    live = builder.run("busy-bee", state=RUNNING) if live_one == "run itself" else builder.run()
    if live_one == "subflow run":
        builder.run("busy-bee", state=RUNNING, parent_task=live << 24 | 1)
    before = rows(builder)
    with pytest.raises(LiveRun, match=r"\(busy-bee\) has not ended.*flowdeck cancel"):
        retention.delete_runs(home, [ended, live])
    assert rows(builder) == before


def test_a_run_that_comes_alive_meanwhile_is_refused_by_the_transaction(
    builder: StoreBuilder,
) -> None:
    run = builder.run(state=RUNNING)
    with pytest.raises(LiveRun):
        deletion.Deletion(builder.db, builder.paths).delete([run])
    assert ids(builder) == [run]


def test_a_run_that_does_not_exist_is_named(builder: StoreBuilder, home: Path) -> None:
    run = builder.run()
    with pytest.raises(NotFound, match="no run 77"):
        retention.delete_runs(home, [run, 77])
    assert ids(builder) == [run]
    with pytest.raises(NotFound, match="no store"):
        retention.delete_runs(home / "nowhere", [1])
    assert retention.delete_runs(home / "nowhere", []).run_ids == ()


def test_a_value_that_another_run_refers_to_stays(builder: StoreBuilder, home: Path) -> None:
    first, second = builder.run(), builder.run()
    fill(builder, first)
    builder.task(second, 1, state_name="Cached")
    builder.result(second, 1, location=f"{first}-1")
    assert retention.delete_runs(home, [first]).files == 1
    assert [file.name for file in builder.paths.results.iterdir()] == [f"{first}-1"]
    assert retention.delete_runs(home, [second]).files == 1
    assert list(builder.paths.results.iterdir()) == []


@pytest.mark.parametrize(
    "location", ["../precious", "/tmp/../{home}/precious", "a/../../precious", ""]
)
def test_a_location_outside_of_the_results_folder_is_left_alone(
    builder: StoreBuilder, home: Path, location: str
) -> None:
    precious = home / "precious"
    precious.write_text("keep me")
    builder.paths.results.mkdir()
    run = builder.run()
    builder.result(run, 1, location=location.replace("{home}", str(home)[1:]))
    assert retention.delete_runs(home, [run]).files == 0
    assert precious.read_text() == "keep me"


def test_a_traceback_stays_while_a_failure_or_an_open_session_needs_it(
    builder: StoreBuilder, home: Path
) -> None:
    runs = [builder.run(), builder.run(), builder.run()]
    for run in runs:
        builder.failure(run, 1)
    retention.delete_runs(home, runs[:1])
    assert rows(builder)["tracebacks"] == 1
    builder.db.execute("UPDATE sessions SET ended_us = NULL")
    # recover() would end that session: a process of another host that beat just now.
    builder.db.execute("UPDATE sessions SET host = 'elsewhere', boot_id = 'x', beat_us = ?",
                       (now_us(),))  # fmt: skip
    retention.delete_runs(home, runs[1:2])
    builder.db.execute("DELETE FROM failures")
    builder.failure(runs[2], 1)
    retention.delete_runs(home, runs[2:])
    assert rows(builder)["tracebacks"] == 1
    last = builder.run()
    builder.failure(last, 1)
    builder.db.execute("UPDATE sessions SET ended_us = 1")
    retention.delete_runs(home, [last])
    assert rows(builder)["tracebacks"] == 0


def test_a_big_run_goes_in_slices(
    builder: StoreBuilder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "ROWS_AT_ONCE", 20)
    kept, big = builder.run(), builder.run()
    fill(builder, kept, line=1)
    before = rows(builder)
    fill(builder, big, tasks=70, line=2)
    changes: list[int] = []
    original = deletion.Deletion._write

    def counted(self: deletion.Deletion) -> Any:
        changes.append(self._conn.total_changes)
        return original(self)

    monkeypatch.setattr(deletion.Deletion, "_write", counted)
    assert retention.delete_runs(home, [big]).files == 70
    assert rows(builder) == before | {"flow_runs": 1}
    steps = [after - before for before, after in itertools.pairwise(changes)]
    assert len(steps) > 10
    assert max(steps) <= 20
    assert (builder.paths.results / f"{kept}-1").exists()


def test_runs_go_five_at_a_time_and_writers_get_their_turn(
    builder: StoreBuilder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [builder.run() for _ in range(12)]
    groups: list[int] = []
    original = deletion.Deletion._delete_group

    def noted(self: deletion.Deletion, group: list[int]) -> None:
        with write_lock_of(builder.paths.write_lock).hold(1):
            groups.append(len(group))
        original(self, group)

    monkeypatch.setattr(deletion.Deletion, "_delete_group", noted)
    assert len(retention.delete_runs(home, runs).run_ids) == 12
    assert groups == [5, 5, 2]


def test_deleting_waits_for_the_gate(
    builder: StoreBuilder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = builder.run()
    monkeypatch.setattr(deletion, "WAIT_S", 0.05)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with write_lock_of(builder.paths.write_lock).hold():
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        with pytest.raises(StoreBusy):
            retention.delete_runs(home, [run])
    finally:
        release.set()
        thread.join()
    assert ids(builder) == [run]
    assert retention.delete_runs(home, [run]).run_ids == (run,)


def aged(builder: StoreBuilder, *ages: float, **more: Any) -> list[int]:
    """Runs that ended so many days ago."""
    return [
        builder.run(created=T0 - round(age * DAY), started=T0 - round(age * DAY), seconds=0, **more)
        for age in ages
    ]


def test_a_plan_keeps_what_a_rule_keeps(builder: StoreBuilder, home: Path) -> None:
    a = aged(builder, 40, 35, 8, 1, flow="a")
    b = aged(builder, 50, flow="b")
    failed = aged(builder, 60, flow="a", state=FAILED)
    crashed = aged(builder, 60, flow="a", state=CRASHED)

    def planned(**rules: Any) -> list[int]:
        return sorted(retention.plan(home, now_us=T0, **rules).run_ids)

    assert planned(keep_days=30) == sorted([*a[:2], *b, *failed, *crashed])
    assert planned(keep_days=30, keep_failed=True) == sorted([*a[:2], *b])
    assert planned(keep_last=2) == a
    assert planned(keep_last=1) == sorted([*a, *failed])
    assert planned(keep_days=30, keep_last=5) == a[:1]
    assert planned(keep_last=0) == sorted([*a, *b, *failed, *crashed])
    assert planned(keep_days=1000) == []


def test_a_plan_without_rules_or_with_senseless_ones_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match="say what to keep"):
        retention.plan(home)
    with pytest.raises(ValueError, match="cannot be negative"):
        retention.plan(home, keep_days=-1)
    with pytest.raises(ValueError, match="cannot be negative"):
        retention.prune(home, keep_last=-1)


def test_pinned_and_live_runs_stay_with_their_whole_family(
    builder: StoreBuilder, home: Path
) -> None:
    aged(builder, 40, pinned=1)
    (parent,) = aged(builder, 40)
    builder.run(state=RUNNING, parent_task=parent << 24 | 1)
    (other,) = aged(builder, 40)
    (child,) = aged(builder, 40, parent_task=other << 24 | 1)
    (orphan,) = aged(builder, 40, parent_task=999 << 24 | 1)
    plan = retention.plan(home, keep_days=30, now_us=T0)
    assert sorted(plan.run_ids) == [other, child, orphan]
    assert (plan.roots, plan.kept) == (2, (parent,))


def test_a_plan_counts_and_weighs(builder: StoreBuilder, home: Path) -> None:
    (run,) = aged(builder, 40)
    fill(builder, run, tasks=3)
    builder.db.execute("UPDATE results SET size = 1000")
    plan = retention.plan(home, keep_days=30, now_us=T0)
    assert (plan.task_runs, plan.logs) == (3, 3)
    assert plan.bytes == 300 + 3 * 250 + 3 * 120 + 3000


def test_a_dry_run_says_what_a_prune_then_does(builder: StoreBuilder, home: Path) -> None:
    old = aged(builder, 40, 50)
    new = aged(builder, 1)
    for run in (*old, *new):
        fill(builder, run, line=run)
    before = rows(builder)
    dry = retention.prune(home, keep_days=30, dry_run=True, now_us=T0)
    assert rows(builder) == before
    assert dry.freed > 0
    report = retention.prune(home, keep_days=30, now_us=T0)
    assert sorted(report.run_ids) == sorted(dry.run_ids) == old
    assert report.files == 4
    assert ids(builder) == new
    again = retention.prune(home, keep_days=30, now_us=T0)
    assert again == retention.PruneReport((), 0, 0)


def test_pruning_nothing_makes_no_store(tmp_path: Path) -> None:
    home = tmp_path / "nowhere"
    assert retention.prune(home, keep_days=1).run_ids == ()
    assert retention.vacuum(home) == 0
    assert not home.exists()


def test_vacuum_gives_all_free_pages_back(
    builder: StoreBuilder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGES", 40)
    builder.db.execute("BEGIN")
    run = builder.run()
    for number in range(2000):
        builder.log(run, 0, json.dumps([number] * 100))
    builder.db.execute("COMMIT")
    retention.delete_runs(home, [run])
    free = builder.db.execute("PRAGMA freelist_count").fetchone()[0]
    assert free > 100
    assert retention.vacuum(home) == free * 4096
    assert builder.db.execute("PRAGMA freelist_count").fetchone()[0] == 0
    assert builder.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert retention.vacuum(home) == 0

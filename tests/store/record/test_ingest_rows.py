"""From events to rows: what a flush leaves in the tables."""

from __future__ import annotations

import gc
import json
import weakref
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events as ev
from flowdeck_store.record.batch import Batch, KnownIds
from flowdeck_store.states import (
    CACHED,
    CANCELLED,
    COMPLETED,
    CRASHED,
    FAILED,
    NOT_READY,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from store_writing import FLOW_KEY, TASK_KEY, Recorded, one, recording, rows

if TYPE_CHECKING:
    from pathlib import Path

COUNTERS = "n_scheduled,n_pending,n_running,n_completed,n_failed,n_crashed,n_cancelled,n_cached,n_not_ready"


def counters(home: Path, uid: str) -> tuple[int, ...]:
    return rows(home, f"SELECT {COUNTERS} FROM flow_runs WHERE uid=?", uid)[0]


def counted(home: Path, uid: str) -> tuple[int, ...]:
    """Count the task rows themselves."""
    found = [0] * 9
    names = {(COMPLETED, CACHED): 7, (PENDING, NOT_READY): 8}
    for code, name in rows(
        home,
        "SELECT t.state,t.state_name FROM task_runs t JOIN flow_runs r ON r.id=t.id>>24 "
        "WHERE r.uid=?",
        uid,
    ):
        found[names.get((code, name), (0, 1, 2, 3, 4, 5, 2, 6, 0)[code])] += 1
    return tuple(found)


def test_a_flow_run_is_stored_with_all_its_fields(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit)
        run.run(
            "calm-fox", source="/flows/etl.py:14", doc="Moves data.", runner="concurrent",
            params='{"day":1}', tags='["a"]', rerun_of="e" * 32, info='{"cwd":"/"}',
        )  # fmt: skip
        run.state(0, FAILED, "TimedOut", "too long").log("bye")
    row = rows(
        home,
        "SELECT name,runner,state,state_name,state_msg,params,tags,rerun_of,info,attempt,"
        "created_us<started_us,started_us<ended_us,n_logs,session_id FROM flow_runs",
    )
    assert row == [
        ("calm-fox", "concurrent", FAILED, "TimedOut", "too long", '{"day":1}', '["a"]',
         "e" * 32, '{"cwd":"/"}', 1, 1, 1, 1, 1)
    ]  # fmt: skip
    assert rows(home, "SELECT key,name,source,doc FROM flows") == [
        (FLOW_KEY, "etl", "/flows/etl.py:14", "Moves data.")
    ]
    states = rows(home, "SELECT state,name,msg FROM states WHERE task_no=0 ORDER BY seq")
    assert states == [
        (PENDING, None, None), (RUNNING, None, None), (FAILED, "TimedOut", "too long")
    ]  # fmt: skip


@pytest.mark.parametrize("flush_each", [False, True])
def test_many_states_of_a_task_are_one_row_and_all_stay_in_the_history(
    home: Path, flush_each: bool
) -> None:
    with recording(home) as session:

        def emit(event: ev.Event) -> None:
            session.emit(event)
            if flush_each:
                assert session.flush()

        run = Recorded(emit).run().task(1)
        run.state(1, RUNNING, worker="w1")
        run.state(1, SCHEDULED, "AwaitingRetry", "again in 1 s")
        run.state(1, RUNNING, "Retrying", attempt=2)
        run.state(1, COMPLETED, attempt=2, worker="w2")
    (row,) = rows(
        home,
        "SELECT name,state,state_name,state_msg,attempt,worker,created_us,started_us,ended_us "
        "FROM task_runs",
    )
    assert row[:6] == ("load-1", COMPLETED, None, None, 2, "w2")
    history = rows(home, "SELECT state,name,us FROM states WHERE task_no=1 ORDER BY seq")
    assert [(code, name) for code, name, _ in history] == [
        (PENDING, None), (RUNNING, None), (SCHEDULED, "AwaitingRetry"), (RUNNING, "Retrying"),
        (COMPLETED, None),
    ]  # fmt: skip
    assert row[6:] == (history[0][2], history[1][2], history[4][2])
    assert counters(home, run.uid) == (0, 0, 0, 1, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("flush_each", [False, True])
def test_counters_always_say_what_the_task_rows_say(home: Path, flush_each: bool) -> None:
    ways = [
        [],
        [(RUNNING, None)],
        [(RUNNING, None), (COMPLETED, None)],
        [(COMPLETED, CACHED)],
        [(PENDING, NOT_READY)],
        [(RUNNING, None), (SCHEDULED, "AwaitingRetry")],
        [(RUNNING, None), (SCHEDULED, "AwaitingRetry"), (RUNNING, "Retrying"), (FAILED, None)],
        [(RUNNING, None), (CRASHED, None)],
    ]
    with recording(home) as session:
        run = Recorded(session.emit).run()
        for no, states in enumerate(ways, 1):
            run.task(no)
            for code, name in states:
                run.state(no, code, name)
                if flush_each:
                    assert session.flush()
    assert counters(home, run.uid) == counted(home, run.uid) == (1, 1, 1, 1, 1, 1, 0, 1, 1)


def test_a_task_that_is_not_ready_has_ended(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run().task(1).state(1, PENDING, NOT_READY)
    assert one(home, "SELECT ended_us IS NOT NULL FROM task_runs") == 1


@pytest.mark.parametrize("flush_between", [False, True])
@pytest.mark.parametrize("no", [0, 1])
@pytest.mark.parametrize("end", [COMPLETED, FAILED, CRASHED, CANCELLED])
@pytest.mark.parametrize("after", [RUNNING, COMPLETED])
def test_no_state_follows_a_final_one_and_the_log_says_what_came(
    home: Path, no: int, end: int, after: int, flush_between: bool
) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1).state(1, RUNNING).task(2)
        run.state(no, end)
        if flush_between:
            assert session.flush()
        run.state(no, after).state(2, RUNNING).log("goes on")
    table, key = ("task_runs", 1 << 24 | 1) if no else ("flow_runs", 1)
    assert rows(home, f"SELECT state,ended_us IS NOT NULL FROM {table} WHERE id=?", key) == [
        (end, 1)
    ]
    last = "SELECT state FROM states WHERE task_no=? ORDER BY seq DESC LIMIT 1"
    assert one(home, last, no) == end
    assert one(home, last, 2) == RUNNING  # its neighbours in the batch are recorded
    assert counters(home, run.uid) == counted(home, run.uid)
    said = [msg for (msg,) in rows(home, "SELECT msg FROM logs ORDER BY seq")]
    assert len(said) == 2
    assert "no state follows a final one" in said[0]
    assert said[1] == "goes on"


@pytest.mark.parametrize("flush_between", [False, True])
def test_a_subflow_and_its_stand_in_point_at_each_other(home: Path, flush_between: bool) -> None:
    with recording(home) as session:
        parent = Recorded(session.emit).run("parent").task(1).task(2)
        if flush_between:
            session.flush()
        child = Recorded(session.emit).run("child", parent_uid=parent.uid, parent_no=2)
        child.end()
    numbers = dict(rows(home, "SELECT uid,id FROM flow_runs"))
    assert rows(home, "SELECT id,child_run FROM task_runs ORDER BY id") == [
        (numbers[parent.uid] << 24 | 1, None),
        (numbers[parent.uid] << 24 | 2, numbers[child.uid]),
    ]
    task = one(home, "SELECT parent_task FROM flow_runs WHERE uid=?", child.uid)
    assert task == numbers[parent.uid] << 24 | 2


def test_a_child_named_by_the_state_of_its_stand_in_is_linked(home: Path) -> None:
    with recording(home) as session:
        child = Recorded(session.emit).run("child")
        session.flush()
        parent = Recorded(session.emit).run("parent").task(1)
        parent.state(1, RUNNING, data=json.dumps({"child": child.uid}))
    numbers = dict(rows(home, "SELECT uid,id FROM flow_runs"))
    assert rows(home, "SELECT child_run FROM task_runs") == [(numbers[child.uid],)]
    task = one(home, "SELECT parent_task FROM flow_runs WHERE uid=?", child.uid)
    assert task == numbers[parent.uid] << 24 | 1


def test_a_run_whose_parent_is_not_in_the_store_stands_on_its_own(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run(parent_uid="f" * 32, parent_no=3).log("hello")
    assert rows(home, "SELECT parent_task,n_logs FROM flow_runs") == [(None, 1)]


def test_inputs_are_edges_within_and_between_runs(home: Path) -> None:
    with recording(home) as session:
        other = Recorded(session.emit).run().task(4)
        inputs = (("x", None, 1), ("wait_for", other.uid, 4), ("y", "0" * 32, 1))
        run = Recorded(session.emit).run().task(1).task(2, inputs)
    numbers = dict(rows(home, "SELECT uid,id FROM flow_runs"))
    me = numbers[run.uid] << 24 | 2
    assert sorted(rows(home, "SELECT task,upstream,param FROM task_inputs")) == sorted(
        [(me, me - 1, "x"), (me, numbers[other.uid] << 24 | 4, "wait_for")]
    )


def test_log_lines_are_counted_by_level_and_their_range_is_known(home: Path) -> None:
    with recording(home) as session:
        first = Recorded(session.emit).run()
        for level in (10, 20, 30, 40, 50):
            first.log(f"level {level}", level=level, logger=f"logger {level % 20}")
        session.flush()
        second = Recorded(session.emit).run().log("other")
        first.task(1).log("late", no=1)
    found = rows(home, "SELECT n_logs,n_warn,n_err,log_lo,log_hi FROM flow_runs ORDER BY id")
    assert [row[:3] for row in found] == [(6, 1, 2), (1, 0, 0)]
    for row, uid in zip(found, (first.uid, second.uid), strict=True):
        (lo, hi) = rows(
            home,
            "SELECT min(seq),max(seq) FROM logs JOIN flow_runs r ON r.id=run_id WHERE r.uid=?",
            uid,
        )[0]
        assert row[3] <= lo <= hi <= row[4]
    lines = rows(
        home, "SELECT l.msg,s.name,task_no FROM logs l JOIN log_sources s ON s.id=src ORDER BY seq"
    )
    assert lines[1] == ("level 20", "logger 0", 0)
    assert lines[-1] == ("late", "flow", 1)


def test_a_result_is_kept_and_a_later_one_replaces_it(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        session.emit(ev.result(run.uid, 1, 5, "int", None, "1", None))
        session.emit(ev.result(run.uid, 0, 6, "str", 3, "x" * 200_000, "file"))
        session.emit(ev.result(run.uid, 1, 7, "int", 9, "2", "two"))
    found = rows(home, "SELECT task,us,type,size,preview,location FROM results ORDER BY task")
    assert found[1] == (1 << 24 | 1, 7, "int", 9, "2", "two")
    assert found[0][:2] == (1 << 24, 6)
    assert found[0][4].endswith("… 134,504 more bytes")


def test_equal_failures_share_one_compressed_traceback(home: Path) -> None:
    structure = json.dumps({"frames": ["…"] * 500})
    with recording(home) as session:
        run = Recorded(session.emit).run()
        for no in range(1, 4):
            run.task(no)
            session.emit(ev.failure(run.uid, no, no, 2, "ValueError", f"no {no}", structure, "{}"))
            if no == 2:
                session.flush()
        session.emit(ev.failure(run.uid, 0, 9, 1, "KeyError", "other", structure, '{"a":1}'))
    hashes = [
        blake2b(f"{name}\0{structure}".encode(), digest_size=16).digest()
        for name in ("ValueError", "KeyError")
    ]
    stored = dict(rows(home, "SELECT hash,data FROM tracebacks"))
    assert set(stored) == set(hashes)
    assert {zlib.decompress(data).decode() for data in stored.values()} == {structure}
    assert rows(
        home, "SELECT task_no,attempt,exc_type,exc_msg,tb,locals FROM failures ORDER BY id"
    ) == [
        (1, 2, "ValueError", "no 1", hashes[0], "{}"),
        (2, 2, "ValueError", "no 2", hashes[0], "{}"),
        (3, 2, "ValueError", "no 3", hashes[0], "{}"),
        (0, 1, "KeyError", "other", hashes[1], '{"a":1}'),
    ]


@pytest.mark.parametrize("flush_between", [False, True])
def test_runs_can_be_renamed(home: Path, flush_between: bool) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        if flush_between:
            session.flush()
        session.emit(ev.rename(run.uid, 1, "load-one"))
        session.emit(ev.rename(run.uid, 0, "day-1"))
    assert one(home, "SELECT name FROM task_runs") == "load-one"
    assert one(home, "SELECT name FROM flow_runs") == "day-1"


def test_the_newest_result_of_a_cache_key_wins(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1).task(2).task(3)
        session.emit(ev.cache(run.uid, 1, 50, "key", 99, "one"))
        session.flush()
        session.emit(ev.cache(run.uid, 2, 60, "key", None, "two"))
        session.emit(ev.cache(run.uid, 3, 40, "key", None, "late"))
    assert rows(home, "SELECT key,task,us,expires_us,location FROM cache") == [
        ("key", 1 << 24 | 2, 60, None, "two")
    ]
    assert rows(home, "SELECT DISTINCT cache_key FROM task_runs") == [("key",)]


def test_artifacts_are_appended(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        for percent in (10, 90):
            session.emit(ev.artifact(run.uid, 1, percent, "progress", "bar", str(percent)))
    assert rows(home, "SELECT task,us,kind,key,data FROM artifacts ORDER BY seq") == [
        (1 << 24 | 1, 10, "progress", "bar", "10"),
        (1 << 24 | 1, 90, "progress", "bar", "90"),
    ]


def test_a_definition_is_updated_and_a_missing_one_replaced_by_a_bare_one(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        session.emit(ev.task_def(TASK_KEY, "renamed", None, '["x"]', 7))
        run.task(1).task(2, key="/flows/etl.py:forgotten")
    assert rows(home, "SELECT key,name,source,tags,retries FROM tasks ORDER BY id") == [
        (TASK_KEY, "renamed", None, '["x"]', 7),
        ("/flows/etl.py:forgotten", "forgotten", None, None, 0),
    ]


def test_a_definition_stays_when_its_number_was_forgotten(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        session.flush()
        session._store_file.ingester.known.clear()  # as after rows were deleted by another process
        run.task(2)
    assert rows(home, "SELECT name,source,tags,retries FROM tasks") == [
        ("load", "/flows/etl.py:7", '["io"]', 3)
    ]
    assert rows(home, "SELECT count(*) FROM task_runs") == [(2,)]


def test_a_default_name_of_a_state_is_not_stored(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run().task(1).state(1, RUNNING, "Running")
    assert rows(home, "SELECT state_name FROM task_runs") == [(None,)]


def test_a_flush_is_one_statement_whatever_it_holds(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run()
        session.flush()
        statements: list[str] = []
        session._store_file.conn.set_trace_callback(statements.append)
        run = Recorded(session.emit).run().task(1).state(1, RUNNING).log("x", logger="new")
        session.emit(ev.failure(run.uid, 1, 5, 1, "E", "m", "{}", "{}"))
        session.emit(ev.cache(run.uid, 1, 5, "k", None, "f"))
        run.state(1, FAILED).end()
        session.flush()
        session._store_file.conn.set_trace_callback(None)
    # Every statement of its trigger is traced, too, under the text of the one that we issue.
    assert len({s for s in statements if s.startswith(("INSERT", "UPDATE", "DELETE"))}) == 1
    assert [s for s in statements if s.startswith(("BEGIN", "COMMIT", "SAVEPOINT"))] == []


def test_the_rows_of_a_flush_are_freed_without_the_collector() -> None:
    gc.disable()  # which comes by rarely: until then, 100,000 task runs would keep 40 MB
    try:
        batch = Batch(KnownIds(), lambda uid: 1, lambda key: 1)
        for number in range(3):
            batch.add(ev.log("9" * 32, 1, number, 20, "flow", str(number)))
        assert "logs" in batch.sections()
        seen = weakref.ref(batch)
        del batch
        assert seen() is None
    finally:
        gc.enable()

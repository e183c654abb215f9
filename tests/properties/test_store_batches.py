"""However events are cut into batches, the store ends up the same."""

from __future__ import annotations

import itertools
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdeck_store import events as ev
from flowdeck_store.file.connection import connect_rw, make_home
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.record.crash import recount
from flowdeck_store.record.ingest import Ingester
from flowdeck_store.states import (
    BUCKETS,
    CACHED,
    COMPLETED,
    CRASHED,
    FAILED,
    NO_BUCKET,
    NOT_READY,
    PENDING,
    RUNNING,
    SCHEDULED,
    bucket,
    is_final,
)
from store_writing import private_home

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

RUNS = ("a" * 32, "b" * 32)
STATES = st.sampled_from(
    [
        (RUNNING, None), (SCHEDULED, "AwaitingRetry"), (RUNNING, "Retrying"), (COMPLETED, None),
        (COMPLETED, CACHED), (FAILED, None), (CRASHED, None), (PENDING, NOT_READY),
    ]
)  # fmt: skip
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(RUNS),
        st.integers(min_value=0, max_value=4),
        st.one_of(
            st.tuples(st.just("state"), STATES, st.sampled_from([None, "w1", "w2"])),
            st.tuples(st.just("log"), st.sampled_from([10, 20, 30, 40]), st.text(max_size=4)),
            st.tuples(st.just("rename"), st.sampled_from(["one", "two"]), st.none()),
            st.tuples(st.just("result"), st.sampled_from(["int", "str"]), st.none()),
            st.tuples(st.just("failure"), st.sampled_from(["E", "F"]), st.none()),
            st.tuples(st.just("cache"), st.sampled_from(["k1", "k2"]), st.none()),
            st.tuples(st.just("child"), st.none(), st.none()),
        ),
    ),
    max_size=25,
)
TABLES = {
    "flow_runs": "uid,name,state,state_name,state_us,state_msg,created_us,started_us,ended_us,"
    f"attempt,parent_task,n_logs,n_warn,n_err,{','.join(f'n_{name}' for name in BUCKETS)}",
    "task_runs": "id,task_id,name,state,state_name,state_us,created_us,started_us,ended_us,attempt,"
    "worker,cache_key,child_run",
    "states": "run_id,task_no,state,us,name",
    "logs": "run_id,task_no,us,level,msg",
    "results": "*",
    "failures": "*",
    "tracebacks": "*",
    "cache": "*",
    "task_inputs": "*",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


def as_events(happenings: list[Any]) -> list[ev.Event]:
    """Turn happenings into events with increasing times; runs and task runs start by themselves."""
    found: list[ev.Event] = [ev.task_def("k", "task", None, None, 0)]
    buckets: dict[tuple[str, int], int] = {}
    us = 1000
    for uid, no, (kind, what, extra) in happenings:
        us += 1
        if (uid, 0) not in buckets:
            found.append(ev.run(uid, us, flow_key="f", flow_name="f", name="n"))
            buckets[uid, 0] = NO_BUCKET
        if (uid, no) not in buckets:
            inputs = (("x", None, no - 1),) if no > 1 else None
            found.append(ev.task(uid, no, us, "k", f"task-{no}", None, inputs))
            buckets[uid, no] = bucket(PENDING, None)
        if kind == "state":
            found.append(
                ev.state(uid, no, buckets[uid, no], *what[:1], us, what[1], None, 1, extra, None)
            )
            buckets[uid, no] = bucket(*what)
        elif kind == "log":
            found.append(ev.log(uid, no, us, what, f"logger {what}", extra))
        elif kind == "rename":
            found.append(ev.rename(uid, no, what))
        elif kind == "result":
            found.append(ev.result(uid, no, us, what, 1, None, None))
        elif kind == "failure":
            found.append(ev.failure(uid, no, us, 1, what, "m", f'"{what}"', "{}"))
        elif kind == "cache" and no:
            found.append(ev.cache(uid, no, us, what, None, "file"))
        elif kind == "child" and no:
            child = f"{len(found):032x}"
            found.append(
                ev.run(
                    child, us, flow_key="g", flow_name="g", name="c", parent_uid=uid, parent_no=no
                )
            )
    return found


def after_the_end(found: list[ev.Event]) -> int:
    """Count the states of runs that have ended already: nothing follows a final one."""
    ended: set[tuple[str, int]] = set()
    late = 0
    for event in found:
        if event[0] == ev.STATE:
            _, uid, no, _, code, _, name, *_ = event
            late += (uid, no) in ended
            if is_final(code, name):
                ended.add((uid, no))
    return late


def stored(home: Path, batches: list[list[ev.Event]]) -> dict[str, list[Any]]:
    """Commit the batches into a fresh store and return what its tables hold."""
    paths = StorePaths(home)
    make_home(paths)
    with closing(connect_rw(paths)) as conn:
        conn.execute("INSERT INTO sessions(uid,host,pid,started_us,beat_us) VALUES('s','h',1,1,1)")
        ingester = Ingester(conn, nullcontext, 1, lambda: 1)
        applied = 0
        for batch in batches:
            assert ingester.commit(batch, applied) == len(batch)
            applied += len(batch)
        assert ingester.rejected == after_the_end([event for batch in batches for event in batch])
        assert conn.execute("SELECT applied FROM sessions").fetchone() == (applied,)
        found = contents(conn)
        for (run,) in conn.execute("SELECT id FROM flow_runs").fetchall():
            recount(conn, run)
        assert contents(conn) == found, "the counters do not say what the task runs say"
    return found


def contents(conn: sqlite3.Connection) -> dict[str, list[Any]]:
    found = {
        table: sorted(conn.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
        for table, columns in TABLES.items()
    }
    # A line about an event that is refused has the time at which it was.
    found["logs"] = sorted(
        (run, no, 0 if "could not record" in msg else us, level, msg)
        for run, no, us, level, msg in found["logs"]
    )
    return found


@given(happenings=HAPPENINGS, cuts=st.sets(st.integers(min_value=1, max_value=80)))
@settings(max_examples=40, deadline=None)
def test_the_store_does_not_depend_on_how_events_are_batched(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[Any], cuts: set[int]
) -> None:
    events = as_events(happenings)
    edges = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    parts = [events[a:b] for a, b in itertools.pairwise(edges)]
    folder = tmp_path_factory.mktemp("batches")
    whole = stored(folder / "whole", [events])
    assert stored(folder / "parts", parts) == whole
    assert stored(folder / "singly", [[event] for event in events]) == whole

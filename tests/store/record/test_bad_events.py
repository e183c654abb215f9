"""One event that cannot be recorded costs only itself, and says so in its run."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store import events as ev
from flowdeck_store.states import COMPLETED, RUNNING
from store_writing import Recorded, one, recording, rows

if TYPE_CHECKING:
    from pathlib import Path


def bad_events(uid: str) -> dict[str, ev.Event]:
    return {
        "an integer beyond 64 bits": ev.log(uid, 0, 2**70, 20, "flow", "late"),
        "a number that is not finite": ev.result(uid, 1, 5, "float", float("nan"), "x", None),  # type: ignore[arg-type]
        "a time that is missing": ev.log(uid, 0, None, 20, "flow", "when?"),  # type: ignore[arg-type]
        "a time that is a text": ev.log(uid, 0, "now", 20, "flow", "when?"),  # type: ignore[arg-type]
        "a state that does not exist": ev.state(uid, 1, 1, 77, 5, None, None, 1, None, None),
        "a kind that does not exist": (99, uid, 1),
        "a field too few": (ev.LOG, uid, 0, 5, 20, "flow"),
        "a run without fields": (ev.RUN,),
        "a definition without fields": (ev.TASK_DEF,),
        "a state of the flow run without fields": (ev.STATE, uid, 0),
        "a cache entry without fields": (ev.CACHE, uid),
        "a task number beyond 24 bits": ev.task(uid, 1 << 24, 5, "k", "n", None, None),
        "a run that does not exist": ev.log("0" * 32, 0, 5, 20, "flow", "whose?"),
        "a second task run of the same number": ev.task(uid, 1, 5, "k", "again", None, None),
        "a result without a type": ev.result(uid, 1, 5, None, None, None, None),  # type: ignore[arg-type]
    }


NAMES = list(bad_events(""))
NOT_OF_THE_RUN = {
    "a run that does not exist", "a run without fields", "a definition without fields"
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_event_costs_only_itself(home: Path, name: str) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1).state(1, RUNNING)
        session.flush()
        run.log("before")
        session.emit(bad_events(run.uid)[name])
        run.log("after").state(1, COMPLETED).end()
        assert session.flush()
        figures = session.statistics()
    assert figures.rejected >= 1
    assert figures.applied == figures.emitted
    assert one(home, "SELECT applied FROM sessions") == figures.emitted
    lines = [msg for (msg,) in rows(home, "SELECT msg FROM logs ORDER BY seq")]
    expected = ["before", "after"]
    if name not in NOT_OF_THE_RUN:
        expected.insert(1, next(m for m in lines if m.startswith("flowdeck could not record")))
    assert lines == expected
    assert rows(home, "SELECT state,n_completed,n_running FROM flow_runs") == [(COMPLETED, 1, 0)]


def test_all_of_them_in_one_batch_among_a_thousand_good_ones(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        session.flush()
        good = [ev.log(run.uid, 0, n, 20, "flow", f"line {n}") for n in range(1000)]
        mixed: list[Any] = [*good, *bad_events(run.uid).values()]
        random.Random(7).shuffle(mixed)
        session.emit_many(mixed)
        assert session.flush(30)
        assert session.statistics().applied == session.statistics().emitted
    stored = [m for (m,) in rows(home, "SELECT msg FROM logs ORDER BY seq") if m[:4] == "line"]
    assert stored == [event[-1] for event in mixed if event in good]
    assert one(home, "SELECT n_logs FROM flow_runs") == one(home, "SELECT count(*) FROM logs")


@pytest.mark.parametrize(
    "text", ["lone \ud800 surrogate", "nul \0 inside", "\udcff\0\ud83d", "ok ä ✗ 🦦"]
)
def test_any_text_anywhere_can_be_read_back(home: Path, text: str) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run(text, params=json.dumps({"a": text}))
        session.emit(ev.task_def("key" + text, text, text, None, 0))
        session.emit(ev.task(run.uid, 1, 5, "key" + text, text, None, None))
        run.state(1, RUNNING, text, text, worker=text).log(text, logger=text)
        run.log(text, logger=text)
        session.emit(ev.failure(run.uid, 1, 5, 1, text, text, json.dumps([text]), "{}"))
        session.emit(ev.result(run.uid, 1, 5, text, 1, text, text))
        session.emit(ev.rename(run.uid, 0, text + "!"))
        session.emit(ev.cache(run.uid, 1, 5, text, None, text))
        session.emit(ev.artifact(run.uid, 1, 5, text, text, text))
        assert session.flush()
        assert session.statistics().rejected == 0
    shown = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    assert one(home, "SELECT name FROM flow_runs") == shown + "!"
    assert rows(home, "SELECT name,state_name,state_msg,worker FROM task_runs") == [(shown,) * 4]
    assert rows(home, "SELECT msg,name FROM logs JOIN log_sources s ON s.id=src") == [
        (shown, shown)
    ] * 2  # fmt: skip
    assert rows(home, "SELECT exc_type,exc_msg FROM failures") == [(shown, shown)]
    assert rows(home, "SELECT type,preview,location FROM results") == [(shown,) * 3]
    assert rows(home, "SELECT key,location FROM cache") == [(shown, shown)]
    assert rows(home, "SELECT kind,key,data FROM artifacts") == [(shown,) * 3]


def test_rows_that_somebody_deleted_meanwhile_do_not_stop_the_recording(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        session.emit(ev.failure(run.uid, 1, 5, 1, "E", "one", "{}", "{}"))
        session.flush()
        with session._services.door.writing() as conn:
            conn.execute("DELETE FROM failures")
            conn.execute("DELETE FROM tracebacks")
            conn.execute("DELETE FROM log_sources")
        session.emit(ev.failure(run.uid, 1, 6, 1, "E", "two", "{}", "{}"))
        run.log("hello", logger="flow")
        assert session.flush()
        assert session.statistics().rejected == 0
    assert rows(home, "SELECT exc_msg FROM failures JOIN tracebacks ON hash=tb") == [("two",)]


def test_messages_beyond_64_kb_are_cut_with_a_mark(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().log("x" * 70_000).log("ü" * 40_000)
        run.state(0, COMPLETED, msg="y" * 100_000)
    lines = [msg for (msg,) in rows(home, "SELECT msg FROM logs ORDER BY seq")]
    assert [len(line.encode()) <= 65_536 for line in lines] == [True, True]
    assert [line.rpartition("… ")[2] for line in lines] == ["4,504 more bytes", "14,504 more bytes"]
    assert one(home, "SELECT state_msg FROM flow_runs").endswith("… 34,504 more bytes")


def test_a_flood_of_large_messages_is_cut_into_several_statements(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        session.flush()
        before = session.statistics().flushes
        for number in range(300):
            run.log(f"{number} " + "z" * 60_000)
        assert session.flush(30)
        assert session.statistics().flushes - before >= 4
    assert one(home, "SELECT count(*) FROM logs") == 300

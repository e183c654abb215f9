"""Failures of many runs as groups: the same type of exception at the same place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store import events as ev
from flowdeck_store import failures
from flowdeck_store.errors import Ambiguous, NotFound, QueryError
from flowdeck_store.read.errors.groups import ErrorPlace, StartedRun, group_id, made_good, place_of
from flowdeck_store.read.errors.json_shape import error_details, error_group
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED, CRASHED, FAILED
from store_writing import Recorded, recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowdeck_store.read.errors.groups import ErrorGroup

    Write = Callable[[ev.Event], None]


def _frame(file: str, line: int, *, user: bool = True) -> dict[str, Any]:
    return {"file": file, "lineno": line, "func": "load", "is_user": user, "locals": []}


def _error(
    line: int = 12, message: str = "down", type_: str = "ConnectionError", library: int = 99
) -> dict[str, Any]:
    frames = [_frame("/flows/etl.py", line), _frame("/lib/http.py", library, user=False)]
    return {"type": type_, "message": message, "frames": frames}


def _fail(run: Recorded, no: int, error: dict[str, Any], attempt: int = 1) -> None:
    structure, variables = failures.split(error)
    run.emit(
        ev.failure(
            run.uid, no, run.us(), attempt, error["type"], error["message"], structure, variables
        )
    )


def _failed(emit: Write, *errors: dict[str, Any], code: int = FAILED, **more: Any) -> Recorded:
    """A run with a task run for each error."""
    run = Recorded(emit).run(**more)
    for no, error in enumerate(errors, 1):
        run.task(no)
        _fail(run, no, error)
        run.state(no, FAILED)
    return run.end(code)


def _groups(home: Path, query: str | None = None) -> list[ErrorGroup]:
    with Reader.open(home) as reader:
        return reader.error_groups(query)


def test_the_same_type_at_the_same_line_is_one_group_however_it_got_there(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, _error(message="a"), _error(message="b", library=7), _error(13))
        _failed(session.emit, _error(), _error(type_="TimeoutError"))
    found = {group.title: group for group in _groups(home)}
    assert set(found) == {
        "ConnectionError at etl.py:12", "ConnectionError at etl.py:13", "TimeoutError at etl.py:12"
    }  # fmt: skip
    group = found["ConnectionError at etl.py:12"]
    assert (group.tasks, group.attempts, group.runs) == (3, 3, (2, 1))
    assert len(group.tracebacks) == 2
    assert group.flows == ("etl",)
    assert group.first_us < group.last_us
    assert sum(attempts for _, attempts in group.when) == 3


def test_the_one_seen_last_comes_first(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, _error(1))
        _failed(session.emit, _error(2))
        _failed(session.emit, _error(1))
    assert [group.place.line for group in _groups(home)] == [1, 2]


def test_a_task_run_that_failed_in_several_attempts_and_ways_counts_once(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        _fail(run, 1, _error(library=1))
        _fail(run, 1, _error(library=2), 2)
        run.state(1, COMPLETED).end()
    (group,) = _groups(home)
    assert (group.tasks, group.attempts) == (1, 2)
    assert not group.is_open  # the run completed all the same


def test_what_a_flow_function_lets_through_is_no_task_run_more(home: Path) -> None:
    with recording(home) as session:
        run = _failed(session.emit, _error(), code=CRASHED)
        _fail(run, 0, _error())
    (group,) = _groups(home)
    assert (group.tasks, group.attempts, group.runs, group.count) == (1, 1, (1,), 1)
    assert sum(attempts for _, attempts in group.when) == 1
    with Reader.open(home) as reader:
        details = reader.error_details(group)
        assert [message.count for message in details.messages] == [1]
        assert details.example == "1.1"  # the task run, not the flow that let it through
        assert [row.task_no for row in reader.error_occurrences(group)] == [1]


def test_flow_functions_alone_count_as_runs(home: Path) -> None:
    with recording(home) as session:
        for _ in range(2):
            run = Recorded(session.emit).run()
            _fail(run, 0, _error())
            run.end(FAILED)
    (group,) = _groups(home)
    assert (group.tasks, group.count, group.attempts) == (0, 2, 2)
    with Reader.open(home) as reader:
        assert [row.run_id for row in reader.error_occurrences(group)] == [2, 1]


def test_what_fails_in_a_subflow_counts_once_and_for_the_run_above(home: Path) -> None:
    with recording(home) as session:
        above = Recorded(session.emit).run(name="above").task(1)
        below = Recorded(session.emit).run(name="below", parent_uid=above.uid, parent_no=1)
        below.task(1)
        _fail(below, 1, _error())
        below.state(1, FAILED).end(FAILED)
        _fail(above, 1, _error())
        above.state(1, FAILED).end(FAILED)
    (group,) = _groups(home)
    assert (group.tasks, group.runs, group.open_runs) == (1, (1,), (1,))
    assert len(_groups(home, "name:above")) == 1
    assert _groups(home, "name:above")[0].attempts == 1
    with Reader.open(home) as reader:
        assert [(row.run_id, row.task_no) for row in reader.error_occurrences(group)] == [(2, 1)]
    assert _groups(home, "name:nobody") == []


def test_a_group_is_repaired_when_a_re_run_of_each_of_its_runs_completed(home: Path) -> None:
    with recording(home) as session:
        first = _failed(session.emit, _error())
        second = _failed(session.emit, _error())
        again = _failed(session.emit, _error(), rerun_of=first.uid)
        Recorded(session.emit).run(rerun_of=again.uid).end()
    (group,) = _groups(home)
    assert group.open_runs == (2,)
    with Reader.open(home) as reader:
        assert [run.id for run in reader.error_repairs(group)] == [2]
        assert reader.error_details(group).made_good == {1: 4, 3: 4}
    with recording(home) as session:
        Recorded(session.emit).run(rerun_of=second.uid).end()
    (group,) = _groups(home)
    assert not group.is_open


def test_whatever_run_of_a_family_is_repeated_repairs_the_re_runs_that_failed_too(
    home: Path,
) -> None:
    with recording(home) as session:
        first = _failed(session.emit, _error())
        _failed(session.emit, _error(), rerun_of=first.uid)
        Recorded(session.emit).run(rerun_of=first.uid).end()
        later = _failed(session.emit, _error(), rerun_of=first.uid)
    (group,) = _groups(home)
    assert (group.open_runs, group.repaired_runs) == ((4,), (2, 1))
    with recording(home) as session:
        Recorded(session.emit).run(rerun_of=later.uid).end()
    assert not _groups(home)[0].is_open


def test_what_a_subflow_function_raises_counts_once_however_far_it_gets(home: Path) -> None:
    with recording(home) as session:
        above = Recorded(session.emit).run(name="above").task(1)
        below = Recorded(session.emit).run(name="below", parent_uid=above.uid, parent_no=1)
        _fail(below, 0, _error())
        below.end(FAILED)
        _fail(above, 1, _error())
        above.state(1, FAILED)
        _fail(above, 0, _error())
        above.end(FAILED)
    (group,) = _groups(home)
    assert (group.tasks, group.attempts, group.runs) == (0, 1, (1,))
    with Reader.open(home) as reader:
        assert [(row.run_id, row.task_no) for row in reader.error_occurrences(group)] == [(2, 0)]


def test_re_runs_that_lead_in_a_circle_end() -> None:
    runs = [StartedRun(n, f"u{n}", "etl", FAILED, f"u{n % 3 + 1}") for n in (1, 2, 3)]
    assert made_good(runs, runs) == {}
    good = StartedRun(4, "u4", "etl", COMPLETED, "u3")
    assert made_good(runs, [*runs, good]) == {1: 4, 2: 4, 3: 4}
    good = StartedRun(4, "a-uid-before-theirs", "etl", COMPLETED, "u3")
    assert made_good(runs, [*runs, good]) == {1: 4, 2: 4, 3: 4}


def test_a_query_filters_the_runs(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, _error(1), tags='["prod"]')
        _failed(session.emit, _error(2))
    assert [group.place.line for group in _groups(home, "tag:prod")] == [1]
    assert [group.place.line for group in _groups(home, "-tag:prod since:1d")] == [2]
    with pytest.raises(QueryError):
        _groups(home, "worker:x")


def test_the_place_is_the_innermost_frame_of_the_users_code() -> None:
    frames = [_frame("/a.py", 1), _frame("/b.py", 2), _frame("/lib.py", 3, user=False)]
    assert place_of({"frames": frames}) == ErrorPlace("/b.py", 2, "load")
    assert place_of({"frames": frames[2:]}) == ErrorPlace("/lib.py", 3, "load")
    assert place_of({"frames": frames}).short == "b.py:2"


@pytest.mark.parametrize(
    "structure",
    [{}, {"frames": None}, {"frames": 3}, {"frames": [3, None]}, {"frames": [{"file": 1}]}],
)
def test_a_traceback_that_says_nothing_has_no_place(structure: dict[str, Any]) -> None:
    assert place_of(structure) == ErrorPlace()


def test_a_damaged_traceback_still_has_its_type(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, _error(4711))
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        conn.execute("UPDATE tracebacks SET data = x'00'")
        conn.commit()
    (group,) = _groups(home)
    assert (group.title, group.count) == ("ConnectionError", 1)
    with Reader.open(home) as reader:
        assert reader.error_details(group).n_messages == 1


def test_failures_without_a_traceback_are_a_group_of_their_own(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, _error(), _error())
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        conn.execute("UPDATE failures SET tb = NULL WHERE task_no = 1")
        conn.commit()
    bare, placed = sorted(_groups(home), key=lambda group: group.title)
    assert (bare.title, bare.count, placed.count) == ("ConnectionError", 1, 1)
    with Reader.open(home) as reader:
        assert reader.error_details(bare).task_runs == ("1.1",)


def test_details_tell_messages_runs_and_the_newest_traceback(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, _error(message="a"), _error(message="b"))
        _failed(session.emit, _error(message="a"), _error(99))
    with Reader.open(home) as reader:
        group = reader.error_group(group_id("ConnectionError", ErrorPlace("/flows/etl.py", 12)))
        details = reader.error_details(group)
        shown = error_details(details)
        assert error_group(group, reader.error_examples([group])[group.id])["example"] == "2.1"
    assert [(m.text, m.count, m.task_run) for m in details.messages] == [
        ("a", 2, "2.1"), ("b", 1, "1.2")
    ]  # fmt: skip
    assert details.failure is not None
    assert (details.failure.run_id, details.failure.task_no) == (2, 1)
    assert details.task_runs == ("2.1", "1.2", "1.1")
    assert [run["id"] for run in shown["in_runs"]] == [2, 1]
    assert shown["failure"]["frames"][0]["line"] == 12
    assert shown["task_runs"] == 3


def test_a_group_is_found_by_the_beginning_of_its_id(home: Path) -> None:
    with recording(home) as session:
        _failed(session.emit, *(_error(line) for line in range(1, 40)))
    with Reader.open(home) as reader:
        group = reader.error_groups()[0]
        assert reader.error_group(group.id) == group
        assert reader.error_group("@last") == group
        with pytest.raises(NotFound, match="no group of errors"):
            reader.error_group("")
        with pytest.raises(NotFound):
            reader.error_group("zzzz")
        shared = next(
            digit
            for digit in "0123456789abcdef"
            if sum(g.id.startswith(digit) for g in reader.error_groups()) > 1
        )
        with pytest.raises(Ambiguous, match="fits several groups"):
            reader.error_group(shared)


def test_without_a_record_nothing_failed(home: Path) -> None:
    assert _groups(home) == []

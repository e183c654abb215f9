"""What a reader returns of runs, task runs, logs and what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.read.reader import Reader
from flowdeck_store.states import (
    CANCELLED,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from store_builder import SECOND, T0, StoreBuilder, captured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Texts that a terminal, SQL, markup or JSON might take for something else.
ODD_TEXTS = (
    "[/foo] dict[str, int] [bold]x[/]",
    "\x1b[31mred\x1b[0m\x07",
    "tab\tnew\nline\r\n",
    "شكرا \u202eevil\u202c",
    "👩‍👩‍👧 ﷽ ẛ̣",
    "'; DROP TABLE flow_runs; --",
    '{"json": "\\u0000"}',
    "%_\\*?",
    "",
)


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


def test_a_run_has_everything_that_was_recorded(builder: StoreBuilder, reader: Reader) -> None:
    id_ = builder.run(
        "brave-otter", flow="etl", state=FAILED, state_name="TimedOut", state_msg="too slow",
        created=T0, started=T0 + SECOND, seconds=1.5, tags=["a", "b"], runner="dask",
        params='{"x": 1}', attempt=2, rerun_of="u" * 32, info='{"cwd": "/work"}', pinned=1,
    )  # fmt: skip
    builder.task(id_, 1)
    builder.log(id_, 1, level=30)
    builder.log(id_, 1, level=40)
    run = reader.run(id_)
    assert run is not None
    assert (run.id, run.name, run.flow, run.flow_key) == (
        id_, "brave-otter", "etl", "/flows/etl.py:etl",
    )  # fmt: skip
    assert (run.state, run.state_type, run.message) == ("TimedOut", "FAILED", "too slow")
    assert (run.duration, run.is_final, run.attempt, run.pinned) == (1.5, True, 2, True)
    assert (run.tags, run.runner, run.params) == (("a", "b"), "dask", '{"x": 1}')
    assert (run.n_tasks, run.counts[3]) == (1, 1)
    assert (run.n_logs, run.n_warnings, run.n_errors) == (2, 1, 1)
    assert (run.pid, run.host, run.info) == (4711, "here", {"cwd": "/work"})
    assert run.source == "/flows/etl.py:14"
    assert run.rerun_of == "u" * 32
    assert reader.run_by_uid(run.uid) == run


def test_a_launched_run_without_a_process_yet_shows_its_launcher(
    builder: StoreBuilder, reader: Reader
) -> None:
    id_ = builder.run(
        state=SCHEDULED, state_name="Launching", started=None, session_id=None, launch_pid=99,
        launch_host="there",
    )  # fmt: skip
    run = reader.run(id_)
    assert run is not None
    assert (run.state, run.pid, run.host, run.duration) == ("Launching", 99, "there", None)


def test_missing_things_are_none_and_absurd_numbers_too(reader: Reader) -> None:
    for number in (7, 0, -1, 2**24, 2**63, 2**80):
        assert reader.run(number) is None
    assert reader.run_by_uid("f" * 32) is None
    assert reader.task(1, 0) is None
    assert reader.task(1, 2**24) is None
    assert reader.task(2**60, 3) is None
    assert reader.result(1) is None
    assert reader.last_failure(1) is None
    assert reader.failure(1) is None


def test_damaged_json_in_a_row_does_not_hide_the_row(builder: StoreBuilder, reader: Reader) -> None:
    id_ = builder.run(params="{", info="[1]")
    builder.db.execute("UPDATE flow_runs SET tags = '{\"a\": 1}' WHERE id = ?", (id_,))
    run = reader.run(id_)
    assert run is not None
    assert (run.tags, run.info, run.params) == ((), {}, "{")
    builder.db.execute("UPDATE flow_runs SET tags = 'nonsense' WHERE id = ?", (id_,))
    assert reader.runs("-tag:a")[0].id == id_


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_text_comes_back_as_it_was_recorded(
    builder: StoreBuilder, reader: Reader, text: str
) -> None:
    run = builder.run(text, state_msg=text, tags=[text])
    builder.task(run, 1, name=f"x{text}", state_msg=text, worker=text)
    builder.log(run, 1, text, logger=text)
    builder.failure(run, 1, message=text)
    builder.result(run, 1, preview=text)
    record = reader.run(run)
    task = reader.task(run, 1)
    assert record is not None
    assert task is not None
    assert (record.name, record.message, record.tags) == (text, text, (text,))
    assert (task.name, task.message, task.worker) == (f"x{text}", text, text)
    (line,) = reader.logs(run)
    assert (line.message, line.logger) == (text, text)
    (failure,) = reader.failures(run)
    assert failure.exc_msg == text
    assert failure.exception == captured(text)
    result = reader.result(run, 1)
    assert result is not None
    assert result.preview == text


def test_roots_leaves_subflow_runs_out_unless_the_query_speaks_of_parents(
    builder: StoreBuilder, reader: Reader
) -> None:
    parent = builder.run("parent")
    child = builder.run("child", parent_task=parent << 24 | 3)
    builder.run("grandchild", parent_task=child << 24 | 1)
    assert [run.name for run in reader.runs(roots=True)] == ["parent"]
    assert [run.name for run in reader.runs("parent:any", roots=True)][-1] == "parent"
    assert reader.count_runs("parent:any", roots=True) == 3
    assert reader.count_runs(roots=True) == 1
    assert [run.name for run in reader.children(parent)] == ["child"]
    assert [run.name for run in reader.children(child)] == ["grandchild"]


def test_orders_of_runs(builder: StoreBuilder, reader: Reader) -> None:
    for name, code, start, seconds, flow in (
        ("b-10", COMPLETED, 3, 5.0, "b"),
        ("b-2", FAILED, 1, 9.0, "A"),
        ("a", RUNNING, 2, None, "b"),
        ("c", SCHEDULED, 0, None, "A"),
        ("d", CRASHED, 4, 1.0, "c"),
        ("e", CANCELLED, 5, 0.5, "c"),
    ):
        builder.run(
            name, state=code, started=T0 + start * SECOND if start else None, seconds=seconds,
            flow=flow, state_name="AwaitingRetry" if name == "c" else None,
        )  # fmt: skip

    def names(order: str) -> list[str]:
        return [run.name for run in reader.runs(order=order)]

    assert names("newest") == ["e", "d", "c", "a", "b-2", "b-10"]
    assert names("oldest") == names("newest")[::-1]
    assert names("problems") == ["b-2", "d", "c", "a", "e", "b-10"]
    assert names("duration") == ["c", "e", "d", "b-10", "b-2", "a"]
    assert names("-duration") == names("duration")[::-1]
    assert names("start") == ["b-2", "a", "b-10", "d", "e", "c"]
    assert names("name") == ["a", "b-2", "b-10", "c", "d", "e"]
    assert names("flow") == ["c", "b-2", "a", "b-10", "e", "d"]


def test_unknown_orders_are_named_with_those_there_are(reader: Reader) -> None:
    with pytest.raises(ValueError, match=r"'size' of runs; there are newest, .*oldest"):
        reader.runs(order="size")
    with pytest.raises(ValueError, match="'newest' of task runs; there are number"):
        reader.tasks(1, order="newest")
    with pytest.raises(ValueError, match="runs_window"):
        reader.runs(order="duration", before_id=3)


def test_problems_first_puts_failed_crashed_retrying_running_waiting_then_the_rest(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    states = [
        (COMPLETED, None), (PENDING, None), (PENDING, "NotReady"), (RUNNING, None),
        (RUNNING, "Retrying"), (SCHEDULED, "AwaitingRetry"), (CRASHED, None), (FAILED, None),
        (CANCELLED, None), (SCHEDULED, None), (PAUSED, None), (COMPLETED, "Cached"),
    ]  # fmt: skip
    for no, (code, name) in enumerate(states, 1):
        builder.task(run, no, state=code, state_name=name)
    order = [task.no for task in reader.tasks(run, order="problems")]
    assert order == [8, 7, 5, 6, 4, 2, 10, 11, 1, 3, 9, 12]


def test_a_page_of_tasks_never_reaches_into_the_runs_beside(
    builder: StoreBuilder, reader: Reader
) -> None:
    runs = [builder.run(), builder.run(), builder.run()]
    for run in runs:
        builder.task(run, 1)
        builder.task(run, 2**24 - 1)
    run = runs[1]
    for no in (-5, 0, 1, 2, 2**24 - 1, 2**24, 2**40):
        for order in ("number", "-number", "name"):
            for rows in (
                reader.tasks(run, after_no=no, order=order),
                reader.tasks(run, before_no=no, order=order),
            ):
                assert {task.run_id for task in rows} <= {run}
    assert [task.no for task in reader.tasks(run)] == [1, 2**24 - 1]


def test_the_next_problem_wraps_round_and_skips_cancelled_ones(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    for no, code in enumerate([COMPLETED, FAILED, CANCELLED, CRASHED, COMPLETED], 1):
        builder.task(run, no, state=code)
    other = builder.run()
    builder.task(other, 1)

    def following(no: int) -> int | None:
        task = reader.next_problem(run, no)
        return None if task is None else task.no

    assert [following(no) for no in (0, 1, 2, 3, 4, 5)] == [2, 2, 4, 4, 2, 2]
    assert reader.next_problem(other) is None
    assert {id_: task.no for id_, task in reader.first_failures([run, other]).items()} == {run: 2}


def test_a_task_run_without_a_name_has_its_tasks(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run("otter")
    builder.task(run, 3, task="load", cache_key="k", map_index=7, child_run=9)
    builder.db.execute("UPDATE task_runs SET name = NULL")
    task = reader.task(run, 3)
    assert task is not None
    assert (task.name, task.task, task.task_key) == ("load", "load", "/flows/etl.py:load")
    assert (task.ref, task.run_name, task.retries) == (f"{run}.3", "otter", 2)
    assert (task.map_index, task.cache_key, task.child_run, task.duration) == (7, "k", 9, 1.0)
    assert task.uid == f"{task.run_uid}.3"


def test_a_window_keeps_its_order_while_its_rows_change(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    for no in (1, 2, 3, 4):
        builder.task(run, no, state=RUNNING)
    first = reader.tasks_window(run, None, "problems")
    builder.db.execute("UPDATE task_runs SET state = 4 WHERE id = ?", (run << 24 | 4,))
    frozen = reader.tasks_window(run, None, "problems", index=first.index)
    assert [task.no for task in frozen.rows] == [1, 2, 3, 4]
    assert frozen.rows[3].code == FAILED
    assert [task.no for task in reader.tasks_window(run, None, "problems").rows] == [4, 1, 2, 3]
    builder.db.execute("DELETE FROM task_runs WHERE id = ?", (run << 24 | 2,))
    gone = reader.tasks_window(run, index=first.index)
    assert [task.no for task in gone.rows] == [1, 3, 4]
    assert gone.total == 4


def test_windows_of_a_run_with_gaps_in_its_numbers(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    for no in (2, 3, 9):
        builder.task(run, no)
    window = reader.tasks_window(run, start=1, count=5)
    assert [task.no for task in window.rows] == [3, 9]
    assert window.index.position(run << 24 | 9) == 2
    assert window.index.position(run << 24 | 4) is None
    assert reader.tasks_window(run, start=-3, count=1).rows[0].no == 2


def test_the_log_of_a_run_between_others_is_found_either_way(
    builder: StoreBuilder, reader: Reader
) -> None:
    alone, thin, thick = builder.run(), builder.run(), builder.run()
    for number in range(5):
        builder.log(alone, 0, f"alone {number}")
    builder.log(thin, 0, "thin 0")
    for number in range(150):
        builder.log(thick, 0, f"thick {number}")
    builder.log(thin, 0, "thin 1")
    assert isinstance(reader.log_index(alone).ids, range)
    assert not isinstance(reader.log_index(thin).ids, range)
    assert [line.message for line in reader.logs(thin)] == ["thin 0", "thin 1"]
    assert [line.message for line in reader.logs(thin, tail=True, limit=1)] == ["thin 1"]
    assert len(reader.logs(thick, limit=1000)) == reader.count_logs(thick) == 150
    assert [line.message for line in reader.logs_window(alone, start=3).rows] == [
        "alone 3", "alone 4",
    ]  # fmt: skip


def test_logs_are_filtered_by_text_and_logger(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    builder.log(run, 0, "100% done", logger="a")
    builder.log(run, 1, "1000 Done", logger="b")
    assert [line.logger for line in reader.logs(run, text="100%")] == ["a"]
    assert [line.logger for line in reader.logs(run, text="DONE")] == ["a", "b"]
    assert [line.logger for line in reader.logs(run, logger="b")] == ["b"]
    assert reader.logs(run, logger="nobody") == []
    assert reader.loggers(run) == ["a", "b"]
    assert reader.count_logs(run, text="done", logger="a") == 1


def test_states_come_in_the_order_of_recording(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    builder.state(run, 0, PENDING)
    builder.state(run, 4, RUNNING, data={"params": {"page": "3"}})
    builder.state(run, 4, FAILED, name="TimedOut", us=T0 - SECOND, msg="late")
    history = reader.states(run, 4)
    assert [state.state for state in history] == ["Running", "TimedOut"]
    assert (history[1].state_type, history[1].message) == ("FAILED", "late")
    assert history[0].data == {"params": {"page": "3"}}
    assert [state.state for state in reader.states(run)] == ["Pending"]


def test_attempts_are_cut_out_of_the_states(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    history = [
        (PENDING, None, 0), (RUNNING, None, 1), (SCHEDULED, "AwaitingRetry", 3),
        (RUNNING, "Retrying", 5), (PAUSED, None, 6), (RUNNING, None, 7), (FAILED, None, 9),
    ]  # fmt: skip
    for code, name, second in history:
        builder.state(run, 1, code, name=name, us=T0 + second * SECOND, msg=f"at {second}")
    first, second = reader.attempts(run, 1)
    assert (first.attempt, first.seconds, first.state, first.message) == (
        1, 2.0, "AwaitingRetry", "at 3",
    )  # fmt: skip
    assert (second.attempt, second.seconds, second.state) == (2, 4.0, "Failed")


def test_an_attempt_that_goes_on_has_no_end_and_what_never_ran_no_attempt(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.state(run, 1, RUNNING)
    builder.state(run, 2, PENDING)
    builder.state(run, 2, PENDING, name="NotReady")
    builder.state(run, 3, RUNNING)
    builder.state(run, 3, RUNNING, name="Retrying", us=T0 + SECOND)
    (attempt,) = reader.attempts(run, 1)
    assert (attempt.ended_us, attempt.state, attempt.seconds) == (None, "Running", None)
    assert reader.attempts(run, 2) == []
    assert [found.attempt for found in reader.attempts(run, 3)] == [1, 2]


def test_inputs_lead_to_the_upstreams_with_their_states(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    for no, code in ((1, FAILED), (2, COMPLETED), (3, PENDING)):
        builder.task(run, no, state=code)
    builder.edge(run, 3, 1, "rows")
    builder.edge(run, 3, 2, "wait_for")
    builder.edge(run, 3, 99, "gone")
    assert [(edge.ref, edge.param) for edge in reader.inputs(run, 3)] == [
        (f"{run}.1", "rows"), (f"{run}.2", "wait_for"), (f"{run}.99", "gone"),
    ]  # fmt: skip
    found = reader.upstreams(run, [3, 1])
    assert list(found) == [3]
    assert [(up.name, up.code, up.is_completed, up.ref) for up in found[3]] == [
        ("fetch-1", FAILED, False, f"{run}.1"),
        ("fetch-2", COMPLETED, True, f"{run}.2"),
        (None, -1, False, f"{run}.99"),
    ]
    assert [edge.task & 0xFFFFFF for edge in reader.downstream(run, 1)] == [3]


def test_parameters_are_those_of_the_first_start_that_has_them(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.state(run, 1, PENDING, data={"params": {"no": "1"}})
    builder.state(run, 1, RUNNING, data={"other": 1})
    builder.state(run, 1, RUNNING, data={"params": {"page": "3", "rows": "[…]"}})
    assert reader.task_parameters(run, 1) == {"page": "3", "rows": "[…]"}
    assert reader.task_parameters(run, 2) == {}


def test_results_are_paged_by_number_and_found_by_numbers(
    builder: StoreBuilder, reader: Reader
) -> None:
    run, other = builder.run(), builder.run()
    for no in (0, 2, 5, 7):
        builder.result(run, no, preview=str(no))
    builder.result(other, 0)

    def previews(**page: int) -> list[str | None]:
        return [result.preview for result in reader.results(run, **page)]

    assert previews() == ["0", "2", "5", "7"]
    assert previews(after_no=0, limit=2) == ["2", "5"]
    assert previews(after_no=7) == []
    assert previews(limit=0) == ["0", "2", "5", "7"]  # all, as on the command line
    assert sorted(reader.results_by_nos(run, [0, 5, 6])) == [0, 5]


def test_failures_of_a_run_and_where_else_the_same_error_happened(
    builder: StoreBuilder, reader: Reader
) -> None:
    runs = [builder.run(), builder.run(), builder.run()]
    builder.failure(runs[0], 1, message="one")
    builder.failure(runs[0], 2, message="two")
    builder.failure(runs[0], 2, message="two again", attempt=2)
    builder.failure(runs[1], 4, message="elsewhere")
    builder.failure(runs[2], 1, message="another line", line=99)
    found = reader.failures(runs[0])
    assert [failure.exc_msg for failure in found] == ["one", "two", "two again"]
    assert [failure.exc_msg for failure in reader.failures(runs[0], 2)] == ["two", "two again"]
    last = reader.last_failure(runs[0], 2)
    assert last is not None
    assert (last.exc_msg, last.attempt) == ("two again", 2)
    assert reader.failure(last.id) == last
    assert last.tb_hash is not None
    same = reader.same_failures(last.tb_hash, runs[0])
    assert (same.tasks_here, same.runs_elsewhere) == (2, 1)
    assert same.examples[0].exc_msg == "elsewhere"
    assert all(failure.exception is None for failure in same.examples)
    assert reader.same_failures("not hex") == reader.same_failures("ff" * 16)


def test_a_run_that_fails_often_does_not_hide_the_others_that_failed_the_same_way(
    builder: StoreBuilder, reader: Reader
) -> None:
    before, often = builder.run(), builder.run()
    builder.failure(before, 1)
    for no in range(1, 31):
        builder.failure(often, no)
    (failure,) = reader.failures(before)
    assert failure.tb_hash is not None
    same = reader.same_failures(failure.tb_hash, often)
    assert (same.tasks_here, same.runs_elsewhere) == (30, 1)
    assert [(found.run_id, found.task_no) for found in same.examples] == [(often, 30), (before, 1)]


def test_a_failure_whose_traceback_is_damaged_still_has_type_and_message(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.failure(run, 1)
    for damaged in (b"not zlib", b""):
        builder.db.execute("UPDATE tracebacks SET data = ?", (damaged,))
        (failure,) = reader.failures(run)
        assert failure.exc_type == "ValueError"
        assert failure.exception is not None
        assert failure.exception["message"] == "boom"
        assert "unreadable" in failure.exception["notes"][0]


def test_artifacts_are_the_newest_oldest_first(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    for no, kind, data in ((0, "progress", "1"), (1, "table", "[[1]]"), (1, "progress", "{")):
        builder._insert("artifacts", task=run << 24 | no, us=T0, kind=kind, key=None, data=data)
    assert [artifact.data for artifact in reader.artifacts(run)] == [1, [[1]], None]
    assert [artifact.kind for artifact in reader.artifacts(run, 1)] == ["table", "progress"]
    assert [a.task_no for a in reader.artifacts(run, kind="progress", limit=1)] == [1]


def test_a_limit_of_zero_is_none(builder: StoreBuilder, reader: Reader) -> None:
    runs = [builder.run() for _ in range(60)]
    for no in range(1, 301):
        builder.task(runs[0], no)
        builder.log(runs[0], no)
    assert len(reader.runs(limit=0)) == 60
    assert len(reader.tasks(runs[0], limit=0)) == 300
    assert len(reader.tasks(runs[0], limit=0, order="name")) == 300
    assert (
        len(reader.logs(runs[0], limit=0)) == len(reader.logs(runs[0], limit=0, tail=True)) == 300
    )
    assert len(reader.states_page(runs[0], limit=0)) == len(reader.states_page(runs[0]))

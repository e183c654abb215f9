"""The record for programs: finding runs and task runs, and what can be asked of them."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import types
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.exceptions import MissingResult
from flowdeck.record import Record, RecordedLine, RecordedRun
from flowdeck.runs import recorder
from flowdeck.settings import using
from flowdeck.states import StateType
from flowdeck_store.errors import NotFound, QueryError
from flowdeck_store.read.reader import Reader
from flowdeck_store.upkeep.retention import delete_runs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using(home=tmp_path / "home", console=False):
        yield tmp_path / "home"
    recorder.close_all()


@pytest.fixture
def record(home: Path) -> Iterator[Record]:
    with Record() as found:
        yield found


@task(tags=["slow"])
def train(depth: int, fail: bool = False) -> dict[str, int]:
    get_run_logger().warning("training at depth %s", depth)
    if fail:
        secret = "x" * 3
        raise ValueError(f"cannot train {depth} {secret}")
    return {"depth": depth, "score": depth * 10}


@task
def score(model: dict[str, int]) -> int:
    return model["score"]


@flow
def sweep(depth: int = 2, fail: bool = False) -> int:
    return score(train(depth, fail))


def recorded(*runs: tuple[int, bool]) -> None:
    for depth, fail in runs:
        sweep(depth, fail, return_state=True)
    recorder.recorder().flush()


def test_a_home_without_a_record_reads_as_empty(tmp_path: Path) -> None:
    record = Record(tmp_path / "nothing")
    assert record.runs() == []
    with pytest.raises(NotFound):
        record.run()
    assert not (tmp_path / "nothing").exists()


def test_runs_are_found_by_filter_and_by_reference(record: Record) -> None:
    recorded((2, False), (3, True), (4, False))
    assert [run.parameters["depth"] for run in record.runs()] == [4, 3, 2]
    assert [run.number for run in record.runs("state:failed")] == [2]
    assert [run.number for run in record.runs(order="oldest", limit=1)] == [1]
    run = record.run("@last-failed")
    assert (run.number, run.flow, run.state, run.is_live) == (2, "sweep", "Failed", False)
    assert record.run(run.name).uid == record.run(run.uid[:12]).uid == record.run(2).uid
    with pytest.raises(QueryError):
        record.runs("colour:red")


def test_a_run_tells_what_became_of_it(record: Record) -> None:
    recorded((2, False), (3, True))
    good, bad = record.run(1), record.run(2)
    assert good.result() == 20
    assert good.state_type is StateType.COMPLETED
    assert good.counts["completed"] == 2
    assert good.started is not None
    assert good.started.tzinfo is UTC
    assert good.duration is not None
    assert good.failure is None
    assert good.cause is None
    assert bad.cause == "train-0 ValueError: cannot train 3 xxx"
    assert [state.name for state in bad.states][-2:] == ["Running", "Failed"]
    with pytest.raises(MissingResult, match="is Failed: it has no result"):
        bad.result()


def test_task_runs_tell_inputs_lineage_failure_and_logs(record: Record) -> None:
    recorded((2, False), (3, True))
    trained, scored = record.run(1).tasks()
    assert trained.inputs == {"depth": "2", "fail": "False"}
    assert scored.upstream == [("model", "1.1")]
    assert trained.tags == ("slow",)
    assert scored.result() == 20
    assert scored.flow_run.number == 1
    assert [line.message for line in trained.logs(level=logging.WARNING)] == ["training at depth 2"]
    (failed,) = record.run(2).tasks("state:failed")
    assert failed.failure is not None
    assert (failed.failure.type, failed.failure.message) == ("ValueError", "cannot train 3 xxx")
    assert failed.failure.frames[-1]["func"] == "train"
    assert "raise ValueError" in failed.failure.traceback()
    assert "secret" not in failed.failure.traceback().split("raise ")[0]
    assert "xxx" in failed.failure.traceback(variables=True)
    assert record.task("2.1").uid == record.run(2).task(1).uid == record.run(2).task("train").uid


def test_values_that_were_kept_are_loaded_and_others_are_named(record: Record) -> None:
    @task
    def made() -> list[int]:
        return list(range(1000))

    @flow
    def keeps() -> int:
        made()
        made.with_options(persist_result=True)()
        return 1

    keeps()
    recorder.recorder().flush()
    lost, kept = record.run().tasks()
    assert kept.result() == list(range(1000))
    with pytest.raises(MissingResult, match="was not kept"):
        lost.result()
    assert (lost.result_preview or "").startswith("[0, 1, 2")


def test_a_kept_file_that_was_cut_off_is_never_loaded(record: Record, home: Path) -> None:
    with using(persist_results=True):
        recorded((2, False))
    for path in (home / "results").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-3])
    (trained, _) = record.run().tasks()
    with pytest.raises(MissingResult, match="damaged"):
        trained.result()


def test_runs_parameters_and_results_are_one_table(record: Record) -> None:
    recorded((2, False), (3, True), (4, False))
    rows = record.runs("flow:sweep", limit=0, order="oldest").to_dicts(
        parameters=True, results=True
    )
    assert [(row["parameters.depth"], row["result"]) for row in rows] == [
        (2, 20), (3, None), (4, 40)
    ]  # fmt: skip
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
    tasks = record.run(1).tasks().to_dicts(inputs=True, results=True)
    assert [row["inputs.depth"] for row in tasks] == ["2", None]


def test_numbers_that_runs_left_are_columns(record: Record) -> None:
    from flowdeck import artifact, flow, task

    @task
    def fit(depth: int) -> float:
        artifact.number(depth / 4, key="loss")
        return depth / 2

    @flow
    def train(depth: int) -> dict[str, object]:
        return {"acc": fit(depth), "name": "x"}

    train(1)
    train(2)
    rows = record.runs("flow:train", order="oldest").to_dicts(figures=True)
    assert [(row["figures.acc"], row["figures.loss"]) for row in rows] == [(0.5, 0.25), (1.0, 0.5)]
    (fitted,) = record.run("@last").tasks()
    assert fitted.figures == {"result": 1.0, "loss": 0.5}


def test_rows_become_a_data_frame_where_pandas_is(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded((2, False))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_dicts\\(\\) gives the same rows"):
        record.runs().to_pandas()
    frames: list[Any] = []
    pandas = types.SimpleNamespace(DataFrame=lambda rows: frames.append(rows) or "frame")
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert record.runs().to_pandas(parameters=True) == "frame"
    assert frames[0][0]["parameters.depth"] == 2


def test_a_run_is_followed_while_it_goes_on(home: Path) -> None:
    go = threading.Event()

    @task
    def wait() -> None:
        get_run_logger().info("waits")
        assert go.wait(50)

    @flow
    def slow() -> None:
        wait()

    def go_on() -> None:
        with using(home=home, console=False):
            slow()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        with Record(home) as record:
            while not (runs := record.runs("state:running")):
                pass
            seen: list[str] = []
            for item in runs[0].follow():
                if isinstance(item, RecordedLine) and item.message == "waits":
                    assert runs[0].refreshed().is_live
                    with pytest.raises(TimeoutError, match="had not ended after"):
                        runs[0].wait(timeout=0)
                    go.set()
                if isinstance(item, RecordedRun):
                    seen.append(item.state)
            assert seen[-1] == "Completed"
            assert runs[0].wait().state == "Completed"
    finally:
        go.set()
        thread.join(50)


def test_a_record_that_nobody_closes_is_closed_with_its_last_row(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded((2, False))
    closed: list[bool] = []
    close = Reader.close
    monkeypatch.setattr(Reader, "close", lambda self: (closed.append(True), close(self)))
    (task,) = Record(home).run().tasks("task:train")
    gc.collect()
    assert (task.inputs["depth"], closed) == ("2", [])
    del task
    gc.collect()
    assert closed == [True]


def test_one_record_is_used_from_several_threads(record: Record) -> None:
    recorded((2, False), (3, False))
    found: list[int] = []

    def read() -> None:
        for _ in range(50):
            found.extend(len(run.tasks()) for run in record.runs())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 400


def test_why_is_told_as_data(record: Record) -> None:
    recorded((2, False), (3, True))
    why = record.run(2).why()
    assert why.before is not None
    given = [change.name for change in why.changed if change.kind == "parameter"]
    assert given == ["depth", "fail"]
    assert record.task("2.1").why().error == "ValueError: cannot train 3 xxx"


@flow
def nothing() -> None:
    quiet()


@task
def quiet() -> None:
    pass


def test_what_was_deleted_has_no_result_and_says_so(record: Record, home: Path) -> None:
    nothing()
    recorder.close_all()
    run = record.run()
    (its_task,) = run.tasks()
    assert run.result() is None
    assert its_task.result() is None
    assert its_task.refreshed().ref == its_task.ref
    delete_runs(home, [run.number])
    for each in (run, its_task):
        with pytest.raises(MissingResult, match=r"is not in the record any more"):
            each.result()
        with pytest.raises(NotFound):
            each.refreshed()
    with pytest.raises(NotFound, match=r"is not in the record any more: it was deleted"):
        its_task.flow_run
    assert run.result_or_preview() is None


def test_a_task_run_is_read_again(record: Record) -> None:
    recorded((1, False))
    (found,) = record.run().tasks("task:train")
    again = found.refreshed()
    assert again is not found
    assert (again.ref, again.uid, again.state) == (found.ref, found.uid, "Completed")


def test_what_is_no_reference_query_or_limit_is_said_in_words(record: Record) -> None:
    recorded((1, False))
    run = record.run()
    with pytest.raises(NotFound):
        record.task(1)
    for limit in (-1, -50):
        with pytest.raises(ValueError, match=rf"limit is a number from 0 .* not {limit}"):
            record.runs(limit=limit)
        with pytest.raises(ValueError, match=rf"limit is a number from 0 .* not {limit}"):
            run.tasks(limit=limit)
    calls: list[Any] = [record.runs, run.tasks, run.logs]
    for call in calls:
        for query in (5, ["state:failed"], b"x", 0):
            with pytest.raises(TypeError, match=r"a query is a text .* not "):
                call(query)
    assert len(record.runs(None)) == 1  # type: ignore[arg-type]

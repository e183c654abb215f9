"""What a run's end is put down to: decided once, for the command line, the JSON and the app."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store.read.causes import Cause, by_tasks, plain
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import CANCELLED, COMPLETED, CRASHED, FAILED, PENDING, RUNNING
from store_builder import T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IN_TASK = "Task run encountered an exception "
IN_FLOW = "Flow run encountered an exception. "


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


def cause(reader: Reader, run_id: int) -> Cause | None:
    run = reader.run(run_id)
    assert run is not None
    return reader.cause(run)


def headline(reader: Reader, run_id: int) -> str:
    found = cause(reader, run_id)
    assert found is not None
    return found.headline


def failed(builder: StoreBuilder, message: str | None, **more: Any) -> int:
    return builder.run(state=FAILED, state_msg=message, **more)


def test_a_flows_own_exception_goes_before_failures_of_tasks(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = failed(builder, f"{IN_FLOW}ValueError: own")
    builder.task(run, 1, state=FAILED, state_msg=f"{IN_TASK}KeyError: 'handled'")
    found = cause(reader, run)
    assert found == Cause((), "ValueError: own")
    assert found.task is None


def test_where_the_flow_raised_what_a_task_failed_with_it_is_that_task(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = failed(builder, f"{IN_FLOW}ConnectionError: 502 for page 7")
    builder.task(run, 1, state=FAILED, state_msg=f"{IN_TASK}KeyError: 'handled'", seconds=0.1)
    builder.task(
        run, 2, state=FAILED, name="fetch-e08be0cb-7", map_index=7,
        state_msg=f"{IN_TASK}ConnectionError: 502 for page 7",
    )  # fmt: skip
    assert headline(reader, run) == "fetch[7] ConnectionError: 502 for page 7"


@pytest.mark.parametrize("message", ["2/3 states failed.", "1/1 states are not final.", None])
def test_without_an_own_exception_it_is_the_task_that_failed_first_by_time(
    builder: StoreBuilder, reader: Reader, message: str | None
) -> None:
    run = failed(builder, message)
    builder.task(run, 1, state=FAILED, seconds=3.0, state_msg=f"{IN_TASK}ValueError: late")
    builder.task(run, 2, state=FAILED, seconds=1.0, state_msg=f"{IN_TASK}ValueError: early")
    builder.task(run, 3, state=PENDING, state_name="NotReady", state_msg="Upstream ...")
    assert headline(reader, run) == "fetch-2 ValueError: early"


def test_the_result_of_a_task_that_never_began_is_missing_because_of_what_failed_before(
    builder: StoreBuilder, reader: Reader
) -> None:
    said = f"{IN_FLOW}UnfinishedRun: Run is in PENDING state, its result is not available."
    run = failed(builder, said)
    builder.task(run, 1, state=FAILED, name="load-e08be0cb-3", state_msg=f"{IN_TASK}ValueError: 3")
    builder.task(run, 2, state=PENDING, state_name="NotReady")
    assert headline(reader, run).endswith("ValueError: 3")
    alone = failed(builder, said)  # nothing failed: the flow did not wait for its task
    assert headline(reader, alone).startswith("UnfinishedRun: ")


def test_a_crashed_task_counts_as_failed(builder: StoreBuilder, reader: Reader) -> None:
    run = failed(builder, "1/1 states failed.")
    builder.task(
        run, 1, state=CRASHED,
        state_msg="Execution was interrupted by an unexpected exception: Stop: now",
    )  # fmt: skip
    assert headline(reader, run) == "fetch-1 Stop: now"


def test_a_process_that_went_is_nobodys_failure_but_its_own(
    builder: StoreBuilder, reader: Reader
) -> None:
    """Recovery tells the run and the task runs that it interrupted the same."""
    gone = "The process of this run (pid 7 on here) ended without a word."
    run = builder.run(state=CRASHED, state_msg=gone)
    builder.task(run, 1, state=CRASHED, state_msg=gone)
    assert cause(reader, run) == Cause((), gone)


def test_a_subflow_is_followed_to_what_failed_in_it(builder: StoreBuilder, reader: Reader) -> None:
    outer = failed(builder, "1/1 states failed.")
    inner = failed(builder, "2/2 states failed.", flow="load", parent_task=outer << 24 | 1)
    builder.task(inner, 1, state=FAILED, state_msg=f"{IN_TASK}ValueError: late", seconds=2.0)
    builder.task(inner, 2, state=FAILED, state_msg=f"{IN_TASK}ValueError: early")
    builder.task(
        outer, 1, task="load", state=FAILED, state_msg="2/2 states failed.", child_run=inner
    )
    assert headline(reader, outer) == "load-1 > fetch-2 ValueError: early"


def test_an_exception_that_came_up_through_subflows_is_found_where_it_was_raised(
    builder: StoreBuilder, reader: Reader
) -> None:
    outer = failed(builder, f"{IN_FLOW}ValueError: late")
    inner = failed(builder, "2/2 states failed.", flow="load", parent_task=outer << 24 | 1)
    builder.task(inner, 1, state=FAILED, state_msg=f"{IN_TASK}ValueError: late", seconds=2.0)
    builder.task(inner, 2, state=FAILED, state_msg=f"{IN_TASK}ValueError: early")
    builder.task(
        outer, 1, task="load", state=FAILED, state_msg="2/2 states failed.", child_run=inner
    )
    found = cause(reader, outer)
    assert found is not None
    assert found.headline == "load-1 > fetch-1 ValueError: late"
    assert found.task is not None
    assert found.task.ref == f"{inner}.1"


def test_subflows_that_lead_round_in_a_circle_end(builder: StoreBuilder, reader: Reader) -> None:
    """As an imported file may hold."""
    for message in ("1/1 states failed.", f"{IN_FLOW}ValueError: x"):
        first = failed(builder, message)
        second = failed(builder, message)
        for run, other in ((first, second), (second, first)):
            for no in (1, 2, 3):
                builder.task(run, no, state=FAILED, state_msg="elsewhere", child_run=other)
        assert headline(reader, first)


@pytest.mark.parametrize("code", [COMPLETED, CANCELLED, RUNNING])
def test_only_runs_that_failed_or_crashed_have_a_cause(
    builder: StoreBuilder, reader: Reader, code: int
) -> None:
    run = builder.run(state=code, state_msg="whatever")
    builder.task(run, 1, state=FAILED, state_msg="no")
    assert cause(reader, run) is None
    found = reader.run(run)
    assert found is not None
    assert reader.causes([found]) == {}


def test_a_run_that_says_nothing_at_all_is_named_by_its_state(
    builder: StoreBuilder, reader: Reader
) -> None:
    assert headline(reader, builder.run(state=CRASHED)) == "Crashed"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (f"{IN_TASK}ValueError: bad", "ValueError: bad"),
        (f"{IN_FLOW}ValueError: two\nlines", "ValueError: two\nlines"),
        (f"{IN_TASK}ValueError: ", "ValueError"),
        ("The flow could not be imported. ImportError: no x", "ImportError: no x"),
        ("Execution was interrupted by an unexpected exception: Stop", "Stop"),
        (
            "Task run exceeded timeout of 1.5 seconds TimeoutError: ",
            "Task run exceeded timeout of 1.5 seconds",
        ),
        ("the user's own words", "the user's own words"),
        (None, ""),
    ],
)
def test_messages_are_shown_without_what_the_state_says_already(
    message: str | None, said: str
) -> None:
    assert plain(message) == said


def test_a_message_of_the_users_own_is_not_taken_for_a_count_of_tasks(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = failed(builder, "3 pages of 5 are missing")
    builder.task(run, 1, state=FAILED, state_msg=f"{IN_TASK}ValueError: x")
    assert headline(reader, run) == "3 pages of 5 are missing"
    record = reader.run(run)
    assert record is not None
    assert not by_tasks(record)
    assert by_tasks(dataclasses.replace(record, message="3/5 states failed."))


@pytest.mark.parametrize(
    ("name", "index", "called"),
    [
        ("fetch-e08be0cb-7", 7, "fetch[7]"),
        ("fetch-e08be0cb-3", None, "fetch-3"),
        ("page 7 of 9", 7, "page 7 of 9"),
        ("fetch", None, "fetch"),
    ],
)
def test_how_a_headline_calls_a_task_run_names_it_to_the_command_line_too(
    builder: StoreBuilder, reader: Reader, name: str, index: int | None, called: str
) -> None:
    run = builder.run()
    builder.task(run, 1, task="fetch", name=name, map_index=index, started=T0)
    builder.task(run, 2, task="fetch-more", name="fetch-more-e08be0cb-7", map_index=7)
    task = reader.resolve_task(f"{run}/{called}")
    assert task.no == 1
    assert task.label == called


def test_a_long_name_leaves_room_for_the_error(builder: StoreBuilder, reader: Reader) -> None:
    run = failed(builder, "1/1 states failed.")
    builder.task(run, 1, name="n" * 500, state=FAILED, state_msg=f"{IN_TASK}ValueError: bad")
    assert headline(reader, run) == f"{'n' * 59}… ValueError: bad"

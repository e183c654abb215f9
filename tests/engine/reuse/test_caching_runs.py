"""Task runs and the cache: when the function is not called because an earlier run's result holds."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.exceptions import MissingResult
from flowdeck.settings import using
from flowdeck.task_runners import SequentialTaskRunner

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.testing import Record


def constant(context: Any, arguments: dict[str, Any]) -> str:
    return "the key"


def run(body: Any) -> Any:
    """Call a function as the body of a flow; return what it returned."""
    return flow(task_runner=SequentialTaskRunner())(body)()


@pytest.fixture
def calls() -> list[Any]:
    return []


def test_a_run_with_the_key_of_a_completed_one_is_not_executed(
    calls: list[Any], record: Record
) -> None:
    done: list[str] = []

    @task(
        name="count",
        cache_key_fn=constant,
        retries=3,
        on_completion=[lambda task, task_run, state: done.append(state.name)],
    )
    def count() -> int:
        calls.append(1)
        return len(calls)

    def body() -> Any:
        states = [count.submit().wait() for _ in range(2)]
        return [(state.name, state.type.value, state.value()) for state in states]

    assert run(body) == [("Completed", "COMPLETED", 1), ("Cached", "COMPLETED", 1)]
    assert done == ["Completed"]
    (name,) = [name for name in record.task_runs if name.endswith("-1")]
    assert record.state_names(name) == ["Pending", "Cached"]


def test_a_key_holds_for_other_tasks_and_other_flows(calls: list[Any], record: Record) -> None:
    @task(cache_key_fn=constant)
    def one() -> str:
        return "of one"

    @task(cache_key_fn=constant)
    def other() -> str:
        calls.append("other")
        return "of other"

    assert run(lambda: one()) == "of one"
    assert run(lambda: other()) == "of one"
    assert calls == []


def test_the_key_is_made_from_the_run_its_task_and_resolved_arguments(record: Record) -> None:
    seen: list[Any] = []

    def key(context: Any, arguments: dict[str, Any]) -> str:
        seen.append((context.task.name, context.task_run.name[:7], arguments))
        return str(arguments)

    @task
    def three() -> int:
        return 3

    @task(cache_key_fn=key)
    def add(x: int, y: int = 4) -> int:
        return x + y

    assert run(lambda: add.submit(three.submit()).result()) == 7
    assert seen == [("add", "add-" + seen[0][1][4:], {"x": 3, "y": 4})]


def test_without_a_key_nothing_is_cached(calls: list[Any], record: Record) -> None:
    @task(cache_key_fn=lambda context, arguments: None)
    def count() -> int:
        calls.append(1)
        return len(calls)

    assert run(lambda: [count(), count()]) == [1, 2]


@pytest.mark.parametrize("made", ["raises", "is no text"])
def test_a_key_that_cannot_be_made_fails_the_run_and_says_why(
    made: str, calls: list[Any], record: Record
) -> None:
    @task(cache_key_fn=lambda context, arguments: 1 / 0 if made == "raises" else 5)
    def count() -> int:
        calls.append(1)
        return 1

    message = run(lambda: count(return_state=True).message)
    assert calls == []
    expected = (
        "ZeroDivisionError: division by zero"
        if made == "raises"
        else "The cache_key_fn of task 'count' returned int; it must return a str"
    )
    assert expected in message


def test_only_completed_runs_offer_their_key(calls: list[Any], record: Record) -> None:
    @task(cache_key_fn=constant)
    def sometimes() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError
        return len(calls)

    def body() -> Any:
        return [sometimes.submit().wait().name for _ in range(3)]

    assert run(body) == ["Failed", "Completed", "Cached"]


def test_an_entry_expires_after_the_completion(calls: list[Any], record: Record) -> None:
    @task(cache_key_fn=constant, cache_expiration=datetime.timedelta(seconds=0.3))
    def count() -> int:
        calls.append(1)
        return len(calls)

    def body() -> Any:
        first = count.submit().wait()
        expires = first.state_details.cache_expiration
        assert first.state_details.cache_key == "the key"
        assert 0.25 < (expires - first.timestamp).total_seconds() < 5
        before = count()
        while datetime.datetime.now(datetime.UTC) < expires:
            time.sleep(0.01)
        return before, count()

    before, after = run(body)
    assert after == before + 1
    # On a machine that stood still for the whole time, the second one found it expired, too.
    assert before in {1, 2}


@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_refresh_ignores_the_entry_and_writes_a_new_one(
    how: str, calls: list[Any], record: Record
) -> None:
    @task(cache_key_fn=constant)
    def count() -> int:
        calls.append(1)
        return len(calls)

    assert run(lambda: count()) == 1
    if how == "option":
        assert run(lambda: count.with_options(refresh_cache=True)()) == 2
    else:
        with using(refresh_cache=True):
            assert run(lambda: count()) == 2
            assert run(lambda: count.with_options(refresh_cache=False)()) == 2
    assert run(lambda: count()) == 2  # the newest entry wins


def test_without_a_kept_result_there_is_no_entry(calls: list[Any], record: Record) -> None:
    @task(cache_key_fn=constant, persist_result=False)
    def count() -> int:
        calls.append(1)
        return len(calls)

    assert run(lambda: [count(), count()]) == [1, 2]


def test_a_result_that_cannot_be_kept_is_no_entry_and_said_so(
    calls: list[Any], record: Record
) -> None:
    @task(cache_key_fn=constant)
    def opened() -> Any:
        calls.append(1)
        return (item for item in [1]).gi_frame

    assert run(lambda: [opened() is not None, opened() is not None]) == [True, True]
    assert len(calls) == 2
    assert any("kept in memory only" in line for line in record.logs)


def test_an_entry_whose_value_is_gone_is_computed_again(home: Path, calls: list[Any]) -> None:
    @task(cache_key_fn=constant)
    def count() -> int:
        calls.append(1)
        return len(calls)

    assert run(lambda: count()) == 1
    for file in (home / "results").rglob("*"):
        if file.is_file():
            file.unlink()
    assert run(lambda: [count(), count()]) == [2, 2]


SCRIPT = """
import sys
from flowdeck import flow, task
from flowdeck.tasks import task_input_hash

@task(cache_key_fn=task_input_hash)
def slow(x):
    print("computed", file=sys.stderr)
    return x * {factor}

@flow
def f():
    return slow.submit(4).wait().name, slow(4)

print(*f())
"""


def test_the_cache_is_shared_with_later_processes_until_the_code_changes(
    home: Path, tmp_path: Path
) -> None:
    def execute(factor: int) -> str:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.format(factor=factor))
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONSOLE": "false"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert [execute(2), execute(2), execute(3)] == ["Completed 8", "Cached 8", "Completed 12"]


def test_a_cached_none_is_a_result(calls: list[Any], record: Record) -> None:
    @task(cache_key_fn=constant)
    def nothing(x: int) -> None:
        calls.append(x)

    def body() -> Any:
        return [nothing.submit(1).wait().name, nothing.submit(1).wait().name]

    assert run(body) == ["Completed", "Cached"]
    assert calls == [1]


def test_the_log_of_a_cached_run_says_so(record: Record) -> None:
    @task(cache_key_fn=constant)
    def told() -> None:
        get_run_logger().info("inside")

    run(lambda: [told(), told()])
    assert record.logs.count("inside") == 1
    assert "Finished in state Cached(type=COMPLETED)" in record.logs


def test_a_result_dropped_from_memory_without_being_kept_is_missing(record: Record) -> None:
    @task(cache_result_in_memory=False, persist_result=False)
    def dropped() -> int:
        return 1

    def body() -> Any:
        state = dropped.submit().wait()
        with pytest.raises(MissingResult, match="not kept"):
            state.value()
        return state.name

    assert run(body) == "Completed"

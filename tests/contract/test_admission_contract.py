"""What is decided before a task's function is called, and what of its result is kept: on every task
runner by the same half of the lifecycle, in the flow's process.

Slots of limited tags: see the tests of limits in ``test_runner_contract``.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from clusters import until
from flowdeck import flow, tags, task
from flowdeck.exceptions import MissingResult
from flowdeck.runs import recorder as recording
from flowdeck.runs.stopping import stop_runs
from flowdeck.runs.task_run import Stop
from flowdeck_store.events import now_us
from flowdeck_store.explain.task_run import why_task
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.limits import list_limits, set_limit
from flowdeck_store.states import BUCKETS

pytestmark = pytest.mark.timeout(120)


def by_value(context: Any, arguments: dict[str, Any]) -> str:
    return f"{context.task.name}-{arguments['x']}"


@task
def identity(x: Any) -> Any:
    return x


def calls_in(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def note(path: str) -> int:
    """Note a call of a function, wherever it is called; return how many there were."""
    with open(path, "a") as file:
        file.write("x")
    return os.path.getsize(path)


@pytest.fixture
def path(tmp_path: Any) -> str:
    return str(tmp_path / "calls")


@task(cache_key_fn=by_value)
def count(x: Any, path: str) -> int:
    return note(path)


def test_the_key_is_made_from_values_of_upstreams_which_the_function_gets_too(
    runner: Any, path: str
) -> None:
    @task(cache_key_fn=by_value)
    def doubled(x: int, path: str) -> Any:
        return note(path), x * 2

    @flow(task_runner=runner)
    def f() -> Any:
        states = [doubled.submit(identity.submit(x), path).wait() for x in (1, 2, 1)]
        return [(state.name, state.value()) for state in states]

    assert f() == [("Completed", (1, 2)), ("Completed", (2, 4)), ("Cached", (1, 2))]


@pytest.mark.parametrize("key", ["raises", "is no text"])
def test_a_key_that_cannot_be_made_fails_the_run_before_its_function_is_called(
    runner: Any, path: str, key: str
) -> None:
    @task(cache_key_fn=lambda context, arguments: 1 / 0 if key == "raises" else 5)
    def never(path: str) -> int:
        return note(path)

    @flow(task_runner=runner)
    def f() -> Any:
        state = never.submit(path).wait()
        return state.name, state.message

    name, message = f()
    assert name == "Failed"
    assert ("division by zero" if key == "raises" else "must return a str") in message
    assert not calls_in(path)


def test_only_completed_runs_offer_their_key(runner: Any, path: str) -> None:
    @task(cache_key_fn=by_value)
    def sometimes(x: int, path: str) -> int:
        if note(path) == 1:
            raise ValueError
        return 1

    @flow(task_runner=runner)
    def f() -> Any:
        return [sometimes.submit(0, path).wait().name for _ in range(3)]

    assert f() == ["Failed", "Completed", "Cached"]


def test_a_refresh_and_a_value_that_is_gone_are_computed_again(
    runner: Any, path: str, home: Any
) -> None:
    @flow(task_runner=runner)
    def f(**options: Any) -> Any:
        state = count.with_options(**options).submit(0, path).wait()
        return state.name, state.value()

    assert f() == ("Completed", 1)
    assert f(refresh_cache=True) == ("Completed", 2)
    assert f() == ("Cached", 2)
    for file in (home / "results").rglob("*"):
        if file.is_file():
            file.unlink()
    assert f() == ("Completed", 3)


def test_without_a_kept_result_there_is_no_entry(runner: Any, path: str) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        futures = []
        for _ in range(2):
            futures.append(count.with_options(persist_result=False).submit(0, path))
            futures[-1].wait()
        return [(future.get_state().name, future.result()) for future in futures]

    assert f() == [("Completed", 1), ("Completed", 2)]


def test_hooks_of_a_cached_run_are_not_called_and_those_of_a_refused_one_are(
    runner: Any, path: str, tmp_path: Any
) -> None:
    hooks = str(tmp_path / "hooks")

    def completed(task: Any, task_run: Any, state: Any) -> None:
        note(hooks + "-completed")

    def failed(task: Any, task_run: Any, state: Any) -> None:
        note(hooks + "-failed")

    @task(cache_key_fn=by_value, on_completion=[completed], on_failure=[failed])
    def hooked(x: Any, path: str) -> int:
        return note(path)

    @flow(task_runner=runner)
    def f() -> Any:
        keyless = hooked.with_options(cache_key_fn=lambda context, arguments: 1 / 0)
        return [each.submit(0, path).wait().name for each in (hooked, hooked, keyless)]

    assert f() == ["Completed", "Cached", "Failed"]
    assert [calls_in(hooks + "-completed"), calls_in(hooks + "-failed")] == [1, 1]


def test_a_run_that_is_cancelled_while_it_waits_for_a_slot_is_not_executed(
    overlapping: Any, path: str, tmp_path: Any, home: Any
) -> None:
    set_limit(home, "db", 1)
    gate = str(tmp_path / "gate")

    @task(tags=["db"])
    def holds(gate: str) -> None:
        until(lambda: os.path.exists(gate))

    @task(tags=["db"])
    def waits(path: str) -> int:
        return note(path)

    @flow(task_runner=overlapping)
    def f() -> Any:
        first = holds.submit(gate)
        until(lambda: first.get_state().is_running())
        second = waits.submit(path)
        until(lambda: second.get_state().name == "AwaitingConcurrencySlot")
        assert "Waiting for a free slot" in (second.get_state().message or "")
        stop_runs([second.task_run], Stop.CANCEL)
        state = second.wait()
        open(gate, "w").close()
        return state.name, state.message, first.wait().name

    message = "Cancelled while it waited for a slot."
    assert f() == ("Cancelled", message, "Completed")
    assert not calls_in(path)
    assert [(x.tag, x.in_use) for x in list_limits(home)] == [("db", 0)]


def test_a_run_that_waited_for_a_slot_says_so_in_its_history_and_the_counters_agree(
    overlapping: Any, path: str, tmp_path: Any, home: Any
) -> None:
    set_limit(home, "db", 1)
    gate = str(tmp_path / "gate")

    @task(tags=["db"])
    def holds(gate: str) -> None:
        until(lambda: os.path.exists(gate))

    @task(tags=["db"])
    def waits(path: str) -> int:
        return note(path)

    @flow(task_runner=overlapping)
    def f() -> Any:
        first = holds.submit(gate)
        until(lambda: first.get_state().is_running())
        second = waits.submit(path)
        until(lambda: second.get_state().name == "AwaitingConcurrencySlot")
        open(gate, "w").close()
        return second.wait().name, first.wait().name

    assert f() == ("Completed", "Completed")
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        history = [state.state for state in reader.states(run.id, 2)]
        (task_run,) = reader.tasks_by_nos(run.id, [2])
        split = why_task(reader, task_run, now_us()).split
    assert history[:2] == ["Pending", "AwaitingConcurrencySlot"]
    # On a cluster it then waits for a worker.
    assert history[2:] in (["Running", "Completed"], ["Pending", "Running", "Completed"])
    assert split.slot > 0
    assert dict(zip(BUCKETS, run.counts, strict=True))["completed"] == sum(run.counts) == 2


def test_a_result_that_is_to_be_dropped_is_missing_and_one_that_is_kept_too_is_read_back(
    runner: Any, home: Any
) -> None:
    @task(cache_result_in_memory=False)
    def made(x: int) -> list[int]:
        return [x] * 10

    @flow(task_runner=runner)
    def f() -> Any:
        kept, dropped = (
            made.with_options(persist_result=kept).submit(1).wait() for kept in (True, False)
        )
        with pytest.raises(MissingResult, match="not kept"):
            dropped.value()
        return kept.name, kept.value(), dropped.name

    assert f() == ("Completed", [1] * 10, "Completed")
    recording.close_all()
    with Reader.open(home) as reader:
        shown = [result.preview for no in (1, 2) for result in [reader.result(1, no)] if result]
    assert shown == ["[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"] * 2


def test_tags_of_a_block_limit_what_is_submitted_in_it(runner: Any, home: Any, path: str) -> None:
    @task
    def never(path: str) -> int:
        return note(path)

    @flow(task_runner=runner)
    def f() -> Any:
        with tags("none"):
            refused = never.submit(path).wait()
        return refused.name, never.submit(path).wait().name

    set_limit(home, "none", 0)
    assert f() == ("Cancelled", "Completed")
    assert calls_in(path) == 1

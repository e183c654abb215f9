"""What every task runner must do. The flows are those of users; the record is a real store."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from flowdeck import (
    allow_failure,
    flow,
    get_run_logger,
    quote,
    recording,
    runtime,
    tags,
    task,
    unmapped,
)
from flowdeck.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    UnfinishedRun,
    UpstreamTaskError,
)
from flowdeck.states import Cancelled, Failed, State
from flowdeck_store.reader import Reader

pytestmark = pytest.mark.timeout(120)


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


@task
def identity(x: Any) -> Any:
    return x


@task
def nothing() -> None:
    pass


@task
async def add_async(x: int, y: int = 1) -> int:
    return x + y


def stored(home: Any) -> Reader:
    recording.close_all()
    return Reader.open(home)


# -- values and futures -------------------------------------------------------------------------------


def test_a_submitted_task_gives_its_value(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        return add.submit(1, y=2).result()

    assert f() == 3


def test_a_future_as_argument_becomes_its_value(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        a = add.submit(1)
        b = add.submit(a, a)
        return b.result()

    assert f() == 4


def test_futures_inside_containers_become_values(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        a, b = add.submit(1), add.submit(2)
        nested = identity.submit({"k": [a, (b, {a})], "deep": {"x": {b: 1}}})
        return nested.result()

    assert f() == {"k": [2, (3, {2})], "deep": {"x": {3: 1}}}


def test_a_quoted_value_arrives_as_it_is(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        return identity.submit(quote([1, 2])).result()

    assert f() == [1, 2]


def test_async_tasks_in_a_sync_flow_give_plain_futures(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        a = add_async.submit(1)
        b = add.submit(a)
        return b.result(), add_async(5)

    assert f() == (3, 6)


@pytest.mark.anyio
async def test_async_flow_with_async_and_sync_tasks(runner: Any) -> None:
    @flow(task_runner=runner)
    async def f() -> Any:
        a = await add_async.submit(1)
        b = add.submit(a)
        c = await add_async.submit(b)
        return await c.result(), b.result(), await add_async(10)

    assert await f() == (4, 3, 11)


def test_results_of_any_size_and_kind_come_back(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        return identity.submit(b"x" * 3_000_000).result(), identity.submit(None).result()

    value, none = f()
    assert len(value) == 3_000_000
    assert none is None


def test_wait_returns_the_final_state(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        good, bad = add.submit(1).wait(), fail.submit().wait()
        return quote((good.is_completed(), bad.is_failed()))

    assert f().unquote() == (True, True)


def test_get_state_of_an_ended_run_is_final(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        future = add.submit(1)
        future.wait()
        return future.get_state().is_final()

    assert f() is True


# -- failure --------------------------------------------------------------------------------------------


def test_a_failure_is_raised_by_result_with_its_own_type(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        future = fail.submit("no luck")
        with pytest.raises(ValueError, match="no luck"):
            future.result()
        found = future.result(raise_on_failure=False)
        assert isinstance(found, ValueError)
        assert future.get_state().is_failed()
        return "went on"

    assert f() == "went on"


def test_a_failed_task_fails_a_flow_that_returns_none(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> None:
        fail.submit()
        nothing.submit()

    state = f(return_state=True)
    assert state.is_failed()
    assert state.message == "1/2 states failed."
    with pytest.raises(ValueError, match="boom"):
        f()


def test_a_failed_upstream_makes_the_whole_chain_not_ready(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        a = fail.submit()
        b = add.submit(a)
        c = add.submit(b)
        for future in (b, c):
            state = future.wait()
            assert state.name == "NotReady"
            assert "did not reach a 'COMPLETED' state." in state.message
        with pytest.raises(UnfinishedRun, match="Run is in PENDING state"):
            c.result()
        return c

    state = f(return_state=True)
    assert state.is_failed()
    assert state.message == "1/1 states are not final."


def test_allow_failure_hands_the_exception_on(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        got = identity.submit(allow_failure(fail.submit("x"))).result()
        nested = identity.submit(allow_failure([fail.submit("y"), add.submit(1)])).result()
        return type(got).__name__, [str(nested[0]), nested[1]]

    assert f() == ("ValueError", ["y", 2])


def test_wait_for_orders_and_blocks(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        ok = nothing.submit(wait_for=[add.submit(1)]).wait()
        blocked = nothing.submit(wait_for=[fail.submit()]).wait()
        let_through = nothing.submit(wait_for=[allow_failure(fail.submit())]).wait()
        return ok.name, blocked.name, let_through.name

    assert f() == ("Completed", "NotReady", "Completed")


def test_later_submits_run_after_a_failure(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        fail.submit().wait()
        return add.submit(1).result()

    assert f() == 2


def test_a_task_may_return_states(runner: Any) -> None:
    @task
    def says_failed() -> State[Any]:
        return Failed(message="on purpose")

    @task
    def says_cancelled() -> State[Any]:
        return Cancelled(message="enough")

    @flow(task_runner=runner)
    def f() -> Any:
        return quote([says_failed.submit().wait(), says_cancelled.submit().wait()])

    failed, cancelled = f().unquote()
    assert failed.is_failed()
    assert failed.message == "on purpose"
    assert cancelled.is_cancelled()


def test_a_base_exception_crashes_the_task_and_the_flow_body_goes_on(runner: Any) -> None:
    class Odd(BaseException):
        pass

    @task
    def crash() -> None:
        raise Odd("why")

    @flow(task_runner=runner)
    def f() -> Any:
        state = crash.submit().wait()
        return state.name, state.message

    name, message = f()
    assert name == "Crashed"
    assert message == "Execution was interrupted by an unexpected exception: Odd: why"


def test_system_exit_of_a_task_crashes_its_flow_at_the_end(runner: Any) -> None:
    @task
    def leave() -> None:
        raise SystemExit(3)

    @flow(task_runner=runner)
    def f() -> Any:
        leave.submit().wait()
        return "body went on"

    with pytest.raises(SystemExit):
        f()


# -- map ------------------------------------------------------------------------------------------------


def test_map_keeps_the_order_and_repeats_what_is_not_mapped(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        futures = add.map([1, 2, 3], y=10)
        lists = identity.map(range(2), wait_for=futures)
        whole = add.map([[1], [2]], unmapped([9]))
        return [[x.result() for x in group] for group in (futures, lists, whole)]

    assert f() == [[11, 12, 13], [0, 1], [[1, 9], [2, 9]]]


def test_map_over_a_future_and_over_futures(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        numbers = identity.submit([1, 2, 3])
        once = add.map(numbers)
        twice = add.map(once, once)
        return [x.result() for x in twice]

    assert f() == [4, 6, 8]


def test_one_failed_element_blocks_only_its_child(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        states = add.map([add.submit(1), fail.submit(), add.submit(2)], return_state=True)
        return [s.name for s in states]

    assert f() == ["Completed", "NotReady", "Completed"]


def test_map_refuses_what_it_cannot_map(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        with pytest.raises(MappingMissingIterable, match="at least one iterable"):
            add.map(1, "text")
        with pytest.raises(MappingLengthMismatch, match=r"\{'x': 2, 'y': 3\}"):
            add.map([1, 2], [1, 2, 3])
        with pytest.raises(UpstreamTaskError):
            add.map(fail.submit())
        return identity.map([])

    assert f() == []


# -- retries, timeouts, caching ---------------------------------------------------------------------------


def test_a_task_is_tried_again_until_it_completes(runner: Any, tmp_path: Any, home: Any) -> None:
    counter = str(tmp_path / "count")

    @task(retries=3, retry_delay_seconds=[0, 0.01])
    def flaky(path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        n = os.path.getsize(path)
        if n < 3:
            raise ValueError(f"attempt {n}")
        return n

    @flow(task_runner=runner)
    def f() -> Any:
        return flaky.submit(counter).result()

    assert f() == 3
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        (row,) = reader.tasks(run.id)
        names = [s.state for s in reader.states(run.id, row.no)]
        assert names == [
            "Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying",
            "Completed",
        ]  # fmt: skip
        assert row.attempt == 3
        assert row.retries == 3


def test_retries_end_in_failed_with_every_attempt_recorded(runner: Any, home: Any) -> None:
    @task(retries=2)
    def never() -> None:
        raise ValueError("never")

    @flow(task_runner=runner)
    def f() -> None:
        never.submit()

    assert f(return_state=True).is_failed()
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        assert [x.attempt for x in reader.failures(run.id, 1)] == [1, 2, 3]


def test_the_retry_condition_can_stop_retries(runner: Any, tmp_path: Any) -> None:
    path = str(tmp_path / "count")

    def only_once(task: Any, task_run: Any, state: Any) -> bool:
        return task_run.run_count < 2

    @task(retries=5, retry_condition_fn=only_once)
    def never(path: str) -> None:
        with open(path, "a") as file:
            file.write("x")
        raise ValueError

    @flow(task_runner=runner)
    def f() -> None:
        never.submit(path)

    f(return_state=True)
    assert os.path.getsize(path) == 2


def test_a_task_that_takes_too_long_is_timed_out(runner: Any) -> None:
    @task(timeout_seconds=0.1)
    def slow() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.01)

    @task(timeout_seconds=0.1)
    async def slow_async() -> None:
        import asyncio

        await asyncio.sleep(30)

    @flow(task_runner=runner)
    def f() -> Any:
        started = time.monotonic()
        states = [slow.submit().wait(), slow_async.submit().wait()]
        return time.monotonic() - started, quote(states)

    seconds, states = f()
    for state in states.unquote() if hasattr(states, "unquote") else states:
        assert state.name == "TimedOut"
        assert state.message == "Task run exceeded timeout of 0.1 seconds TimeoutError: "
    assert seconds < 20


def test_an_own_timeout_error_is_an_ordinary_failure(runner: Any) -> None:
    @task(timeout_seconds=20)
    def own() -> None:
        raise TimeoutError("mine")

    @flow(task_runner=runner)
    def f() -> Any:
        return own.submit().wait().name

    assert f() == "Failed"


def test_a_cached_result_is_reused_in_later_runs(runner: Any, tmp_path: Any) -> None:
    path = str(tmp_path / "count")

    @task(cache_key_fn=lambda context, arguments: f"k-{arguments['x']}")
    def count(x: int, path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        return x * 2

    @flow(task_runner=runner)
    def f() -> Any:
        state = count.submit(3, path).wait()
        return state.name, state.result()

    assert f() == ("Completed", 6)
    assert f() == ("Cached", 6)
    assert os.path.getsize(path) == 1


# -- what tasks see -----------------------------------------------------------------------------------------


def test_a_task_knows_its_run_and_flow(runner: Any) -> None:
    @task
    def who() -> Any:
        return (
            runtime.task_run.name,
            runtime.task_run.task_name,
            runtime.flow_run.flow_name,
            runtime.flow_run.id,
            runtime.task_run.tags,
        )

    @flow(task_runner=runner, name="the-flow")
    def f() -> Any:
        with tags("blue"):
            return who.submit().result(), runtime.flow_run.id

    (name, task_name, flow_name, seen_id, seen_tags), own_id = f()
    assert name.startswith("who-")
    assert (task_name, flow_name) == ("who", "the-flow")
    assert seen_id == own_id
    assert seen_tags == ["blue"]


def test_run_names_are_computed_from_resolved_parameters(runner: Any) -> None:
    @task(task_run_name="load-{x}")
    def load(x: int) -> str:
        name: str = runtime.task_run.name
        return name

    @flow(task_runner=runner)
    def f() -> Any:
        return load.submit(add.submit(6)).result()

    assert f() == "load-7"


def test_logs_and_prints_of_a_task_are_recorded_for_it(runner: Any, home: Any) -> None:
    @task(log_prints=True)
    def talk() -> None:
        print("printed", 1)
        get_run_logger().warning("logged %s", 2)

    @flow(task_runner=runner)
    def f() -> None:
        talk.submit()

    f()
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        lines = [(x.level, x.message) for x in reader.logs(run.id, 1)]
        assert (20, "printed 1") in lines
        assert (30, "logged 2") in lines


def test_the_failure_is_recorded_with_frames_and_locals(runner: Any, home: Any) -> None:
    @task
    def broken(amount: int) -> None:
        password = "hunter2"
        half = amount / 2
        raise KeyError(f"no {half} for {len(password)}")

    @flow(task_runner=runner)
    def f() -> None:
        broken.submit(5)

    f(return_state=True)
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        (failure,) = reader.failures(run.id, 1)
        assert failure.exc_type.endswith("KeyError")
        assert failure.exception is not None
        frame = failure.exception["frames"][-1]
        assert frame["func"].endswith("broken")
        values = {x["name"]: x.get("repr") for x in frame["locals"]}
        assert values["half"] == "2.5"
        assert "hunter2" not in str(failure.exception["frames"][-1]["locals"])


def test_every_state_is_recorded_and_counted(runner: Any, home: Any) -> None:
    @flow(task_runner=runner)
    def f() -> None:
        a = add.submit(1)
        b = fail.submit()
        add.submit(b)
        add.submit(a)

    f(return_state=True)
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        assert run.state == "Failed"
        from flowdeck_store.states import BUCKETS

        counts = {k: n for k, n in zip(BUCKETS, run.counts, strict=True) if n}
        assert counts == {"completed": 2, "failed": 1, "not_ready": 1}
        for row in reader.tasks(run.id):
            history = reader.states(run.id, row.no)
            assert history[0].state == "Pending"
            assert [s.us for s in history] == sorted(s.us for s in history)
        edges = {
            (e.task & 0xFFFFFF, e.upstream & 0xFFFFFF, e.param) for e in reader.inputs(run.id, 3)
        }
        assert edges == {(3, 2, "x")}


# -- overlapping ----------------------------------------------------------------------------------------------


def test_ready_tasks_overlap(overlapping: Any) -> None:
    if overlapping.name != "concurrent":
        pytest.skip("the barrier needs threads of one process")
    barrier = threading.Barrier(20)

    @task
    def meet() -> None:
        barrier.wait(30)

    @flow(task_runner=overlapping)
    def f() -> None:
        for _ in range(20):
            meet.submit()

    assert f(return_state=True).is_completed()


def test_500_dependents_of_500_do_not_deadlock(runner: Any) -> None:
    @task
    def count(numbers: list[int]) -> int:
        return len(numbers)

    @flow(task_runner=runner)
    def f() -> None:
        first = identity.map(range(500))
        identity.map(range(500), wait_for=first[-20:])  # those that are executed last
        assert count.submit(first).result() == 500

    assert f(return_state=True).message == "All states completed."


# -- subflows and nesting -----------------------------------------------------------------------------------------


def test_a_subflow_has_its_own_runner_and_is_linked(runner: Any, home: Any) -> None:
    from flowdeck.task_runners import SequentialTaskRunner

    @flow(task_runner=SequentialTaskRunner())
    def child(x: int) -> Any:
        return add.submit(x).result()

    @flow(task_runner=runner)
    def parent() -> Any:
        return child(add.submit(1))

    assert parent() == 3
    with stored(home) as reader:
        above = reader.resolve_run("@last")
        assert above.flow == "parent"
        (run,) = reader.children(above.id)
        assert run.flow == "child"
        assert run.parent_task is not None
        assert run.parent_task >> 24 == above.id


def test_tasks_called_directly_do_not_use_the_runner(runner: Any) -> None:
    @task
    def where() -> int:
        return os.getpid()

    @flow(task_runner=runner)
    def f() -> Any:
        return where()

    assert f() == os.getpid()


def test_one_runner_serves_several_flow_runs(runner: Any) -> None:
    @flow(task_runner=runner)
    def f(x: int) -> Any:
        return add.submit(x).result()

    assert [f(i) for i in range(3)] == [1, 2, 3]


# -- life -----------------------------------------------------------------------------------------------------------


def test_a_runner_is_started_once_and_only_then_takes_work(runner: Any) -> None:
    copy = runner.duplicate()
    assert copy == runner
    assert copy is not runner
    with pytest.raises(RuntimeError, match="must be started before submitting work"):
        copy.submit(None)


def test_a_flow_run_waits_for_all_its_tasks(runner: Any) -> None:
    @task
    def slow(path: str) -> None:
        time.sleep(0.2)
        with open(path, "w") as file:
            file.write("done")

    @flow(task_runner=runner)
    def f(path: str) -> str:
        slow.submit(path)
        return "returned"

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        assert f(path) == "returned"
        assert os.path.exists(path)

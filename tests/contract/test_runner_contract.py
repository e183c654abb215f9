"""What every task runner must do. The flows are those of users; the record is a real store."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import anyio
import pytest

from flowdeck import allow_failure, flow, get_run_logger, quote, runtime, tags, task, unmapped
from flowdeck.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    UnfinishedRun,
    UpstreamTaskError,
)
from flowdeck.runs import recorder as recording
from flowdeck.runs.stopping import stop_runs
from flowdeck.runs.task_run import Stop
from flowdeck.states import Cancelled, Crashed, Failed, State
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.limits import list_limits, set_limit

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


def test_tags_of_a_block_and_of_the_task_are_recorded_with_the_task_run(
    runner: Any, home: Any
) -> None:
    @flow(task_runner=runner)
    def f() -> None:
        with tags("block"):
            add.with_options(tags=["own"]).submit(1)
            add.map([1])
        add.submit(1)

    f()
    with stored(home) as reader:
        assert reader.task_tags(1, [1, 2, 3]) == {1: ("block", "own"), 2: ("block",)}
        assert [task.no for task in reader.tasks(1, "tag:own")] == [1]
        assert reader.task_parameters(1, 1) == {"x": "1", "y": "1"}


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


@pytest.mark.parametrize("how", ["result", "call", "value"])
def test_a_system_exit_that_the_flow_catches_does_not_end_it(runner: Any, how: str) -> None:
    @task
    def leave() -> None:
        raise SystemExit(3)

    @flow(task_runner=runner)
    def f() -> Any:
        if how == "value":
            return repr(leave.submit().result(raise_on_failure=False))
        try:
            leave() if how == "call" else leave.submit().result()
        except SystemExit as left:
            return repr(left)

    assert f() == "SystemExit(3)"


@pytest.mark.anyio
async def test_a_system_exit_that_an_async_flow_catches_does_not_end_it(runner: Any) -> None:
    @task
    async def leave() -> None:
        raise SystemExit(3)

    @flow(task_runner=runner)
    async def f() -> Any:
        caught = []
        for how in ("call", "result"):
            try:
                await leave() if how == "call" else await (await leave.submit()).result()
            except SystemExit as left:
                caught.append(repr(left))
        return caught

    assert await f() == ["SystemExit(3)"] * 2


class Classless:
    """Does not say what it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @__class__.setter
    def __class__(self, kind: Any) -> None: ...


def test_values_whose_class_raises_are_values_like_any_other(runner: Any) -> None:
    odd = Classless()

    @flow(task_runner=runner)
    def f() -> Any:
        called = [identity(odd), identity([odd])[0], identity.map([odd], wait_for=[])]
        submitted = [identity.submit(odd).wait(), identity.submit({"k": [odd]}).wait()]
        return quote((called[:2], [str(state) for state in submitted])), odd

    (called, states), same = (part if i else part.unquote() for i, part in enumerate(f()))
    assert called[0] is called[1] is same is odd
    for state in states:
        assert state == "Completed()" or "cannot be sent to a worker" in state


# -- teardown ------------------------------------------------------------------------------------------


def test_allow_failure_lets_every_final_state_through(runner: Any) -> None:
    @task
    def not_today() -> Any:
        from flowdeck.states import Cancelled

        return Cancelled(message="not today")

    @flow(task_runner=runner)
    def f() -> Any:
        bad = fail.submit("x")
        ends = [bad, identity.submit(bad), not_today.submit()]
        values = [identity.submit(allow_failure(end)).result() for end in ends]
        return [type(value).__name__ for value in values]

    assert f() == ["ValueError", "UnfinishedRun", "CancelledRun"]


def test_the_flows_time_limit_ends_what_it_submitted_and_a_task_that_runs_always_cleans_up(
    runner: Any, tmp_path: Any
) -> None:
    @task
    def endless() -> None:
        import time

        for _ in range(6000):
            time.sleep(0.01)

    @task(always=True)
    def clean_up(_: Any, path: str) -> None:
        open(path, "w").close()

    @flow(task_runner=runner, timeout_seconds=3)
    def f() -> None:
        busy = endless.submit()
        identity.submit(busy)
        clean_up.submit(allow_failure(busy), str(tmp_path / "cleaned"))

    state = f(return_state=True)
    assert state.name == "TimedOut"
    if not runner.submit_blocks:  # else the limit strikes in the first submission
        assert (tmp_path / "cleaned").exists()


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


# -- admission: slots and cache -----------------------------------------------------------------------------


def until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_slot_is_free_while_its_task_waits_to_be_tried_again(runner: Any, home: Any) -> None:
    if runner.submit_blocks:
        pytest.skip("nothing else goes on meanwhile")
    set_limit(home, "db", 1)

    @task(tags=["db"], retries=1, retry_delay_seconds=600)
    def flaky() -> None:
        raise ValueError

    @task(tags=["db"])
    def quick() -> str:
        return "done"

    @flow(task_runner=runner)
    def f() -> Any:
        first = flaky.submit()
        until(lambda: first.get_state().name == "AwaitingRetry")
        value = quick.submit().result()
        waits = first.get_state().name
        stop_runs([first.task_run], Stop.CANCEL)
        ended = first.wait()
        return value, waits, ended.name, ended.message

    message = "Cancelled while it waited to be tried again."
    assert f() == ("done", "AwaitingRetry", "Cancelled", message)
    assert [(x.tag, x.in_use) for x in list_limits(home)] == [("db", 0)]


def test_a_limited_task_is_tried_again_until_it_completes(
    runner: Any, tmp_path: Any, home: Any
) -> None:
    set_limit(home, "db", 1)
    counter = str(tmp_path / "count")

    @task(tags=["db"], retries=3, retry_delay_seconds=[0, 0.01], task_run_name="try-{x}")
    def flaky(path: str, x: int) -> Any:
        with open(path, "a") as file:
            file.write("x")
        n = os.path.getsize(path)
        print("prints", n)
        if n < 3:
            raise ValueError(f"attempt {n}")
        return n, runtime.task_run.run_count

    @flow(task_runner=runner, log_prints=True)
    def f() -> Any:
        x = add.submit(1)
        return add.submit(flaky.submit(counter, x), (x,)).result()

    assert f() == (3, 3, 2)
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        row = next(row for row in reader.tasks(run.id) if row.name == "try-2")
        names = [s.state for s in reader.states(run.id, row.no)]
        assert names == [
            "Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying",
            "Completed",
        ]  # fmt: skip
        assert row.attempt == 3
        assert [x.attempt for x in reader.failures(run.id, row.no)] == [1, 2]
        texts = [x.message for x in reader.logs(run.id, row.no)]
        assert [x for x in texts if x.startswith("prints")] == ["prints 1", "prints 2", "prints 3"]


def test_no_more_than_the_limit_execute_at_once(runner: Any, tmp_path: Any, home: Any) -> None:
    set_limit(home, "db", 1)
    folder = tmp_path / "inside"
    folder.mkdir()

    @task(tags=["db"], retries=1)
    def query(folder: str, i: int) -> int:
        mine = os.path.join(folder, str(i))
        open(mine, "x").close()
        try:
            count = len(os.listdir(folder))
            time.sleep(0.01)
            if runtime.task_run.run_count == 1:
                raise ValueError
            return count
        finally:
            os.unlink(mine)

    @flow(task_runner=runner)
    def f() -> Any:
        return [future.result() for future in query.map(str(folder), list(range(5)))]

    assert f() == [1] * 5


def test_a_limit_of_zero_cancels_and_a_store_that_fails_does_not(
    runner: Any, home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limit(home, "none", 0)
    set_limit(home, "db", 1)

    def broken(*_: Any) -> Any:
        raise OSError("the disk is on fire")

    @task
    def never() -> None: ...

    @flow(task_runner=runner)
    def f() -> Any:
        with tags("none"):
            zero = never.submit().wait()
        with pytest.MonkeyPatch.context() as patch, tags("db"):
            patch.setattr(recording.recorder(), "acquire_slots", broken)
            try:
                failed = never.submit(return_state=True)
            except OSError as error:  # a runner without threads raises where it is submitted
                failed = Crashed(message=str(error))
        return [(s.name, s.message) for s in (zero, failed)]

    (zero, zero_text), (failed, failed_text) = f()
    assert zero == "Cancelled"
    assert "limit 0" in zero_text
    assert failed == "Crashed"
    assert "the disk is on fire" in failed_text


def test_a_cached_run_takes_no_slot(runner: Any, home: Any) -> None:
    @task(cache_key_fn=lambda context, arguments: "k")
    def cached() -> int:
        return 1

    @flow(task_runner=runner)
    def f() -> Any:
        cached.submit().wait()
        with tags("none"):
            return cached.submit().wait().name

    set_limit(home, "none", 0)
    assert f() == "Cached"


def test_calls_are_admitted_as_submissions_are(runner: Any, home: Any) -> None:
    set_limit(home, "db", 1)
    set_limit(home, "none", 0)
    tries: list[str] = []

    def key(context: Any, arguments: dict[str, Any]) -> str:
        return context.task.name  # type: ignore[no-any-return]

    @task(tags=["db"], retries=1)
    def flaky() -> int:
        tries.append("sync")
        if tries.count("sync") == 1:
            raise ValueError
        return list_limits(home)[0].in_use

    @task(tags=["db"], retries=1)
    async def flaky_async() -> int:
        tries.append("async")
        if tries.count("async") == 1:
            raise ValueError
        return list_limits(home)[0].in_use

    @task(tags=["db"], cache_key_fn=key)
    def cached() -> int:
        return list_limits(home)[0].in_use

    @task(tags=["none"])
    async def never() -> None: ...

    @flow(task_runner=runner)
    async def f() -> Any:
        states = [
            flaky(return_state=True),
            await flaky_async(return_state=True),
            cached(return_state=True),
            cached(return_state=True),
            await never(return_state=True),
        ]
        return [(s.name, s.is_completed() and s.value()) for s in states]

    assert anyio.run(f) == [
        ("Completed", 1), ("Completed", 1), ("Completed", 1), ("Cached", 1), ("Cancelled", False),
    ]  # fmt: skip
    assert tries == ["sync", "sync", "async", "async"]
    assert {x.tag: x.in_use for x in list_limits(home)} == {"db": 0, "none": 0}


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


def condition_of(kind: str) -> Any:
    """A condition (or hook) as users write it, which notes what it saw in the failure's own file."""

    def note(path: str, failure: Any, tries: int) -> bool:
        with open(path, "a") as file:
            file.write(f"{type(failure).__name__} {tries}\n")
        return True

    def sync(task: Any, task_run: Any, state: Any) -> bool:
        failure = state.result(raise_on_failure=False)
        return note(str(failure), failure, task_run.run_count)

    async def asynchronous(task: Any, task_run: Any, state: Any) -> bool:
        failure = await state.result(raise_on_failure=False)
        return note(str(failure), failure, task_run.run_count)

    return sync if kind == "sync" else asynchronous


@pytest.mark.parametrize("condition", ["sync", "async"])
def test_conditions_and_hooks_get_states_as_they_are_written(
    runner: Any, tmp_path: Any, condition: str
) -> None:
    path = str(tmp_path / "seen")
    called = condition_of(condition)

    @task(retries=1, retry_condition_fn=called, on_failure=[called])
    def breaks(path: str) -> None:
        raise ConnectionError(path)

    @task(retries=1, retry_condition_fn=called, on_failure=[called])
    async def breaks_async(path: str) -> None:
        raise ConnectionError(path)

    def seen() -> list[str]:
        with open(path) as file:
            found = file.read().splitlines()
        os.unlink(path)
        return found

    @flow(task_runner=runner)
    def f() -> Any:
        breaks.submit(path).wait()
        submitted = seen()
        breaks_async.submit(path).wait()
        submitted_async = seen()
        breaks(path, return_state=True)
        direct = seen()
        return submitted, submitted_async, direct

    @flow(task_runner=runner)
    async def f_async() -> Any:
        await (await breaks_async.submit(path)).wait()
        submitted = seen()
        await breaks_async(path, return_state=True)
        return submitted, seen()

    each = ["ConnectionError 1", "ConnectionError 2"]  # the condition, then the hook
    assert f() == (each, each, each)
    assert anyio.run(f_async) == (each, each)


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


def test_a_try_waits_for_the_function_of_the_one_before(runner: Any, tmp_path: Any) -> None:
    inside, most = tmp_path / "inside", tmp_path / "most"
    inside.mkdir()

    @task(timeout_seconds=0.1, retries=1)
    def slow(inside: str, most: str) -> None:
        mine = os.path.join(inside, str(runtime.task_run.run_count))
        open(mine, "x").close()
        with open(most, "a") as file:
            file.write(str(len(os.listdir(inside))))
        try:
            time.sleep(0.5)  # cannot be stopped in there
        finally:
            os.unlink(mine)

    @flow(task_runner=runner)
    def f() -> Any:
        return slow.submit(str(inside), str(most)).wait().name

    assert f() == "TimedOut"
    assert most.read_text() == "11"


def test_a_function_that_goes_on_keeps_its_slot(runner: Any, tmp_path: Any, home: Any) -> None:
    if runner.name == "process":
        pytest.skip("a function that goes on is ended with its process")
    set_limit(home, "db", 1)
    release = tmp_path / "release"

    @task(timeout_seconds=0.1, tags=["db"])
    def stubborn(release: str) -> None:
        while not os.path.exists(release):
            try:
                time.sleep(0.02)
            except BaseException:
                pass  # does not let itself be stopped

    @task(tags=["db"])
    def quick() -> str:
        return "done"

    def in_use() -> int:
        return list_limits(home)[0].in_use

    @flow(task_runner=runner)
    def f() -> Any:
        ended = stubborn.submit(str(release)).wait().name
        meanwhile = in_use()
        if not runner.submit_blocks:
            waits = quick.submit()
            until(lambda: str(waits.get_state().message).startswith("Waiting for a free slot"))
        release.touch()
        return ended, meanwhile, quick.submit().result()

    assert f() == ("TimedOut", 1, "done")
    assert in_use() == 0


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


def test_no_secret_of_a_task_is_recorded_and_redirected_output_is_left_alone(
    runner: Any, home: Any, loggers_as_before: None
) -> None:
    @task(log_prints=True, task_run_name="leaky {url}")
    def leaky(url: str, api_key: str) -> Any:
        import contextlib
        import io
        import logging.config

        buffer = io.StringIO()
        with contextlib.redirect_stdout(buffer):
            print("redirected")
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
        get_run_logger().info("at %s", url)
        print("password:", "Zq9-hunter2")
        return {"url": url, "password": api_key, "read": buffer.getvalue()}

    @task
    def fails(api_key: str) -> None:
        raise ValueError(f"refused {api_key} at amqps://ann:{api_key}@host")

    @flow(task_runner=runner)
    def f() -> Any:
        fails.submit("Zq9-hunter2")
        return leaky.submit("amqps://ann:Zq9-hunter2@host", "Zq9-hunter2").result()["read"]

    assert f() == "redirected\n"
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        lines = [line.message for line in reader.logs(run.id)]
        texts = [*lines, *(repr(task) for task in reader.tasks(run.id))]
        for no in (1, 2):
            texts += [repr(reader.result(run.id, no)), repr(reader.task_parameters(run.id, no))]
            texts += [repr(reader.states(run.id, no)), repr(reader.failures(run.id, no))]
        assert [text for text in texts if "Zq9" in text] == []
        assert "at amqps://ann:<hidden>@host" in lines
        assert "password: <hidden>" in lines
        assert "redirected" not in lines


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


class Counted:
    """Notes each look at it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __repr__(self) -> str:
        with open(self.path, "a") as file:
            file.write("x")
        return "Counted"


def test_a_failure_is_captured_once(runner: Any, tmp_path: Any, home: Any) -> None:
    path = tmp_path / "looks"

    @task(retries=1)
    def breaks(path: str) -> None:
        seen = Counted(path)
        raise ValueError(type(seen).__name__)

    @flow(task_runner=runner)
    def f() -> Any:
        return breaks.submit(str(path)).wait().name

    assert f() == "Failed"
    assert path.read_text() == "xx"  # once for each try
    with stored(home) as reader:
        run = reader.resolve_run("@last")
        assert [x.attempt for x in reader.failures(run.id, 1)] == [1, 2]


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


def test_a_templated_name_is_known_while_the_run_waits_and_if_it_never_starts(
    runner: Any, home: Any
) -> None:
    @task(task_run_name="load {day} of {x}")
    def load(day: str, x: Any = "y", after: Any = None) -> None: ...

    @flow(task_runner=runner)
    def f() -> Any:
        bad = fail.submit()
        futures = [
            load.submit("mon", after=bad),
            load.submit("tue", wait_for=[bad]),
            load.submit("wed", bad),
            load.submit("thu", add.submit(1)),
            *load.map(["fri"]),
        ]
        return quote([future.wait().name for future in futures])

    names = f().unquote()
    assert names == ["NotReady", "NotReady", "NotReady", "Completed", "Completed"]
    with stored(home) as reader:
        found = [run.name for run in reader.tasks(1) if run.task == "load"]
    assert found[:2] == ["load mon of y", "load tue of y"]
    assert found[2] == "load wed of ?"  # something of its name never came
    assert found[3:] == ["load thu of 2", "load fri of y"]


def test_a_name_that_a_function_gives_is_there_also_if_the_run_never_starts(
    runner: Any, home: Any
) -> None:
    def name() -> str:
        return f"load {runtime.task_run.parameters['day']} of {runtime.task_run.parameters['x']}"

    @task(task_run_name=name)
    def load(day: str, x: Any) -> None: ...

    @flow(task_runner=runner)
    def f() -> Any:
        futures = [load.submit("mon", fail.submit()), load.submit("tue", add.submit(1))]
        return quote([future.wait().name for future in futures])

    assert f().unquote() == ["NotReady", "Completed"]
    with stored(home) as reader:
        found = [run.name for run in reader.tasks(1) if run.task == "load"]
    assert found == ["load mon of ?", "load tue of 2"]

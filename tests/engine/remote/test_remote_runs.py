"""Whole flows through the transport, executed in this process: faults, values, nesting."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, quote, runtime, tags, task
from flowdeck.exceptions import MissingResult
from flowdeck.remote.values import RemoteValue
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import SequentialTaskRunner
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import limits
from loopback import LoopbackRunner


@task
def identity(x: Any) -> Any:
    return x


@task
def size(x: Any) -> int:
    return len(x)


def open_the_store() -> None:
    """Make the store, so that limits can be set before the next session looks for them."""

    @flow
    def f() -> None:
        pass

    f()
    recording.close_all()


def wait_until_limits_are_seen() -> None:
    """A session looks for limits on its tick."""
    deadline = time.monotonic() + 20
    while not recording.recorder().limited_tags():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def last(home: Any) -> Any:
    recording.close_all()
    return Reader.open(home)


# -- what cannot be sent ---------------------------------------------------------------------------------


def test_an_argument_that_cannot_be_sent_crashes_its_task_only_and_is_named() -> None:
    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        bad = identity.submit({"lock": [threading.Lock()]})
        good = identity.submit(1)
        return quote((bad.wait(), good.result()))

    state, good = f().unquote()
    assert good == 1
    assert state.is_crashed()
    assert "argument 'x' of task 'identity', a dict, cannot be sent" in state.message
    assert "(its part ['lock'][0])" in state.message
    with pytest.raises(TypeError, match="argument 'x'"):
        state.result()


def test_a_function_that_cannot_be_sent_says_what_it_uses() -> None:
    lock = threading.Lock()

    @task
    def locked() -> None:
        with lock:
            pass

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return quote(locked.submit().wait())

    state = f().unquote()
    assert state.is_crashed()
    assert "the function of task 'locked' cannot be sent" in state.message
    assert "(it uses 'lock', a lock)" in state.message


def test_a_result_that_cannot_be_sent_crashes_its_task_and_is_named(home: Any) -> None:
    @task
    def unsendable() -> Any:
        return {"a": threading.Lock()}

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        bad = unsendable.submit()
        return quote((bad.wait(), identity.submit(bad).wait()))

    state, dependent = f().unquote()
    assert state.is_crashed()
    assert "the result, a dict, cannot be sent from its worker (its part ['a'])" in state.message
    assert dependent.name == "NotReady"
    with last(home) as reader:
        run = reader.resolve_run("@last")
        assert [s.state for s in reader.states(run.id, 1)] == ["Pending", "Running", "Crashed"]


def test_an_exception_that_cannot_be_pickled_still_arrives() -> None:
    class Odd(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a}/{b}")
            self.lock = threading.Lock()

    @task
    def fail() -> None:
        raise Odd(1, 2)

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        with pytest.raises(Odd, match="1/2"):
            fail.submit().result()
        return True

    assert f() is True


# -- values ----------------------------------------------------------------------------------------------


def test_a_big_value_stays_away_until_it_is_asked_for() -> None:
    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        big = identity.submit(bytes(1_000_000))
        runner: Any = big.task_run.owner.runner
        assert size.submit(big).result() == 1_000_000
        late = size.submit(big.wait())
        assert late.result() == 1_000_000
        assert isinstance(big.get_state().data, RemoteValue)
        before = runner.fetched
        assert len(big.result()) == 1_000_000
        return before, runner.fetched

    assert f() == (0, 1)


def test_a_value_that_the_flow_returns_outlives_the_cluster() -> None:
    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        identity.submit(bytes(200_000))
        return identity.submit(bytes(100_000))

    state: Any = f(return_state=True).result()
    assert len(state.result()) == 100_000


def test_a_value_that_was_never_asked_for_says_how_to_have_it() -> None:
    kept: list[Any] = []

    @flow(task_runner=LoopbackRunner())
    def f() -> None:
        kept.append(identity.submit(bytes(200_000)))

    f()
    assert kept[0].get_state().is_completed()
    with pytest.raises(MissingResult, match="return the future from the flow"):
        kept[0].result()


def test_the_same_big_object_is_returned_while_somebody_holds_it() -> None:
    class Big:
        def __init__(self) -> None:
            self.data = bytes(100_000)

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        future = identity.submit(Big())
        first = future.result()
        return first is future.result()

    assert f() is True


def test_instances_of_the_flows_classes_come_back_as_such() -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    @task
    def move(p: Any) -> Any:
        assert isinstance(p, Point)
        return Point(p.x + 1)

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        moved = move.submit(move.submit(Point(1))).result()
        return isinstance(moved, Point), moved.x

    assert f() == (True, 3)


def test_results_are_kept_by_the_flows_process(home: Any) -> None:
    @task(persist_result=True)
    def make() -> Any:
        return bytes(50_000)

    @task(persist_result=True, cache_result_in_memory=False)
    def small() -> int:
        return 5

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return len(make.submit().result()), small.submit().result()

    assert f() == (50_000, 5)
    with last(home) as reader:
        run = reader.resolve_run("@last")
        found = [reader.result(run.id, no) for no in (1, 2)]
        assert [r.location is not None for r in found] == [True, True]
        assert len(list((home / "results").rglob("??????????????????????????????"))) == 2


# -- what tasks see and do ---------------------------------------------------------------------------------


def test_tasks_see_bounded_parameters_of_the_flow() -> None:
    @task
    def look() -> Any:
        return runtime.flow_run.parameters

    @flow(task_runner=LoopbackRunner(), validate_parameters=False)
    def f(small: Any, big: Any, lock: Any) -> Any:
        return look.submit().result()

    assert f([1], bytes(1_000_000), threading.Lock()) == {
        "small": [1], "big": "<bytes>", "lock": "<lock>",
    }  # fmt: skip


def test_a_task_that_calls_a_flow_records_it_below_itself(home: Any) -> None:
    @flow(task_runner=SequentialTaskRunner())
    def inner(x: int) -> Any:
        return identity.submit(x).result()

    @task
    def outer(x: int) -> Any:
        return inner(x) + 1

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return outer.submit(1).result()

    assert f() == 2
    with last(home) as reader:
        (below,) = [run for run in reader.runs() if run.flow == "inner"]
        (above,) = [run for run in reader.runs() if run.flow == "f"]
        assert (below.state, below.parent_task) == ("Completed", above.id << 24 | 1)
        assert [t.state for t in reader.tasks(below.id)] == ["Completed"]


def test_submitting_from_a_task_says_that_there_is_no_flow_run_there() -> None:
    @task
    def submits() -> None:
        identity.submit(1)

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        with pytest.raises(RuntimeError, match="on a worker of a cluster"):
            submits.submit().result()
        return True

    assert f() is True


def test_lines_arrive_while_the_task_runs(home: Any, tmp_path: Any) -> None:
    gate = tmp_path / "gate"

    @task(log_prints=True)
    def talk(path: str) -> None:
        print("hello")
        get_run_logger().info("and more")
        deadline = time.monotonic() + 30
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.005)

    seen: list[str] = []

    @flow(task_runner=LoopbackRunner())
    def f() -> None:
        talk.submit(str(gate))
        deadline = time.monotonic() + 20
        while not {"hello", "and more"} <= set(seen):
            assert time.monotonic() < deadline
            with Reader.open(home) as reader:
                seen[:] = [line.message for run in reader.runs() for line in reader.logs(run.id, 1)]
        gate.touch()

    assert f(return_state=True).is_completed()


# -- events that are lost ----------------------------------------------------------------------------------


class LosingRunner(LoopbackRunner):
    """Loses all events, and notices after a while that replies are there."""

    def _start(self, flow_run: Any) -> None:
        super()._start(flow_run)
        self.runs._on_tick = self._look_at_replies

    def _deliver(self, batch: bytes) -> None:
        pass

    def _look_at_replies(self) -> None:
        for remote_run in list(self.runs.open.values()):
            if remote_run.handle is not None and remote_run.handle.done():
                self.runs.recover(remote_run, self._fetch(remote_run.handle))


def test_a_run_whose_events_were_all_lost_still_ends_right(home: Any) -> None:
    @task
    def fail() -> None:
        raise ValueError("boom")

    @flow(task_runner=LosingRunner())
    def f() -> Any:
        bad, good = fail.submit(), identity.submit([1])
        dependent = identity.submit(bad)
        with pytest.raises(ValueError, match="boom"):
            bad.result()
        return good.result(), dependent.wait().name

    assert f() == ([1], "NotReady")
    with last(home) as reader:
        run = reader.resolve_run("@last")
        assert [row.state for row in reader.tasks(run.id)] == ["Failed", "Completed", "NotReady"]
        result = reader.result(run.id, 2)
    assert result is not None  # it is not known, which is not None
    assert (result.type, result.preview) == ("?", None)


def test_a_list_of_all_futures_that_the_flow_returns_outlives_the_cluster() -> None:
    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return [identity.submit(bytes(100_000))]

    (state,) = f(return_state=True).result()
    assert len(state.result()) == 100_000


# -- what happens before ---------------------------------------------------------------------------------


def test_limited_tags_hold_tasks_back_and_are_given_back(home: Any, tmp_path: Any) -> None:
    @task
    def alone(folder: str, no: int) -> int:
        mark = os.path.join(folder, "busy")
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))  # fails if another one is in here
        time.sleep(0.01)
        os.unlink(mark)
        return no

    open_the_store()
    limits.set_limit(home, "one", 1)

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        wait_until_limits_are_seen()
        with tags("one"):
            futures = [alone.submit(str(tmp_path), no) for no in range(8)]
        return [future.result() for future in futures]

    assert f() == list(range(8))


def test_a_limit_of_zero_cancels_instead_of_waiting_for_ever(home: Any) -> None:
    open_the_store()
    limits.set_limit(home, "none", 0)

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        wait_until_limits_are_seen()
        with tags("none"):
            return quote(identity.submit(1).wait())

    assert f().unquote().is_cancelled()


def test_a_cache_key_that_cannot_be_computed_fails_the_task() -> None:
    def broken(context: Any, arguments: Any) -> str:
        raise RuntimeError("no key")

    @task(cache_key_fn=broken)
    def cached() -> int:
        return 1

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return quote(cached.submit().wait())

    state = f().unquote()
    assert state.is_failed()
    assert "no key" in state.message


def test_a_name_is_computed_once_with_the_cache_too(tmp_path: Any) -> None:
    calls: list[int] = []

    def name() -> str:
        calls.append(1)
        return f"call-{len(calls)}"

    @task(task_run_name=name, cache_key_fn=lambda context, arguments: "key")
    def cached() -> Any:
        return runtime.task_run.name

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return cached.submit().result()

    assert f() == "call-1"
    assert calls == [1]

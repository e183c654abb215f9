"""Flows that are tried again: what runs anew and what is re-used."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import threading
import time
from array import array
from typing import Any

import pytest

from flowdeck import allow_failure, flow, runtime, task
from flowdeck.states import Cancelled, Completed
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.tasks import exponential_backoff
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


@pytest.fixture
def calls() -> list[Any]:
    return []


def test_the_function_runs_again_in_the_same_run(record: Record) -> None:
    seen: list[Any] = []

    @flow(retries=3)
    def f() -> str:
        seen.append((runtime.flow_run.id, runtime.flow_run.name, runtime.flow_run.run_count))
        if len(seen) < 3:
            raise ValueError("not yet")
        return "done"

    assert f() == "done"
    assert [count for _, _, count in seen] == [1, 2, 3]
    assert len({(uid, name) for uid, name, _ in seen}) == 1
    assert record.state_names("f") == [
        "Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying",
        "Completed",
    ]  # fmt: skip
    attempts = [e["attempt"] for e in record.of_kind(events.STATE) if e["no"] == 0]
    assert attempts == [1, 1, 1, 2, 2, 3, 3][-len(attempts) :]
    assert (
        "Received non-final state 'AwaitingRetry' when proposing final state 'Failed' and will "
        "attempt to run again..."
    ) in record.logs


def test_it_runs_at_most_retries_plus_one_times(record: Record) -> None:
    seen: list[int] = []

    @flow(retries=2)
    def f() -> None:
        seen.append(1)
        raise ValueError("never")

    state = f(return_state=True)
    assert (len(seen), state.name) == (3, "Failed")
    assert len(record.of_kind(events.FAILURE)) == 3


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_delay_lies_between_the_attempts(record: Record, asynchronous: bool) -> None:
    at: list[float] = []

    def body() -> None:
        at.append(time.monotonic())
        if len(at) == 1:
            raise ValueError

    async def body_async() -> None:
        body()

    f = flow(retries=1, retry_delay_seconds=0.1)(body_async if asynchronous else body)
    asyncio.run(f()) if asynchronous else f()
    assert 0.1 <= at[1] - at[0] < 10
    (waiting,) = [e for e in record.of_kind(events.STATE) if e["name"] == "AwaitingRetry"]
    assert "retry_at_us" in waiting["data"]


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_completed_tasks_are_not_run_again_and_failed_ones_are(
    runner: Any, calls: list[Any], record: Record
) -> None:
    @task
    def good(x: int) -> int:
        calls.append(("good", x))
        return x * 2

    @task(retries=1)
    def flaky(x: int) -> int:
        calls.append(("flaky", runtime.flow_run.run_count))
        if runtime.flow_run.run_count == 1:
            raise ValueError
        return x + 1

    @flow(retries=1, task_runner=runner)
    def f() -> Any:
        first = good.submit(5)
        direct = good(7)
        return flaky.submit(first).result(), direct

    assert f() == (11, 14)
    assert sorted(calls, key=str) == [
        ("flaky", 1), ("flaky", 1), ("flaky", 2), ("good", 5), ("good", 7),
    ]  # fmt: skip
    assert any(text.startswith("Reused: it completed in an earlier") for text in record.logs)


def test_reuse_is_by_call_and_arguments_so_other_branches_get_no_wrong_result(
    calls: list[Any],
) -> None:
    @task
    def load(name: str) -> str:
        calls.append(name)
        return f"value of {name}"

    @flow(retries=1)
    def f() -> Any:
        names = ["b", "a"] if runtime.flow_run.run_count == 1 else ["a", "b"]
        values = [load(name) for name in names]
        if runtime.flow_run.run_count == 1:
            raise ValueError
        return values

    assert f() == ["value of a", "value of b"]
    assert calls == ["b", "a", "a", "b"]


def test_tasks_whose_upstream_ran_anew_run_anew(calls: list[Any]) -> None:
    @task
    def source() -> int:
        calls.append("source")
        if runtime.flow_run.run_count == 1:
            raise ValueError
        return 1

    @task
    def use(x: Any) -> Any:
        calls.append("use")
        return x

    @task
    def independent() -> int:
        calls.append("independent")
        return 3

    @flow(retries=1, task_runner=SequentialTaskRunner())
    def f() -> None:
        independent.submit()
        use.submit(source.submit())

    state = f(return_state=True)
    assert state.message == "All states completed."
    assert calls == ["independent", "source", "source", "use"]


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_what_waits_for_something_that_ran_anew_runs_anew(
    calls: list[Any], runner: BaseTaskRunner
) -> None:
    """A clean-up, a reader of what the other one wrote: the second time there is something else."""

    @task
    def work(number: int) -> None:
        calls.append(f"work {number}")
        if runtime.flow_run.run_count < number:
            raise ValueError

    @task
    def clean(number: int) -> None:
        calls.append(f"clean {number}")

    @flow
    def reads() -> int:
        calls.append("reads")
        return 1

    @flow
    def writes() -> None:
        calls.append("writes")
        if calls.count("writes") < 2:
            raise ValueError

    @flow(retries=2, task_runner=runner)
    def f() -> None:
        for number in (1, 2):
            used = work.submit(number)
            clean.submit(number, wait_for=[allow_failure(used)]).wait()
            clean.map([number * 10], wait_for=[allow_failure(used)])[0].wait()
        reads(wait_for=[allow_failure(used)])
        clean(3, wait_for=[allow_failure(writes(return_state=True))])
        used.result()

    f()
    again = ["work 2", "clean 2", "clean 20", "reads", "writes", "clean 3"]
    assert calls == ["work 1", "clean 1", "clean 10", *again, *again]


def test_states_that_belong_to_no_run_stand_for_their_values(calls: list[Any]) -> None:
    @task
    def use(value: Any) -> None:
        calls.append(value)

    @flow(retries=1, task_runner=SequentialTaskRunner())
    def f() -> None:
        use(Completed(data=runtime.flow_run.run_count))
        use(Completed(data="same"))
        if runtime.flow_run.run_count == 1:
            raise ValueError

    f()
    assert calls == [1, "same", 2]


def test_mapped_children_are_re_used_one_by_one(calls: list[Any]) -> None:
    @task
    def item(x: int) -> int:
        calls.append((runtime.flow_run.run_count, x))
        if x == 2 and runtime.flow_run.run_count == 1:
            raise ValueError
        return x

    @flow(retries=1, task_runner=SequentialTaskRunner())
    def f() -> Any:
        return [future.result() for future in item.map(range(4))]

    assert f() == [0, 1, 2, 3]
    assert calls == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 2)]


def test_completed_subflows_are_not_run_again_and_failed_ones_are(
    calls: list[Any], record: Record
) -> None:
    @flow
    def good(x: Any) -> Any:
        calls.append("good")
        return x

    @flow
    def bad() -> int:
        calls.append("bad")
        if len([c for c in calls if c == "bad"]) == 1:
            raise ValueError
        return 2

    @task
    def one() -> int:
        calls.append("one")
        return 1

    @flow(retries=1)
    def parent() -> Any:
        return good(one.submit()), bad(), good("again")

    assert parent() == (1, 2, "again")
    assert calls == ["one", "good", "bad", "bad", "good"]
    runs = [e["flow_name"] for e in record.of_kind(events.RUN)]
    assert runs == ["parent", "good", "bad", "bad", "good"]
    assert any("Reused subflow run" in text for text in record.logs)


def test_what_runs_anew_has_its_full_number_of_retries(calls: list[Any]) -> None:
    @task(retries=2)
    def never() -> None:
        calls.append(runtime.task_run.run_count)
        raise ValueError

    @flow(retries=1)
    def f() -> None:
        never.submit()

    assert f(return_state=True).is_failed()
    assert calls == [1, 2, 3, 1, 2, 3]


def test_only_the_last_attempt_counts_for_a_flow_that_returns_none() -> None:
    @task
    def flaky() -> None:
        if runtime.flow_run.run_count == 1:
            raise ValueError

    @task
    def only_first() -> None:
        raise ValueError

    @flow(retries=1)
    def f() -> None:
        flaky.submit()
        if runtime.flow_run.run_count == 1:
            only_first.submit()

    state = f(return_state=True)
    assert state.message == "All states completed."
    assert len(state.result()) == 1


def test_a_failed_aggregate_is_tried_again_too(calls: list[Any]) -> None:
    @task
    def flaky() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError

    @flow(retries=1)
    def f() -> Any:
        return flaky.submit()

    assert f(return_state=True).message == "All states completed."


def test_a_time_limit_holds_for_each_attempt() -> None:
    @flow(retries=1, timeout_seconds=0.2)
    def f() -> int:
        if runtime.flow_run.run_count == 1:
            time.sleep(30)
        time.sleep(0.05)
        return runtime.flow_run.run_count

    assert f() == 2


@pytest.mark.parametrize("how", ["cancelled", "crashed", "invalid"])
def test_what_is_not_a_failure_of_the_function_is_not_tried_again(
    how: str, calls: list[Any]
) -> None:
    class Odd(BaseException): ...

    @flow(retries=3)
    def f(x: int) -> Any:
        calls.append(1)
        if how == "cancelled":
            return Cancelled()
        raise Odd

    with contextlib.suppress(Odd):
        f("no" if how == "invalid" else 1, return_state=True)
    assert len(calls) == (0 if how == "invalid" else 1)


class Settings:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: [1], lambda value: value.append(2)),
        (lambda: {"k": [1]}, lambda value: value["k"].clear()),
        (lambda: array("d", [1]), lambda value: value.append(2)),
        (lambda: Settings(1), lambda value: setattr(value, "factor", 2)),
        (lambda: bytearray(b"a"), lambda value: value.extend(b"b")),
    ],
)
@pytest.mark.parametrize("how", ["call", "submit", "subflow"])
def test_an_argument_that_was_changed_in_place_runs_anew(
    calls: list[Any], make: Any, change: Any, how: str
) -> None:
    changed, kept = make(), make()

    @task
    def t(x: Any) -> None:
        calls.append(x)

    @flow
    def sub(x: Any) -> None:
        calls.append(x)

    start = {"call": t, "submit": lambda x: t.submit(x).wait(), "subflow": sub}[how]

    @flow(retries=1)
    def f() -> None:
        start(changed)
        start(kept)
        if runtime.flow_run.run_count == 1:
            change(changed)
            raise ValueError

    f()
    assert len(calls) == 3  # both, then the one that was changed


def test_numbers_of_other_types_and_what_has_no_digest_run_anew(calls: list[Any]) -> None:
    lock = threading.Lock()

    @task
    def t(x: Any) -> None:
        calls.append(x)

    @flow(retries=1)
    def f() -> None:
        first = runtime.flow_run.run_count == 1
        t(1 if first else 1.0)
        t(1 if first else True)
        t(2)
        t(lock)
        if first:
            raise ValueError

    f()
    assert calls == [1, 1, 2, lock, 1.0, True, lock]


def test_a_flow_that_cannot_be_tried_again_remembers_nothing() -> None:
    import gc
    import weakref

    class Big: ...

    alive: list[weakref.ref[Big]] = []

    @task
    def t(x: Any) -> None: ...

    @flow
    def f() -> Any:
        for _ in range(5):
            big = Big()
            alive.append(weakref.ref(big))
            t.submit(big).wait()
            del big
        gc.collect()
        return sum(ref() is not None for ref in alive)

    assert f() == 0


def test_cancelling_while_it_waits_to_be_tried_again(record: Record) -> None:
    from flowdeck.stopping import cancellation

    @flow(retries=1, retry_delay_seconds=60)
    def f() -> None:
        raise ValueError

    def cancel() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for run in list(cancellation.live.values()):
                if run.state.name == "AwaitingRetry":
                    cancellation.cancel(run)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=cancel)
    thread.start()
    began = time.monotonic()
    state = f(return_state=True)
    thread.join()
    assert state.is_cancelled()
    assert time.monotonic() - began < 20
    assert record.state_names("f")[-2:] == ["Cancelling", "Cancelled"]


@pytest.mark.parametrize(
    ("given", "delays"),
    [
        (0.01, [0.01, 0.01, 0.01]),
        ([0.01, 0.02], [0.01, 0.02, 0.02]),  # the last one repeats
        (exponential_backoff(0.005), [0.005, 0.01, 0.02]),
        (datetime.timedelta(milliseconds=10), [0.01, 0.01, 0.01]),
    ],
)
def test_each_retry_of_a_flow_has_its_delay(
    given: Any, delays: list[float], record: Record
) -> None:
    @flow(retries=3, retry_delay_seconds=given)
    def f() -> None:
        raise ValueError

    f(return_state=True)
    states = record.of_kind(events.STATE)
    waits = [each for each in states if each["name"] == "AwaitingRetry"]
    found = [json.loads(each["data"])["retry_at_us"] - each["us"] for each in waits]
    assert [round(us / 1e6, 2) for us in found] == pytest.approx(delays, abs=0.006)


def test_delays_of_a_flow_follow_the_rules_of_tasks() -> None:
    assert flow(retries=2, retry_delay_seconds=[1, 2.5])(lambda: None).retry_delays == (1.0, 2.5)
    doubling = flow(retries=2, retry_delay_seconds=exponential_backoff(1))(lambda: None)
    assert doubling.retry_delays == (1.0, 2.0)
    assert doubling.with_options(retries=3).retry_delays == (1.0, 2.0, 4.0)
    with pytest.raises(ValueError, match="more than 50 retry delays per flow"):
        flow(retry_delay_seconds=[1] * 51)(lambda: None)
    with pytest.raises(TypeError, match="must be an int, float, list or callable"):
        flow(retry_delay_seconds="soon")(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`retry_jitter_factor` must be >= 0"):
        flow(retry_jitter_factor=-1)(lambda: None)


def test_delays_of_a_flow_are_drawn_with_jitter(record: Record) -> None:
    from flowdeck.lifecycle.endings import rng

    rng.seed(1)

    @flow(retries=5, retry_delay_seconds=0.004, retry_jitter_factor=1)
    def f() -> None:
        raise ValueError

    f(return_state=True)
    states = record.of_kind(events.STATE)
    waits = [each for each in states if each["name"] == "AwaitingRetry"]
    assert len({json.loads(each["data"])["retry_at_us"] - each["us"] for each in waits}) == 5

"""`@task`: its options, what a task object is, its retries, names and time limits."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from typing import Any

import pytest

from flowdeck import Task, flow, get_run_logger, quote, runtime, tags, task
from flowdeck.exceptions import MissingContextError
from flowdeck.states import Completed, Failed, State
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.tasks import exponential_backoff
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = pytest.mark.usefixtures("record")


def run_flow(body: Any, **options: Any) -> Any:
    """Run ``body`` as a flow and return what it returns."""
    options.setdefault("task_runner", SequentialTaskRunner())
    return flow(**options)(body)()


# -- the object -----------------------------------------------------------------------------------


def test_the_decorator_works_bare_and_with_options() -> None:
    @task
    def my_task(x: int = 1) -> int:
        """What it does."""
        return x

    @task(name="other", tags=["a"], version="2", description="why")
    async def with_options() -> None: ...

    assert isinstance(my_task, Task)
    assert (my_task.name, my_task.description, my_task.tags) == (
        "my_task",
        "What it does.",
        frozenset(),
    )
    assert (my_task.__name__, my_task.__doc__) == ("my_task", "What it does.")
    assert my_task.fn(5) == 5
    assert not my_task.isasync
    assert with_options.isasync
    assert (with_options.name, with_options.version) == ("other", "2")
    assert with_options.tags == {"a"}
    assert with_options.description == "why"


def test_any_callable_can_be_a_task() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return self.n + x

        def method(self, x: int) -> int:
            return self.n * x

        @task
        @staticmethod
        def static(x: int) -> int:
            return -x

    def decorated(fn: Any) -> Any:
        @functools.wraps(fn)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs) + 100

        return inner

    @task
    @decorated
    def wrapped(x: int) -> int:
        return x

    def base(a: int, b: int) -> int:
        return a - b

    adder = Adder(5)
    assert task(adder).name == "Adder"
    assert wrapped.name == "wrapped"

    def body() -> Any:
        return [
            task(adder)(1),
            task(adder.method).submit(2).result(),
            wrapped(1),
            task(functools.partial(base, 9))(b=2),
            Adder.static(3),
            task(lambda x: x)(4),
            task(len)("four"),
        ]

    assert run_flow(body) == [6, 10, 101, 7, -3, 4, 4]


def test_with_options_replaces_and_leaves_the_rest() -> None:
    def hook(task: Any, task_run: Any, state: Any) -> None: ...

    @task(
        name="n", tags=["a"], retries=3, retry_delay_seconds=[1, 2], timeout_seconds=4,
        log_prints=True, persist_result=True, refresh_cache=True, retry_jitter_factor=0.5,
        on_failure=[hook], result_serializer="json", task_run_name="t-{x}", version="1",
        cache_key_fn=lambda context, arguments: None, cache_result_in_memory=False,
    )  # fmt: skip
    def t(x: int = 1) -> int:
        return x

    same = t.with_options()
    for option in ("name", "tags", "retries", "retry_delay_seconds", "timeout_seconds"):
        assert getattr(same, option) == getattr(t, option)
    assert same.retry_delays == (1.0, 2.0)
    changed = t.with_options(tags=["b"], retries=0, retry_delay_seconds=0, timeout_seconds=0)
    assert changed.tags == {"b"}
    assert (changed.retries, changed.retry_delays, changed.timeout_seconds) == (0, 0.0, None)
    assert changed.on_failure == [hook]
    inherits = t.with_options(
        log_prints=None, persist_result=None, refresh_cache=None, result_serializer=None,
        retry_jitter_factor=None,
    )  # fmt: skip
    assert inherits.log_prints is None
    assert inherits.persist_result is None
    assert inherits.refresh_cache is None
    assert inherits.result_serializer is None
    assert inherits.retry_jitter_factor is None
    kept = t.with_options(
        name="", on_failure=[], timeout_seconds=None, retries=None, cache_key_fn=None
    )
    assert (kept.name, kept.on_failure, kept.timeout_seconds, kept.retries) == ("n", [hook], 4.0, 3)
    assert kept.cache_key_fn is t.cache_key_fn
    assert (t.name, t.tags, t.retries) == ("n", {"a"}, 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"task_run_name": 1},
            TypeError,
            "Expected string or callable for 'task_run_name'; got int instead.",
        ),
        (
            {"retry_delay_seconds": "1"},
            TypeError,
            (
                "Invalid `retry_delay_seconds` provided; must be an int, float, list or callable. "
                "Received type"
            ),
        ),
        (
            {"retry_delay_seconds": [1] * 51},
            ValueError,
            "Can not configure more than 50 retry delays per task.",
        ),
        ({"retry_jitter_factor": -1}, ValueError, "`retry_jitter_factor` must be >= 0."),
        (
            {"retry_condition_fn": 3},
            TypeError,
            "Expected `retry_condition_fn` to be callable, got int instead.",
        ),
        ({"on_failure": []}, ValueError, "Empty list passed for 'on_failure'"),
        ({"tags": "abc"}, TypeError, "Expected a list of strings for 'tags'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        task(**options)(lambda: None)
    assert str(caught.value).startswith(message)


def test_tasks_have_no_crash_hooks() -> None:
    with pytest.raises(TypeError, match="on_crashed"):
        task(on_crashed=[print])(lambda: None)


def test_delays_may_be_a_number_a_list_or_computed() -> None:
    assert task(retries=3, retry_delay_seconds=2)(lambda: None).retry_delays == 2.0
    assert task(retries=3, retry_delay_seconds=[1, 2.5])(lambda: None).retry_delays == (1.0, 2.5)
    backoff = task(retries=4, retry_delay_seconds=exponential_backoff(backoff_factor=2))
    assert backoff(lambda: None).retry_delays == (2.0, 4.0, 8.0, 16.0)
    assert len(exponential_backoff(1)(80)) == 50


# -- ways to run, outside of flows ------------------------------------------------------------------


def test_outside_of_flows_a_call_runs_the_function_and_records_nothing(record: Record) -> None:
    @task
    def double(x: int, y: int = 2) -> int:
        return x * y

    assert double(4) == 8
    state = double(4, return_state=True)
    assert isinstance(state, State)
    assert state.result() == 8
    assert double.fn(4) == 8
    assert record.events == []


def test_outside_of_flows_retries_and_failures_work(record: Record) -> None:
    attempts = []

    @task(retries=2)
    def flaky() -> int:
        attempts.append(runtime.task_run.run_count)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return 7

    @task
    def bad() -> None:
        raise KeyError("own")

    assert flaky() == 7
    assert attempts == [1, 2, 3]
    with pytest.raises(KeyError, match="own"):
        bad()
    assert bad(return_state=True).is_failed()


def test_outside_of_flows_a_failed_upstream_blocks_a_call() -> None:
    from flowdeck.exceptions import UnfinishedRun

    @task
    def bad() -> None:
        raise KeyError("own")

    @task
    def use(x: Any = None) -> Any:
        return x

    failed = bad(return_state=True)
    with pytest.raises(
        UnfinishedRun, match=r"Run is in PENDING state, its result is not available."
    ):
        use(failed)
    assert use(wait_for=[failed], return_state=True).name == "NotReady"
    assert use(use(3, return_state=True)) == 3
    with pytest.raises(TypeError, match=r"wait_for=\[future\]"):
        use(wait_for=failed)


def test_outside_of_flows_an_async_task_gives_an_awaitable() -> None:
    @task
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return x * 2

    async def main() -> Any:
        return await double(2), await double(3, return_state=True)

    value, state = asyncio.run(main())
    assert (value, state.value()) == (4, 6)
    assert asyncio.run(double(5)) == 10


@pytest.mark.parametrize("method", ["submit", "map"])
def test_outside_of_flows_there_is_nothing_to_submit_to(method: str) -> None:
    @task
    def t(x: int) -> int:
        return x

    with pytest.raises(MissingContextError, match="there is no active flow run") as caught:
        getattr(t, method)([1])
    assert isinstance(caught.value, RuntimeError)


# -- names and numbers of runs ------------------------------------------------------------------------


def test_run_names_hold_a_stable_hash_and_count_the_calls() -> None:
    @task
    def hello() -> str:
        name: str = runtime.task_run.name
        return name

    @task
    def other() -> str:
        name: str = runtime.task_run.name
        return name

    def body() -> Any:
        return [hello(), hello.submit().result(), other(), hello()]

    first, second = run_flow(body), run_flow(body)
    assert first == second
    base = f"hello-{hello.short_hash}"
    assert len(hello.short_hash) == 8
    assert first[0] == f"{base}-0"
    assert first[1] == f"{base}-1"
    assert first[2] == f"other-{other.short_hash}-0"
    assert first[3] == f"{base}-2"
    assert hello.short_hash != other.short_hash


def test_run_names_are_templates_over_resolved_parameters_and_set_once() -> None:
    calls = []

    def name() -> str:
        calls.append(1)
        return f"n{len(calls)}-{runtime.task_run.parameters['x']}"

    @task(task_run_name="{x}-{y}")
    def templated(x: Any, y: int = 5) -> Any:
        return runtime.task_run.name

    @task(task_run_name=name, retries=2)
    def computed(x: Any) -> Any:
        if runtime.task_run.run_count < 3:
            raise ValueError
        return runtime.task_run.name

    def body() -> Any:
        one = templated.submit(1)
        return one.result(), templated.submit(one).result(), computed.submit(one).result()

    assert run_flow(body) == ("1-5", "1-5-5", "n1-1-5")
    assert calls == [1]


def test_a_name_that_is_no_text_fails_the_run_and_says_why(record: Record) -> None:
    @task(task_run_name=lambda: 5)  # type: ignore[arg-type, return-value]
    def t() -> None: ...

    state = flow(lambda: t(return_state=True) and None)(return_state=True)
    assert state.message == "1/1 states failed."
    assert any("returned type int but a string is required" in text for text in record.logs)


# -- retries --------------------------------------------------------------------------------------------


def test_a_task_is_called_retries_plus_one_times(record: Record) -> None:
    counts = []

    @task(retries=3)
    def never() -> None:
        counts.append(runtime.task_run.run_count)
        raise ValueError("no")

    @flow(task_runner=SequentialTaskRunner())
    def f() -> None:
        never.submit()

    assert f(return_state=True).is_failed()
    assert counts == [1, 2, 3, 4]
    assert record.state_names("never") == [
        "Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying",
        "AwaitingRetry", "Retrying", "Failed",
    ]  # fmt: skip
    retry_lines = [text for text in record.logs if text.startswith("Received non-final state")]
    assert (
        retry_lines
        == [
            (
                "Received non-final state 'AwaitingRetry' when proposing final state 'Failed' and will "
                "attempt to run again..."
            )
        ]
        * 3
    )


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner(max_workers=1)])
def test_each_retry_waits_its_own_delay_and_the_last_repeats(runner: Any, record: Record) -> None:
    @task(retries=3, retry_delay_seconds=[0.02, 0.15])
    def never() -> None:
        raise ValueError("no")

    @flow(task_runner=runner)
    def f() -> None:
        never.submit()

    f(return_state=True)
    at = [
        e["us"] / 1e6
        for e in record.of_kind(events.STATE)
        if e["no"] == 1 and (e["name"] or "") in ("AwaitingRetry", "Retrying")
    ]
    waits = [b - a for a, b in zip(at[::2], at[1::2], strict=True)]
    assert waits[0] >= 0.02
    assert waits[1] >= 0.15
    assert waits[2] >= 0.15
    planned = [e for e in record.of_kind(events.STATE) if (e["name"] or "") == "AwaitingRetry"]
    assert all("retry_at_us" in e["data"] for e in planned)


def test_awaiting_retry_knows_when_it_goes_on() -> None:
    seen = []

    @task(retries=1, retry_delay_seconds=0.3)
    def flaky() -> int:
        if runtime.task_run.run_count == 1:
            raise ValueError
        return 1

    def body() -> Any:
        future = flaky.submit()
        deadline = time.monotonic() + 20
        while (state := future.get_state()).name != "AwaitingRetry":
            assert time.monotonic() < deadline
            time.sleep(0.001)
        seen.append((state.state_details.scheduled_time - state.timestamp).total_seconds())
        return future.result()

    assert run_flow(body, task_runner=ConcurrentTaskRunner()) == 1
    assert 0.25 < seen[0] < 0.35


def test_a_returned_failed_state_is_tried_again_too() -> None:
    attempts = []

    @task(retries=1)
    def says_failed() -> Any:
        attempts.append(1)
        return Failed(message="on purpose") if len(attempts) == 1 else Completed(data=5)

    assert run_flow(lambda: says_failed()) == 5


def test_the_retry_condition_gets_task_run_and_state() -> None:
    seen: list[Any] = []

    def condition(task: Any, task_run: Any, state: Any) -> bool:
        seen.append((task.name, task_run.name, task_run.run_count, state.name, state.message))
        return len(seen) < 2

    @task(retries=5, retry_condition_fn=condition, task_run_name="the-run")
    def never() -> None:
        raise ValueError("no")

    state = run_flow(lambda: [never(return_state=True).message])
    message = "Task run encountered an exception ValueError: no"
    assert state == [message]
    assert seen == [
        ("never", "the-run", 1, "Failed", message),
        ("never", "the-run", 2, "Failed", message),
    ]


def test_an_async_retry_condition_and_one_that_raises(record: Record) -> None:
    async def yes_once(task: Any, task_run: Any, state: Any) -> bool:
        await asyncio.sleep(0)
        return bool(task_run.run_count == 1)

    def broken(task: Any, task_run: Any, state: Any) -> bool:
        raise RuntimeError("condition broke")

    attempts: list[str] = []

    @task(retries=5, retry_condition_fn=yes_once)
    def one() -> None:
        attempts.append("one")
        raise ValueError

    @task(retries=5, retry_condition_fn=broken)
    async def two() -> None:
        attempts.append("two")
        raise ValueError

    def body() -> Any:
        return [one.submit().wait().name, two.submit().wait().name]

    assert run_flow(body) == ["Failed", "Failed"]
    assert attempts == ["one", "one", "two"]
    assert any(
        "The retry condition raised" in text and "condition broke" in text for text in record.logs
    )


def test_crashes_are_not_tried_again(record: Record) -> None:
    class Odd(BaseException): ...

    attempts = []

    @task(retries=5)
    def crash() -> None:
        attempts.append(1)
        raise Odd

    assert run_flow(lambda: [crash.submit().wait().name]) == ["Crashed"]
    assert attempts == [1]


# -- time limits ------------------------------------------------------------------------------------------


def test_each_attempt_has_its_own_time_limit(record: Record) -> None:
    @task(timeout_seconds=0.05, retries=1)
    def slow() -> Any:
        if runtime.task_run.run_count == 1:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                time.sleep(0.005)
        return runtime.task_run.run_count

    assert run_flow(lambda: slow.submit().result()) == 2
    assert record.state_names("slow") == [
        "Pending", "Running", "AwaitingRetry", "Retrying", "Completed",
    ]  # fmt: skip


@pytest.mark.parametrize("direct", [True, False])
def test_a_timed_out_task_fails_with_a_timeout_error(direct: bool, record: Record) -> None:
    release = threading.Event()

    @task(timeout_seconds=0.05)
    def stuck() -> None:
        release.wait(30)

    def body() -> Any:
        state = stuck(return_state=True) if direct else stuck.submit().wait()
        with pytest.raises(TimeoutError, match=r"Task run exceeded timeout of 0.05 seconds"):
            state.result()
        return state.type.value, state.name, state.message

    began = time.monotonic()
    try:
        assert run_flow(body, task_runner=ConcurrentTaskRunner()) == (
            "FAILED",
            "TimedOut",
            "Task run exceeded timeout of 0.05 seconds TimeoutError: ",
        )
    finally:
        release.set()
    assert time.monotonic() - began < 15
    assert any("it goes on in the background" in text for text in record.logs)


def test_a_timed_out_task_does_not_stop_the_flow() -> None:
    @task(timeout_seconds=0.05)
    async def slow() -> None:
        await asyncio.sleep(30)

    @task
    def after() -> int:
        return 1

    def body() -> Any:
        slow(return_state=True)
        return after.submit().result()

    assert run_flow(body) == 1


def test_the_limit_also_holds_for_the_items_of_a_generator() -> None:
    @task(timeout_seconds=0.05)
    def endless() -> Any:
        while True:
            yield 1
            time.sleep(0.001)

    assert run_flow(lambda: [endless.submit().wait().name]) == ["TimedOut"]


# -- what a task may return -----------------------------------------------------------------------------


def test_a_generator_becomes_a_list() -> None:
    @task
    def numbers(n: int) -> Any:
        yield from range(n)

    @task
    async def wrapped() -> Any:
        return (x * 2 for x in range(3))

    @task
    def total(xs: list[int]) -> int:
        return sum(xs)

    def body() -> Any:
        future = numbers.submit(3)
        return numbers(2), future.result(), total.submit(future).result(), wrapped.submit().result()

    assert run_flow(body) == ([0, 1], [0, 1, 2], 3, [0, 2, 4])


def test_a_generator_that_raises_fails_its_task() -> None:
    @task
    def broken() -> Any:
        yield 1
        raise ValueError("half way")

    state = run_flow(lambda: quote(broken.submit().wait())).unquote()
    assert state.message == "Task run encountered an exception ValueError: half way"
    assert isinstance(state.data, ValueError)


def test_other_iterators_are_returned_as_they_are(tmp_path: Any) -> None:
    import itertools

    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")

    @task
    def endless() -> Any:
        return itertools.count()

    @task
    def opened() -> Any:
        return open(path)

    def body() -> Any:
        counter = endless.submit().result()
        with opened.submit().result() as file:
            return next(counter), file.readline()

    assert run_flow(body) == (0, "one\n")


def test_a_state_made_once_for_all_runs_stays_what_it_is(record: Record) -> None:
    done = Completed(data=3, message="own", name="Fine")

    @task
    def t() -> Any:
        return done

    @flow
    def f() -> Any:
        return done

    def body() -> Any:
        states = [t(return_state=True), t.submit().wait(), t.submit(return_state=True)]
        return [(s.name, s.message, s.result()) for s in states]

    assert run_flow(body) == [("Fine", "own", 3)] * 3
    assert [f(return_state=True).name for _ in range(2)] == ["Fine", "Fine"]
    assert not done.is_from_run


def test_futures_that_a_task_returns_are_waited_for() -> None:
    release = threading.Event()

    @task
    def slow(x: int) -> int:
        release.wait(20)
        return x

    @task
    def opens() -> None:
        release.set()

    @task
    def returns_future() -> Any:
        return slow.submit(4)

    @task
    def returns_nested() -> Any:
        return {"a": slow.submit(5)}

    def body() -> Any:
        one, two = returns_future.submit(), returns_nested.submit()
        opens.submit()
        return one.wait(), two.wait()

    for workers in (None, 1):
        release.clear()
        if workers:
            release.set()
        one, two = run_flow(body, task_runner=ConcurrentTaskRunner(max_workers=workers))
        assert one.message == "All states completed."
        assert one.result().result() == 4
        assert two.result()["a"].result() == 5


def test_the_return_rules_of_flows_hold_for_tasks() -> None:
    @task
    def several() -> Any:
        return [Completed(), Failed(message="no")]

    @task
    def nothing() -> None: ...

    def body() -> Any:
        states = several.submit().wait(), nothing.submit().wait()
        return [(s.name, s.message) for s in states]

    assert run_flow(body) == [("Failed", "1/2 states failed."), ("Completed", None)]


# -- surroundings -----------------------------------------------------------------------------------------


def test_tags_of_task_and_surroundings_are_joined() -> None:
    @task(tags=["own"])
    def t() -> Any:
        return runtime.task_run.tags

    def body() -> Any:
        with tags("outer"):
            with tags("inner"):
                nested = t()
            return nested, t.submit().result()

    with tags("flow"):
        assert run_flow(body) == (["flow", "inner", "outer", "own"], ["flow", "outer", "own"])
    assert run_flow(lambda: t()) == ["own"]


def test_what_surrounds_submit_counts_not_what_surrounds_the_execution() -> None:
    import contextvars

    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="unset")

    @task
    def first() -> None:
        mine.set("set by a task")

    @task
    def read(_after: Any = None) -> Any:
        return mine.get(), runtime.task_run.tags

    def body() -> Any:
        mine.set("at submit")
        with tags("t"):
            future = read.submit(first.submit())
        mine.set("later")
        return future.result(), mine.get()

    assert run_flow(body, task_runner=ConcurrentTaskRunner()) == (("at submit", ["t"]), "later")


def test_a_value_or_exception_without_usable_text_changes_nothing(record: Record) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    class Endless:
        def __repr__(self) -> str:
            while True:
                time.sleep(0.001)

    class MuteCrash(BaseException):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @task
    def raises(error: Any) -> None:
        raise error

    @task
    def returns() -> Any:
        get_run_logger().info("%s", "about to return")
        return Endless()

    def body() -> Any:
        states = raises.submit(Mute()).wait(), raises.submit(MuteCrash()).wait()
        return [s.message for s in states] + [type(returns.submit().result()).__name__]

    failed, crashed, kind = run_flow(body)
    assert failed == (
        "Task run encountered an exception Mute: <no text: its __str__ raised RuntimeError>"
    )
    assert crashed.startswith("Execution was interrupted by an unexpected exception: MuteCrash")
    assert kind == "Endless"

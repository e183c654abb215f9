"""Hooks: what is refused, when they are called, with what, and what they log."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, runtime, task
from flowdeck.states import Cancelled
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]

FLOW_HOOKS = ["on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running"]
TASK_HOOKS = ["on_completion", "on_failure", "on_running"]


class Calls:
    """Hooks that note their calls."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def hook(self, name: str) -> Any:
        def called(**kwargs: Any) -> None:
            self.seen.append((name, kwargs["state"].name))

        called.__name__ = name
        return called

    def all(self, names: list[str]) -> dict[str, Any]:
        return {name: [self.hook(name)] for name in names}


# -- sync and async --------------------------------------------------------------------------------------


def test_hooks_of_flows_get_states_as_they_are_written() -> None:
    seen: list[Any] = []

    @flow
    async def inner() -> str:
        return "inner"

    def hook(flow: Any, flow_run: Any, state: Any) -> None:
        seen.append(("sync", state.result(raise_on_failure=False)))
        seen.append(inner())  # a flow that is called in a hook is the hook's caller's no more

    async def async_hook(flow: Any, flow_run: Any, state: Any) -> None:
        seen.append(("async", await state.result(raise_on_failure=False)))

    @flow(on_completion=[hook, async_hook])
    def f() -> str:
        return "f"

    @flow(on_completion=[hook, async_hook])
    async def f_async() -> str:
        return "f_async"

    f()
    asyncio.run(f_async())
    assert seen == [
        ("sync", "f"), "inner", ("async", "f"),
        ("sync", "f_async"), "inner", ("async", "f_async"),
    ]  # fmt: skip


# -- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decorate", "option", "arguments"),
    [(flow, name, "flow, flow_run, state") for name in FLOW_HOOKS]
    + [(task, name, "task, task_run, state") for name in [*TASK_HOOKS, "retry_condition_fn"]],
)
def test_functions_that_cannot_be_called_as_hooks_are_refused_at_the_definition(
    decorate: Any, option: str, arguments: str
) -> None:
    def one(run: Any, state: Any) -> None: ...
    def more(
        task: Any, task_run: Any, flow: Any, flow_run: Any, state: Any, extra: Any
    ) -> None: ...
    def fits(state: Any, *, extra: int = 1, **rest: Any) -> None: ...

    for given in (one, more, lambda: None, functools.partial(one, 1)):
        with pytest.raises(TypeError, match=f"{arguments}, and does not take them") as caught:
            decorate(**{option: given if option == "retry_condition_fn" else [given]})(lambda: None)
        assert option in str(caught.value)
    for good in (fits, functools.partial(fits, extra=2)):
        decorate(**{option: good if option == "retry_condition_fn" else [good]})(lambda: None)


def test_a_cache_key_function_is_looked_at_too() -> None:
    for wrong in (lambda: "", lambda context: "", lambda context, *, arguments: ""):
        with pytest.raises(TypeError, match="arguments context, arguments, and does not take them"):
            task(cache_key_fn=wrong)(lambda: None)  # type: ignore[arg-type]
    for good in (lambda run, parameters: "", lambda *args: "", lambda a, b, c=1: ""):
        task(cache_key_fn=good)(lambda: None)


@pytest.mark.parametrize(
    ("decorate", "option"),
    [(flow, name) for name in FLOW_HOOKS] + [(task, name) for name in TASK_HOOKS],
)
def test_wrong_hooks_are_refused_at_the_definition(decorate: Any, option: str) -> None:
    example = (
        f" Please provide a list of hooks to '{option}':\n\n"
        f"@flow({option}=[hook1, hook2])\ndef my_flow():\n\tpass"
    )
    for given, error, message in [
        ([], ValueError, f"Empty list passed for '{option}'"),
        (3, TypeError, f"Expected iterable for '{option}'; got int instead." + example),
        (["x"], TypeError, f"Expected callables in '{option}'; got str instead." + example),
        (print, TypeError, f"Expected iterable for '{option}'; got builtin_function_or_method"),
    ]:
        with pytest.raises(error) as caught:
            decorate(**{option: given})(lambda: None)
        assert str(caught.value).startswith(message)


# -- when -----------------------------------------------------------------------------------------------


class Odd(BaseException): ...


def _ends(kind: str) -> Any:
    def body() -> Any:
        if kind == "good":
            return 1
        if kind == "bad":
            raise ValueError("no")
        if kind == "cancelled":
            return Cancelled()
        raise Odd

    return body


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        ("good", [("on_running", "Running"), ("on_completion", "Completed")]),
        ("bad", [("on_running", "Running"), ("on_failure", "Failed")]),
        ("cancelled", [("on_running", "Running"), ("on_cancellation", "Cancelled")]),
        ("crash", [("on_running", "Running"), ("on_crashed", "Crashed")]),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_flow_hooks_are_called_for_their_state(
    kind: str, called: list[tuple[str, str]], asynchronous: bool
) -> None:
    calls = Calls()
    body = _ends(kind)

    async def body_async() -> Any:
        return body()

    f = flow(**calls.all(FLOW_HOOKS))(body_async if asynchronous else body)
    with pytest.raises(Odd) if kind == "crash" else contextlib.nullcontext():
        asyncio.run(f(return_state=True)) if asynchronous else f(return_state=True)
    assert calls.seen == called


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        ("good", [("on_running", "Running"), ("on_completion", "Completed")]),
        ("bad", [("on_running", "Running"), ("on_failure", "Failed")]),
        ("cancelled", [("on_running", "Running")]),
        ("crash", [("on_running", "Running")]),
    ],
)
@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_task_hooks_are_called_for_their_state(
    kind: str, called: list[tuple[str, str]], runner: Any, asynchronous: bool
) -> None:
    calls = Calls()
    body = _ends(kind)

    async def body_async() -> Any:
        return body()

    t = task(**calls.all(TASK_HOOKS))(body_async if asynchronous else body)

    @flow(task_runner=runner)
    def f() -> Any:
        t.submit().wait()
        return "data"

    assert f() == "data"
    assert calls.seen == called


def test_on_failure_is_called_once_when_it_is_final() -> None:
    calls = Calls()

    @task(retries=2, on_failure=[calls.hook("task")])
    def never() -> None:
        raise ValueError

    @flow(retries=1, on_failure=[calls.hook("flow")], on_running=[calls.hook("running")])
    def f() -> None:
        never.submit()

    f(return_state=True)
    assert calls.seen == [
        ("running", "Running"), ("task", "Failed"), ("task", "Failed"), ("flow", "Failed"),
    ]  # fmt: skip


def test_on_failure_is_called_for_a_run_that_timed_out() -> None:
    calls = Calls()

    @task(timeout_seconds=0.02, on_failure=[calls.hook("task")])
    async def slow() -> None:
        await asyncio.sleep(30)

    @flow(timeout_seconds=0.02, on_failure=[calls.hook("flow")])
    async def f() -> None:
        await asyncio.sleep(30)

    @flow
    def g() -> Any:
        slow(return_state=True)
        return 1

    g()
    asyncio.run(f(return_state=True))
    assert calls.seen == [("task", "TimedOut"), ("flow", "TimedOut")]


def test_a_cached_task_run_calls_no_on_completion() -> None:
    calls = Calls()

    @task(cache_key_fn=lambda context, arguments: "k", on_completion=[calls.hook("done")])
    def t() -> int:
        return 1

    @flow
    def f() -> Any:
        return [t(return_state=True).name, t(return_state=True).name]

    assert f() == ["Completed", "Cached"]
    assert calls.seen == [("done", "Completed")]


def test_subflows_call_their_own_hooks() -> None:
    calls = Calls()

    @flow(on_completion=[calls.hook("child")])
    def child() -> int:
        return 1

    @flow(on_completion=[calls.hook("parent")])
    def parent() -> int:
        value: int = child()
        return value

    parent()
    assert [name for name, _ in calls.seen] == ["child", "parent"]


# -- with what --------------------------------------------------------------------------------------------


def test_hooks_are_called_by_keyword_with_definition_run_and_state() -> None:
    seen: list[Any] = []

    def flow_hook(state: Any, flow_run: Any, flow: Any, extra: int = 5) -> None:
        seen.append((flow.name, flow_run.name, flow_run.id == runtime.flow_run.id, state.name))

    def task_hook(task: Any, task_run: Any, state: Any) -> None:
        seen.append((task.name, task_run.name, task_run.id == runtime.task_run.id, state.name))

    @task(task_run_name="the-task", on_completion=[task_hook])
    def t() -> None: ...

    @flow(name="f", flow_run_name="the-flow", on_completion=[flow_hook])
    def f() -> None:
        t()

    f()
    assert seen == [("t", "the-task", True, "Completed"), ("f", "the-flow", True, "Completed")]


def test_hooks_may_be_async_partial_or_any_callable() -> None:
    seen: list[str] = []

    async def async_hook(flow: Any, flow_run: Any, state: Any) -> None:
        await asyncio.sleep(0)
        seen.append("async")

    def partial_hook(word: str, flow: Any, flow_run: Any, state: Any) -> None:
        seen.append(word)

    class Hook:
        def __call__(self, flow: Any, flow_run: Any, state: Any) -> None:
            seen.append("object")

        def method(self, flow: Any, flow_run: Any, state: Any) -> None:
            seen.append("method")

    hooks = [async_hook, functools.partial(partial_hook, "partial"), Hook(), Hook().method]

    @flow(on_completion=hooks)
    def f() -> int:
        return 1

    @flow(on_completion=hooks)
    async def g() -> int:
        return 1

    f()
    asyncio.run(g())
    assert seen == ["async", "partial", "object", "method"] * 2


# -- what they log and change -------------------------------------------------------------------------------


def test_a_hook_that_raises_changes_nothing_and_stops_none(record: Record) -> None:
    seen: list[str] = []

    def broken(**_: Any) -> None:
        raise RuntimeError("hook broke")

    def after(**_: Any) -> None:
        seen.append("after")

    @task(on_completion=[broken, after])
    def t() -> int:
        return 5

    @flow(on_completion=[broken, after])
    def f() -> Any:
        return t()

    state = f(return_state=True)
    assert (state.name, state.result()) == ("Completed", 5)
    assert seen == ["after", "after"]
    errors = [e["msg"] for e in record.of_kind(events.LOG) if e["level"] == 40]
    assert len(errors) == 2
    for text in errors:
        assert text.startswith("An error was encountered while running hook 'broken'\n")
        assert "RuntimeError: hook broke" in text


def test_hooks_run_between_the_state_and_the_finished_line(record: Record) -> None:
    def note(flow: Any, flow_run: Any, state: Any) -> None:
        get_run_logger().info("own line")

    @flow(on_completion=[functools.partial(note)])
    def f() -> int:
        return 1

    f()
    order = [
        e["msg"] if e["kind"] == events.LOG else f"state {e['code']}"
        for e in record.events
        if e["kind"] in (events.LOG, events.STATE)
    ]
    assert order[-5:] == [
        "state 3",
        "Running hook 'note' in response to entering state 'Completed'",
        "own line",
        "Hook 'note' finished running successfully",
        "Finished in state Completed()",
    ]


def test_a_hook_that_exits_does_not_lose_the_task_run(record: Record) -> None:
    def leave(task: Any, task_run: Any, state: Any) -> None:
        raise SystemExit(3)

    @task(on_completion=[leave])
    def t() -> int:
        return 5

    @task
    def after(x: int) -> int:
        return x + 1

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> Any:
        first = t.submit()
        return first.wait(20).name, after.submit(first).result(), after.submit(1).result()

    assert f() == ("Completed", 6, 2)
    assert "Crash detected! Execution was aborted by Python system exit call." in record.logs

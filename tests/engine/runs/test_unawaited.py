"""A forgotten ``await`` is named where it is missing, and so is what cannot be waited for."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest

from flowdeck import Flow, allow_failure, flow, quote, task
from flowdeck.exceptions import UnawaitedCall
from flowdeck.task_runners import SequentialTaskRunner

pytestmark = pytest.mark.anyio


@task
async def load(x: Any = 1) -> Any:
    return x


@task
def same(x: Any = None) -> Any:
    return x


def in_flow(body: Any) -> Flow[..., Any]:
    return flow(task_runner=SequentialTaskRunner())(body)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: same.submit(load.submit()), "load.submit"),
        (lambda: same.submit([{"k": (load.submit(),)}]), "load.submit"),
        (lambda: same.map([load.submit()]), "load.submit"),
        (lambda: same(load.map([1])), "load.map"),
        (lambda: same(load()), "load"),
        (lambda: same.submit(wait_for=[load.submit()]), "load.submit"),
        (lambda: same(wait_for=[[allow_failure(load.submit())]]), "load.submit"),
        (lambda: same.submit(wait_for=load.submit()), "load.submit"),
    ],
)
async def test_a_call_that_was_not_awaited_is_refused_as_an_input(call: Any, name: str) -> None:
    async def body() -> Any:
        with pytest.raises(UnawaitedCall) as caught:
            call()
        return str(caught.value)

    text = await in_flow(body)()
    assert text == (
        f"The call {name}(...) was not awaited, so there is no result yet: write "
        f"`await {name}(...)`."
    )


async def test_it_is_refused_in_the_calls_of_futures_and_subflows_too() -> None:
    @flow
    async def child() -> None: ...

    async def body() -> Any:
        future = await load.submit()
        for forgotten in (future.result, future.wait, future.get_state, child):
            with pytest.raises(UnawaitedCall, match=r"await (child|load-\w+-0\.\w+)\("):
                same.submit([forgotten()])
        return True

    assert await in_flow(body)()


async def test_the_result_of_a_state_is_refused_too() -> None:
    async def body() -> Any:
        state = await load(return_state=True)
        with pytest.raises(UnawaitedCall, match=r"await state\.result\("):
            same.submit([state.result()])
        return True

    assert await in_flow(body)()


async def test_one_that_is_returned_fails_the_run() -> None:
    @task
    async def forgetful() -> Any:
        return [load()]

    async def body() -> Any:
        state = await forgetful(return_state=True)
        return quote(state)

    state = (await in_flow(body)()).unquote()
    assert state.is_failed()
    assert "await load(" in state.message

    async def returns() -> Any:
        return load.submit()

    state = await in_flow(returns)(return_state=True)
    assert state.is_failed()
    assert "await load.submit(" in state.message


async def test_python_s_own_warning_names_what_was_not_awaited() -> None:
    @flow
    async def nightly() -> None: ...

    async def body() -> None:
        load.submit()
        load()
        nightly()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await in_flow(body)(return_state=True)
        gc.collect()
    texts = [str(each.message) for each in caught]
    for name in ("load.submit", "load", "nightly"):
        assert any(f"coroutine '{name}' was never awaited" in text for text in texts), texts


async def test_coroutines_of_users_are_values_like_any_other() -> None:
    async def two() -> int:
        return 2

    @task
    async def wait(x: Any) -> Any:
        return await x

    async def body() -> Any:
        return await wait(two())

    assert await in_flow(body)() == 2


@pytest.mark.parametrize(
    ("wait_for", "text"),
    [
        ([1], r"wait_for\[0\] is a int, which cannot be waited for"),
        ([[None]], r"wait_for\[0\]\[0\] is a NoneType"),
        ([{"k": object()}], r"wait_for\[0\]\['k'\] is a object"),
        ([same], r"wait_for\[0\] is a Task.*wait for what its \.submit\(\) returns"),
        (5, "wait_for takes a list of futures, got int"),
        ("ab", "wait_for takes a list of futures, got str"),
    ],
)
@pytest.mark.parametrize("how", ["submit", "map", "call", "flow"])
async def test_what_cannot_be_waited_for_is_named(wait_for: Any, text: str, how: str) -> None:
    @flow
    def child() -> None: ...

    def body() -> Any:
        with pytest.raises(TypeError, match=text):
            {
                "submit": lambda: same.submit(wait_for=wait_for),
                "map": lambda: same.map([1], wait_for=wait_for),
                "call": lambda: same(wait_for=wait_for),
                "flow": lambda: child(wait_for=wait_for),
            }[how]()
        return True

    assert in_flow(body)()


async def test_a_time_to_wait_is_a_number_of_seconds() -> None:
    def body() -> Any:
        future = same.submit(1)
        for wrong in ("1", [1], same):
            with pytest.raises(TypeError, match="timeout is a number of seconds or None, got"):
                future.wait(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="timeout is a number of seconds or None, got"):
                future.result(timeout=wrong)  # type: ignore[arg-type]
        return future.result(timeout=5)

    assert in_flow(body)() == 1

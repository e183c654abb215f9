"""What a return value means for the final state (the table of the contract), row by row."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck import State, flow, quote, task
from flowdeck.exceptions import UnfinishedRun
from flowdeck.states import (
    Cancelled,
    Completed,
    Crashed,
    Failed,
    NotReady,
    Paused,
    Running,
    exception_of,
)
from flowdeck.states.final_state import aggregate
from flowdeck.testing import run_in_memory


@pytest.fixture(autouse=True)
def _in_memory() -> Any:
    with run_in_memory():
        yield


@task
def ok(x: int = 1) -> int:
    return x


@task
def bad() -> None:
    raise ValueError("boom")


def final(fn: Any) -> State[Any]:
    result = flow(fn)(return_state=True)
    assert isinstance(result, State)
    return result


def test_none_and_nothing_ran() -> None:
    state = flow(name="empty")(lambda: None)(return_state=True)
    assert (state.name, state.message, state.result()) == ("Completed", None, None)


def test_none_aggregates_over_tasks_then_subflows() -> None:
    @flow
    def child() -> str:
        return "data"

    def f() -> None:
        child()
        ok.submit()
        ok()

    state = final(f)
    assert state.message == "All states completed."
    states = state.result()
    assert [s.result() for s in states] == [1, 1, "data"]


def test_none_with_a_failed_task_fails_with_its_exception() -> None:
    def f() -> None:
        ok.submit()
        bad.submit()

    state = final(f)
    assert (state.name, state.message) == ("Failed", "1/2 states failed.")
    with pytest.raises(ValueError, match="boom"):
        state.result()


def test_what_has_not_ended_is_unfinished_in_whatever_form_it_is_returned() -> None:
    def submits_only() -> None:
        upstream = bad.submit()
        ok.submit(upstream)

    assert final(submits_only).message == "1/2 states failed."
    for value in (NotReady(), [Completed(), NotReady()], NotReady(message="why")):
        state = final(functools.partial(copy.copy, value))
        assert "states are not final." in (state.message or "")
        with pytest.raises(UnfinishedRun, match=f"^{state.message}$"):
            state.result()
        assert isinstance(exception_of(Failed(data=[state])), UnfinishedRun)
    with pytest.raises(UnfinishedRun, match=r"^1/1 states are not final\.$"):
        flow(lambda: NotReady())()


def test_a_failed_state_that_holds_only_completed_ones_has_no_exception() -> None:
    with pytest.raises(ValueError, match="none were failed"):
        exception_of(Failed(data=[Completed()]))


def test_a_manually_built_state_is_taken_as_it_is() -> None:
    @flow
    def f() -> Any:
        return Completed(data=3, message="own", name="Fine")

    state = f(return_state=True)
    assert (state.name, state.message, state.result()) == ("Fine", "own", 3)
    assert f() == 3


def test_a_returned_future_gives_its_state() -> None:
    @flow
    def f() -> Any:
        return ok.submit(5)

    state = f(return_state=True)
    assert state.message == "All states completed."
    inner = f()
    assert isinstance(inner, State)
    assert inner.result() == 5


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_collection_of_futures_aggregates(kind: Any) -> None:
    @flow
    def f() -> Any:
        return kind([ok.submit(), bad.submit()])

    state = f(return_state=True)
    assert (state.name, state.message) == ("Failed", "1/2 states failed.")
    states = state.result(raise_on_failure=False)
    assert type(states) is kind
    assert [s.name for s in states] == ["Completed", "Failed"]


def test_only_the_blocked_run_returned_is_not_final() -> None:
    @flow
    def f() -> Any:
        return ok.submit(bad.submit())

    state = f(return_state=True)
    assert (state.type.value, state.message) == ("FAILED", "1/1 states are not final.")


@pytest.mark.parametrize("value", [[], {}, "text", 0, False, [1, 2], {"a": 1}])
def test_other_data_completes_even_if_tasks_failed(value: Any) -> None:
    @flow
    def f() -> Any:
        bad.submit()
        return value

    state = f(return_state=True)
    assert (state.name, state.message, state.result()) == ("Completed", None, value)


def test_mixed_and_deeper_futures_complete_and_become_states() -> None:
    @flow
    def f() -> Any:
        future = bad.submit()
        return [future, 1], {"a": ok.submit()}, [[future]]

    mixed, by_key, deeper = f()
    assert mixed[0].is_failed()
    assert mixed[1] == 1
    assert by_key["a"].is_completed()
    assert deeper[0][0].is_failed()


def test_an_exception_object_is_data() -> None:
    @flow
    def f() -> Any:
        return ValueError("returned")

    assert isinstance(f(), ValueError)


def test_a_quote_is_not_looked_into() -> None:
    inner = Failed(message="inside")

    @flow
    def f() -> Any:
        return quote([inner])

    state = f(return_state=True)
    assert state.is_completed()
    assert state.result().unquote() == [inner]


def test_a_raised_exception_fails() -> None:
    @flow
    def f() -> None:
        raise ValueError("boom")

    state = f(return_state=True)
    assert (state.name, state.message) == (
        "Failed",
        "Flow run encountered an exception. ValueError: boom",
    )
    with pytest.raises(ValueError, match="boom"):
        f()


def test_a_single_unfinished_state_fails_instead_of_looping() -> None:
    @flow
    def f() -> Any:
        return Running()

    state = f(return_state=True)
    assert (state.name, state.message) == ("Failed", "1/1 states are not final.")


def test_a_generator_becomes_a_list() -> None:
    @flow
    def f() -> Any:
        yield from (1, 2)

    assert f() == [1, 2]


def test_a_failure_deep_in_a_subflow_is_the_one_raised() -> None:
    @flow
    def child() -> None:
        bad.submit()

    @flow
    def parent() -> None:
        child(return_state=True)

    state = parent(return_state=True)
    assert state.message == "1/1 states failed."
    with pytest.raises(ValueError, match="boom"):
        parent()


_MAKERS = [Completed, Failed, Crashed, Cancelled, Paused, NotReady, Running]


@given(st.lists(st.sampled_from(_MAKERS), min_size=1, max_size=20))
def test_the_aggregate_follows_the_order_of_its_rules(makers: list[Any]) -> None:
    states = [make() for make in makers]
    state = aggregate(states, None)
    n = len(states)
    failed = sum(s.is_failed() or s.is_crashed() for s in states)
    cancelled = sum(s.is_cancelled() for s in states)
    unfinished = sum(not s.is_final() for s in states)
    if all(s.is_completed() for s in states):
        assert (state.name, state.message) == ("Completed", "All states completed.")
    elif cancelled:
        assert (state.name, state.message) == ("Cancelled", f"{cancelled}/{n} states cancelled.")
    elif any(s.is_paused() for s in states):
        assert state.name == "Paused"
    elif failed:
        assert (state.name, state.message) == ("Failed", f"{failed}/{n} states failed.")
    else:
        assert state.message == f"{unfinished}/{n} states are not final."

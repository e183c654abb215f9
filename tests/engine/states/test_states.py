"""States: constructors, predicates, texts, results, exceptions, groups."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from flowdeck import State, flow, quote, task
from flowdeck.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from flowdeck.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    NotReady,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
    StateDetails,
    StateGroup,
    exception_of,
    is_state,
    is_state_iterable,
    raise_state_exception,
)
from flowdeck.testing import Record
from flowdeck_store.states import StateType

MAKERS = [
    (Scheduled, "SCHEDULED", "Scheduled"),
    (AwaitingRetry, "SCHEDULED", "AwaitingRetry"),
    (Pending, "PENDING", "Pending"),
    (NotReady, "PENDING", "NotReady"),
    (Running, "RUNNING", "Running"),
    (Retrying, "RUNNING", "Retrying"),
    (Paused, "PAUSED", "Paused"),
    (Cancelling, "CANCELLING", "Cancelling"),
    (Completed, "COMPLETED", "Completed"),
    (Failed, "FAILED", "Failed"),
    (Crashed, "CRASHED", "Crashed"),
    (Cancelled, "CANCELLED", "Cancelled"),
]


@pytest.mark.parametrize(("make", "type_", "name"), MAKERS)
def test_each_constructor_makes_its_type(make: Any, type_: str, name: str) -> None:
    state = make()
    assert (state.type.value, state.name, state.message, state.data) == (type_, name, None, None)
    details = StateDetails(cache_key="k")
    full = make(message="m", data=3, name="Own", state_details=details)
    assert (full.type.value, full.name, full.message, full.data) == (type_, "Own", "m", 3)
    assert full.state_details.cache_key == "k"
    assert state.timestamp.tzinfo is datetime.UTC
    assert state.id != full.id
    assert state.id == state.id
    assert state


@pytest.mark.parametrize(("make", "type_", "name"), MAKERS)
def test_predicates(make: Any, type_: str, name: str) -> None:
    state = make()
    for predicate in (
        "scheduled", "pending", "running", "completed", "failed", "crashed", "cancelled",
        "cancelling", "paused",
    ):  # fmt: skip
        assert getattr(state, f"is_{predicate}")() is (type_ == predicate.upper())
    assert state.is_final() is (type_ in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def test_types_are_their_names() -> None:
    assert [t.value for t in StateType] == [t.name for t in StateType]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (Completed(), "Completed()"),
        (Completed(message="All states completed."), "Completed('All states completed.')"),
        (Failed(name="TimedOut", message="m"), "TimedOut('m', type=FAILED)"),
        (Completed(name="Cached"), "Cached(type=COMPLETED)"),
        (NotReady(), "NotReady(type=PENDING)"),
        (Running(name="running"), "running()"),
        (Failed(message='it\'s "so"'), "Failed('it\\'s \"so\"')"),
    ],
)
def test_text_for_logs(state: State[Any], text: str) -> None:
    assert str(state) == text


def test_repr_shows_the_result_bounded() -> None:
    assert repr(Completed(data=3)) == "Completed(message=None, type=COMPLETED, result=3)"

    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    assert repr(Failed(data=Bad(), message="m")).startswith("Failed(message='m', type=FAILED, ")
    assert len(repr(Completed(data="x" * 10_000_000))) < 100_000


def test_equality_is_by_value_and_hashing_goes_with_it() -> None:
    assert Completed(data=3) == Completed(data=3)
    assert Completed(data=3) != Completed(data=4)
    assert Completed() != Failed()
    assert Completed(message="a") != Completed(message="b")
    assert Completed() != "Completed()"
    assert hash(Completed(data=[1])) == hash(Completed(data=[1]))
    assert len({Completed(data=1), Completed(data=1)}) == 1

    class Array:
        def __eq__(self, other: object) -> Any:
            return self  # as arrays do

        def __hash__(self) -> int:
            return 1

        def __bool__(self) -> bool:
            raise ValueError("truth of an array is ambiguous")

    assert Completed(data=Array()) != Completed(data=Array())


def test_scheduled_states_hold_a_time() -> None:
    when = datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)
    assert Scheduled(when).state_details.scheduled_time == when
    assert AwaitingRetry(scheduled_time=when).state_details.scheduled_time == when
    before = datetime.datetime.now(datetime.UTC)
    made = Scheduled().state_details.scheduled_time
    assert made is not None
    assert made >= before


def test_a_paused_state_may_hold_a_time_limit() -> None:
    limit = Paused(timeout_seconds=60).state_details.pause_timeout
    assert limit is not None
    assert limit > datetime.datetime.now(datetime.UTC)


def test_the_details_that_somebody_passes_in_are_not_changed() -> None:
    mine = StateDetails(cache_key="k")
    made = Scheduled(state_details=mine)
    assert mine.scheduled_time is None
    assert made.state_details.cache_key == "k"


# -- results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Scheduled, Pending, NotReady, Running, Cancelling])
def test_a_state_that_is_not_final_has_no_result(make: Any) -> None:
    state = make(data=3)
    for raise_on_failure in (True, False):
        with pytest.raises(
            UnfinishedRun,
            match=f"Run is in {state.type.value} state, its result is not available.",
        ):
            state.result(raise_on_failure=raise_on_failure)


def test_a_paused_state_has_no_result() -> None:
    with pytest.raises(PausedRun, match=r"Run is paused, its result is not available\."):
        Paused().result()


def test_a_completed_state_gives_its_data() -> None:
    assert Completed(data=3).result() == 3
    assert Completed(data=3).result(fetch=True) == 3
    error = ValueError("as data")
    assert Completed(data=error).result() is error


@pytest.mark.parametrize(
    ("make", "wrapper", "default"),
    [
        (Failed, FailedRun, "Run failed."),
        (Crashed, CrashedRun, "Run crashed."),
        (Cancelled, CancelledRun, "Run cancelled."),
    ],
)
def test_a_bad_state_raises_what_it_holds(make: Any, wrapper: Any, default: str) -> None:
    own = KeyError("own")
    for data, expected, text in [
        (own, KeyError, "'own'"),
        ("text", wrapper, "text"),
        (None, wrapper, default),
        (Failed(data=own), KeyError, "'own'"),
        ([Completed(), Failed(data=own), Failed()], KeyError, "'own'"),
        ((Completed(), Crashed(message="inner")), CrashedRun, "inner"),
        ([Completed(), Failed(data=[Failed(data=own)])], KeyError, "'own'"),
    ]:
        state = make(data=data)
        with pytest.raises(expected) as caught:
            state.result()
        assert str(caught.value) == text
        assert state.result(raise_on_failure=False) is data
    assert str(exception_of(make(message="why"))) == "why"


def test_what_cannot_be_an_exception_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"Failed state result was an iterable of states but none were failed\."
    ):
        Failed(data=[Completed()]).result()
    with pytest.raises(
        TypeError, match=r"Unexpected result for failed state: 3 .* cannot be resolved into"
    ):
        Failed(data=3).result()
    with pytest.raises(ValueError, match="Expected failed or crashed state got Completed"):
        exception_of(Completed())


def test_raise_state_exception_leaves_good_states_alone() -> None:
    raise_state_exception(Completed(data=ValueError()))
    raise_state_exception(Running())
    with pytest.raises(FailedRun):
        raise_state_exception(Failed())


@pytest.mark.usefixtures("record")
def test_a_result_that_was_not_kept_is_missing() -> None:
    @task(cache_result_in_memory=False, persist_result=False)
    def t() -> int:
        return 5

    @flow
    def f() -> Any:
        return quote(t.submit().wait())

    state = f().unquote()
    assert state.is_completed()
    with pytest.raises(MissingResult, match="was not kept"):
        state.result()


# -- in async code ------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_result_is_awaited_where_a_loop_runs_outside_of_runs() -> None:
    assert await Completed(data=3).result() == 3
    with pytest.raises(FailedRun):
        await Failed().result()
    assert Completed(data=3).value() == 3


@pytest.mark.usefixtures("record")
def test_result_is_awaited_in_async_runs_and_plain_in_sync_ones() -> None:
    @task
    def sync_task(state: Any) -> Any:
        return state.unquote().result()

    @task
    async def async_task(state: Any) -> Any:
        return await state.unquote().result()

    @flow
    async def async_flow() -> Any:
        state = Completed(data=3)
        quoted = quote(quote(state))
        return await state.result(), await async_task(quoted), sync_task(quoted)

    @flow
    def sync_flow() -> Any:
        state = Completed(data=3)
        quoted = quote(quote(state))
        return state.result(), async_task(quoted), sync_task(quoted)

    assert asyncio.run(async_flow()) == (3, 3, 3)
    assert sync_flow() == (3, 3, 3)

    async def in_a_loop() -> Any:
        return sync_flow()

    assert asyncio.run(in_a_loop()) == (3, 3, 3)


# -- groups -------------------------------------------------------------------------------------------------


def test_what_counts_as_states() -> None:
    assert is_state(Completed())
    assert not is_state("Completed")
    assert is_state_iterable([Completed()])
    assert is_state_iterable((Completed(), Failed()))
    assert is_state_iterable({Completed()})
    for other in ([], (), {"a": Completed()}, quote([Completed()]), [Completed(), 1], Completed()):
        assert not is_state_iterable(other)


def test_a_group_counts() -> None:
    group = StateGroup([Completed(), Failed(), Crashed(), Pending(), Running()])
    assert (group.fail_count, group.total_count, group.cancelled_count) == (2, 5, 0)
    assert group.any_failed()
    assert not group.any_cancelled()
    assert not group.any_paused()
    assert not group.all_final()
    assert not group.all_completed()
    assert group.counts_message() == (
        "total=5, not_final=2, 'COMPLETED'=1, 'FAILED'=1, 'CRASHED'=1, 'PENDING'=1, 'RUNNING'=1"
    )
    assert StateGroup([Completed()]).all_completed()
    assert StateGroup([Completed(), Cancelled()]).all_final()
    assert StateGroup([Paused()]).any_paused()


# -- states of runs -------------------------------------------------------------------------------------------


def test_states_of_runs_know_whose_they_are(record: Record) -> None:
    from flowdeck import runtime

    seen: dict[str, Any] = {}

    @task
    def t() -> Any:
        seen["task"] = runtime.task_run.id
        return 1

    @flow
    def f() -> Any:
        seen["flow"] = runtime.flow_run.id
        return quote(t.submit().wait())

    state = f(return_state=True)
    inner = state.result().unquote()
    assert state.state_details.flow_run_id == seen["flow"]
    assert state.state_details.task_run_id is None
    assert inner.state_details.task_run_id == seen["task"]
    assert inner.state_details.flow_run_id == seen["flow"]
    assert state.is_from_run
    assert not Completed().is_from_run

"""Delays and states that follow from outcomes."""

from __future__ import annotations

import asyncio
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.exceptions import FlowCancelled, TaskCancelled, TerminationSignal
from flowdeck.states.transitions import TimeUp, crash_message, retry_delay, state_of_exception
from flowdeck.threads.deadlines import DeadlineExceeded
from flowdeck_store.states import StateType

_SECONDS = st.floats(0, 1e6, allow_nan=False)


@given(_SECONDS, st.integers(1, 100))
def test_one_delay_holds_for_every_retry(delay: float, retry: int) -> None:
    assert retry_delay(delay, retry, None, random.Random(0)) == delay


@given(st.lists(_SECONDS, min_size=1, max_size=50), st.integers(1, 100))
def test_the_last_of_a_list_repeats(delays: list[float], retry: int) -> None:
    expected = delays[retry - 1] if retry <= len(delays) else delays[-1]
    assert retry_delay(tuple(delays), retry, None, random.Random(0)) == expected


@given(st.floats(0.001, 1e4), st.floats(0, 60), st.randoms(use_true_random=False))
def test_jitter_stays_within_its_bounds(base: float, jitter: float, rng: random.Random) -> None:
    delay = retry_delay(base, 1, jitter, rng)
    assert 0 <= delay <= base * (1 + jitter) * (1 + 1e-9)


@pytest.mark.parametrize("jitter", [0.1, 0.5, 1.0, 5.0])
def test_jitter_keeps_the_mean_near_the_delay(jitter: float) -> None:
    rng = random.Random(7)
    mean = statistics.fmean(retry_delay(10.0, 1, jitter, rng) for _ in range(4000))
    assert 8.0 < mean < 12.0


@given(st.sampled_from([0.0, -1.0]), st.floats(0, 5))
def test_no_delay_stays_none(base: float, jitter: float) -> None:
    assert retry_delay(base, 1, jitter, random.Random(0)) == 0.0
    assert retry_delay((), 3, jitter, random.Random(0)) == 0.0


class Own(BaseException): ...


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), "Execution was aborted by an interrupt signal."),
        (TerminationSignal(15), "Execution was aborted by a termination signal."),
        (SystemExit(3), "Execution was aborted by Python system exit call."),
        (asyncio.CancelledError(), "Execution was cancelled by the runtime environment."),
        (TaskCancelled(), "Execution was cancelled by the runtime environment."),
        (FlowCancelled(), "Execution was cancelled by the runtime environment."),
        (TimeUp(None), "Execution was cancelled by the runtime environment."),
        (GeneratorExit(), "Execution was cancelled by the runtime environment."),
        (Own("why"), "Execution was interrupted by an unexpected exception: Own: why"),
        (Own(), "Execution was interrupted by an unexpected exception: Own"),
        (OSError("gone"), "Execution was interrupted by an unexpected exception: OSError: gone"),
    ],
)
def test_crash_messages(error: BaseException, message: str) -> None:
    assert crash_message(error) == message
    if not isinstance(error, Exception):
        state = state_of_exception(error, "Task")
        assert (state.type, state.message, state.data) == (StateType.CRASHED, message, error)


@given(st.text())
def test_messages_of_failures(text: str) -> None:
    task = state_of_exception(ValueError(text), "Task")
    flow = state_of_exception(ValueError(text), "Flow")
    assert task.message == f"Task run encountered an exception ValueError: {text}"
    assert flow.message == f"Flow run encountered an exception. ValueError: {text}"
    assert (task.type, task.name) == (StateType.FAILED, "Failed")


def test_messages_of_time_limits() -> None:
    for what in ("Task", "Flow"):
        late = DeadlineExceeded(0.5, thread_name="t")
        state = state_of_exception(late, what)
        assert (state.type, state.name) == (StateType.FAILED, "TimedOut")
        assert state.message == f"{what} run exceeded timeout of 0.5 seconds TimeoutError: "
        assert isinstance(state.data, TimeoutError)

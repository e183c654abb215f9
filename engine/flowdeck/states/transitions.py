"""What follows what: from the outcome of an attempt to the next state. Pure, but for the random
number generator that is handed in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import FlowCancelled, TaskCancelled, TerminationSignal
from flowdeck.states import Crashed, Failed, State
from flowdeck.threads.deadlines import DeadlineExceeded
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    import random


class TimeUp(BaseException):
    """Raised in a flow function whose flow run's time is up; ``run`` is that flow run, which may
    be a parent of the one that executes."""

    def __init__(self, run: Any) -> None:
        self.run = run
        super().__init__("the flow run's time is up")


def retry_delay(
    delays: float | Sequence[float], retry: int, jitter: float | None, rng: random.Random
) -> float:
    """Return the seconds to wait before a retry.

    Args:
        delays: one for all, or one per retry of which the last repeats.
        retry: 1 for the first retry.
        jitter: ``None`` or the fraction by which the delay may exceed its base; the draw is
            exponential, clamped to ``base * log2(2**k / (2**k - 1))`` ... ``base * k`` with
            ``k = 1 + jitter``, which keeps the mean near the base.
        rng: source of randomness.
    """
    if isinstance(delays, Sequence):
        base = float(delays[min(retry, len(delays)) - 1]) if delays else 0.0
    else:
        base = float(delays)
    if not jitter or base <= 0:
        return max(base, 0.0)
    k = 1.0 + jitter
    low = math.log2(2**k / (2**k - 1)) if k < 50 else 0.0
    # Inverse CDF of the exponential distribution with mean 1, cut to [low, k].
    u = rng.uniform(1 - math.exp(-low), 1 - math.exp(-k))
    return base * min(max(-math.log(max(1 - u, 1e-12)), low), k)


def crash_message(exc: BaseException) -> str:
    """Return the message of the Crashed state that ``exc`` leads to."""
    if isinstance(exc, KeyboardInterrupt):
        return "Execution was aborted by an interrupt signal."
    if isinstance(exc, TerminationSignal):
        return "Execution was aborted by a termination signal."
    if isinstance(exc, SystemExit):
        return "Execution was aborted by Python system exit call."
    if is_cancellation(exc):
        return "Execution was cancelled by the runtime environment."
    text = text_of(exc)
    return "Execution was interrupted by an unexpected exception: " + (
        f"{type(exc).__name__}: {text}" if text else type(exc).__name__
    )


def is_cancellation(exc: BaseException) -> bool:
    """Say whether ``exc`` is how a cancelled coroutine or thread ends."""
    return isinstance(exc, (TaskCancelled, FlowCancelled, TimeUp, GeneratorExit)) or (
        type(exc).__name__ == "CancelledError" and not isinstance(exc, Exception)
    )


def state_of_exception(exc: BaseException, what: str) -> State[Any]:
    """Return the state of an attempt that ended in ``exc``.

    Args:
        exc: as caught.
        what: ``"Task"`` or ``"Flow"``.
    """
    if isinstance(exc, DeadlineExceeded):
        return timed_out(what, exc.seconds)
    if not isinstance(exc, Exception):
        return Crashed(message=crash_message(exc), data=exc)
    stop = "." if what == "Flow" else ""
    text = text_of(exc)
    return Failed(
        message=f"{what} run encountered an exception{stop} {type(exc).__name__}: {text}", data=exc
    )


def timed_out(what: str, seconds: float) -> State[Any]:
    """Return the state of a run whose time was up.

    Args:
        what: ``"Task"`` or ``"Flow"``.
        seconds: the limit.
    """
    sentence = f"{what} run exceeded timeout of {seconds} seconds"
    return State(StateType.FAILED, "TimedOut", f"{sentence} TimeoutError: ", TimeoutError(sentence))


def text_of(exc: BaseException) -> str:
    """Return an exception's text, whatever its class does."""
    try:
        return str(exc)
    except Exception as bad:  # an exception class of the user's whose __str__ raises
        return f"<no text: its __str__ raised {type(bad).__name__}>"

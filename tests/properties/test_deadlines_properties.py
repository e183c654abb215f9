"""However long a function takes: it ends as its value, its error, or the deadline, and only one."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from flowdeck.threads.deadlines import DeadlineExceeded, call_with_deadline


class OwnError(Exception):
    pass


def work(seconds: float, fails: bool, log: list[str]) -> str:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    log.append("end")
    if fails:
        raise OwnError
    return "value"


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000), st.booleans())
def test_a_call_has_exactly_one_outcome(takes_us: int, may_us: int, fails: bool) -> None:
    log: list[str] = []
    started = time.perf_counter()
    try:
        outcome = call_with_deadline(work, (takes_us / 1e6, fails, log), {}, may_us / 1e6, grace=30)
    except OwnError:
        outcome = "error"
    except DeadlineExceeded as error:
        outcome = f"deadline {error.left_behind is not None}"
    took = time.perf_counter() - started
    if outcome.startswith("deadline"):
        assert outcome == "deadline False"
        assert took >= may_us / 1e6
    else:
        assert outcome == ("error" if fails else "value")
        assert log == ["end"]
        assert took >= takes_us / 1e6

"""Calls with a deadline: values, errors, interruption, abandonment, and the race at the deadline."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.threads import deadlines
from flowdeck.threads.deadlines import DeadlineExceeded, call_with_deadline, interrupt_thread

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 30.0
SHORT = 0.02


class Stop(BaseException):
    """What these tests inject."""


def spin(started: threading.Event | None = None) -> None:
    """Run Python code until interrupted."""
    if started is not None:
        started.set()
    while True:
        time.monotonic()


def until(condition: Callable[[], bool]) -> bool:
    """Poll a condition for as long as a loaded machine may need."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.001)
    return condition()


def test_the_value_is_returned_with_all_kinds_of_arguments() -> None:
    def f(a: int, *, b: int) -> tuple[int, int]:
        return a, b

    assert call_with_deadline(f, (1,), {"b": 2}, LONG) == (1, 2)


def test_the_function_runs_in_a_named_daemon_thread_of_its_own() -> None:
    thread = call_with_deadline(threading.current_thread, (), {}, LONG)
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert thread.name == f"{threading.current_thread().name}-timed"


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("mine"), SystemExit(3), Stop()])
def test_an_error_of_the_function_passes_as_itself(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call_with_deadline(fail, (), {}, LONG)
    assert caught.value is error
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fail"


def test_a_timeout_error_of_the_function_is_told_apart_from_the_deadline() -> None:
    def fail() -> None:
        raise TimeoutError("socket")

    with pytest.raises(TimeoutError) as caught:
        call_with_deadline(fail, (), {}, LONG)
    assert not isinstance(caught.value, DeadlineExceeded)
    assert not issubclass(DeadlineExceeded, TimeoutError)


def test_a_python_loop_is_stopped_at_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        call_with_deadline(spin, (), {}, SHORT, grace=LONG)
    assert not caught.value.left_behind
    assert caught.value.seconds == SHORT
    assert "0.02 seconds" in str(caught.value)
    assert until(lambda: all(t.name != caught.value.thread_name for t in threading.enumerate()))


def test_the_error_says_where_the_interrupted_function_was() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        call_with_deadline(spin, (), {}, SHORT, grace=LONG)
    frames = traceback.extract_tb(caught.value.interrupted_at)
    assert frames[0].name == "spin"


def test_a_blocked_function_is_abandoned_and_the_error_says_where_it_hangs() -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(LONG)

    try:
        with pytest.raises(DeadlineExceeded) as caught:
            call_with_deadline(hang, (), {}, SHORT)
        assert caught.value.left_behind
        assert caught.value.thread_name in {t.name for t in threading.enumerate()}
        assert "background" in str(caught.value)
        frames = traceback.extract_tb(caught.value.interrupted_at)
        assert frames[0].name == "hang"
        assert frames[-1].name == "wait"
    finally:
        release.set()
    assert until(lambda: all(t.name != caught.value.thread_name for t in threading.enumerate()))


def test_cleanup_code_runs_when_the_time_is_up() -> None:
    cleaned = threading.Event()

    def work() -> None:
        try:
            spin()
        finally:
            cleaned.set()

    with pytest.raises(DeadlineExceeded) as caught:
        call_with_deadline(work, (), {}, SHORT, grace=LONG)
    assert cleaned.is_set()
    assert not caught.value.left_behind


def test_except_exception_in_the_function_does_not_swallow_the_deadline() -> None:
    def stubborn() -> str:
        try:
            spin()
        except Exception:
            return "swallowed"
        return "never"

    with pytest.raises(DeadlineExceeded):
        call_with_deadline(stubborn, (), {}, SHORT, grace=LONG)


def test_a_value_that_comes_after_the_deadline_is_not_returned() -> None:
    def late() -> str:
        try:
            spin()
        except BaseException:
            return "late"
        return "never"

    with pytest.raises(DeadlineExceeded) as caught:
        call_with_deadline(late, (), {}, SHORT, grace=LONG)
    assert not caught.value.left_behind
    assert caught.value.interrupted_at is None


def test_the_function_sees_the_callers_context_but_does_not_change_it() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("mine")

    def work() -> str:
        seen = variable.get()
        variable.set("theirs")
        return seen

    assert call_with_deadline(work, (), {}, LONG) == "mine"
    assert variable.get() == "mine"


def test_a_given_context_is_used_and_keeps_what_the_function_set() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    context = contextvars.copy_context()
    call_with_deadline(variable.set, ("set",), {}, LONG, context)
    assert context[variable] == "set"


def test_an_endless_deadline_is_allowed() -> None:
    assert call_with_deadline(int, ("7",), {}, float("inf")) == 7


def test_a_call_that_is_done_when_its_time_is_up_keeps_its_value() -> None:
    call = deadlines._Call(int, ("7",), {}, contextvars.copy_context())
    call.thread.start()
    assert call.finished.wait(LONG)
    assert call.expire(0) is False
    assert call.value == 7


def test_an_interruption_that_has_not_landed_yet_is_taken_back() -> None:
    """The function returns while it is being expired: nothing may hit the bookkeeping."""
    call = deadlines._Call(lambda: call.lock.acquire(), (), {}, contextvars.copy_context())
    call.thread.start()
    # The function has taken the lock that settling needs, so it stays between the two.
    assert until(call.lock.locked)
    call.stage, call.injected = deadlines._EXPIRED, True
    assert call.thread.ident is not None
    deadlines._set_async_exc(call.thread.ident, deadlines.Interrupted)
    call.lock.release()
    assert call.finished.wait(LONG)
    call.thread.join(LONG)  # an exception that escaped would make pytest fail this test
    assert call.stage == deadlines._EXPIRED


def test_every_call_at_its_deadline_ends_one_way_or_the_other() -> None:
    """Functions that end about when their time is up: value or deadline, never both or neither."""

    def work(seconds: float, log: list[str]) -> str:
        end = time.perf_counter() + seconds
        try:
            while time.perf_counter() < end:
                pass
        except BaseException:
            log.append("interrupted")
            raise
        log.append("finished")
        return "value"

    def outcome(log: list[str]) -> str:
        try:
            return call_with_deadline(work, (0.002, log), {}, 0.002, grace=LONG)
        except DeadlineExceeded as error:
            return f"deadline, left={error.left_behind is None}"

    for _ in range(150):
        log: list[str] = []
        result = outcome(log)
        assert len(log) <= 1  # none if it was interrupted on its way into the `try`
        assert result in {"value", "deadline, left=True"}
        if result == "value":
            assert log == ["finished"]


def test_ctrl_c_while_waiting_stops_the_function() -> None:
    started = threading.Event()

    def press() -> None:
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        call_with_deadline(spin, (started,), {}, LONG)
    name = f"{threading.current_thread().name}-timed"
    assert until(lambda: all(t.name != name for t in threading.enumerate()))


def in_thread(target: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, errors


def test_an_exception_can_be_raised_in_another_thread() -> None:
    started = threading.Event()
    thread, errors = in_thread(lambda: spin(started))
    assert started.wait(LONG)
    assert thread.ident is not None
    assert interrupt_thread(thread.ident, Stop)
    thread.join(LONG)
    assert [type(error) for error in errors] == [Stop]


def test_a_thread_that_waits_for_a_timed_call_passes_the_exception_on() -> None:
    started = threading.Event()
    thread, errors = in_thread(lambda: call_with_deadline(spin, (started,), {}, LONG))
    assert started.wait(LONG)
    assert thread.ident is not None
    assert interrupt_thread(thread.ident, Stop)
    thread.join(LONG)
    assert [type(error) for error in errors] == [Stop]


def test_it_is_passed_on_through_nested_timed_calls() -> None:
    started = threading.Event()

    def middle() -> None:
        call_with_deadline(spin, (started,), {}, LONG)

    thread, errors = in_thread(lambda: call_with_deadline(middle, (), {}, LONG))
    assert started.wait(LONG)
    assert thread.ident is not None
    assert interrupt_thread(thread.ident, Stop)
    thread.join(LONG)
    assert [type(error) for error in errors] == [Stop]


def test_an_outer_deadline_stops_an_inner_call() -> None:
    def middle() -> None:
        call_with_deadline(spin, (), {}, LONG)

    with pytest.raises(DeadlineExceeded) as caught:
        call_with_deadline(middle, (), {}, SHORT, grace=LONG)
    assert caught.value.seconds == SHORT
    assert not caught.value.left_behind
    assert "spin" in {f.name for f in traceback.extract_tb(caught.value.interrupted_at)}


def test_interrupting_the_thread_of_a_timed_call_directly_works_too() -> None:
    idents: list[int] = []
    started = threading.Event()

    def work() -> None:
        idents.append(threading.get_ident())
        spin(started)

    thread, errors = in_thread(lambda: call_with_deadline(work, (), {}, LONG))
    assert started.wait(LONG)
    assert interrupt_thread(idents[0], Stop)
    thread.join(LONG)
    assert [type(error) for error in errors] == [Stop]


def test_interrupting_a_thread_that_is_gone_says_so() -> None:
    thread, _ = in_thread(lambda: None)
    thread.join(LONG)
    assert thread.ident is not None
    assert interrupt_thread(thread.ident, Stop) is False


def test_nothing_is_remembered_after_a_call() -> None:
    call_with_deadline(int, (), {}, LONG)
    with pytest.raises(DeadlineExceeded):
        call_with_deadline(spin, (), {}, SHORT, grace=LONG)
    assert deadlines._waiting == {}
    assert until(lambda: deadlines._running == {})


def test_a_function_can_be_traced_after_an_interruption_that_did_not_land() -> None:
    """With a debugger or coverage; CPython 3.11 began it again and again."""
    program = """
import sys, threading
from flowdeck.threads.deadlines import _set_async_exc, take_back

class Late(BaseException): pass

def traced(): return 1

ends = threading.Lock()
ends.acquire()
thread = threading.Thread(target=ends.acquire)
thread.start()
_set_async_exc(thread.ident, Late)
_set_async_exc(thread.ident, None)
ends.release()
thread.join()
take_back()
sys.settrace(lambda *_: None)
assert traced() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)


@pytest.mark.parametrize("why", ["cancelled", "out of time"])
def test_traced_code_goes_on_beside_a_function_that_blocks_for_ever(why: str) -> None:
    program = """
import sys, threading
from flowdeck.threads import active
from flowdeck import flow, task

blocked, started = threading.Lock(), threading.Event()
blocked.acquire()

@task(timeout_seconds=0.2 if sys.argv[1] == "out of time" else None)
def blocks():
    started.set()
    blocked.acquire()

def traced(n): return n and traced(n - 1)

@flow
def main():
    future = blocks.submit()
    started.wait()
    if sys.argv[1] == "cancelled":
        active.current_flow_run.get().cancel_task(1)
        traced(100)
    future.wait()
    return traced(100)

def trace(*_): return trace

threading.settrace(trace)
sys.settrace(trace)
assert main() == 0
traced(100)
"""
    command = [sys.executable, "-c", program, why]
    subprocess.run(command, check=True, timeout=30)


def test_what_stops_a_thread_does_not_land_in_one_that_it_starts() -> None:
    """CPython 3.11 knows a new thread by the number of the one that starts it, until it runs."""

    def start_threads() -> None:
        while True:
            threading.Thread(target=int).start()

    for turn in range(40):
        with pytest.raises(DeadlineExceeded) as caught:
            call_with_deadline(start_threads, (), {}, 0.002 + turn / 10_000, grace=20.0)
        assert caught.value.left_behind is None

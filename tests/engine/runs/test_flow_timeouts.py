"""Time limits of flows: on the main thread, on others, on loops, nested, beside other alarms."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from flowdeck import flow, quote, task
from flowdeck.futures import as_completed
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]

MESSAGE = "Flow run exceeded timeout of 0.1 seconds TimeoutError: "


@task
def nothing() -> None: ...


def assert_timed_out(state: Any) -> None:
    assert (state.type.value, state.name, state.message) == ("FAILED", "TimedOut", MESSAGE)
    with pytest.raises(TimeoutError, match=r"Flow run exceeded timeout of 0\.1 seconds"):
        raise state.value(raise_on_failure=False)


def in_thread(function: Any) -> Any:
    """Call in another thread, in a copy of this context."""
    found: list[Any] = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: found.append(context.run(function)))
    thread.start()
    thread.join(50)
    assert not thread.is_alive()
    return found[0]


@pytest.fixture(autouse=True)
def _alarms() -> Any:
    """Nothing may be left of the alarm; pytest's own is put away meanwhile."""
    before = signal.getsignal(signal.SIGALRM)
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.setitimer(signal.ITIMER_REAL, *timer)


# -- one flow -----------------------------------------------------------------------------------------------


def test_on_the_main_thread_even_a_sleep_is_interrupted(record: Record) -> None:
    @flow(timeout_seconds=0.1)
    def f() -> None:
        time.sleep(30)

    began = time.monotonic()
    assert_timed_out(f(return_state=True))
    assert time.monotonic() - began < 10
    with pytest.raises(TimeoutError):
        f()
    assert record.state_names("f") == ["Pending", "Running", "TimedOut"]


class Slow:
    """Its finalizer takes a while, and says when it has begun."""

    def __init__(self, begun: Callable[[], object]) -> None:
        self.begun = begun

    def __del__(self) -> None:
        self.begun()
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            pass


def test_a_limit_that_is_over_inside_a_finalizer_is_not_swallowed_by_it(record: Record) -> None:
    @flow(timeout_seconds=0.1)
    def f() -> None:
        Slow(lambda: None)
        time.sleep(30)

    began = time.monotonic()
    assert_timed_out(f(return_state=True))
    assert time.monotonic() - began < 10


def test_a_signal_inside_a_finalizer_is_not_swallowed_by_it(tmp_path: Path) -> None:
    script = """
        import os, signal, time
        from flowdeck import flow

        class Slow:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.05)

        @flow
        def f():
            Slow()
            time.sleep(30)
            print("went on")

        f()
    """
    environment = {**os.environ, "FLOWDECK_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, env=environment, timeout=50,
    )  # fmt: skip
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert "went on" not in done.stdout


def test_on_another_thread_it_is_interrupted_between_two_bytecodes() -> None:
    @flow(timeout_seconds=0.1)
    def f() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.005)

    began = time.monotonic()
    assert_timed_out(in_thread(lambda: f(return_state=True)))
    assert time.monotonic() - began < 10


def test_on_another_thread_a_late_end_is_timed_out_too() -> None:
    @flow(timeout_seconds=0.1)
    def f() -> str:
        time.sleep(0.3)  # in C: cannot be interrupted
        return "late"

    assert_timed_out(in_thread(lambda: f(return_state=True)))


def test_on_a_loop_it_ends_at_its_next_await() -> None:
    @flow(timeout_seconds=0.1)
    async def f() -> None:
        await asyncio.sleep(30)

    for run in (asyncio.run, lambda c: anyio.run(lambda: c)):
        began = time.monotonic()
        assert_timed_out(run(f(return_state=True)))
        assert time.monotonic() - began < 10


@pytest.mark.anyio
async def test_on_a_running_loop_only_the_flow_ends() -> None:
    @flow(timeout_seconds=0.1)
    async def f() -> None:
        await asyncio.sleep(30)

    other = asyncio.create_task(asyncio.sleep(0.3, "other went on"))
    assert_timed_out(await f(return_state=True))
    assert await other == "other went on"
    await asyncio.sleep(0)


def test_a_time_limit_that_is_kept_changes_nothing() -> None:
    @flow(timeout_seconds=30)
    def f() -> int:
        return 1

    @flow(timeout_seconds=30)
    async def g() -> int:
        return 2

    assert (f(), asyncio.run(g()), in_thread(f)) == (1, 2, 1)


@pytest.mark.parametrize("seconds", [0, None])
def test_no_limit(seconds: Any) -> None:
    f = flow(timeout_seconds=seconds)(lambda: 1)
    assert f.timeout_seconds is None
    assert f() == 1


def test_an_own_timeout_error_is_an_ordinary_failure() -> None:
    @flow(timeout_seconds=30)
    def f() -> None:
        raise TimeoutError("mine")

    @flow(timeout_seconds=30)
    async def g() -> None:
        raise TimeoutError("mine")

    for state in (f(return_state=True), asyncio.run(g(return_state=True))):
        assert state.name == "Failed"
        assert state.message == "Flow run encountered an exception. TimeoutError: mine"


def test_the_clock_starts_with_the_function_not_with_the_call() -> None:
    @task
    def slow() -> None:
        time.sleep(0.3)

    @flow(timeout_seconds=0.25)
    def child() -> str:
        return "in time"

    @flow
    def parent() -> Any:
        return child(wait_for=[slow.submit()])

    assert parent() == "in time"


def test_submitted_tasks_are_asked_to_stop(record: Record) -> None:
    release = threading.Event()
    done: list[int] = []

    @task
    def slow() -> None:
        release.wait(20)
        done.append(1)

    @flow(timeout_seconds=0.1, task_runner=ConcurrentTaskRunner())
    def f() -> None:
        slow.submit()
        threading.Timer(0.3, release.set).start()
        time.sleep(30)

    assert_timed_out(f(return_state=True))
    assert done == []
    assert record.state_names("slow") == ["Pending", "Running", "Cancelled"]


def test_no_task_starts_after_the_time_is_up() -> None:
    started: list[int] = []

    @task
    def note() -> None:
        started.append(1)

    @flow(timeout_seconds=0.1)
    def f() -> None:
        try:
            time.sleep(30)
        except BaseException:  # somebody who does not want to be stopped
            note.submit()

    assert_timed_out(f(return_state=True))
    assert started == []


def test_code_that_swallows_the_interruption_is_timed_out_all_the_same() -> None:
    @flow(timeout_seconds=0.1)
    def f() -> str:
        with contextlib.suppress(BaseException):
            time.sleep(30)
        return "swallowed"

    assert_timed_out(f(return_state=True))


# -- parents and children -----------------------------------------------------------------------------------


def _slow_sync() -> None:
    for _ in range(300):
        nothing()
        time.sleep(0.1)


async def _slow_async() -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize("child_async", [False, True])
@pytest.mark.parametrize("parent_async", [False, True])
@pytest.mark.parametrize("where", ["main", "thread"])
def test_the_limit_of_a_parent_ends_its_child(
    child_async: bool, parent_async: bool, where: str, record: Record
) -> None:
    child = flow(name="child")(_slow_async if child_async else _slow_sync)

    @flow(name="parent", timeout_seconds=0.1)
    def parent() -> None:
        child()

    @flow(name="parent", timeout_seconds=0.1)
    async def async_parent() -> None:
        await child() if child_async else child()

    def run() -> Any:
        if parent_async:
            return asyncio.run(async_parent(return_state=True))
        return parent(return_state=True)

    began = time.monotonic()
    assert_timed_out(run() if where == "main" else in_thread(run))
    assert time.monotonic() - began < 10
    assert record.state_names("parent") == ["Pending", "Running", "TimedOut"]
    assert record.state_names("child") == ["Pending", "Running", "Cancelled"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_limit_of_a_child_is_its_own(asynchronous: bool, record: Record) -> None:
    child = flow(name="child", timeout_seconds=0.1)(_slow_async if asynchronous else _slow_sync)

    @flow(timeout_seconds=30)
    def parent() -> Any:
        state = child(return_state=True)
        assert_timed_out(state)
        with pytest.raises(TimeoutError):
            child()
        return nothing.submit().wait().name

    assert parent() == "Completed"
    assert record.state_names("child") == ["Pending", "Running", "TimedOut"]


def test_the_shorter_of_two_limits_rings_first_and_the_longer_one_still_rings() -> None:
    @flow(timeout_seconds=0.1)
    def child() -> None:
        time.sleep(30)

    @flow(timeout_seconds=0.4)
    def parent() -> None:
        child(return_state=True)
        time.sleep(30)

    @flow(timeout_seconds=30)
    def patient_child() -> None:
        time.sleep(30)

    @flow(timeout_seconds=0.1)
    def hasty_parent() -> None:
        patient_child()

    began = time.monotonic()
    state = parent(return_state=True)
    assert state.message == "Flow run exceeded timeout of 0.4 seconds TimeoutError: "
    assert 0.4 <= time.monotonic() - began < 10
    assert_timed_out(hasty_parent(return_state=True))


def test_three_limits_nest() -> None:
    order: list[str] = []

    @flow(timeout_seconds=0.3)
    def inner() -> None:
        time.sleep(30)

    @flow(timeout_seconds=0.2)
    def middle() -> None:
        try:
            inner()
        finally:
            order.append("middle ended")

    @flow(timeout_seconds=0.6)
    def outer() -> Any:
        order.append(middle(return_state=True).name)
        time.sleep(30)

    assert outer(return_state=True).name == "TimedOut"
    assert order == ["middle ended", "TimedOut"]


# -- beside other alarms --------------------------------------------------------------------------------------


def test_an_alarm_of_the_application_goes_on_during_the_flow_and_after_it() -> None:
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:

        @flow(timeout_seconds=0.2)
        def f() -> None:
            while True:
                time.sleep(0.01)

        state = f(return_state=True)
        assert state.name == "TimedOut"
        during = len(rung)
        assert during >= 3
        deadline = time.monotonic() + 10
        while len(rung) < during + 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_single_alarm_of_the_application_rings_when_it_would_have() -> None:
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.15)
    try:

        @flow(timeout_seconds=0.05)
        def short() -> None:
            time.sleep(30)

        @flow(timeout_seconds=30)
        def quick() -> int:
            return 1

        assert short(return_state=True).name == "TimedOut"
        assert quick() == 1
        deadline = time.monotonic() + 10
        while not rung:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert rung[0] - began >= 0.14
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_exception_of_the_applications_alarm_passes_through_the_flow() -> None:
    class Watchdog(Exception): ...

    def ring(*_: Any) -> None:
        raise Watchdog

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:

        @flow(timeout_seconds=0.2)
        def f() -> str:
            try:
                time.sleep(30)
            except Watchdog:
                time.sleep(30)
            return "never"

        assert f(return_state=True).name == "TimedOut"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_default_alarm_still_ends_the_process(tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, time\nfrom flowdeck import flow\n"
        "@flow(timeout_seconds=30)\ndef f():\n    signal.alarm\n    time.sleep(30)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.5)\nf()\n"
    )
    env = {**os.environ, "FLOWDECK_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, timeout=50)
    assert done.returncode == -signal.SIGALRM


# -- tasks within ---------------------------------------------------------------------------------------------


def test_a_direct_task_is_interrupted_with_its_flow(record: Record) -> None:
    @task
    def slow() -> None:
        time.sleep(30)

    @flow(timeout_seconds=0.1, task_runner=SequentialTaskRunner())
    def f() -> None:
        slow()

    began = time.monotonic()
    assert_timed_out(f(return_state=True))
    assert time.monotonic() - began < 10
    assert record.state_names("slow") == ["Pending", "Running", "Crashed"]


def test_waiting_for_a_task_is_interrupted_and_the_task_is_asked_to_stop(record: Record) -> None:
    release = threading.Event()

    @task
    def slow() -> str:
        release.wait(20)
        return "done"

    @flow(timeout_seconds=0.1, task_runner=ConcurrentTaskRunner())
    def f() -> None:
        future = slow.submit()
        threading.Timer(0.3, release.set).start()
        future.result()

    assert_timed_out(f(return_state=True))
    assert record.state_names("slow") == ["Pending", "Running", "Cancelled"]


def test_a_task_limit_inside_a_flow_limit() -> None:
    @task(timeout_seconds=0.05)
    def slow() -> None:
        while True:
            time.sleep(0.005)

    @flow(timeout_seconds=30)
    def f() -> Any:
        return quote([slow(return_state=True), slow.submit().wait()])

    assert [s.name for s in f().unquote()] == ["TimedOut", "TimedOut"]


# -- alarms that nobody hears at once -----------------------------------------------------------------


@contextlib.contextmanager
def alarms_strike_elsewhere() -> Iterator[None]:
    """Have another thread get the alarms: the interpreter notes them, but nothing wakes this thread.
    The same happens to one that strikes just before a thread blocks in C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("wait", ["a future", "futures as they end", "an async task", "a limit"])
def test_an_alarm_that_wakes_nobody_still_ends_the_flow(wait: str) -> None:
    @task
    def sleepy() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.005)

    @task
    async def sleepy_async() -> None:
        await asyncio.sleep(30)

    @flow(timeout_seconds=0.1)
    def f() -> None:
        future = nothing.submit()  # threads of the pool are there, and get the alarm
        future.wait()
        with alarms_strike_elsewhere():
            if wait == "a future":
                sleepy.submit().wait()
            elif wait == "futures as they end":
                list(as_completed([sleepy.submit()]))
            elif wait == "an async task":
                sleepy_async()
            else:
                sleepy.with_options(timeout_seconds=20)()

    assert_timed_out(f(return_state=True))


def test_an_alarm_rings_until_it_is_heard() -> None:
    intervals = []

    @flow(timeout_seconds=30)
    def f() -> None:
        intervals.append(signal.getitimer(signal.ITIMER_REAL)[1])

    before = signal.getitimer(signal.ITIMER_REAL)[1]
    f()
    assert 0 < intervals[0] < 1
    assert signal.getitimer(signal.ITIMER_REAL)[1] == before


# -- alarms that strike where nobody hears of it -------------------------------------------------------


class Watched:
    """What weak references, and so their callbacks, are made for."""


def call_back_in_c(seconds: float) -> None:
    """Spend the time in the callback of a weak reference."""

    def callback(_: object) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.001)

    watched = Watched()
    reference = weakref.ref(watched, callback)
    del watched
    assert reference() is None


@pytest.mark.parametrize("inner", [False, True])
def test_an_alarm_in_a_callback_of_c_code_ends_the_flow_a_moment_later(
    inner: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook

    @flow(timeout_seconds=0.1)
    def f() -> None:
        if inner:
            call_in_it()
        call_back_in_c(0.3)
        while True:  # not a task: nothing else looks whether the time is up
            time.sleep(0.01)

    @flow(timeout_seconds=20)
    def call_in_it() -> None:
        call_back_in_c(0.3)
        while True:
            time.sleep(0.01)

    assert_timed_out(f(return_state=True))
    assert "Exception ignored" not in capsys.readouterr().err
    assert sys.unraisablehook is hook


def test_what_others_have_swallowed_is_told_to_the_hook_of_before() -> None:
    told = []

    class Careless:
        def __del__(self) -> None:
            raise LookupError("of the user")

    @flow(timeout_seconds=0.1)
    def f() -> None:
        try:
            call_back_in_c(0.3)
            while True:
                time.sleep(0.01)
        finally:
            Careless()

    before, sys.unraisablehook = sys.unraisablehook, lambda one: told.append(str(one.exc_value))
    try:
        f(return_state=True)
    finally:
        sys.unraisablehook = before
    assert told == ["of the user"]

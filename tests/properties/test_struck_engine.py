"""An exception that strikes between two lines of the engine's ends runs, and never leaves one without
an end: an alarm of the user's, a recursion that reaches its limit in our code."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import logging
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest

import flowdeck
from flowdeck import flow, task
from flowdeck.stopping import cancellation
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record, run_in_memory
from flowdeck.threads import active
from flowdeck.threads.deadlines import take_back
from flowdeck_store import events
from flowdeck_store.states import FINAL_CODES, NOT_READY

ENGINE = str(Path(flowdeck.__file__).parent)
# What is struck may be about to close a file or to await a coroutine.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited"),
]

#: Lines that are struck in each variant; all of them were once, in minutes.
SAMPLES = 25
RUNNERS = [SequentialTaskRunner(), ConcurrentTaskRunner(max_workers=2)]


class Struck(Exception):
    """What the user's alarm raises."""


class StruckHard(BaseException):
    """The same, as one that `except Exception` does not catch."""


class Striker:
    """Raises at the n-th line of ours that this thread executes."""

    def __init__(self, at: int | None = None, error: type[BaseException] = Struck) -> None:
        self.lines = 0
        self._at = at
        self._error = error
        self.where = ""
        self._inside: set[tuple[int, int]] = set()

    def __enter__(self) -> Self:
        take_back()  # of a thread that ended meanwhile: see there why
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _leaves_a_block(self, frame: FrameType) -> bool:
        """Say whether this is the line of a ``with`` for the second time, on the way out: there
        Python lets no signal in before ``__exit__`` was called."""
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
        if not text.startswith(("with ", "async with ")):
            return False
        key = id(frame), frame.f_lineno
        self._inside ^= {key}
        return key not in self._inside

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(ENGINE) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and not self._leaves_a_block(frame):
            self.lines += 1
            if self.lines == self._at:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise self._error
        return self._line


@task
def one(x: int) -> int:
    return x


@task(retries=1)
def failing(x: int) -> int:
    raise ValueError(x)


@task
async def later(x: int) -> int:
    await asyncio.sleep(0)
    return x


def tried(do: Callable[[], Any]) -> Any:
    with contextlib.suppress(Exception):
        return do()


async def tried_async(do: Callable[[], Any]) -> Any:
    with contextlib.suppress(Exception):
        return await do()


def sync_flow(runner: BaseTaskRunner) -> Callable[[], Any]:
    @flow(task_runner=runner)
    def child() -> int:
        tried(lambda: one(1))
        return 1

    @flow(task_runner=runner)
    def parent() -> int:
        tried(lambda: one(1))
        tried(lambda: failing(1))
        first = tried(lambda: one.submit(2))
        tried(lambda: one.submit(first))
        tried(lambda: failing.submit(first).result())
        tried(lambda: one.map([1, 2], return_state=True))
        tried(child)
        tried(lambda: later(1))
        return 1

    return parent


def async_flow(runner: BaseTaskRunner) -> Callable[[], Any]:
    @flow(task_runner=runner)
    async def child() -> int:
        await tried_async(lambda: later(1))
        return 1

    @flow(task_runner=runner)
    async def parent() -> int:
        await tried_async(lambda: later(1))
        tried(lambda: one(1))
        first = await tried_async(lambda: later.submit(2))
        await tried_async(lambda: later.submit(first))
        tried(lambda: one.submit(first).result())
        await tried_async(lambda: later.map([1, 2], return_state=True))
        await tried_async(child)
        return 1

    return lambda: asyncio.run(parent())  # type: ignore[arg-type]


def without_end(record: Record) -> list[str]:
    """Return the runs that were recorded and have no last state."""
    last: dict[tuple[str, int], bool] = {}
    for event in record.of_kind(events.RUN) + record.of_kind(events.TASK):
        last[event["uid"], event.get("no", 0)] = False
    for event in record.of_kind(events.STATE):
        code, name = event["code"], event["name"]
        last[event["uid"], event["no"]] = code in FINAL_CODES or name == NOT_READY
    return [f"{uid}.{no}" for (uid, no), ended in last.items() if not ended]


@pytest.mark.parametrize("make", [sync_flow, async_flow])
@pytest.mark.parametrize("runner", RUNNERS, ids=["sequential", "concurrent"])
@pytest.mark.parametrize("error", [Struck, StruckHard])
def test_whatever_strikes_the_engine_every_run_ends(
    make: Callable[[BaseTaskRunner], Callable[[], Any]],
    runner: BaseTaskRunner,
    error: type[BaseException],
) -> None:
    call = make(runner)
    handler = signal.getsignal(signal.SIGTERM)
    with run_in_memory():
        call()
        with Striker() as counted:
            call()
    chosen = random.Random(f"{make.__name__} {runner.name} {error.__name__}")
    for at in sorted(chosen.sample(range(1, counted.lines), SAMPLES)):
        with run_in_memory() as record:
            with contextlib.suppress(Struck, StruckHard), Striker(at, error) as striker:
                call()
            what = f"line {at}, {striker.where}"
            assert without_end(record) == [], what
            assert active.current_flow_run.get() is None, what
            assert cancellation.live == {}, what
            assert cancellation.innermost_interruptible() is None, what
            assert signal.getsignal(signal.SIGTERM) is handler, what
        with run_in_memory():
            assert call() == 1, what


@pytest.mark.parametrize("runner", RUNNERS, ids=["sequential", "concurrent"])
@pytest.mark.parametrize("kind", ["nested calls", "call", "submit", "subflow"])
def test_a_recursion_that_reaches_its_limit_in_the_engine_leaves_no_run_without_an_end(
    kind: str, runner: BaseTaskRunner
) -> None:
    @task
    def down(n: int) -> int:
        return n and down(n - 1)

    @flow(task_runner=runner)
    def child() -> int:
        return one(1)

    def deep(n: int, do: Callable[[], Any]) -> Any:
        return deep(n - 1, do) if n else do()

    calls: dict[str, Callable[[int], Any]] = {
        "nested calls": lambda left: down((limit - left) // 8),
        "call": lambda left: deep(limit - left, lambda: one(1)),
        "submit": lambda left: deep(limit - left, lambda: one.submit(1).result()),
        "subflow": lambda left: deep(limit - left, child),
    }
    limit = sys.getrecursionlimit()
    struck = []

    @flow(task_runner=runner)
    def main() -> int:
        for left in range(150, 10, -40 if kind == "nested calls" else -5):
            try:
                calls[kind](left)
            except RecursionError:
                struck.append(left)
        return 1

    with run_in_memory() as record:
        assert main() == 1
    assert struck
    assert without_end(record) == []


def is_free(lock: Any) -> bool:
    """Say whether other threads get a lock."""
    got: list[bool] = []
    thread = threading.Thread(
        target=lambda: got.append(lock.acquire(timeout=1) and not lock.release())
    )
    thread.start()
    thread.join()
    return got == [True]


@pytest.mark.parametrize("runner", RUNNERS, ids=["sequential", "concurrent"])
def test_an_alarm_of_the_users_that_rings_anywhere_leaves_no_run_without_an_end(
    runner: BaseTaskRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It may leave a lock of the standard library's logging taken for ever, also the one of all of it.
    for logger in (logging.root, logging.getLogger("flowdeck")):
        kept = [h for h in logger.handlers if not type(h).__module__.startswith("_pytest")]
        monkeypatch.setattr(logger, "handlers", kept)
    call = sync_flow(runner)
    chosen = random.Random(runner.name)

    def ring(signum: int, frame: Any) -> None:
        if frame.f_code.co_filename == logging.getLogger.__code__.co_filename:
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
            return
        raise Struck

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for _ in range(100):
            with run_in_memory() as record:
                with contextlib.suppress(Struck):
                    signal.setitimer(signal.ITIMER_REAL, chosen.uniform(0.0002, 0.01))
                    call()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                assert without_end(record) == []
                assert cancellation.live == {}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert is_free(logging._lock)  # type: ignore[attr-defined]

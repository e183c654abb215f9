"""Flow runs in which nothing goes on: their log says why within seconds, and so does `why`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import pytest

from clusters import until
from flowdeck import flow, task
from flowdeck.runs.waiting import waits
from flowdeck.settings import Settings, using
from flowdeck.stalls import watch
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck_app.reports.why import run_sentences, task_sentences
from flowdeck_store.events import now_us
from flowdeck_store.explain.flow_run import why_run
from flowdeck_store.explain.stall import StallRecord, stall_of
from flowdeck_store.explain.task_run import why_task
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.limits import set_limit

(DEFAULT,) = [one.default for one in fields(Settings) if one.name == "stall_seconds"]
SAID = "Nothing has gone on for "


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """Half a second is a standstill."""
    with using(stall_seconds=0.5):
        yield


def lines(home: Path, ref: str = "@last") -> list[str]:
    """What the log of a run says of standing still."""
    with Reader.open(home) as reader:
        run = reader.resolve_run(ref)
        return [
            row.message for row in reader.logs(run.id, 0, limit=0) if row.message.startswith(SAID)
        ]


def noted(home: Path, ref: str = "@last") -> StallRecord | None:
    with Reader.open(home) as reader:
        return stall_of(reader, reader.resolve_run(ref))


class Look:
    """Waits beside a flow run until something is noted of it, and lets it go on then.

    Attributes:
        lines: of the log.
        why: what `flowdeck why RUN` says.
        why_task: what `flowdeck why TASK_RUN` says.
    """

    def __init__(
        self,
        home: Path,
        go_on: Callable[[], object],
        no: int = 1,
        *,
        stall: bool = True,
        ref: str = "@last",
    ) -> None:
        self._home, self._go_on, self._no, self._stall = home, go_on, no, stall
        self._ref = ref
        self.lines: list[str] = []
        self.why: list[str] = []
        self.why_task: list[str] = []
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        began = time.monotonic()
        try:
            until(self._is_noted, 30)
            if self._stall:
                until(lambda: lines(self._home, self._ref), 30)
            self.seconds = time.monotonic() - began
            self.lines = lines(self._home, self._ref)
            with Reader.open(self._home) as reader:
                run = reader.resolve_run(self._ref)
                self.why = run_sentences(why_run(reader, run, now_us()), now_us())
                (one,) = reader.tasks_by_nos(run.id, [self._no])
                self.why_task = task_sentences(why_task(reader, one, now_us()), now_us())
        finally:
            self._go_on()

    def _is_noted(self) -> bool:
        try:
            found = noted(self._home, self._ref)
        except Exception:  # no run yet
            return False
        return found is not None and found.is_stall is self._stall

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()


HOLDER = """
import os, sys, time
from flowdeck import flow, task
@task(tags=["db"], task_run_name="held")
def hold(gate):
    open(gate + ".held", "w").close()
    end = time.monotonic() + 60
    while not os.path.exists(gate) and time.monotonic() < end:
        time.sleep(0.01)
@flow(flow_run_name="holder")
def holds(gate):
    hold(gate)
holds(sys.argv[1])
"""


@pytest.fixture
def other(home: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process whose run holds the only slot of the tag, and the file that lets it go on."""
    set_limit(home, "db", 1)
    script, gate = tmp_path / "holder.py", tmp_path / "gate"
    script.write_text(HOLDER)
    env = {**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONSOLE": "no"}
    process = subprocess.Popen([sys.executable, str(script), str(gate)], env=env)
    try:
        until(Path(f"{gate}.held").exists)
        yield process, gate
    finally:
        gate.touch()
        process.wait(30)


@pytest.mark.parametrize("runner", [ConcurrentTaskRunner(), SequentialTaskRunner()])
def test_a_slot_that_another_process_holds(
    home: Path, other: tuple[subprocess.Popen[bytes], Path], runner: Any
) -> None:
    process, gate = other

    @task(tags=["db"])
    def query(i: int) -> int:
        return i

    @task
    def after(x: int) -> int:
        return x

    @flow(task_runner=runner)
    def f() -> None:
        for future in query.map(range(100)):
            after.submit(future)

    with Look(home, gate.touch) as look:
        assert f(return_state=True).is_completed()
    assert look.seconds < 5
    (said,) = look.lines  # one for all of them
    assert " for a slot of tag 'db' (limit 1), held by held (1.1) of run holder in process " in said
    assert f"process {process.pid}" in said
    assert [
        text for text in look.why if " a slot of tag 'db' (limit 1), held by held (1.1)" in text
    ]
    assert "Waiting for a free slot of tag 'db'." in look.why_task[0]
    if not runner.submit_blocks:
        assert " and 99 more wait for a slot" in said
        assert "; 100 more wait for them: after-" in said


def test_an_upstream_that_waits_for_another_try(home: Path) -> None:
    calls: list[int] = []

    @task(retries=1, retry_delay_seconds=60)
    def flaky() -> int:
        calls.append(1)
        raise ValueError("no")

    @task
    def after(x: int) -> int:
        return x

    @flow
    def f() -> Any:
        first = flaky.submit()
        after.submit(after.submit(first))
        runs.append(first.task_run)

    runs: list[Any] = []

    def stop() -> None:
        from flowdeck.runs.stopping import stop_runs
        from flowdeck.runs.task_run import Stop

        stop_runs(runs, Stop.CANCEL)

    with Look(home, stop, no=3) as look:
        f(return_state=True)
    assert look.seconds < 5
    (said,) = look.lines
    assert " is tried again at " in said
    assert "; 2 more wait for it: after-" in said
    assert [
        text for text in look.why_task if text.startswith("It waits for after-0 (1.2), which is")
    ]
    assert not [text for text in look.why_task if "for a worker" in text]
    assert calls == [1]


def test_all_threads_blocked_by_what_queued_tasks_would_end(home: Path) -> None:
    event = threading.Event()

    @task
    def waits_for_event() -> None:
        assert event.wait(60)

    @task
    def sets_event() -> None:
        event.set()

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def f() -> None:
        for _ in range(2):
            waits_for_event.submit()
        sets_event.submit()

    with Look(home, event.set, no=3) as look:
        assert f(return_state=True).is_completed()
    assert look.seconds < 5
    (said,) = look.lines
    assert "waits for a thread: all 2 are blocked in a wait for another thread: " in said
    assert "waits_for_event at test_stalls.py:" in said
    meanwhile = [text for text in look.why if text.startswith("Meanwhile: waits_for_event-")]
    assert meanwhile
    assert meanwhile[0].count(" in waits_for_event at test_stalls.py:") == 2


def test_a_chain_of_upstreams_leads_to_what_the_first_of_them_waits_for(
    home: Path, other: tuple[subprocess.Popen[bytes], Path]
) -> None:
    """The upstream runs: it waits for a task of its own, and that one for a slot."""
    _, gate = other

    @task(tags=["db"])
    def query() -> int:
        return 1

    submitted = threading.Event()  # so that the numbers of the task runs are always the same

    @task
    def asks() -> int:
        assert submitted.wait(30)
        return query.submit().result()

    @task
    def after(x: int) -> int:
        return x

    @flow
    def f() -> Any:
        last = after.submit(after.submit(asks.submit()))
        submitted.set()
        return last.result()

    with Look(home, gate.touch, no=3) as look:
        assert f() == 1
    assert look.seconds < 5
    (said,) = look.lines
    assert "query-" in said
    assert " for a slot of tag 'db' (limit 1), held by held (1.1) of run holder" in said
    assert "; 2 more wait for it: after-" in said
    assert [text for text in look.why_task if text.startswith("It waits for after-")]


def test_what_the_default_is_is_said_within_five_seconds() -> None:
    assert 0 < DEFAULT + watch._PERIOD <= 5


@pytest.mark.long  # it takes the seconds that it measures
def test_with_the_default_it_is_said_within_five_seconds(home: Path) -> None:
    event = threading.Event()

    @task
    def waits_for_event() -> None:
        assert event.wait(60)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> None:
        waits_for_event.submit()
        waits_for_event.submit()

    with using(stall_seconds=DEFAULT), Look(home, event.set, no=2) as look:
        assert f(return_state=True).is_completed()
    assert look.lines
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        (said,) = [row for row in reader.logs(run.id, 0, limit=0) if row.message in look.lines]
        assert run.started_us is not None
        assert 3 < (said.us - run.started_us) / 1e6 <= 5


def test_a_loop_that_its_own_flow_blocks(home: Path) -> None:
    release = threading.Event()

    @task
    async def quick() -> int:
        return 1

    @flow
    async def f() -> Any:
        future = await quick.submit()
        assert release.wait(60)  # on the loop
        return await future.result()

    with Look(home, release.set) as look:
        assert asyncio.run(f()) == 1
    assert look.seconds < 5
    (said,) = look.lines
    assert (
        " waits for the event loop, which is blocked by the flow's own code in f at test_st" in said
    )


def test_a_slot_that_is_held_by_who_waits_for_the_one_that_needs_it(home: Path) -> None:
    set_limit(home, "db", 1)

    @task(tags=["db"])
    def inner() -> int:
        return 1

    @task(tags=["db"])
    def outer() -> Any:
        inners.append(inner.submit())
        return inners[0].wait().name

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> Any:
        return outer.submit().result()

    inners: list[Any] = []

    def stop() -> None:
        from flowdeck.runs.stopping import stop_runs
        from flowdeck.runs.task_run import Stop

        stop_runs([inners[0].task_run], Stop.CANCEL)

    with Look(home, stop, no=2) as look:
        assert f() == "Cancelled"
    assert look.seconds < 5
    (said,) = look.lines
    assert "held by outer-" in said
    assert " meanwhile: neither can go on." in said


def test_resources_that_are_held_by_who_waits_for_the_one_that_needs_them(home: Path) -> None:
    @task(resources={"bay": 1}, task_run_name="inner")
    def inner() -> int:
        return 1

    @task(resources={"bay": 1}, task_run_name="outer")
    def outer() -> Any:
        inners.append(inner.submit())
        return inners[0].wait().name

    @flow(task_runner=ConcurrentTaskRunner(resources={"bay": 1}))
    def f() -> Any:
        return outer.submit().result()

    inners: list[Any] = []

    def stop() -> None:
        from flowdeck.runs.stopping import stop_runs
        from flowdeck.runs.task_run import Stop

        stop_runs([inners[0].task_run], Stop.CANCEL)

    with Look(home, stop, no=2) as look:
        assert f() == "Cancelled"
    (said,) = look.lines
    assert "waits for resource bay (limit 1), held by outer (1), which waits for inner" in said
    assert " meanwhile: neither can go on." in said


def test_the_subflow_that_stands_says_it_and_why_of_its_parent_too(
    home: Path, other: tuple[subprocess.Popen[bytes], Path]
) -> None:
    _, gate = other

    @task(tags=["db"])
    def query() -> int:
        return 1

    @flow
    def child() -> Any:
        return query.submit().result()

    @flow
    def parent() -> Any:
        return child()

    notes: list[StallRecord | None] = []

    def go_on() -> None:
        notes.append(until(lambda: noted(home, "2"), 30))
        gate.touch()

    with Look(home, go_on, ref="3") as look:
        assert parent() == 1
    assert len(look.lines) == 1
    assert not lines(home, "2")
    assert notes[0] is not None
    assert " waits for a slot of tag 'db'" in notes[0].text
    assert noted(home, "2") is None


def test_functions_that_others_queue_behind_are_told_by_why_and_not_by_the_log(home: Path) -> None:
    release = threading.Event()

    @task
    def works() -> None:
        while not release.is_set():
            time.sleep(0.01)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def f() -> None:
        for _ in range(4):
            works.submit()

    with Look(home, release.set, no=4, stall=False) as look:
        assert f(return_state=True).is_completed()
    assert not look.lines
    assert [text for text in look.why if " wait for a thread: all 2 are busy." in text]
    (meanwhile,) = [text for text in look.why if text.startswith("Meanwhile: ")]
    assert meanwhile.count(" in works at test_stalls.py:") == 2


def test_async_tasks_that_wait_for_a_place_are_told_by_why(home: Path) -> None:
    @task
    async def works() -> None:
        while not release.is_set():
            await asyncio.sleep(0.01)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    async def f() -> None:
        for _ in range(4):
            await works.submit()

    release = threading.Event()
    with Look(home, release.set, no=4, stall=False) as look:
        asyncio.run(f())
    assert not look.lines
    assert [t for t in look.why if " wait for one of the 2 places on the event loop." in t]
    (meanwhile,) = [text for text in look.why if text.startswith("Meanwhile: ")]
    assert meanwhile.count("works-") == 2


def test_what_executes_is_no_stall_and_what_goes_on_is_forgotten(home: Path) -> None:
    """Own code of the flow, a task that waits for one that it submitted, a subflow in a task."""

    @task
    def works() -> None:
        until(lambda: time.monotonic() > due, 30)

    @task
    def nested() -> Any:
        return works.submit().wait().name

    @flow
    def child() -> Any:
        return works.submit().wait().name

    @task
    def calls_flow() -> Any:
        return child()

    @task
    def after(x: Any) -> None:
        pass

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> None:
        nonlocal due
        for what in (works, nested, calls_flow):
            due = time.monotonic() + 1.2
            after.submit(what.submit()).wait()

    due = 0.0
    assert f(return_state=True).is_completed()
    assert not lines(home, "1")
    assert noted(home, "1") is None
    assert not waits


def test_with_zero_nobody_looks(home: Path) -> None:
    calls: list[int] = []

    @task(retries=1, retry_delay_seconds=1.5)
    def flaky() -> int:
        calls.append(1)
        if len(calls) < 2:
            raise ValueError("no")
        return 1

    @flow
    def f() -> Any:
        return flaky.submit().result()

    with using(stall_seconds=0):
        assert f() == 1
    assert not lines(home)


def test_a_look_that_was_kept_waiting_is_followed_by_the_next_one_soon(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a look takes long without using the processor: that is no reason to rest."""
    looks: list[float] = []
    last = threading.Event()

    def look(*_: Any) -> None:
        looks.append(time.monotonic())
        if len(looks) == 1:
            threading.Event().wait(0.3)  # what a processor does meanwhile that others have
        else:
            last.set()

    @flow
    def f() -> bool:
        return last.wait(10)

    monkeypatch.setattr(watch, "_look", look)
    assert f()

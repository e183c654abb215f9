"""Slots of limits for blocks of code, in this process and in others."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.concurrency import asyncio as for_async
from flowdeck.concurrency import claims, concurrency, rate_limit
from flowdeck.concurrency import sync as for_sync
from flowdeck.exceptions import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
)
from flowdeck.runs import recorder as recording
from flowdeck.runs.stopping import stop_runs
from flowdeck.runs.task_run import Stop
from flowdeck.task_runners import ConcurrentTaskRunner, ProcessTaskRunner
from flowdeck.testing import run_in_memory
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.blocks import SlotSession
from flowdeck_store.record.limits import list_limits, set_limit
from flowdeck_store.upkeep.liveness import recover
from flowdeck_store.upkeep.slot_holders import slot_holders

pytestmark = pytest.mark.timeout(60)


def in_use(home: Path) -> dict[str, int]:
    return {limit.tag: limit.in_use for limit in list_limits(home)}


def _through(session: SlotSession, noted: Any, call: Any, *args: Any) -> Any:
    return noted(call, session, *args)


def until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_block_holds_its_slots_and_gives_them_back_also_when_it_fails(home: Path) -> None:
    set_limit(home, "db", 4)
    with concurrency("db", occupy=3):
        assert in_use(home) == {"db": 3}
        with (
            pytest.raises(AcquireConcurrencySlotTimeoutError, match="2 slots of the limit 'db'"),
            concurrency("db", occupy=2, timeout_seconds=0),
        ):
            pytest.fail("there is one")
    assert in_use(home) == {"db": 0}
    with pytest.raises(ValueError, match="mine"), concurrency("db"):
        raise ValueError("mine")
    assert in_use(home) == {"db": 0}


def test_a_block_gets_slots_of_all_its_limits_or_of_none(home: Path) -> None:
    set_limit(home, "db", 1)
    set_limit(home, "api", 1)
    with concurrency("api"):
        with pytest.raises(TimeoutError), concurrency(["db", "api"], timeout_seconds=0):
            pytest.fail("one of them is full")
        assert in_use(home) == {"api": 1, "db": 0}


def test_no_more_blocks_than_slots_execute_at_once_on_threads_and_on_a_loop(home: Path) -> None:
    set_limit(home, "db", 2)
    now, most = 0, 0

    def enter(by: int) -> None:
        nonlocal now, most
        now += by
        most = max(most, now)

    def on_thread() -> None:
        with concurrency("db"):
            enter(1)
            time.sleep(0.005)
            enter(-1)

    async def on_loop() -> None:
        async with concurrency("db"):
            enter(1)
            await asyncio.sleep(0.005)
            enter(-1)

    async def all_of_them() -> None:
        threads = (asyncio.to_thread(on_thread) for _ in range(4))
        await asyncio.gather(*threads, *(on_loop() for _ in range(4)))

    asyncio.run(all_of_them())
    assert most == 2
    assert in_use(home) == {"db": 0}
    assert not claims._lines


def test_the_slot_that_a_task_run_has_by_its_tag_counts(home: Path) -> None:
    set_limit(home, "db", 2)

    @task(tags=["db"])
    def query() -> dict[str, int]:
        with concurrency("db"):
            one = in_use(home)["db"]
        with concurrency("db", occupy=2):
            return {"one": one, "two": in_use(home)["db"]}

    @flow
    def f() -> Any:
        return query.submit().result()

    assert f() == {"one": 1, "two": 2}


def test_a_limit_that_does_not_exist_limits_nothing_unless_it_must(home: Path) -> None:
    @flow
    def f() -> None:
        with concurrency("db"):
            pass
        with concurrency("db"):
            pass

    f()
    recording.recorder().flush()
    lines = [row.message for row in Reader(home).logs(1) if "no limit" in row.message]
    assert len(lines) == 1
    assert "`flowdeck config limit db 4` sets one" in lines[0]
    with (
        pytest.raises(ConcurrencySlotAcquisitionError, match="There is no limit 'db'"),
        concurrency("db", strict=True),
    ):
        pytest.fail("it is strict")


def test_what_would_be_waited_for_forever_is_an_error(home: Path) -> None:
    set_limit(home, "db", 2)
    set_limit(home, "off", 0)
    for names, occupy in (("db", 3), ("off", 1)):
        with (
            pytest.raises(ConcurrencySlotAcquisitionError, match="waited for forever"),
            concurrency(names, occupy),
        ):
            pytest.fail("there are not so many")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("",), ValueError), (([],), ValueError), ((5,), TypeError), (("db", 0), ValueError),
     (("db", 1.5), TypeError), (("db", 1, -1), ValueError)],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused_where_they_stand(
    arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        concurrency(*arguments)


def test_code_on_a_loop_is_told_to_await(home: Path) -> None:
    async def wrong() -> None:
        with concurrency("db"):
            pytest.fail("it would block the loop")

    async def wrong_too() -> None:
        rate_limit("db")

    with pytest.raises(RuntimeError, match="use `async with concurrency"):
        asyncio.run(wrong())
    with pytest.raises(RuntimeError, match=r"await flowdeck\.concurrency\.asyncio"):
        asyncio.run(wrong_too())


def test_a_cancelled_task_stops_waiting_and_holds_nothing(home: Path) -> None:
    set_limit(home, "db", 1)

    @task
    def wait_for_it() -> None:
        with concurrency("db"):
            pytest.fail("it is held")

    @task
    async def wait_async() -> None:
        async with concurrency("db"):
            pytest.fail("it is held")

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> list[str]:
        with concurrency("db"):
            futures: Any = [wait_for_it.submit(), wait_async.submit()]
            until(lambda: [len(line) for line in claims._lines.values()] == [2])
            stop_runs([future.task_run for future in futures], Stop.CANCEL)
            return [future.wait().name for future in futures]

    assert f() == ["Cancelled", "Cancelled"]
    assert in_use(home) == {"db": 0}
    assert not claims._lines


def test_the_names_of_prefect_3_are_there() -> None:
    assert for_sync.concurrency is for_async.concurrency is concurrency
    assert for_sync.rate_limit is rate_limit
    assert asyncio.iscoroutinefunction(for_async.rate_limit)


def test_nothing_is_limited_where_nothing_is_recorded(home: Path) -> None:
    set_limit(home, "db", 1)

    @flow
    def f() -> str:
        with concurrency("db"), concurrency("db"):
            return "twice"

    with run_in_memory():
        assert f() == "twice"
    assert in_use(home) == {"db": 0}


# -- rates ------------------------------------------------------------------------------------------------


def test_a_rate_lets_as_many_through_as_have_come_free(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowdeck_store.record import blocks

    now = 1_000_000_000
    monkeypatch.setattr(blocks, "now_us", lambda: now)
    set_limit(home, "api", 4, 2.0)
    rate_limit("api", occupy=3)
    with pytest.raises(TimeoutError, match="within 0 seconds"):
        rate_limit("api", occupy=2, timeout_seconds=0)
    now += 500_000  # one has come free
    rate_limit("api", occupy=2, timeout_seconds=0)
    with pytest.raises(TimeoutError):
        asyncio.run(for_async.rate_limit("api", timeout_seconds=0))
    now += 60_000_000  # never more than the limit
    rate_limit("api", occupy=4, timeout_seconds=0)
    with pytest.raises(TimeoutError):
        rate_limit("api", timeout_seconds=0)
    assert in_use(home) == {"api": 0}


def test_who_waits_for_a_rate_goes_on_when_there_is_room(home: Path) -> None:
    set_limit(home, "api", 1, 50.0)
    for _ in range(3):
        rate_limit("api")
    asyncio.run(for_async.rate_limit("api", timeout_seconds=30))


def test_rates_of_several_limits_are_taken_together_or_not_at_all(home: Path) -> None:
    set_limit(home, "api", 1, 0.001)
    set_limit(home, "all", 2, 0.001)
    rate_limit("api")
    with pytest.raises(TimeoutError):
        rate_limit(["all", "api"], timeout_seconds=0)
    rate_limit("all", occupy=2, timeout_seconds=0)


def test_a_limit_that_is_no_rate_says_how_it_becomes_one(home: Path) -> None:
    set_limit(home, "api", 3)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="limit api 3 --per-second 1"):
        rate_limit("api")
    set_limit(home, "api", 3, 5)
    rate_limit("api")
    assert [limit.decay for limit in list_limits(home)] == [5.0]
    set_limit(home, "api", None)
    set_limit(home, "api", 3)
    assert [limit.decay for limit in list_limits(home)] == [None]
    with pytest.raises(ValueError, match="above 0"):
        set_limit(home, "api", 3, 0)


# -- other processes ------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from flowdeck.concurrency import concurrency
with concurrency("db", occupy=2):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_held_comes_free(home: Path) -> None:
    set_limit(home, "db", 3)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        (holder,) = slot_holders(home, ["db"])
        assert (holder.pid, holder.slots, holder.is_alive) == (child.pid, 2, True)
        with (
            pytest.raises(TimeoutError, match=f"held by a program in process {child.pid}"),
            concurrency("db", 2, timeout_seconds=0),
        ):
            pytest.fail("it is held")
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with concurrency("db", 3, timeout_seconds=20):
            assert in_use(home) == {"db": 3}
    finally:
        child.kill()
        child.communicate()
    recover(home)
    assert in_use(home) == {"db": 0}


def test_workers_share_the_limits_of_the_record_and_a_killed_one_frees_its_slot(
    home: Path, tmp_path: Path
) -> None:
    set_limit(home, "db", 1)

    @task
    def count(path: str) -> int:
        with concurrency("db"):
            held = in_use(home)["db"]
            with open(path, "a") as file:
                file.write("x")
            seen = os.path.getsize(path)
            os.truncate(path, 0)
        return held * seen

    @task(retries=0)
    def die() -> None:
        with concurrency("db"):
            os.kill(os.getpid(), signal.SIGKILL)

    @flow(task_runner=ProcessTaskRunner(max_workers=2))
    def f() -> Any:
        dead = die.submit()
        dead.wait()
        return [future.result() for future in count.map([str(tmp_path / "file")] * 4)]

    state: Any = f(return_state=True)
    assert state.is_completed(), state.message
    assert state.result() == [1, 1, 1, 1]
    assert in_use(home)["db"] == 0


def test_a_worker_that_cannot_reach_the_record_says_what_to_use(home: Path) -> None:
    @task
    def elsewhere() -> str:
        from flowdeck.concurrency import records
        from flowdeck.threads import active

        active.current_run().info.home = "/nowhere/at-all"
        records._reached.clear()
        try:
            with concurrency("db"):
                return "entered"
        except ConcurrencySlotAcquisitionError as error:
            return str(error)

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        return elsewhere.submit().result()

    text = f()
    assert "/nowhere/at-all, which cannot be reached from here" in text
    assert "Give the task a tag that has the limit" in text


def test_a_program_without_flows_is_told_on_its_console(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claims, "_TOLD_AFTER", ((0.0, 20),))
    set_limit(home, "db", 1)
    with concurrency("db"), pytest.raises(TimeoutError), concurrency("db", timeout_seconds=1):
        pytest.fail("it is held")
    assert (
        "Has waited for 0 seconds for a slot of the limit 'db', held by" in capsys.readouterr().err
    )


def test_a_long_wait_is_told_with_who_holds_the_slot(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_TOLD_AFTER", ((0.0, 20),))
    set_limit(home, "db", 1)
    waits = threading.Event()

    @task(task_run_name="holder")
    def holder() -> None:
        with concurrency("db"):
            waits.wait(30)

    @task
    def waiter() -> None:
        with concurrency("db"):
            pass

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> None:
        holder.submit()
        until(lambda: in_use(home)["db"] == 1)
        waiter.submit()
        until(lambda: any("Has waited" in row.message for row in Reader(home).logs(1)))
        waits.set()

    f()
    recording.recorder().flush()
    (text,) = [row.message for row in Reader(home).logs(1) if "Has waited" in row.message]
    # Its name, if that was in the record then.
    assert re.search(
        r"for a slot of the limit 'db', held by (holder|a task run) \(1\.1\) of run ", text
    )


def test_what_is_no_name_is_told() -> None:
    with pytest.raises(TypeError, match="is a text such as 'database', not None"):
        concurrency(None)  # type: ignore[arg-type]


def test_no_stop_strikes_where_the_record_is_asked_for_slots(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that lands in the middle of that left locks taken for ever: the process stood still."""
    set_limit(home, "db", 2)
    set_limit(home, "api", 100, 100.0)
    threads: list[int] = []

    def noted(call: Any, *args: Any) -> Any:
        threads.append(threading.get_ident())
        return call(*args)

    for name in ("take", "take_at_rate", "give_back"):
        call = getattr(SlotSession, name)
        monkeypatch.setattr(SlotSession, name, functools.partialmethod(_through, noted, call))

    @task
    def uses() -> int:
        rate_limit("api")
        with concurrency("db"):
            return threading.get_ident()

    @flow(task_runner=ConcurrentTaskRunner())
    def used() -> int:
        return uses.submit().result()

    mine = used()
    assert len(threads) == 3
    assert mine not in threads
    assert in_use(home)["db"] == 0

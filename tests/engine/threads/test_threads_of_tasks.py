"""Threads that a task starts are what they would be in plain Python: no daemons, and the end of the
process waits for them. What cannot be stopped still does not keep the process alive."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import run_in_memory
from flowdeck.threads import active


def started_daemon() -> bool:
    """Say whether a thread that is started here is a daemon."""
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return thread.daemon


@task
def plain() -> bool:
    return started_daemon()


@task(timeout_seconds=30)
def timed() -> bool:
    return started_daemon()


@task
async def on_a_loop() -> bool:
    return started_daemon()


@flow
def sync_child() -> bool:
    return started_daemon()


@flow
async def async_child() -> bool:
    return started_daemon()


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_threads_of_tasks_are_no_daemons(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def sync_parent() -> list[bool]:
        submitted = [f.submit() for f in (plain, timed, on_a_loop)]
        called = [f() for f in (plain, timed, on_a_loop, sync_child, async_child)]
        return [future.result() for future in submitted] + called

    @flow(task_runner=runner)
    async def async_parent() -> list[bool]:
        found = [plain.submit().result(), timed.submit().result()]
        found += [await (await on_a_loop.submit()).result(), plain(), timed(), await on_a_loop()]
        return [*found, sync_child(), await async_child()]

    import asyncio

    with run_in_memory():
        assert sync_parent() == [False] * 8
        assert asyncio.run(async_parent()) == [False] * 8


def test_worker_threads_are_anyios_again_after_a_flow() -> None:
    """What anyio runs on them later is not ours."""

    @task
    def where() -> threading.Thread:
        return threading.current_thread()

    @flow
    def once() -> Any:
        return where.submit().result()

    with run_in_memory():
        thread = once()  # only this one: others may execute what earlier tests left behind
    assert thread.name == "AnyIO worker thread"
    end = time.monotonic() + 30
    while not thread.daemon:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_end_of_a_process_waits_for_threads_of_tasks_and_for_no_thread_of_ours(
    home: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import anyio.to_thread, sys, threading, time
            from flowdeck import flow, task

            def upload(name):
                threading.main_thread().join()  # it goes on when the script has ended
                open(sys.argv[1] + "/" + name, "w").close()

            @task
            def plain(name):
                threading.Thread(target=upload, args=[name]).start()

            @task(timeout_seconds=30)
            def timed(name):
                threading.Thread(target=upload, args=[name]).start()

            @task
            async def on_a_loop(name):
                threading.Thread(target=upload, args=[name]).start()

            @task
            async def in_a_worker_of_the_loop():
                return await anyio.to_thread.run_sync(int)

            @task(timeout_seconds=0.01)
            def stuck():
                time.sleep(3600)

            @flow
            def main():
                for one in (plain, timed, on_a_loop):
                    one.submit(one.name)
                assert in_a_worker_of_the_loop.submit().result() == 0
                assert stuck.submit().wait().name == "TimedOut"
                return 1

            main()
            """
        )
    )
    environment = {**os.environ, "FLOWDECK_HOME": str(home)}
    subprocess.run([sys.executable, script, str(tmp_path)], env=environment, check=True, timeout=50)
    assert {p.name for p in tmp_path.iterdir()} >= {"plain", "timed", "on_a_loop"}


def test_a_loop_is_asked_for_while_another_thread_imports_asyncio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "asyncio", types.ModuleType("asyncio"))  # as far as it is yet
    assert active.running_loop() is None

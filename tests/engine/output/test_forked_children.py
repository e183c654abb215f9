"""Log lines and prints of processes that a run forks: they are in its record."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.stopping.cancellation import ctrl_c_cancels
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record, run_in_memory
from flowdeck_store import events
from flowdeck_store.read.reader import Reader

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Python 3.12 warns of each fork of a process with threads.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
forking = multiprocessing.get_context("fork")


def child(number: int) -> int:
    get_run_logger().info("logged by child %d", number)
    print("printed by child", number)
    return number


@task
def pooled(numbers: list[int]) -> int:
    with forking.Pool(2) as pool:
        return sum(pool.map(child, numbers, chunksize=1))


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_lines_of_a_pool_are_in_the_record_of_the_task(record: Record, runner: Any) -> None:
    @flow(log_prints=True, task_runner=runner)
    def f() -> Any:
        return pooled.submit([1, 2, 3]).result() + pooled([4])

    before = threading.active_count()
    assert f() == 10
    lines = [(e["no"], e["msg"]) for e in record.of_kind(events.LOG) if "child" in e["msg"]]
    expected = {(1, n) for n in (1, 2, 3)} | {(2, 4)}
    assert sorted(lines) == sorted(
        (no, f"{how} by child {n}") for no, n in expected for how in ("logged", "printed")
    )
    assert not [t for t in threading.enumerate() if t.name == "flowdeck-forked" and _lives(t)]
    assert threading.active_count() <= before + 8  # those of the runner's pool may stay


def _lives(thread: threading.Thread) -> bool:
    thread.join(10)
    return thread.is_alive()


def test_lines_before_the_end_are_recorded_before_the_end(record: Record) -> None:
    @flow(log_prints=True)
    def f() -> None:
        pooled([1])

    f()
    kinds = [
        (e["kind"], e.get("msg"))
        for e in record.events
        if e.get("no") == 1 and e["kind"] in {events.LOG, events.STATE}
    ]
    last = max(i for i, (kind, _) in enumerate(kinds) if kind == events.STATE)
    assert "printed by child 1" in [text for _, text in kinds[:last]]


def test_a_script_shows_and_records_them_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, os\nfrom flowdeck import flow, get_run_logger, task\n"
        "def child(n):\n    get_run_logger().info('logged %d', n)\n    print('printed', n)\n"
        "@task\ndef t(log_prints):\n"
        "    get_run_logger().info('lingers in the parent')\n"
        "    ctx = multiprocessing.get_context('fork')\n"
        "    with ctx.Pool(2) as pool:\n        pool.map(child, [1, 2], chunksize=1)\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n        print('x' * 300_000)\n        print('of a fork'); os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "@flow(log_prints=True)\ndef f():\n    t.submit(True)\n"
        "f()\n"
    )
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env={**os.environ, "FLOWDECK_HOME": str(home)},
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    texts = ("logged 1", "logged 2", "printed 1", "printed 2", "of a fork", "lingers in the parent")
    assert {text: shown.count(text) for text in texts} == dict.fromkeys(texts, 1)
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        lines = [line.message for line in reader.logs(run.id, 1)]
    assert {text: lines.count(text) for text in texts} == dict.fromkeys(texts, 1)
    assert [line for line in lines if line.startswith("xxx")]


def test_a_child_that_outlives_its_run_disturbs_nothing(record: Record) -> None:
    read, write = os.pipe()

    @flow(log_prints=True)
    def f() -> None:
        pid = os.fork()
        if pid == 0:
            with warnings.catch_warnings():
                os.read(read, 1)  # until the run is over
                print("too late")
                os._exit(7)
        children.append(pid)

    children: list[int] = []
    f()
    os.write(write, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
    assert "too late" not in record.logs


def test_a_child_of_no_run_that_executes_flows_disturbs_nothing(record: Record) -> None:
    """It has a copy of the way that children of runs have, and none to use it."""

    @flow
    def of_the_child() -> int:
        return 1

    def forks_outside_of_runs() -> None:
        pid = os.fork()
        if pid == 0:
            code = 3
            with contextlib.suppress(BaseException), run_in_memory():
                signal.alarm(30)
                code = of_the_child() - 1
            os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def says(text: str) -> None:
        pid = os.fork()
        if pid == 0:
            print(text)
            os._exit(0)
        os.waitpid(pid, 0)

    @flow(log_prints=True)
    def f() -> None:
        says("before")
        thread = threading.Thread(target=forks_outside_of_runs)
        thread.start()
        thread.join()
        says("after")

    codes: list[int] = []
    f()
    assert codes == [0]
    assert [text for text in record.logs if text in {"before", "after"}] == ["before", "after"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_do_to_a_child_what_they_do_to_any_process(number: int) -> None:
    """Not what they do to a process that executes flow runs: a pool's children must end."""

    read, write = os.pipe()

    @task
    def forks() -> int:
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            try:
                os.write(write, b"x")
                while True:  # not signal.pause(): one that came just before would be missed
                    time.sleep(0.02)
            except BaseException:
                os._exit(130)
        if number == signal.SIGINT:  # Python's own handler raises: not before somebody catches it
            os.read(read, 1)
        os.kill(pid, number)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @flow
    def f() -> Any:
        return forks()

    with run_in_memory(), ctrl_c_cancels():
        assert f() == (130 if number == signal.SIGINT else -number)

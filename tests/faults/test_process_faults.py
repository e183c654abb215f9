"""Worker processes that die, tasks that have to be killed, and a flow's process that is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import ProcessTaskRunner
from flowdeck.task_runners._process import pool as workers
from flowdeck.task_runners._process import process_run

if TYPE_CHECKING:
    from collections.abc import Callable


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def is_buried(pid: int) -> bool:
    """Say whether who started a process has taken note of its end: one of many threads is a zombie
    for a moment while the others still end, and nobody is told until they have."""
    return not Path(f"/proc/{pid}").exists()


def read_pid(path: Path) -> int:
    until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


@task
def pid_of(_: Any = None) -> int:
    return os.getpid()


@task
def die(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


@task
def leave(code: int) -> None:
    os._exit(code)


@task
def hold_on(path: str) -> None:
    """Does not let itself be stopped, neither by an exception nor by SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(path + ".new").write_text(str(os.getpid()))
    os.rename(path + ".new", path)
    while True:
        try:
            time.sleep(0.02)
        except BaseException:
            pass


@task(timeout_seconds=0.2)
def overstay(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(0.02)
        except BaseException:
            pass


def test_a_task_whose_worker_is_killed_crashes_and_names_the_signal_and_the_others_go_on() -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=2))
    def f() -> Any:
        killed = die.submit(signal.SIGKILL)
        left = leave.submit(7)
        others = [future.result() for future in pid_of.map(range(8))]
        states = [future.wait() for future in (killed, left)]
        return [state.name for state in states], [state.message for state in states], len(others)

    names, messages, others = f()
    assert names == ["Crashed", "Crashed"]
    assert "was killed by SIGKILL" in messages[0]
    assert "exited with code 7" in messages[1]
    assert others == 8


def test_a_worker_that_dies_between_two_tasks_is_replaced() -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        before = pid_of.submit().result()
        os.kill(before, signal.SIGKILL)
        until(lambda: is_buried(before))
        return before, pid_of.submit().result()

    before, after = f()
    assert before != after


def test_a_task_crashes_and_says_why_if_no_worker_can_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=2))
    def f() -> Any:
        state = pid_of.submit().wait()
        return state.name, state.message

    monkeypatch.setattr(workers, "_COMMAND", "raise SystemExit(3)")
    monkeypatch.setattr(workers, "pool", fresh := type(workers.pool)())
    monkeypatch.setattr(process_run, "pool", fresh)
    name, message = f()
    assert name == "Crashed"
    assert "do not start: the last one exited with code 3" in message


def test_workers_are_kept_for_the_next_flow_run() -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        return pid_of.submit().result()

    assert f() == f()


def test_a_kept_worker_has_the_environment_and_the_folder_of_the_flow_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @task
    def where() -> tuple[str | None, str]:
        return os.environ.get("OF_THIS_RUN"), os.getcwd()

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        return where.submit().result()

    assert f()[0] is None
    monkeypatch.setenv("OF_THIS_RUN", "yes")
    monkeypatch.chdir(tmp_path)
    assert f() == ("yes", str(tmp_path))


def test_a_task_that_does_not_listen_to_a_cancel_is_killed_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "pid"

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        stubborn = hold_on.submit(str(path))
        pid = read_pid(path)
        stubborn.cancel()
        name = stubborn.wait().name
        until(lambda: is_buried(pid))
        return name, pid_of.submit().result() != pid

    assert f() == ("Cancelled", True)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_task_that_overstays_its_time_is_ended_with_its_process(
    tmp_path: Path, retries: int
) -> None:
    path = tmp_path / "pid"

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        state = overstay.with_options(retries=retries).submit(str(path)).wait()
        pid = read_pid(path)
        until(lambda: is_buried(pid))
        return state.name, pid_of.submit().result() != pid

    began = time.monotonic()
    assert f() == ("TimedOut", True)
    assert time.monotonic() - began < 25, "the try before was waited for"


@task(timeout_seconds=0.3)
def hold_the_interpreter(path: str) -> None:
    """As code of C may: no thread of its process runs meanwhile."""
    Path(path).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)


def test_a_task_that_lets_nothing_in_its_process_run_is_ended_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck.task_runners._process.load.STUCK", 0.5)

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def work() -> Any:
        stuck = hold_the_interpreter.submit(str(tmp_path / "pid"))
        after = pid_of.submit()
        return stuck.wait(), after.wait()

    stuck, after = work(return_state=True).data
    assert stuck.name == "Crashed"
    assert "Its time of 0.3 seconds was up" in stuck.message
    assert after.name == "Completed"
    until(lambda: is_buried(read_pid(tmp_path / "pid")))


def test_a_worker_process_that_holds_the_connection_open_in_a_child_is_noticed() -> None:
    @task
    def leaves_a_child() -> None:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        return leaves_a_child.submit().wait().name

    began = time.monotonic()
    assert f() == "Crashed"
    assert time.monotonic() - began < 4.5


def test_a_forked_child_of_the_flows_process_leaves_the_workers_alone() -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        before = pid_of.submit().result()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return before == pid_of.submit().result()

    assert f() is True


SCRIPT = """
import os, sys, time
from flowdeck import flow, task
from flowdeck.task_runners import ProcessTaskRunner

class Mine:
    pass

@task
def work(folder):
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(100)

@task
def own(x):
    return type(x).__name__, Mine()

@flow(task_runner=ProcessTaskRunner(max_workers=2))
def f(folder):
    name, back = own.submit(Mine()).result()
    assert name == "Mine" and type(back) is Mine
    work.map([folder] * 2)

f(sys.argv[1])
"""


def test_no_worker_outlives_a_flows_process_that_is_killed_in_a_script_without_a_guard(
    tmp_path: Path,
) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    folder.mkdir()
    process = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.PIPE)
    try:
        until(lambda: len(list(folder.iterdir())) == 2 or process.poll() is not None)
        assert process.poll() is None, (process.stderr or sys.stdin).read()
    finally:
        process.kill()
        process.wait()
    assert process.stderr is not None
    process.stderr.close()
    pids = [int(path.name) for path in folder.iterdir()]
    until(lambda: not any(is_alive(pid) for pid in pids))


def test_what_a_task_logs_and_prints_arrives_while_it_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go = tmp_path / "go"

    @task
    def speak(go: str) -> None:
        print("from the worker")
        while not os.path.exists(go):
            time.sleep(0.01)

    seen: list[str] = []

    def heard() -> bool:
        seen.append(capsys.readouterr().out)
        return "from the worker" in "".join(seen)

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        future = speak.submit(str(go))
        until(heard)
        running = future.state.name
        go.touch()
        return running, future.wait().name

    assert f() == ("Running", "Completed")

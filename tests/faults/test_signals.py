"""Ctrl-C, SIGTERM and requests to cancel, sent to real processes that run real flows."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store.errors import NotFound
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import control

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCRIPT = """
import asyncio, sys, time
from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

@task
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)

@task
def stuck(seconds):
    time.sleep(seconds)

@task
async def nap(seconds):
    await asyncio.sleep(seconds)

@flow(task_runner=ConcurrentTaskRunner(max_workers=2))
def many():
    for _ in range(6):
        spin.submit(60)
    nap.submit(60)
    print("ready", flush=True)

@flow(task_runner=SequentialTaskRunner())
def body():
    print("ready", flush=True)
    spin.fn(60)

@flow
async def in_loop():
    await nap.submit(60)
    print("ready", flush=True)
    await asyncio.sleep(60)

@flow
def with_stuck_thread():
    stuck.submit(600)
    print("ready", flush=True)

@flow
def parent():
    many()

if __name__ == "__main__":
    flow_ = globals()[sys.argv[1]]
    if flow_.isasync:
        asyncio.run(flow_())
    else:
        flow_()
"""


class Process:
    """A script that runs one flow, and its record."""

    def __init__(self, script: Path, home: Path, name: str) -> None:
        self.home = home
        env = {**os.environ, "FLOWDECK_HOME": str(home)}
        self.process = subprocess.Popen(
            [sys.executable, str(script), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == "ready", self.process.communicate()

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def end(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err

    def until(self, condition: Callable[[Reader], bool]) -> None:
        deadline = time.monotonic() + 20
        while True:
            with Reader.open(self.home) as reader, contextlib.suppress(NotFound):
                if condition(reader):
                    return
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)

    def states(self) -> tuple[str, dict[str, int]]:
        """The flow run's last state, and how many task runs ended how."""
        with Reader.open(self.home) as reader:
            run = reader.resolve_run("@last")
            tasks: dict[str, int] = {}
            for row in reader.tasks(run.id):
                tasks[row.state] = tasks.get(row.state, 0) + 1
            return run.state, tasks


def running(name: str, n: int) -> Callable[[Reader], bool]:
    return lambda reader: (
        sum(t.state == "Running" for t in reader.tasks(reader.resolve_run("@last").id)) >= n
    )


@pytest.fixture
def start(tmp_path: Path, home: Path) -> Any:
    script = tmp_path / "flows.py"
    script.write_text(SCRIPT)
    started: list[Process] = []

    def start(name: str) -> Process:
        process = Process(script, home, name)
        started.append(process)
        return process

    yield start
    for process in started:
        process.process.kill()
        process.process.communicate()


def test_ctrl_c_in_a_script_crashes_flow_and_tasks(start: Any) -> None:
    process = start("many")
    process.until(running("spin", 3))
    process.send(signal.SIGINT)
    code, err = process.end()
    assert code != 0
    assert "KeyboardInterrupt" in err
    assert process.states() == ("Crashed", {"Crashed": 7})
    with Reader.open(process.home) as reader:
        run = reader.resolve_run("@last")
        assert run.message == "Execution was aborted by an interrupt signal."
        row = reader.tasks(run.id)[0]
        assert row.message == "Execution was cancelled by the runtime environment."


def test_ctrl_c_interrupts_the_flow_function_itself(start: Any) -> None:
    process = start("body")
    process.send(signal.SIGINT)
    code, err = process.end()
    assert code != 0
    assert "KeyboardInterrupt" in err
    assert process.states()[0] == "Crashed"


def test_sigterm_in_a_script_crashes_and_ends_with_the_signal(start: Any) -> None:
    process = start("many")
    process.until(running("spin", 3))
    process.send(signal.SIGTERM)
    code, _ = process.end()
    assert code == -signal.SIGTERM
    state, tasks = process.states()
    assert (state, tasks) == ("Crashed", {"Crashed": 7})
    with Reader.open(process.home) as reader:
        message = reader.resolve_run("@last").message
        assert message == "Execution was aborted by a termination signal."


@pytest.mark.parametrize("name", ["many", "body", "in_loop"])
def test_a_request_from_another_process_cancels(start: Any, name: str) -> None:
    process = start(name)
    if name == "many":
        process.until(running("spin", 3))
    process.until(lambda reader: reader.resolve_run("@last").state == "Running")
    with Reader.open(process.home) as reader:
        run = reader.resolve_run("@last")
    control.request(process.home, run.id, "cancel")
    code, err = process.end()
    state, tasks = process.states()
    assert state == "Cancelled", err
    assert set(tasks) <= {"Cancelled"}
    assert code == 1
    assert "CancelledRun" in err
    with Reader.open(process.home) as reader:
        names = [s.state for s in reader.states(run.id, 0)]
        assert names[-2:] == ["Cancelling", "Cancelled"]


def test_cancelling_a_parent_cancels_its_subflow(start: Any) -> None:
    process = start("parent")
    process.until(lambda reader: len(reader.children(1)) == 1)
    control.request(process.home, 1, "cancel")
    process.end()
    with Reader.open(process.home) as reader:
        (child,) = reader.children(1)
        assert child.state == "Cancelled"
        parent = reader.run(1)
        assert parent is not None
        assert parent.state == "Cancelled"


def test_killing_a_parent_ends_its_subflow_in_the_record_too(start: Any) -> None:
    process = start("parent")
    process.until(lambda reader: len(reader.children(1)) == 1)
    control.request(process.home, 1, "kill", by="somebody")
    process.end()
    with Reader.open(process.home) as reader:
        (child,) = reader.children(1)
        runs = [reader.run(1), child, *reader.tasks(1), *reader.tasks(child.id)]
    assert len(runs) > 2
    said = {(run.state, run.message) for run in runs if run is not None}
    assert said == {("Crashed", "Killed on request of somebody.")}


def test_a_thread_that_cannot_be_stopped_is_left_behind_and_said_so(start: Any) -> None:
    process = start("with_stuck_thread")
    process.until(running("stuck", 1))
    began = time.monotonic()
    control.request(process.home, 1, "cancel")
    process.end()
    assert time.monotonic() - began < 20
    with Reader.open(process.home) as reader:
        (row,) = reader.tasks(1)
        assert row.state == "Cancelled"
        assert row.message is not None
        assert "goes on in the background" in row.message


def test_one_task_run_can_be_cancelled_alone(start: Any) -> None:
    process = start("many")
    process.until(running("spin", 3))
    control.request(process.home, 1, "cancel", task_no=1)
    process.until(lambda reader: reader.task(1, 1).state == "Cancelled")
    assert process.states()[0] == "Running"


def test_kill_minus_nine_leaves_a_run_that_the_next_look_makes_crashed(start: Any) -> None:
    from flowdeck_store.upkeep.liveness import recover

    process = start("many")
    process.until(running("spin", 3))
    process.send(signal.SIGKILL)
    process.end()
    recover(process.home)
    assert process.states() == ("Crashed", {"Crashed": 7})

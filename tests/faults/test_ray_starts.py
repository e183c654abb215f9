"""A temporary Ray that starts slowly, not at all, or is not wanted any more while it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from clusters import Machine, machine, processes_with, until

pytest.importorskip("ray")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(240)]

RAYLET, AGENTS = "raylet/raylet", ("dashboard/agent.py", "runtime_env/agent/main.py")

SCRIPT = """
import json
from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner

@task
def add(x):
    return x + 1

@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 1}))
def f():
    return add.submit(1).result()

try:
    print(json.dumps(f()))
except Exception as error:
    print(json.dumps(f"{type(error).__name__}: {error}"))
"""


@pytest.fixture
def script() -> Iterator[Machine]:
    with machine() as there:
        yield there


@contextlib.contextmanager
def signalled(
    there: Machine, program: str | tuple[str, ...], number: int, seconds: float = 0
) -> Iterator[dict[int, float]]:
    """Send each process of a program a signal as soon as it is there; yield which, and since when."""
    done = threading.Event()
    seen: dict[int, float] = {}

    def watch() -> None:
        while not done.wait(0.01):
            for pid, line in processes_with(str(there.folder)):
                # Ray's agents are Python programs, and what starts them has their names, too.
                first = line.split()[:3]
                if pid not in seen and any(word.endswith(program) for word in first):
                    seen[pid] = time.monotonic()
                    os.kill(pid, number)
            for pid, since in list(seen.items()):
                if seconds and time.monotonic() - since > seconds:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
def test_a_node_may_take_longer_than_ray_itself_waits(script: Machine) -> None:
    with signalled(script, RAYLET, signal.SIGSTOP, seconds=35) as stopped:
        said, _ = script.run(SCRIPT)
    assert said == 2
    assert len(stopped) == 1
    assert script.left == []


@pytest.mark.slow
def test_a_node_that_ends_because_its_agents_are_slow_is_started_again(script: Machine) -> None:
    with signalled(script, AGENTS, signal.SIGSTOP) as stopped:
        said, _ = script.run(SCRIPT)
    assert said == 2
    assert len(stopped) == 4
    assert script.left == []


def test_a_node_that_takes_too_long_is_ended_with_what_to_do(script: Machine) -> None:
    with signalled(script, RAYLET, signal.SIGSTOP) as stopped:
        said, err = script.run(SCRIPT, RAY_raylet_start_wait_time_s="3")
    assert len(stopped) == 1
    assert said == (
        "NotStarted: A local Ray did not start within 3 seconds: this machine is too busy. Run the "
        "flow again when it is less so, or set RAY_raylet_start_wait_time_s to more seconds."
    )
    assert script.left == []
    with script.reader() as reader:
        assert reader.resolve_run("@last").state == "Crashed"
    assert "Traceback" not in err


@pytest.mark.parametrize("program", [RAYLET, "gcs/gcs_server"], ids=["raylet", "gcs"])
def test_a_node_that_cannot_start_is_told_at_once(script: Machine, program: str) -> None:
    with signalled(script, program, signal.SIGKILL) as killed:
        said, _ = script.run(SCRIPT)
    assert len(killed) == 2
    name = program.rpartition("/")[2]
    assert said.startswith(f"NotStarted: A local Ray did not start: its {name} ended with code -9")
    assert "/dev/shm" in said
    assert script.left == []


def test_a_stop_while_a_node_does_not_come_up_is_heard_at_once(script: Machine) -> None:
    with signalled(script, RAYLET, signal.SIGSTOP) as stopped:
        process = script.start(SCRIPT)
        until(lambda: stopped, 120)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert time.monotonic() - began < 60  # it would wait for three minutes
    assert script.processes == []
    assert list(script.temp.glob("*")) == []


CONNECTION = """
import json, os, time
from pathlib import Path
from flowdeck.task_runners._ray.instance import TemporaryInstance
from flowdeck.task_runners._ray.connection_thread import ConnectionThread

class Interrupted(ConnectionThread):
    def start(self):
        super().start()
        while not list(Path(os.environ["TMPDIR"]).glob("fdray-*/*")):
            time.sleep(0.01)
        raise KeyboardInterrupt

kind = Interrupted if {inside} else ConnectionThread
thread = kind(lambda: TemporaryInstance({{"num_cpus": 1}}))
try:
    thread.open(None)
except KeyboardInterrupt:
    print(json.dumps("interrupted"))
else:
    print(json.dumps("opened"))
"""


@pytest.mark.parametrize("inside", [True, False], ids=["while it begins", "when it is open"])
def test_an_interruption_at_any_moment_leaves_nothing(script: Machine, inside: bool) -> None:
    said, err = script.run(CONNECTION.format(inside=inside))
    assert said == ("interrupted" if inside else "opened")
    assert err == ""
    assert script.left == []

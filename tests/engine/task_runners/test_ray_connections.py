"""Connections of the Ray task runner: temporary instances, existing ones, and what is left of them.

A process can be connected to one Ray only, so most of these run scripts in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

import clusters
from clusters import Machine
from ray_programs import RayHead

pytest.importorskip("ray")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with clusters.machine() as there:
        yield there


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    """A Ray that runs as programs."""
    with RayHead() as running:
        yield running


START = """
import json, logging, os, signal, sys, threading, warnings
warnings.simplefilter("error")
from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner

@task
def where():
    return os.getpid()

@task
def add(x, y=1):
    return x + y

lines = []
class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.getLogger("flowdeck.task_runner.ray").addHandler(Keep())

def threads():
    "Names of threads that do not end: Ray does not wait for one of its own."
    import time
    ours = {"MainThread", "flowdeck-writer", "flowdeck-loop"}
    until = time.monotonic() + 10
    while (left := {t.name for t in threading.enumerate()} - ours) and time.monotonic() < until:
        time.sleep(0.01)  # the pause between two looks
    return sorted(left)
"""


def test_a_temporary_instance_is_silent_and_leaves_nothing(machine: Machine) -> None:
    found, err = machine.run(
        START
        + """
@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 1}))
def f():
    import ray
    during.update(
        namespace=ray.get_runtime_context().namespace,
        guarded=bool(os.environ.get("RAY_AUTH_TOKEN")),
    )
    return add.submit(add.submit(1)).result(), where.submit().result() != os.getpid()

import ray
during = {}
before = dict(os.environ)
handler = signal.getsignal(signal.SIGTERM)
results = [f(), f()]
print(json.dumps({
    "results": results,
    "during": during,
    "lines": lines,
    "environment": sorted(k for k, v in os.environ.items() if before.get(k) != v),
    "threads": threads(),
    "handler": signal.getsignal(signal.SIGTERM) is handler,
    "initialized": ray.is_initialized(),
}))
"""
    )
    assert found["results"] == [[3, True], [3, True]]
    assert (
        found["lines"]
        == [
            "Creating a local Ray instance",
            "Using Ray cluster with 1 nodes.",
        ]
        * 2
    )
    assert found["during"]["namespace"] == "flowdeck"
    assert found["during"]["guarded"] is True
    assert found["environment"] == []
    assert found["threads"] == []
    assert found["handler"] is True
    assert found["initialized"] is False
    assert machine.left == []
    assert [line for line in err.splitlines() if " | INFO    | " not in line] == []


@pytest.mark.long  # a Ray of its own: 10 s
def test_a_ray_that_the_application_started_is_used_and_left_running(machine: Machine) -> None:
    found, _ = machine.run(
        START
        + """
from flowdeck.task_runners._ray.instance import TemporaryInstance

@flow(task_runner=RayTaskRunner())
def f():
    return add.submit(1).result()

mine = TemporaryInstance({"num_cpus": 1, "namespace": "mine"})
import ray
result = f()
still = ray.get(ray.remote(lambda: "runs").remote())
actors = ray.util.list_named_actors(all_namespaces=True)
mine.close()
print(json.dumps({"result": result, "still": still, "lines": lines, "actors": actors}))
"""
    )
    assert found == {
        "result": 2,
        "still": "runs",
        "lines": ["Local Ray instance is already initialized. Using existing local instance."],
        "actors": [],
    }


@pytest.mark.long
def test_what_a_flow_returns_outlives_its_temporary_instance(machine: Machine) -> None:
    found, _ = machine.run(
        START
        + """
@task
def big(n):
    return b"x" * n

@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 1}))
def f():
    kept, lost = big.submit(300_000), big.submit(300_001)
    kept.wait(), lost.wait()
    futures.append(lost)
    return kept

futures = []
state = f()
try:
    said = futures[0].result()
except Exception as error:
    said = f"{type(error).__name__}: {error}"
print(json.dumps({"kept": len(state.result()), "lost": said}))
"""
    )
    assert found["kept"] == 300_000
    assert found["lost"].startswith("MissingResult: The value was on a cluster that ended")


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(False, id="native"),
        pytest.param(True, id="client", marks=pytest.mark.long),  # 16 s: Ray starts five processes
    ],
)
def test_an_existing_ray_is_joined_and_left(machine: Machine, head: RayHead, client: bool) -> None:
    address = head.client_address if client else head.address
    found, err = machine.run(
        START
        + f"""
@flow(task_runner=RayTaskRunner(address={address!r}))
def f():
    return add.submit(add.submit(1)).result()

results = [f() for _ in range(3)]
left = threads()
import ray
from flowdeck.task_runners._ray.connection import attach
connection = attach({address!r}, {{}}, logging.getLogger("quiet"))
actors = [
    actor["name"]
    for actor in ray.util.list_named_actors(all_namespaces=True)
    if actor["name"] != connection.channel.name
]
connection.release()
print(json.dumps({{"results": results, "lines": lines, "threads": left, "actors": actors}}))
""",
        **head.environment,
    )
    assert found["results"] == [3, 3, 3]
    assert (
        found["lines"]
        == [
            f"Connecting to an existing Ray instance at {address}",
            "Using Ray cluster with 1 nodes.",
        ]
        * 3
    )
    assert found["threads"] == []
    assert found["actors"] == []
    assert [line for line in err.splitlines() if " | INFO    | " not in line] == []
    assert machine.left == []


@pytest.mark.long
def test_one_process_can_go_from_one_ray_to_another(machine: Machine, head: RayHead) -> None:
    found, _ = machine.run(
        START
        + f"""
@flow(task_runner=RayTaskRunner(address={head.client_address!r}))
def through_client():
    return add.submit(1).result()

@flow(task_runner=RayTaskRunner(address={head.address!r}))
def native():
    return add.submit(2).result()

@flow(task_runner=RayTaskRunner(init_kwargs={{"num_cpus": 1}}))
def temporary():
    return add.submit(3).result()

print(json.dumps([through_client(), temporary(), native(), through_client()]))
""",
        **head.environment,
    )
    assert found == [2, 4, 3, 2]
    assert machine.left == []


@pytest.mark.long
def test_two_rays_at_once_are_refused_with_a_reason(machine: Machine, head: RayHead) -> None:
    found, _ = machine.run(
        START
        + f"""
@flow(task_runner=RayTaskRunner(address={head.client_address!r}))
def child():
    return add.submit(1).result()

@flow(task_runner=RayTaskRunner(address={head.address!r}))
def parent():
    return child()

try:
    said = parent()
except Exception as error:
    said = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(said))
""",
        **head.environment,
    )
    assert found == (
        f"RuntimeError: This process is connected to a Ray at {head.address} already, and Ray "
        f"allows one connection in a process: run the flow that uses {head.client_address} in a "
        "process of its own, or give both the same address."
    )


@pytest.mark.long
def test_code_of_the_script_and_of_modules_beside_it_needs_no_import_on_workers(
    machine: Machine, head: RayHead
) -> None:
    (machine.folder / "beside_the_script.py").write_text(
        "class Point:\n"
        "    def __init__(self, x):\n"
        "        self.x = x\n"
        "def scale(point, by):\n"
        "    return Point(point.x * by)\n"
    )
    found, _ = machine.run(
        START
        + f"""
from beside_the_script import Point, scale

class Problem(Exception):
    pass

@task
def scaled(point):
    return scale(point, 2)

@task
def fail(point):
    raise Problem(point.x)

@flow(task_runner=RayTaskRunner(address={head.client_address!r}))
def f():
    point = scaled.submit(Point(21))
    again = scaled.submit(point).result()
    problem = fail.submit(point).result(raise_on_failure=False)
    return isinstance(again, Point), again.x, isinstance(problem, Problem), problem.args

print(json.dumps(f()))
""",
        **head.environment,
    )
    assert found == [True, 84, True, [42]]


def test_the_names_of_sockets_are_never_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowdeck.task_runners._ray import instance

    for usual in ("/tmp", "/tmp/f12345678/t", "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T"):
        monkeypatch.setattr(tempfile, "tempdir", usual)
        folder = f"{instance._root()}/{instance._PREFIX}4194304-12345678"
        socket_name = f"{folder}/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
        assert len(socket_name) <= 103


def test_the_folders_of_killed_processes_are_removed_by_the_next(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowdeck.task_runners._ray.instance import remove_abandoned

    monkeypatch.setattr(tempfile, "tempdir", str(machine.temp))
    code = "import os; print(os.getpid())"
    gone = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    dead = machine.temp / f"fdray-{int(gone.stdout)}-x"
    alive = machine.temp / f"fdray-{os.getpid()}-x"
    dead.mkdir()
    (dead / "file").touch()
    alive.mkdir()
    remove_abandoned()
    assert not dead.exists()
    assert alive.exists()


@pytest.mark.long  # a Ray of its own that waits for a retry's delay: 10 s
def test_a_retry_is_waited_for_though_nothing_of_the_run_has_come_home_yet(
    machine: Machine,
) -> None:
    found, _ = machine.run(
        START
        + """
import ray
ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR")

@task(retries=1, retry_delay_seconds=1.2)
def fails_at_first(mark):
    if not os.path.exists(mark):
        open(mark, "w").close()
        raise ValueError("the first time")
    return True

@flow(task_runner=RayTaskRunner())
def f(task, *args):
    return task.submit(*args).result()

# Each run has an event channel of its own, made when a task takes long; after the first its worker is there.
warm = [f(add, 1) for _ in range(3)]
print(json.dumps([warm, f(fails_at_first, "mark")]))
ray.shutdown()
"""
    )
    assert found == [[2, 2, 2], True]


def test_a_client_server_that_was_too_slow_for_us_is_asked_again(
    machine: Machine, head: RayHead
) -> None:
    """On a busy machine it ends the process that it started for a client before that has used it."""
    found, _ = machine.run(
        START
        + f"""
import ray
init, calls = ray.init, []

def busy(*args, **kwargs):
    calls.append(args)
    if len(calls) < 3:
        raise ConnectionError("Attempted to reconnect a session that has already been cleaned up")
    return init(*args, **kwargs)

ray.init = busy

@flow(task_runner=RayTaskRunner(address={head.client_address!r}))
def f():
    return add.submit(1).result()

print(json.dumps([f(), len(calls)]))
""",
        **head.environment,
    )
    assert found == [2, 3]

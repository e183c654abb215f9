"""Lines of a task on a worker are seen by ``flowdeck logs -f`` while the task runs, on each engine.

The flow, the workers and the one who looks are processes of their own, as users have them. The task
goes on only when its last line was seen: a line that comes late is a line that never comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clusters import Machine, machine, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FLOW = """
import os, time
from flowdeck import flow, get_run_logger, task

@task(log_prints=True)
def talk(folder: str, lines: int):
    for i in range(lines):
        if i % 2:
            get_run_logger().info("logged %s", i)
        else:
            print("printed", i)
        deadline = time.monotonic() + 100
        while not os.path.exists(f"{folder}/seen-{i}"):
            assert time.monotonic() < deadline, f"line {i} was never seen"
            time.sleep(0.01)

@flow
def slow(folder: str, lines: int = 4):
    talk.submit(folder, lines).wait()
"""

LINES = ["printed 0", "logged 1", "printed 2", "logged 3"]


@pytest.fixture
def there() -> Iterator[Machine]:
    with machine() as found:
        (found.folder / "slow.py").write_text(FLOW)
        yield found


def follow(there: Machine, runner: str, *options: str, **environment: str) -> None:
    """Run the flow through the command line, follow its lines with another one."""
    gates = there.folder / "gates"
    gates.mkdir()
    chosen = [word for option in options for word in ("--runner-opt", option)]
    run = there.launch(
        *("-m", "flowdeck_app", "run", "slow.py:slow", "-p", f"folder={gates}"),
        *("--runner", runner, *chosen, "--quiet"),
        **environment,
    )
    until(lambda: run.poll() is not None or is_there(there), 90)
    assert run.poll() is None, run.communicate()
    command = ["-u", "-m", "flowdeck_app", "logs", "@last", "-f", "--task", "talk*"]
    follower = there.launch(*command)
    for i, line in enumerate(LINES):
        shown = read_until(follower, line)
        assert "Task run 'talk-" in shown
        assert state_of(there) == "Running"
        (gates / f"seen-{i}").touch()
    rest, errors = follower.communicate(timeout=60)
    assert follower.returncode == 0, errors
    assert "Finished in state Completed()" in rest
    assert not any(line in rest for line in LINES)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert errors == ""
    until(lambda: there.left == [])


def is_there(there: Machine) -> bool:
    if not (there.home / "flowdeck.db").exists():
        return False
    with there.reader() as reader:
        return bool(reader.runs())


def state_of(there: Machine) -> str:
    """Return the state of the only task run."""
    with there.reader() as reader:
        run = reader.resolve_run("@last")
        (row,) = reader.tasks(run.id)
        return str(row.state)


def read_until(follower: subprocess.Popen[str], text: str) -> str:
    """Return the line that has a text in it; the task gives up when it waits for too long."""
    assert follower.stdout is not None
    read = []
    for line in iter(follower.stdout.readline, ""):
        if text in line:
            return line
        read.append(line)
    pytest.fail(f"{text!r} was not shown, but {read}; {follower.communicate()[1]}")


@pytest.mark.dask
def test_on_dask_processes(there: Machine) -> None:
    pytest.importorskip("distributed")
    follow(there, "dask", 'cluster_kwargs={"n_workers": 2, "threads_per_worker": 1}')


@pytest.mark.dask
def test_on_dask_workers_of_somebody_else(there: Machine, dask_address: str) -> None:
    follow(there, "dask", f"address={dask_address}")


@pytest.mark.ray
def test_on_a_temporary_ray(there: Machine) -> None:
    pytest.importorskip("ray")
    follow(there, "ray", 'init_kwargs={"num_cpus": 1}')


#: In the flow's process: what the events go through is made only after a worker has missed it.
LATE = """
from flowdeck.task_runners._ray.event_channel import EventChannel

made = EventChannel.open
EventChannel.open = lambda self: os.path.exists("gates/missed") and made(self)
"""
#: In the worker: the first line missed it, and nothing else is told before that line is seen.
MISSED = """
        from flowdeck.remote.worker_process import this_process
        from flowdeck_store.events import LOG
        deadline = time.monotonic() + 60
        while i == 0 and not any(
            event[0] == LOG
            for sender in list(this_process.senders.values())
            for item in list(sender._unsent)
            for event in item.events
        ):
            assert time.monotonic() < deadline, "nothing was missed"
            time.sleep(0.001)
        open(f"{folder}/missed", "w").close()
"""


@pytest.mark.long  # a Ray of its own: 15 s
@pytest.mark.ray
def test_on_a_temporary_ray_whose_channel_is_there_only_after_the_task_has_begun(
    there: Machine,
) -> None:
    pytest.importorskip("ray")
    late = FLOW.replace("        deadline =", MISSED + "        deadline =", 1)
    (there.folder / "slow.py").write_text(late + LATE)
    follow(there, "ray", 'init_kwargs={"num_cpus": 1}')


@pytest.mark.ray
@pytest.mark.parametrize(
    "client", [False, pytest.param(True, marks=pytest.mark.long)], ids=["native", "client"]
)
def test_on_a_ray_of_somebody_else(there: Machine, ray_head: Any, client: bool) -> None:
    address = ray_head.client_address if client else ray_head.address
    follow(there, "ray", f"address={address}", **ray_head.environment)

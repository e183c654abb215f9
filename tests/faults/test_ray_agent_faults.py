"""What can go wrong with the agent that stands for a flow behind a Ray client server."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from clusters import count_call, identity, is_alive, length, note_pid_and_wait, states_of, until
from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner
from flowdeck.task_runners.ray import remote_options
from ray_programs import RayHead, connected
from tcp_relay import Relay

ray = pytest.importorskip("ray")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

BIG = 30_000_000


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with RayHead() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def runner(head: RayHead) -> Iterator[RayTaskRunner]:
    """A runner on a connection, and an agent, of its own."""
    with connected(head.client_address):
        yield RayTaskRunner(address=head.client_address)


def _agent(head: RayHead) -> int:
    """Return the pid of the agent on this Ray: a child of its raylet."""
    raylets = head.pids("raylet")

    def find() -> list[int]:
        return [
            process.pid
            for process in psutil.process_iter(["name", "ppid"])
            if process.info["name"].startswith("ray::Agent") and process.info["ppid"] in raylets
        ]

    (pid,) = until(find)
    return int(pid)


@pytest.mark.long  # Ray notices after many seconds
def test_what_a_killed_agent_had_is_crashed_and_the_flow_goes_on_with_another(
    head: RayHead, runner: Any, tmp_path: Path, home: Path
) -> None:
    mark = tmp_path / "pid"

    @task
    def big() -> bytes:
        return bytes(BIG)

    @flow(task_runner=runner)
    def f() -> Any:
        held = big.submit()
        held.wait()
        running = note_pid_and_wait.submit(str(mark))
        waiting = identity.submit(running)
        until(lambda: running.get_state().is_running())
        os.kill(_agent(head), signal.SIGKILL)
        ended = [running.wait(), waiting.wait()]
        lost = length.submit(held)
        after = identity.map(range(5))
        return [*ended, lost.wait(), *(future.wait() for future in after)]

    running, waiting, lost, *after = f(return_state=True).data
    assert running.name == "Crashed"
    assert "The process on the Ray cluster that calls this flow's tasks is gone" in running.message
    assert waiting.name == "NotReady"
    assert lost.name == "Crashed"
    assert "what held it there was lost" in lost.message
    assert [state.name for state in after] == ["Completed"] * 5
    until(lambda: not is_alive(int(mark.read_text())))  # Ray ends what belonged to the agent
    assert states_of(home)[2] == ["Pending", "Running", "Crashed"]


@pytest.mark.long
def test_values_that_are_not_to_be_kept_leave_the_cluster_during_the_run(runner: Any) -> None:
    """The store of the head node has room for ten of them."""

    @task(cache_result_in_memory=False)
    def make(index: int) -> bytes:
        return bytes(BIG)

    @flow(task_runner=runner)
    def f() -> int:
        return sum(length.submit(make.submit(index)).result() for index in range(15))

    def spilled() -> int:
        """Return how many bytes the node had no room for, on the cluster."""
        from ray._private.internal_api import get_memory_info_reply, get_state_from_address

        address = ray.get_runtime_context().gcs_address
        reply = get_memory_info_reply(get_state_from_address(address))
        return int(reply.store_stats.spilled_bytes_total)

    assert f() == 15 * BIG
    assert ray.get(ray.remote(num_cpus=0)(spilled).remote()) == 0


def test_large_arguments_and_large_code_arrive(runner: Any) -> None:
    ballast = os.urandom(200_000)

    @task
    def total(data: bytes, other: Any) -> tuple[int, int]:
        return len(data) + len(ballast), other

    @flow(task_runner=runner)
    def f() -> Any:
        first = identity.submit(1)
        return [total.submit(bytes(n), first).result() for n in (10, 300_000, BIG)]

    assert f() == [(n + 200_000, 1) for n in (10, 300_000, BIG)]


def test_options_that_cannot_travel_crash_their_task_only(runner: Any) -> None:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = NodeAffinitySchedulingStrategy("0" * 56, soft=True)
    strategy.lock = open(os.devnull)  # noqa: SIM115 - what no pickler takes

    @flow(task_runner=runner)
    def f() -> Any:
        with remote_options(scheduling_strategy=strategy):
            wrong = identity.submit(1)
        right = identity.submit(2)
        return wrong.wait(), right.wait()

    try:
        wrong, right = f(return_state=True).data
    finally:
        strategy.lock.close()
    assert wrong.name == "Crashed"
    assert "pickle" in wrong.message
    assert right.name == "Completed"


def test_a_thousand_tasks_cancelled_at_once_all_end(runner: Any, tmp_path: Path) -> None:
    from clusters import cancel_soon

    mark = tmp_path / "pid"

    @flow(task_runner=runner)
    def f() -> Any:
        futures = [note_pid_and_wait.submit(str(mark)), *identity.map(range(1000))]
        blocked = [note_pid_and_wait.submit(f"{mark}-{n}") for n in range(3)]
        until(mark.exists)
        cancel_soon()
        for future in (*futures, *blocked):
            future.wait()

    assert f(return_state=True).name == "Cancelled"


def test_a_network_that_breaks_again_and_again_loses_and_doubles_nothing(
    head: RayHead, tmp_path: Path, home: Path
) -> None:
    host, _, port = head.client_address.removeprefix("ray://").rpartition(":")
    with Relay(host, int(port)) as relay:
        address = f"ray://127.0.0.1:{relay.port}"
        with connected(address):

            @flow(task_runner=RayTaskRunner(address=address))
            def f() -> Any:
                cuts, futures = 0, []
                for part in range(4):
                    futures += count_call.map(str(tmp_path), list(range(part * 50, part * 50 + 50)))
                    futures[-50].wait()  # the others of this part are on their way, or under way
                    cuts += relay.cut()
                return cuts, [future.result() for future in futures]

            cuts, values = f()
    assert cuts >= 4
    assert values == list(range(200))
    assert Counter(map(tuple, states_of(home).values())) == {
        ("Pending", "Running", "Completed"): 200
    }
    calls = Counter(name.partition("-")[0] for name in os.listdir(tmp_path) if name[0].isdigit())
    assert set(calls.values()) == {1}

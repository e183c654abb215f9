"""The Ray task runner: its options, its connections, what reaches Ray and what comes back."""

from __future__ import annotations

import os
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from clusters import identity, length, until
from flowdeck import flow, get_run_logger, quote, task, task_runners
from flowdeck.exceptions import UnfinishedRun
from flowdeck.remote.values import RemoteValue
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import (
    ConcurrentTaskRunner,
    RayTaskRunner,
    SequentialTaskRunner,
    TaskConcurrencyType,
    make_runner,
)
from flowdeck.task_runners._ray.options import options_in
from flowdeck.task_runners.ray import remote_options
from flowdeck_store.errors import NotFound
from flowdeck_store.read.reader import Reader

ray = pytest.importorskip("ray")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]


@pytest.fixture
def existing(ray_connected: str) -> RayTaskRunner:
    """A runner on a Ray with two CPUs that this process is connected to."""
    return RayTaskRunner(address=ray_connected)


@task
def wait_for_file(path: str) -> None:
    """Runs until the test is done with it."""
    deadline = time.monotonic() + 100
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)


@task
def touch_and_wait(mine: str, other: str) -> bool:
    """Say whether the other task runs at the same time."""
    open(mine, "w").close()
    deadline = time.monotonic() + 1.0
    while not os.path.exists(other) and time.monotonic() < deadline:
        time.sleep(0.01)
    found = os.path.exists(other)
    os.unlink(mine)
    return found


# -- options -------------------------------------------------------------------------------------------


def test_the_options_are_those_of_the_reference() -> None:
    runner = RayTaskRunner(address="ray://192.0.2.255:8786", init_kwargs={"num_cpus": 4})
    assert runner.address == "ray://192.0.2.255:8786"
    assert runner.init_kwargs == {"namespace": "flowdeck", "num_cpus": 4}
    assert runner.name == "ray"
    assert runner.concurrency_type is TaskConcurrencyType.PARALLEL
    assert runner.duplicate() == runner
    assert make_runner("ray", {"address": "auto"}) == RayTaskRunner("auto")


def test_the_users_arguments_stay_his() -> None:
    mine = {"num_cpus": 1}
    runner = RayTaskRunner(init_kwargs=mine)
    assert mine == {"num_cpus": 1}
    runner.init_kwargs["num_cpus"] = 2
    assert mine == {"num_cpus": 1}
    assert RayTaskRunner(init_kwargs={"namespace": "mine"}).init_kwargs == {"namespace": "mine"}


def test_an_address_inside_init_kwargs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"RayTaskRunner\(address=\.\.\.\)"):
        RayTaskRunner(init_kwargs={"address": "auto"})


def options_here() -> dict[str, Any]:
    import contextvars

    return dict(options_in(contextvars.copy_context()))


def test_remote_options_nest_and_the_inner_ones_win() -> None:
    with remote_options(num_cpus=2, resources={"a": 1}):
        with remote_options(num_cpus=0.5, max_retries=3) as merged:
            assert merged == {"num_cpus": 0.5, "resources": {"a": 1}, "max_retries": 3}
            assert options_here() == merged
        assert options_here() == {"num_cpus": 2, "resources": {"a": 1}}
    assert options_here() == {}


def test_remote_options_that_ray_does_not_know_are_refused_where_they_are_written() -> None:
    with pytest.raises(ValueError, match=r"remote_options: .*num_spoons"):
        remote_options(num_spoons=1).__enter__()
    with pytest.raises(ValueError, match="cannot set 'num_returns'"):
        remote_options(num_returns=3).__enter__()
    assert options_here() == {}


def test_remote_options_can_be_imported_beside_the_runners() -> None:
    assert task_runners.remote_options is remote_options


# -- what reaches Ray ------------------------------------------------------------------------------------


def test_a_ray_task_is_named_like_its_task(existing: Any) -> None:
    @task
    def names() -> Any:
        import ray

        from flowdeck import runtime

        return ray.get_runtime_context().get_task_name(), runtime.task_run.task_name

    @flow(task_runner=existing)
    def f() -> Any:
        return names.submit().result()

    in_ray, in_flowdeck = f()
    assert in_ray == in_flowdeck == "names"


def test_tasks_that_need_all_cpus_do_not_overlap(existing: Any, tmp_path: Path) -> None:
    def pair(name: str) -> list[bool]:
        a, b = str(tmp_path / f"{name}-a"), str(tmp_path / f"{name}-b")
        futures = [touch_and_wait.submit(a, b), touch_and_wait.submit(b, a)]
        return [future.result() for future in futures]

    @flow(task_runner=existing)
    def f() -> Any:
        with remote_options(num_cpus=2):
            return pair("alone")

    assert f() == [False, False]


def test_the_options_are_those_where_the_task_is_submitted(existing: Any, tmp_path: Path) -> None:
    @task
    def cpus() -> Any:
        import ray

        return ray.get_runtime_context().get_assigned_resources().get("CPU")

    @flow(task_runner=existing)
    def f() -> Any:
        with remote_options(num_cpus=2):
            two = cpus.submit()
            with remote_options(num_cpus=0.5):
                half = cpus.submit()
        return two.result(), half.result(), cpus.submit().result()

    assert f() == (2.0, 0.5, 1.0)


def test_values_go_from_task_to_task_without_the_flow(
    existing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr(RemoteValue, "load", lambda self: fetched.append(self))

    @task
    def make(megabytes: int) -> bytes:
        return b"x" * megabytes * 1_000_000

    @flow(task_runner=existing)
    def f() -> Any:
        first = make.submit(100)
        second = identity.submit({"nested": [first]})
        return length.submit(second).result(), length.submit(first).result()

    assert f() == (1, 100_000_000)
    assert fetched == []


def test_a_value_is_fetched_when_somebody_asks(existing: Any) -> None:
    @flow(task_runner=existing)
    def f() -> Any:
        future = identity.submit(b"x" * 5_000_000)
        state = future.wait()
        assert isinstance(state.data, RemoteValue)
        return len(future.result())

    assert f() == 5_000_000


def test_a_wait_for_a_retry_gives_the_cpus_back(existing: Any, tmp_path: Path) -> None:
    failed = str(tmp_path / "failed")

    @task(retries=1, retry_delay_seconds=100)
    def first(path: str) -> None:
        open(path, "w").close()
        raise ValueError("once")

    @flow(task_runner=existing)
    def f() -> Any:
        with remote_options(num_cpus=2):
            waiting = first.submit(failed)
            until(lambda: os.path.exists(failed))
            ran = identity.submit("ran meanwhile").result()
        assert not waiting.get_state().is_final()
        stop(waiting.task_run)
        return ran, quote(waiting.wait())

    ran, state = f()
    assert ran == "ran meanwhile"
    assert state.unquote().is_cancelled()


def stop(run: Any) -> None:
    from flowdeck.runs.stopping import stop_runs
    from flowdeck.runs.task_run import Stop

    stop_runs([run], Stop.CANCEL)


# -- what comes back ------------------------------------------------------------------------------------


def test_logs_and_prints_arrive_while_the_task_runs(
    existing: Any, tmp_path: Path, home: Path
) -> None:
    go_on = str(tmp_path / "go on")

    @task(log_prints=True)
    def talk(path: str) -> None:
        print("printed", 1)
        get_run_logger().warning("logged")
        deadline = time.monotonic() + 100
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.01)

    seen: list[list[str]] = []

    @flow(task_runner=existing)
    def f() -> Any:
        future = talk.submit(go_on)
        with Reader.open(home) as reader:

            def lines() -> list[str]:
                try:
                    run = reader.resolve_run("@last")
                except NotFound:
                    return []
                return [x.message for x in reader.logs(run.id, 1)]

            until(lambda: {"printed 1", "logged"} <= set(lines()))
            seen.append([future.get_state().name])
        open(go_on, "w").close()

    f()
    assert seen == [["Running"]]


def test_prints_that_are_not_logged_appear_where_the_flow_runs(
    existing: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    @task
    def hello(name: str) -> None:
        import sys

        print(f"Hello {name}!")
        print("and on stderr", file=sys.stderr)

    @flow(task_runner=existing)
    def f() -> None:
        hello.submit("Marvin").wait()

    f()
    out, err = capfd.readouterr()
    assert out == "Hello Marvin!\n"
    assert "and on stderr\n" in err


def test_much_text_arrives_whole_and_in_order(
    existing: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    @task
    def count(n: int) -> None:
        for i in range(n):
            print(i)

    @flow(task_runner=existing)
    def f() -> None:
        count.submit(30_000)

    f()
    assert capfd.readouterr().out.split() == [str(i) for i in range(30_000)]


def test_many_states_and_lines_are_neither_lost_nor_doubled(existing: Any, home: Path) -> None:
    @task
    def three_lines(n: int) -> None:
        for i in range(3):
            get_run_logger().info("line %s of %s", i, n)

    @flow(task_runner=existing)
    def f() -> None:
        three_lines.map(range(300))

    f()
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        for row in reader.tasks(run.id, limit=1000):
            names = [state.state for state in reader.states(run.id, row.no)]
            assert names == ["Pending", "Running", "Completed"]
            lines = [x.message for x in reader.logs(run.id, row.no)]
            expected = [f"line {i} of {row.map_index}" for i in range(3)]
            assert lines == [*expected, "Finished in state Completed()"]
            assert row.worker
            assert ":" in row.worker


# -- mixing ----------------------------------------------------------------------------------------------


def test_a_ray_flow_inside_a_sequential_one_and_the_other_way_round(existing: Any) -> None:
    @flow(task_runner=existing)
    def on_ray(x: int) -> Any:
        return identity.submit((x, os.getpid())).result()

    @flow(task_runner=ConcurrentTaskRunner())
    def on_threads(x: Any) -> Any:
        return identity.submit(x).result()

    @flow(task_runner=SequentialTaskRunner())
    def outer() -> Any:
        return on_ray(identity.submit(1))

    @flow(task_runner=existing)
    def outer_on_ray() -> Any:
        big = identity.submit(b"x" * 100_000)
        return len(on_threads(big)), on_ray(identity.submit(2))[0]

    assert outer()[0] == 1
    assert outer_on_ray() == (100_000, 2)


def test_a_subflow_shares_the_connection_of_its_parent(
    existing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @flow(task_runner=RayTaskRunner())
    def child(x: int) -> Any:
        return identity.submit(x).result()

    @flow(task_runner=existing)
    def parent() -> Any:
        return child(identity.submit(3)), identity.submit(4).result()

    lines: list[str] = []
    with listening("flowdeck.task_runner.ray", lines):
        assert parent() == (3, 4)
    assert lines == [
        f"Connecting to an existing Ray instance at {existing.address}",
        "Local Ray instance is already initialized. Using existing local instance.",
    ]


class listening:  # noqa: N801 - reads like the function it could be
    """Collect what a logger says."""

    def __init__(self, name: str, lines: list[str]) -> None:
        import logging

        self._logger = logging.getLogger(name)
        self._handler = logging.Handler()
        self._handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]

    def __enter__(self) -> None:
        self._logger.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)


def test_flows_in_several_threads_share_one_connection(existing: Any) -> None:
    results: list[Any] = []

    @flow(task_runner=existing)
    def f(x: int) -> Any:
        futures = identity.map(range(x, x + 20))
        return [future.result() for future in futures]

    threads = [threading.Thread(target=lambda i=i: results.append(f(i))) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(results) == [list(range(i, i + 20)) for i in range(3)]


@pytest.mark.anyio
async def test_async_flows_of_async_tasks(existing: Any) -> None:
    import asyncio

    @task
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return x * 2

    @flow(task_runner=existing)
    async def f() -> Any:
        futures = await double.map(range(5))
        last = await double.submit(futures[4])
        return [await future.result() for future in futures], await last.result()

    assert await f() == ([0, 2, 4, 6, 8], 16)


def test_a_failed_upstream_blocks_what_ray_was_already_given(existing: Any, tmp_path: Path) -> None:
    go_on = str(tmp_path / "go on")

    @task
    def fail_later(path: str) -> None:
        wait_for_file.fn(path)
        raise ValueError("late")

    @flow(task_runner=existing)
    def f() -> Any:
        first = fail_later.submit(go_on)
        second = identity.submit(first)
        third = identity.submit([second])
        open(go_on, "w").close()
        with pytest.raises(UnfinishedRun):
            third.result()
        return quote([first.wait(), second.wait(), third.wait()])

    first, second, third = f().unquote()
    assert [s.name for s in (first, second, third)] == ["Failed", "NotReady", "NotReady"]
    assert "'fail_later-" in second.message
    assert "'identity-" in third.message


@task
def far_too_large() -> Any:
    return Buffer(bytearray(65 * 1024 * 1024))


@task
def write_on(value: Any) -> None:
    value.data[0] = 1


class Buffer:
    """Pickles as arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffer, (pickle.PickleBuffer(self.data),)


def test_who_writes_on_a_value_that_is_too_large_to_be_copied_is_told_what_to_do(
    existing: Any, home: Path
) -> None:
    @flow(task_runner=existing)
    def f() -> Any:
        large = far_too_large.submit()
        write_on.submit(large).wait()
        large.result().data[0] = 1

    with pytest.raises(TypeError, match="read-only memory"):
        f()
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        texts = [line.message for line in reader.logs(run.id) if "Work on a copy" in line.message]
    assert len(texts) == 2  # of the task and of the flow

"""The Dask task runner: its options, its clusters, what reaches Dask and what comes back."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from clusters import identity, is_alive, length, until, where
from dask_programs import Programs
from flowdeck import flow, quote, task
from flowdeck.remote.values import RemoteValue
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import DaskTaskRunner, SequentialTaskRunner, TaskConcurrencyType
from flowdeck.task_runners._dask import check
from flowdeck_store.read.reader import Reader

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.dask, pytest.mark.timeout(180)]

TWO: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """A scheduler and two workers, one with a GPU of its own."""
    folder = tmp_path_factory.mktemp("dask")
    with Programs(folder, options=("--resources", "SLOT=1")) as running:
        yield running


@pytest.fixture
def existing(programs: Programs) -> DaskTaskRunner:
    """A runner on that cluster."""
    return DaskTaskRunner(address=programs.address)


def make_small_cluster(**kwargs: Any) -> Any:
    """Make a cluster, as a user's own function does."""
    return distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address="127.0.0.1:0", **kwargs
    )


# -- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"cluster_class": "distributed.LocalCluster"},
        {"cluster_kwargs": {"n_workers": 1}},
        {"adapt_kwargs": {"maximum": 2}},
        {"cluster": object()},
    ],
    ids=lambda more: next(iter(more)),
)
def test_an_address_excludes_everything_about_making_a_cluster(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Cannot specify `address` and `cluster`/`cluster_class`"):
        DaskTaskRunner(address="tcp://x:1", **more)


@pytest.mark.parametrize("name", ["client_kwargs", "cluster_kwargs"])
def test_asynchronous_is_not_the_users_to_set(name: str) -> None:
    arguments: dict[str, Any] = {name: {"asynchronous": True}}
    with pytest.raises(ValueError, match=f"`{name}` cannot set `asynchronous`"):
        DaskTaskRunner(**arguments)


def test_a_cluster_class_is_imported_when_the_runner_is_made() -> None:
    runner = DaskTaskRunner(cluster_class="distributed.LocalCluster")
    assert runner.cluster_class is distributed.LocalCluster
    with pytest.raises(ImportError, match="dask_cloudprovider"):
        DaskTaskRunner(cluster_class="dask_cloudprovider.aws.FargateCluster")
    with pytest.raises(ImportError, match="has no 'NoSuchCluster'"):
        DaskTaskRunner(cluster_class="distributed.NoSuchCluster")
    with pytest.raises(ImportError, match="give the module too"):
        DaskTaskRunner(cluster_class="LocalCluster")


def test_making_a_runner_contacts_nothing_and_copies_its_options() -> None:
    kwargs = {"n_workers": 3}
    runner = DaskTaskRunner(cluster_kwargs=kwargs)
    kwargs["n_workers"] = 4
    assert runner.cluster_kwargs == {"n_workers": 3}
    assert DaskTaskRunner(address="http://my-dask-cluster").address == "http://my-dask-cluster"
    assert runner == runner.duplicate()
    assert runner != DaskTaskRunner()


def test_options_at_launch_replace_what_does_not_go_with_them() -> None:
    made = DaskTaskRunner(cluster_kwargs={"n_workers": 2}, client_kwargs={"timeout": 3})
    assert {k for k, v in made.options_beside(["address"]).items() if v} == {"client_kwargs"}
    assert made.options_beside(["adapt_kwargs"])["cluster_kwargs"] == {"n_workers": 2}
    existing = DaskTaskRunner(address="tcp://x:1")
    assert "address" not in existing.options_beside(["cluster_kwargs"])
    assert existing.options_beside(["client_kwargs"])["address"] == "tcp://x:1"


def test_the_type_of_concurrency_follows_the_cluster() -> None:
    assert DaskTaskRunner().concurrency_type is TaskConcurrencyType.CONCURRENT
    parallel = DaskTaskRunner(cluster_kwargs={"processes": True})
    assert parallel.concurrency_type is TaskConcurrencyType.PARALLEL


# -- clusters ------------------------------------------------------------------------------------------


def test_a_temporary_cluster_is_told_of_and_ends_with_the_run(home: Path) -> None:
    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        return {future.result() for future in [where.submit() for _ in range(8)]}

    pids = f()
    assert os.getpid() not in pids
    until(lambda: not any(is_alive(pid) for pid in pids))
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        lines = [x.message for x in reader.logs(run.id) if x.logger == "flowdeck.task_runner.dask"]
    assert lines[0] == "Creating a new Dask cluster with `distributed.deploy.local.LocalCluster`"
    assert lines[1].startswith("The Dask dashboard is available at http://127.0.0.1:")
    assert lines[1].endswith("/status")


def test_the_dashboard_of_a_cluster_in_this_process_is_where_it_is_said_to_be() -> None:
    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"processes": False, "n_workers": 1}))
    def f() -> str:
        (said,) = [text for text in told if "dashboard" in text]
        address = said.rpartition(" ")[2]
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.read().decode()  # type: ignore[no-any-return]

    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("flowdeck.task_runner.dask")
    logger.addHandler(handler)
    try:
        assert "Dask" in f()
    finally:
        logger.removeHandler(handler)


def test_workers_in_this_process_log_once(capfd: pytest.CaptureFixture[str]) -> None:
    @task(log_prints=True)
    def talk() -> int:
        print("only once")
        return os.getpid()

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"processes": False, **TWO}))
    def f() -> Any:
        return talk.submit().result()

    assert f() == os.getpid()
    assert capfd.readouterr().err.count("only once") == 1


def test_a_function_may_make_the_cluster() -> None:
    @flow(task_runner=DaskTaskRunner(cluster_class=make_small_cluster))
    def f() -> Any:
        return identity.submit(4).result()

    assert f() == 4


@pytest.mark.long  # a cluster of its own: 10 s
def test_a_cluster_scales_when_it_is_told_to(home: Path) -> None:
    runner = DaskTaskRunner(
        cluster_kwargs={"n_workers": 0, "threads_per_worker": 1},
        adapt_kwargs={"minimum": 0, "maximum": 2},
    )

    @flow(task_runner=runner)
    def f() -> Any:
        return [future.result() for future in identity.map(range(6))]

    assert f() == list(range(6))


def test_a_cluster_object_is_used_and_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    monkeypatch.setattr(check, "check_versions", looks.append)
    with make_small_cluster() as cluster:

        @flow(task_runner=DaskTaskRunner(cluster=cluster))
        def f() -> Any:
            return identity.submit(1).result()

        plugins = set(cluster.scheduler.plugins)
        assert f() == 1
        assert f() == 1
        assert len(looks) == 1, "its workers are known by then"
        assert cluster.status.name == "running"
        assert set(cluster.scheduler.plugins) == plugins
        topics = cluster.scheduler._broker._topics
        assert not [topic for topic in topics if topic.startswith("flowdeck-")]


def test_flows_that_use_a_cluster_object_go_to_workers_with_its_address() -> None:
    with make_small_cluster() as cluster:
        runner = DaskTaskRunner(cluster=cluster)

        class Job:
            @task
            def step(self, number: int) -> int:
                return number + 1

            @flow(task_runner=runner)
            def nightly(self) -> int:
                return self.step.submit(1).result()

        assert Job().nightly() == 2  # its class is sent by value, with the flow in it
        assert pickle.loads(pickle.dumps(runner)) == DaskTaskRunner(cluster.scheduler_address)


def test_several_flow_runs_share_a_cluster_and_leave_nothing_on_it(
    programs: Programs, existing: DaskTaskRunner
) -> None:
    @flow(task_runner=existing)
    def f(start: int) -> Any:
        return sum(future.result() for future in identity.map(range(start, start + 20)))

    found: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: f(n)})) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: sum(range(n, n + 20)) for n in range(3)}
    with distributed.Client(programs.address, set_as_default=False) as client:
        # Lambdas travel by value.
        topics = client.run_on_scheduler(
            lambda dask_scheduler: list(dask_scheduler._broker._topics)
        )
        assert [name for name in topics if name.startswith("flowdeck")] == []
        until(
            lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0
        )
        assert len(client.scheduler_info()["workers"]) == 2


# -- dependencies and values ---------------------------------------------------------------------------


def test_a_big_value_goes_from_worker_to_worker(existing: DaskTaskRunner) -> None:
    @task
    def make() -> bytes:
        return bytes(5_000_000)

    @flow(task_runner=existing)
    def f() -> Any:
        big = make.submit()
        sizes = [length.submit(big), length.submit([big, big])]
        assert [s.result() for s in sizes] == [5_000_000, 2]
        late = length.submit(big.wait())
        assert late.result() == 5_000_000
        value = big.get_state().data
        return isinstance(value, RemoteValue), value._kept, len(big.result())

    assert f() == (True, False, 5_000_000)


def test_a_big_argument_reaches_the_worker(existing: DaskTaskRunner) -> None:
    @flow(task_runner=existing)
    def f() -> Any:
        return length.submit(bytes(4_000_000)).result()

    assert f() == 4_000_000


def test_a_function_with_big_data_is_sent_once(existing: DaskTaskRunner) -> None:
    table = bytes(3_000_000)

    @task
    def look(x: int) -> int:
        return len(table) + x

    @flow(task_runner=existing)
    def f() -> Any:
        return [future.result() for future in look.map(range(4))]

    assert f() == [3_000_000 + x for x in range(4)]


def test_what_the_flow_returns_outlives_its_cluster() -> None:
    runner = DaskTaskRunner(cluster_class=make_small_cluster)

    @flow(task_runner=runner)
    def f() -> Any:
        return identity.submit(bytes(100_000))

    state: Any = f(return_state=True).result()
    assert len(state.result()) == 100_000


@pytest.mark.parametrize("values", [100_000, pytest.param(10, marks=pytest.mark.long)])
def test_a_list_of_all_futures_outlives_its_cluster(values: int) -> None:
    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        return [identity.submit(bytes([n]) * values) for n in range(5)]

    states: Any = f()
    assert [state.result() for state in states] == [bytes([n]) * values for n in range(5)]


def test_modules_beside_the_flow_need_not_be_on_the_workers(
    existing: DaskTaskRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def triple(x): return 3 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    @task
    def use(x: int) -> Any:
        return only_here.triple(x)

    @flow(task_runner=existing)
    def f() -> Any:
        return use.submit(2).result()

    assert f() == 6


# -- annotations ---------------------------------------------------------------------------------------


def test_priorities_decide_who_goes_first(tmp_path: Path) -> None:
    order, gate = tmp_path / "order", tmp_path / "gate"
    made = []

    class Cluster(distributed.LocalCluster):  # type: ignore[misc,name-defined,unused-ignore]
        """A temporary cluster that the test can ask."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            made.append(self)

    @task
    def wait_for_gate() -> None:
        deadline = time.monotonic() + 60
        while not gate.exists() and time.monotonic() < deadline:
            time.sleep(0.005)

    @task
    def note(x: int) -> None:
        with open(order, "a") as file:
            file.write(f"{x} ")

    @flow(task_runner=DaskTaskRunner(cluster_class=Cluster, cluster_kwargs={**TWO, "n_workers": 1}))
    def f() -> None:
        wait_for_gate.submit()
        with dask.annotate(priority=-10):
            note.submit(1)
        with dask.annotate(priority=10):
            note.map([2, 3])
        note.submit(4)
        last = identity.submit(0)
        # What a worker has not got yet cannot go first, whatever its priority.
        with distributed.Client(made[0], set_as_default=False) as client:
            until(lambda: list(client.run(tasks_there).values()) == [6])
        gate.touch()
        last.wait()

    assert f(return_state=True).is_completed()
    assert order.read_text().split() == ["2", "3", "4", "1"]


def tasks_there(dask_worker: Any) -> int:
    """Return how many tasks a worker has."""
    return len(dask_worker.state.tasks)


def test_resources_and_workers_are_respected(existing: DaskTaskRunner, tmp_path: Path) -> None:
    @task
    def alone() -> int:
        mark = os.open(tmp_path / "busy", os.O_CREAT | os.O_EXCL)
        os.close(mark)
        time.sleep(0.02)
        os.unlink(tmp_path / "busy")
        return os.getpid()

    @task
    def address() -> str:
        found: str = distributed.get_worker().address
        return found

    @flow(task_runner=existing)
    def f() -> Any:
        first = address.submit().result()
        with dask.annotate(workers=[first], resources={"SLOT": 1}):
            pids = {future.result() for future in [alone.submit() for _ in range(4)]}
        with dask.annotate(workers=first):
            addresses = {future.result() for future in [address.submit() for _ in range(4)]}
        return len(pids), addresses == {first}

    assert f() == (1, True)


def test_annotated_retries_are_ours(existing: DaskTaskRunner, tmp_path: Path, home: Path) -> None:
    count = tmp_path / "count"

    @task
    def flaky() -> int:
        with open(count, "a") as file:
            file.write("x")
        if count.stat().st_size < 3:
            raise ValueError("again")
        return 1

    @flow(task_runner=existing)
    def f() -> Any:
        with dask.annotate(retries=2):
            return flaky.submit().result()

    assert f() == 1
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        states = [s.state for s in reader.states(run.id, 1)]
    assert states.count("AwaitingRetry") == 2


@pytest.mark.long  # a cluster of its own: 10 s
def test_a_wait_for_a_retry_does_not_hold_the_workers_thread(tmp_path: Path) -> None:
    @task(retries=1, retry_delay_seconds=1.0)
    def second_time_lucky() -> str:
        mark = tmp_path / "tried"
        if not mark.exists():
            mark.touch()
            raise ValueError
        return (tmp_path / "order").read_text()

    @task
    def meanwhile() -> None:
        (tmp_path / "order").write_text("meanwhile")

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={**TWO, "n_workers": 1}))
    def f() -> Any:
        slow = second_time_lucky.submit()
        until(lambda: slow.get_state().name == "AwaitingRetry")
        meanwhile.submit()
        return slow.result()

    assert f() == "meanwhile"


# -- nesting -------------------------------------------------------------------------------------------


def test_a_sequential_flow_may_have_a_dask_subflow(programs: Programs) -> None:
    @flow(task_runner=DaskTaskRunner(address=programs.address))
    def child(x: Any) -> Any:
        return where.submit().result(), identity.submit(x).result()

    @flow(task_runner=SequentialTaskRunner())
    def parent() -> Any:
        return where.submit().result(), child(identity.submit(5)), where.submit().result()

    here, (there, value), again = parent()
    assert (here, again, value) == (os.getpid(), os.getpid(), 5)
    assert there != os.getpid()


@pytest.mark.anyio
async def test_async_flows_and_tasks_work(existing: DaskTaskRunner) -> None:
    @task
    async def double(x: int) -> int:
        import asyncio

        await asyncio.sleep(0.001)
        return 2 * x

    @flow(task_runner=existing)
    async def f() -> Any:
        first = await double.submit(1)
        mapped = await double.map([first, 5])
        return [await future.result() for future in mapped], await double(8)

    assert await f() == ([4, 10], 16)


class Gated:
    """Takes its time to arrive: until a file is there."""

    def __init__(self, path: str, content: bytes) -> None:
        self.path = path
        self.content = content

    def __reduce__(self) -> Any:
        return _arrive, (self.path, self.content)


def _arrive(path: str, content: bytes) -> Gated:
    deadline = time.monotonic() + 10
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert os.path.exists(path), "nobody opened the gate: the event loop stood still"
    return Gated(path, content)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", ["future", "state"])
async def test_the_event_loop_goes_on_while_a_big_value_is_fetched(
    existing: DaskTaskRunner, tmp_path: Path, ask: str
) -> None:
    import asyncio

    gate = tmp_path / "gate"

    @task
    async def make(path: str) -> Gated:
        return Gated(path, bytes(100_000))

    @flow(task_runner=existing)
    async def f() -> Any:
        future = await make.submit(str(gate))
        state = await future.wait()
        asyncio.get_running_loop().call_later(0.1, gate.touch)
        value = await (future if ask == "future" else state).result()
        return len(value.content)

    assert await f() == 100_000


# -- scripts -------------------------------------------------------------------------------------------


def run_script(folder: Path, source: str, home: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env={**os.environ, "FLOWDECK_HOME": str(home), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_a_script_needs_no_guard_and_leaves_nothing_behind(tmp_path: Path, home: Path) -> None:
    done = run_script(
        tmp_path,
        """
        from flowdeck import flow, task
        from flowdeck.task_runners import DaskTaskRunner

        print("the script runs")

        class Point:
            def __init__(self, x):
                self.x = x

        @task
        def move(point):
            assert isinstance(point, Point)
            print("on a worker")
            return Point(point.x + 1)

        @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1}))
        def main():
            print("before")
            moved = move.submit(move.submit(Point(1))).result()
            print("after", isinstance(moved, Point), moved.x)

        main()
        """,
        home,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the script runs", "before", "on a worker", "on a worker", "after True 3",
    ]  # fmt: skip
    assert all(" | " in line for line in done.stderr.splitlines()), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "home", "script.py"]


def test_importing_the_runner_does_not_import_dask() -> None:
    code = (
        "import sys\nfrom flowdeck.task_runners import DaskTaskRunner\n"
        "DaskTaskRunner(cluster_kwargs={'n_workers': 1}).duplicate()\n"
        "print(sorted({'dask', 'distributed'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- helpers -------------------------------------------------------------------------------------------


def test_wait_returns_without_cancelling(existing: DaskTaskRunner, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    @task
    def wait_for_gate() -> int:
        deadline = time.monotonic() + 60
        while not gate.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        return 1

    @flow(task_runner=existing)
    def f() -> Any:
        future = wait_for_gate.submit()
        nothing_yet = future.wait(0.05)
        until(lambda: future.get_state().is_running())
        gate.touch()
        return nothing_yet, quote(future.wait())

    nothing_yet, state = f()
    assert nothing_yet is None
    assert state.unquote().is_completed()

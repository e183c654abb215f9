"""What goes wrong on any cluster: each run still ends in the right state, and says why."""

from __future__ import annotations

import os
import signal
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from clusters import cancel_soon, identity, note_pid_and_wait, states_of, until
from flowdeck import flow, get_run_logger, quote, task
from flowdeck.reuse import keep_on_failure as keeping
from flowdeck.settings import using
from flowdeck.stopping import cancellation
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.limits import list_limits, set_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(240)

ENGINES = {
    "dask-local": [pytest.mark.dask, pytest.mark.long],
    "dask": [pytest.mark.dask],
    "ray": [pytest.mark.ray],
    "ray-client": [pytest.mark.ray, pytest.mark.long],  # its calls: test_ray_client_contract.py
}


class Engine(NamedTuple):
    """A cluster of one kind, with two workers of one thread each."""

    name: str
    runner: Any

    @property
    def tries_again(self) -> bool:
        """Whether it executes a task again whose worker died, without being told to."""
        return self.name == "dask"

    @property
    def kills(self) -> str:
        """What the state of a task says whose worker was killed."""
        start = "Execution was interrupted by an unexpected exception: "
        if self.name.startswith("dask"):
            return start + "KilledWorker: The worker tcp://"
        return start + "WorkerCrashedError: The worker "


@pytest.fixture(scope="module", params=[pytest.param(n, marks=m) for n, m in ENGINES.items()])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Each cluster in turn; it outlives what happens in these tests."""
    name = request.param
    if name.startswith("dask"):
        pytest.importorskip("distributed")
        from flowdeck.task_runners import DaskTaskRunner

        if name == "dask-local":
            two = {"n_workers": 2, "threads_per_worker": 1}
            yield Engine(name, DaskTaskRunner(cluster_kwargs=two))
            return
        from dask_programs import Programs

        with Programs(tmp_path_factory.mktemp("dask")) as programs:
            yield Engine(name, DaskTaskRunner(address=programs.address))
        return
    head = request.getfixturevalue("ray_token")
    from flowdeck.task_runners import RayTaskRunner
    from ray_programs import connected

    address = head.client_address if name == "ray-client" else head.address
    with connected(address):
        yield Engine(name, RayTaskRunner(address=address))


@pytest.fixture
def lasting(engine: Engine, request: pytest.FixtureRequest) -> Engine:
    """The same for tests that leave the workers alone: they need no Dask cluster of their own."""
    if engine.name != "dask-local":
        return engine
    from flowdeck.task_runners import DaskTaskRunner

    made = request.getfixturevalue("lasting_cluster")
    two = {"n_workers": 2, "threads_per_worker": 1}
    return Engine(engine.name, DaskTaskRunner(cluster_class=made, cluster_kwargs=two))


# -- workers that die --------------------------------------------------------------------------------------


@task(log_prints=True)
def half_at_the_gate(folder: str, x: int) -> int:
    """The first hundred are through at once, the others say where they wait."""
    print(f"print {x}")
    get_run_logger().info("log %s", x)
    if x >= 100:
        with open(f"{folder}/{x}.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(f"{folder}/{x}.new", f"{folder}/{x}.at")
        deadline = time.monotonic() + 100
        while not os.path.exists(f"{folder}/open") and time.monotonic() < deadline:
            time.sleep(0.005)
    return x


def test_a_worker_killed_in_the_middle_of_200_tasks(
    engine: Engine, tmp_path: Path, home: Path
) -> None:
    @flow(task_runner=engine.runner)
    def f() -> Any:
        futures = half_at_the_gate.map([str(tmp_path)] * 200, range(200))
        after = identity.map(futures)
        at_gate = until(lambda: len(found := list(tmp_path.glob("*.at"))) == 2 and found)
        until(lambda: sum(future.get_state().is_final() for future in futures) >= 50)
        until(lambda: all(futures[int(mark.stem)].get_state().is_running() for mark in at_gate))
        victim = at_gate[0]
        os.kill(int(victim.read_text()), signal.SIGKILL)
        if not engine.tries_again:
            futures[int(victim.stem)].wait()
        (tmp_path / "open").touch()
        states = [future.wait() for future in futures]
        ends = [future.wait().name for future in after]
        return int(victim.stem), quote(states), ends

    number, states, ends = f()
    states = states.unquote()
    crashed = set() if engine.tries_again else {number}
    assert {x for x, state in enumerate(states) if state.name != "Completed"} == crashed
    assert {x for x, name in enumerate(ends) if name != "Completed"} == crashed
    assert [state.result() for x, state in enumerate(states) if x not in crashed] == [
        x for x in range(200) if x not in crashed
    ]
    for x in crashed:
        assert states[x].name == "Crashed"
        assert states[x].message.startswith(engine.kills)
        assert "died" in states[x].message
        assert ends[x] == "NotReady"
    check_the_record(home, number, crashed, executed_twice={number} - crashed)


def check_the_record(home: Path, number: int, crashed: set[int], executed_twice: set[int]) -> None:
    """Every task has a final state; no state and no line is lost or doubled."""
    history = states_of(home)
    assert len(history) == 400
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        rows = {row.no: row for row in reader.tasks(run.id, limit=1000)}
        lines = {no: [line.message for line in reader.logs(run.id, no)] for no in rows}
    for no, row in rows.items():
        x = row.map_index
        assert x is not None
        states = history[no]
        if row.name.startswith("identity"):
            expected = (
                ["Pending", "NotReady"] if x in crashed else ["Pending", "Running", "Completed"]
            )
            assert [s for s in states if s != "Rerunning"] == expected
            continue
        said = [line for line in lines[no] if line.startswith(("print ", "log "))]
        if x in crashed:
            # What it wrote in its last moment before it was killed may be lost, nothing else.
            assert states == ["Pending", "Running", "Crashed"]
            assert said == [f"print {x}", f"log {x}"][: len(said)]
        elif x in executed_twice:
            assert states == ["Pending", "Running", "Rerunning", "Completed"]
            assert said[-2:] == [f"print {x}", f"log {x}"]
        else:
            assert [s for s in states if s != "Rerunning"] == ["Pending", "Running", "Completed"]
            assert said == [f"print {x}", f"log {x}"]
            assert sum(line.startswith("Finished in state") for line in lines[no]) == 1


def test_a_worker_that_dies_after_a_limited_try_does_not_hinder_the_next_one(
    engine: Engine, tmp_path: Path, home: Path
) -> None:
    set_limit(home, "db", 1)
    path = tmp_path / "pid"

    @task(tags=["db"], retries=1, retry_delay_seconds=4)
    def flaky(path: str) -> str:
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.write(str(os.getpid()))
            raise ValueError("the first try")
        return "done"

    @flow(task_runner=engine.runner)
    def f() -> Any:
        future = flaky.submit(str(path))
        until(lambda: future.get_state().name == "AwaitingRetry")
        os.kill(int(path.read_text()), signal.SIGKILL)
        free = list_limits(home)[0].in_use
        return free, future.result()

    assert f() == (0, "done")
    assert list_limits(home)[0].in_use == 0


# -- what cannot be sent -----------------------------------------------------------------------------------


def a_lock() -> Any:
    import threading

    return threading.Lock()


def test_an_argument_that_cannot_be_pickled_is_named_and_ends_only_its_run(lasting: Engine) -> None:
    @flow(task_runner=lasting.runner)
    def f() -> Any:
        bad = identity.submit({"inner": [a_lock()]})
        after = identity.submit(bad)
        good = identity.submit(1)
        return quote([bad.wait(), after.wait(), good.wait()])

    bad, after, good = f().unquote()
    assert bad.is_crashed()
    assert "argument 'x' of task 'identity', a dict, cannot be sent" in bad.message
    assert "['inner'][0]" in bad.message
    assert after.name == "NotReady"
    assert good.is_completed()


def test_a_function_that_cannot_be_pickled_is_told_with_what_it_uses(lasting: Engine) -> None:
    held = a_lock()

    @task
    def use() -> Any:
        return held.locked()

    @flow(task_runner=lasting.runner)
    def f() -> Any:
        return quote([use.submit().wait(), identity.submit(1).wait()])

    bad, good = f().unquote()
    assert bad.is_crashed()
    assert "'use'" in bad.message
    assert "it uses 'held', a lock" in bad.message
    assert good.is_completed()


def test_a_result_that_cannot_be_pickled_crashes_its_run(lasting: Engine) -> None:
    @task
    def lock() -> Any:
        return {"of": [a_lock()]}

    @flow(task_runner=lasting.runner)
    def f() -> Any:
        bad = lock.submit()
        after = identity.submit(bad)
        return quote([bad.wait(), after.wait(), identity.submit(1).wait()])

    bad, after, good = f().unquote()
    assert bad.is_crashed()
    assert "cannot be sent from its worker" in bad.message
    assert "['of'][0]" in bad.message
    assert after.name == "NotReady"
    assert good.is_completed()


def test_an_exception_that_cannot_be_pickled_keeps_its_text(lasting: Engine) -> None:
    class Odd(Exception):
        def __init__(self, lock: Any, text: str) -> None:
            self.lock = lock
            super().__init__(text)

    @task
    def fail() -> None:
        raise Odd(a_lock(), "very odd")

    @flow(task_runner=lasting.runner)
    def f() -> Any:
        return quote(fail.submit().wait())

    state = f().unquote()
    assert state.is_failed()
    assert state.message == "Task run encountered an exception Odd: very odd"
    with pytest.raises(Exception, match="very odd"):
        state.result()


class TwoArguments(Exception):
    """Cannot be made from its own ``args``, which many exceptions of libraries cannot either."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def raised(error: Exception) -> Exception:
    try:
        raise error from KeyError("the cause")
    except Exception as caught:
        caught.add_note(f"a note of {caught}")
        return caught


def test_exceptions_in_groups_and_in_results_arrive_whole(lasting: Engine, home: Path) -> None:
    @task
    def fail() -> None:
        raise ExceptionGroup("many", [raised(TwoArguments(1, "a")), raised(TwoArguments(2, "b"))])

    @task
    def give() -> Any:
        return {"errors": [raised(TwoArguments(3, "c"))]}

    @flow(task_runner=lasting.runner)
    def f() -> Any:
        failed, given = fail.submit(), give.submit()
        passed = identity.submit(given).result()["errors"]
        return quote([failed.wait(), [*given.result()["errors"], *passed]])

    state, given = f().unquote()
    with pytest.raises(ExceptionGroup, match="many") as caught:
        state.result()
    for error, number in zip([*caught.value.exceptions, *given], [1, 2, 3, 3], strict=True):
        assert type(error) is TwoArguments
        assert error.code == number
        assert error.__notes__ == [f"a note of {error}"]
        assert type(error.__cause__) is KeyError
        assert traceback.extract_tb(error.__traceback__)[-1].name == "raised"
    with Reader.open(home) as reader:
        (failure,) = reader.failures(reader.resolve_run("@last").id, 1)
    for text in ("1: a", "2: b", "a note of 1: a", "a note of 2: b", "the cause"):
        assert text in str(failure.exception)


def test_an_exception_of_any_size_is_what_the_flow_fails_with(engine: Engine) -> None:
    @task
    def fail() -> None:
        raise ExceptionGroup("many", [raised(TwoArguments(code, "x" * 100)) for code in range(500)])

    @flow(task_runner=engine.runner)
    def f() -> None:
        fail.submit()

    with pytest.raises(ExceptionGroup, match="many") as caught:
        f()
    assert [error.code for error in caught.value.exceptions] == list(range(500))  # type: ignore[attr-defined]


# -- cancelling --------------------------------------------------------------------------------------------


@task
def loop_until_stopped(path: str, noted: str) -> None:
    open(path, "w").close()
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        open(noted, "w").close()


@task
async def await_until_stopped(path: str, noted: str) -> None:
    import asyncio

    open(path, "w").close()
    try:
        await asyncio.sleep(120)
    finally:
        open(noted, "w").close()


@task
def sleep_deaf(path: str, noted: str) -> None:
    open(path, "w").close()
    time.sleep(60)  # inside one C call


@pytest.mark.parametrize(
    ("endless", "cleans_up"),
    [(loop_until_stopped, True), (await_until_stopped, True), (sleep_deaf, False)],
    ids=["loop", "async", "deaf"],
)
def test_cancelling_stops_what_runs_and_drops_what_waits(
    engine: Engine,
    tmp_path: Path,
    home: Path,
    endless: Any,
    cleans_up: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if engine.name == "dask" and not cleans_up:
        pytest.skip("a worker of somebody else's Dask cannot be ended: it goes on")
    if cleans_up and engine.name.startswith("ray"):  # on a busy machine being asked takes a while
        monkeypatch.setattr("flowdeck.task_runners._ray.ray_run._GRACE", 25.0)
    marks = [(str(tmp_path / f"{i}-began"), str(tmp_path / f"{i}-cleaned")) for i in range(2)]

    @flow(task_runner=engine.runner)
    def f() -> Any:
        running = [endless.submit(*pair) for pair in marks]
        identity.map(range(50))
        identity.submit(running[0])
        until(lambda: all(os.path.exists(began) for began, _ in marks))
        until(lambda: all(future.get_state().is_running() for future in running))
        cancel_soon()
        running[1].wait()

    began = time.monotonic()
    state = f(return_state=True)
    assert state.is_cancelled()
    assert time.monotonic() - began < 30
    history = states_of(home)
    assert len(history) == 53
    assert {states[-1] for states in history.values()} == {"Cancelled"}
    assert history[1] == history[2] == ["Pending", "Running", "Cancelled"]
    if cleans_up:
        until(lambda: all(os.path.exists(cleaned) for _, cleaned in marks))
    assert free_again(engine, tmp_path)


def free_again(engine: Engine, folder: Path) -> bool:
    """Say that both workers take tasks: two that wait for each other.

    A cluster of the flow run's own has ended with it: the next one would be another.
    """
    if engine.name == "dask-local":
        return True

    @task
    def meet(mine: str, other: str) -> bool:
        open(mine, "w").close()
        deadline = time.monotonic() + 60
        while not os.path.exists(other) and time.monotonic() < deadline:
            time.sleep(0.005)
        return os.path.exists(other)

    a, b = str(folder / "meet-a"), str(folder / "meet-b")

    @flow(task_runner=engine.runner)
    def f() -> Any:
        return [future.result() for future in [meet.submit(a, b), meet.submit(b, a)]]

    return bool(f() == [True, True])


def test_one_task_can_be_cancelled_alone(lasting: Engine, tmp_path: Path) -> None:
    pair = str(tmp_path / "began"), str(tmp_path / "cleaned")

    @flow(task_runner=lasting.runner)
    def f() -> Any:
        one, other = loop_until_stopped.submit(*pair), identity.submit(2)
        after = identity.submit(one)
        until(lambda: os.path.exists(pair[0]))
        (run,) = cancellation.live.values()
        run.cancel_task(one.task_run.no)
        return one.wait().name, other.wait().name, after.wait().name

    assert f() == ("Cancelled", "Completed", "NotReady")


def test_an_interrupted_flow_leaves_no_task_behind(engine: Engine, tmp_path: Path) -> None:
    pair = str(tmp_path / "began"), str(tmp_path / "cleaned")

    @flow(task_runner=engine.runner)
    def f() -> None:
        loop_until_stopped.submit(*pair)
        identity.map(range(50))
        until(lambda: os.path.exists(pair[0]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        f()
    assert free_again(engine, tmp_path)


def test_waiting_tasks_survive_the_end_of_an_upstream_in_every_way(
    lasting: Engine, tmp_path: Path
) -> None:
    @task
    def fail() -> None:
        raise ValueError("no")

    ways: dict[str, Callable[[], Any]] = {
        "Failed": fail.submit,
        "Crashed": lambda: identity.submit(a_lock()),
        "Completed": lambda: identity.submit(1),
    }

    @flow(task_runner=lasting.runner)
    def f() -> Any:
        found = {}
        for name, submit in ways.items():
            first = submit()
            second = identity.submit(first)
            third = note_pid_and_wait.submit(str(tmp_path / name), wait_for=[second])
            if name == "Completed":
                until((tmp_path / name).exists)
                (tmp_path / name).unlink()
            found[name] = [future.wait().name for future in (first, second, third)]
        return found

    assert f() == {
        "Failed": ["Failed", "NotReady", "NotReady"],
        "Crashed": ["Crashed", "NotReady", "NotReady"],
        "Completed": ["Completed"] * 3,
    }


# -- what is kept of a run that fails ----------------------------------------------------------------


@task
def rows(count: int) -> list[dict[str, int]]:
    """So many small parts that a worker does not look at all of them to know the size."""
    return [{"number": number} for number in range(count)]


@task
def fail(_: Any) -> None:
    raise ValueError


@pytest.mark.long
def test_values_of_many_small_parts_are_weighed_where_they_are(
    lasting: Engine, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE", 60.0)

    @flow(task_runner=lasting.runner)
    def f() -> None:
        fail.submit([rows.submit(1_000_000), rows.submit(500_000)]).result()

    with using(keep_on_failure=8):
        assert f(return_state=True).is_failed()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        results = [reader.result(run.id, no) for no in (1, 2)]
    kept = [result is not None and result.location is not None for result in results]
    assert kept == [False, True]

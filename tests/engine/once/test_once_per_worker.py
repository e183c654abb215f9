"""Values that are made once in each process."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, once, once_per_worker, task
from flowdeck.remote.pickling import Pickling
from flowdeck.task_runners import ConcurrentTaskRunner, ProcessTaskRunner
from loopback import LoopbackRunner

pytestmark = pytest.mark.timeout(60)


def made_in(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_all_tasks_on_threads_get_the_one_value_that_the_first_one_made() -> None:
    made: list[int] = []

    @once_per_worker
    def model() -> object:
        made.append(threading.get_ident())
        time.sleep(0.02)
        return object()

    @task
    def predict(number: int) -> int:
        return id(model())

    @flow(task_runner=ConcurrentTaskRunner(max_workers=8))
    def f() -> Any:
        return predict.map(range(16)).result()

    assert len(set(f())) == 1
    assert len(made) == 1


def test_there_is_a_value_for_each_set_of_arguments_which_must_be_hashable() -> None:
    @once_per_worker
    def client(host: str, port: int = 80) -> list[Any]:
        return [host, port]

    assert client("a") is client("a") is not client("b")
    assert client("a", port=8) is client("a", port=8)
    with pytest.raises(TypeError, match="must be hashable: unhashable type: 'list'"):
        client(["a"])  # type: ignore[arg-type]


def test_what_fails_is_tried_again_and_not_kept() -> None:
    calls: list[int] = []

    @once_per_worker
    def flaky() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise ConnectionError("not yet")
        return "there"

    with pytest.raises(ConnectionError):
        flaky()
    assert [flaky(), flaky(), len(calls)] == ["there", "there", 2]


def test_a_function_that_needs_itself_is_told_so_and_not_waited_for() -> None:
    @once_per_worker
    def circle() -> Any:
        return circle()

    @once_per_worker
    async def circle_async() -> Any:
        return await circle_async()

    with pytest.raises(RuntimeError, match="needs its own value"):
        circle()
    with pytest.raises(RuntimeError, match="needs its own value"):
        asyncio.run(circle_async())


def test_an_async_value_is_made_once_for_each_loop_and_closed_there() -> None:
    loops: list[Any] = []
    closed: list[Any] = []

    async def close(client: Any) -> None:
        closed.append((client, asyncio.get_running_loop()))

    @once_per_worker(close=close)
    async def client() -> object:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0.001)
        return object()

    @task
    async def ask(number: int) -> int:
        return id(await client())

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        return ask.map(range(8)).result()

    assert len(set(f())) == 1
    assert len(loops) == 1
    asyncio.run(client())
    assert len(loops) == 2
    client.close()
    assert [loop for _, loop in closed] == [loops[0]]  # the other one is gone


def test_closing_lets_go_of_the_last_value_first_and_goes_on_after_an_error() -> None:
    closed: list[str] = []

    def close(name: str) -> None:
        closed.append(name)
        if name == "b":
            raise OSError("gone")

    @once_per_worker(close=close)
    def client(name: str) -> str:
        return name

    for name in "abc":
        client(name)
    client.close()
    assert closed == ["c", "b", "a"]
    client.close()
    assert closed == ["c", "b", "a"]


@pytest.mark.parametrize("how", [{"close": 5}, {}])
def test_what_is_no_function_or_yields_is_refused(how: Any) -> None:
    def generator() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"close=|`close`"):
        once_per_worker(**how)(generator if not how else make)
    with pytest.raises(TypeError, match="for functions"):
        once_per_worker(5)  # type: ignore[call-overload]


def make() -> object:
    return object()


def test_a_forked_child_makes_its_own_and_leaves_that_of_its_parent_open() -> None:
    closed: list[int] = []

    @once_per_worker(close=closed.append)
    def number() -> int:
        return os.getpid()

    assert number() == os.getpid()
    child = os.fork()
    if not child:
        os._exit(0 if number() == os.getpid() and not closed else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert number() == os.getpid()


# -- other processes ----------------------------------------------------------------------------------------


@once_per_worker
def shared() -> dict[str, int]:
    with open(os.environ["MADE_IN"], "a") as file:
        file.write(f"{os.getpid()}\n")
    return {"pid": os.getpid()}


def test_each_worker_process_makes_one_value_for_all_tasks_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_IN", str(tmp_path / "made"))

    @task
    def one(number: int) -> int:
        return shared()["pid"]

    @task
    def other(number: int) -> int:
        return shared()["pid"]

    @flow(task_runner=ProcessTaskRunner(max_workers=2))
    def f() -> Any:
        return one.map(range(6)).result() + other.map(range(6)).result()

    pids = f() + f()
    made = made_in(tmp_path / "made")
    assert len(made) == len(set(made))
    assert {str(pid) for pid in pids} == set(made)
    assert len(made) <= 2


def test_what_travels_is_the_same_function_again_where_it_is_known() -> None:
    pickling = Pickling()

    @once_per_worker
    def client() -> object:
        return object()

    @flow(task_runner=LoopbackRunner())
    def f() -> Any:
        return task(lambda: id(client())).submit().result()

    assert pickling.loads(pickling.dumps(client)) is client
    assert pickle.loads(pickle.dumps(client)) is client
    assert f() == id(client())


def test_a_value_is_closed_when_a_newer_one_has_come_and_its_run_is_over() -> None:
    closed: list[str] = []
    pickling = Pickling()

    def sent(version: str) -> Any:
        def client() -> str:
            return version

        # As if it came from another process.
        data = once.OncePerWorker(client, closed.append)
        came = pickling.loads(pickling.dumps(data))
        came.came = True
        return came

    class Run:
        def __init__(self, uid: str) -> None:
            self.info = self
            self.uid = uid

    from flowdeck.threads import active

    old, new = sent("old"), sent("new")
    for function, uid in ((old, "1"), (new, "2"), (old, "3")):
        token = active.current_task_run.set(Run(uid))
        function()
        active.current_task_run.reset(token)
    once.run_is_over("1")
    once.run_is_over("2")
    assert closed == []
    once.run_is_over("3")
    assert closed == ["old"]
    assert new() == "new"
    new.close()


SCRIPT = """
import sys
from flowdeck import flow, once_per_worker, task
from flowdeck.task_runners import ProcessTaskRunner

PATH = sys.argv[1]

def close(value):
    open(PATH, "a").write("closed\\n")

@once_per_worker(close=close)
def value():
    open(PATH, "a").write("made\\n")
    return lambda: 1  # cannot be pickled

@task
def use(number):
    return value()()

@flow(task_runner=ProcessTaskRunner(max_workers=1))
def f():
    return sum(use.map(range(5)).result())

if __name__ == "__main__":
    print(f() + value()())
"""


def test_a_script_of_its_own_makes_and_closes_one_in_its_worker_and_one_itself(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "log")],
        capture_output=True, text=True, check=True, env={**os.environ, "FLOWDECK_CONSOLE": "no"},
    )  # fmt: skip
    assert done.stdout == "6\n"
    deadline = time.monotonic() + 30
    while sorted(made_in(tmp_path / "log")) != ["closed", "closed", "made", "made"]:
        assert time.monotonic() < deadline, made_in(tmp_path / "log")
        time.sleep(0.02)


def test_tasks_whose_time_is_up_while_they_wait_for_the_value_leave_it_to_the_next_ones(
    home: Path,
) -> None:
    go = threading.Event()

    @once_per_worker
    def model() -> int:
        while not go.is_set():
            time.sleep(0.005)
        return 7

    @task(timeout_seconds=0.15)
    def predict(_: int) -> int:
        return model()

    @task
    def predict_in_peace(_: int) -> int:
        return model()

    @flow(task_runner=ConcurrentTaskRunner(), timeout_seconds=20)
    def predictions() -> tuple[set[str], list[int]]:
        late = {state.name for state in predict.map(range(6), return_state=True)}
        go.set()
        return late, predict_in_peace.map(range(3)).result()

    assert predictions() == ({"TimedOut"}, [7, 7, 7])

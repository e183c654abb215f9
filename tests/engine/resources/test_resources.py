"""What tasks with ``resources=`` may use together, and how engines are asked for it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowdeck import budgets, flow, settings, task
from flowdeck.exceptions import ConfigurationError
from flowdeck.runs import recorder as recording
from flowdeck.runs.stopping import stop_runs
from flowdeck.runs.task_run import Stop
from flowdeck.settings.amounts import amounts, shown
from flowdeck.task_runners import (
    ConcurrentTaskRunner,
    ProcessTaskRunner,
    SequentialTaskRunner,
)
from flowdeck_store.read.reader import Reader

pytestmark = pytest.mark.timeout(60)


def until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Busy:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


# -- amounts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, {}),
        ({"GPU": 1, "memory": "2GB", "cpu": 0}, {"gpu": 1.0, "memory": 2e9}),
        ({"Memory": "1.5 GiB"}, {"memory": 1.5 * 2**30}),
        ({"memory": 1000, "Big disk": 0.5}, {"memory": 1000.0, "Big disk": 0.5}),
        ({"memory": "512m"}, {"memory": 512e6}),
    ],
)
def test_amounts_are_numbers_and_memory_is_bytes(given: Any, found: dict[str, float]) -> None:
    assert task(resources=given)(len).resources == found


@pytest.mark.parametrize(
    ("given", "error"),
    [("gpu", TypeError), ({1: 1}, TypeError), ({"gpu": "1"}, TypeError), ({"gpu": True}, TypeError),
     ({"gpu": -1}, ValueError), ({"memory": "much"}, ValueError), ({"": 1}, TypeError)],
)  # fmt: skip
def test_amounts_that_are_none_are_refused_where_they_stand(given: Any, error: type) -> None:
    with pytest.raises(error, match="`resources`"):
        task(resources=given)(len)
    with pytest.raises(error, match="`resources`"):
        ConcurrentTaskRunner(resources=given)


def test_options_change_resources_and_keep_them() -> None:
    train = task(resources={"gpu": 1})(len)
    assert train.with_options(name="other").resources == {"gpu": 1.0}
    assert train.with_options(resources={"cpu": 2}).resources == {"cpu": 2.0}
    assert train.with_options(resources={}).resources == {}


def test_amounts_are_shown_as_people_write_them() -> None:
    assert (
        shown(amounts({"memory": "16GB", "gpu": 0.5, "disk": 2})) == "disk=2, gpu=0.5, memory=16GB"
    )


def test_a_setting_says_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLOWDECK_RESOURCES", "gpu=2,memory=16GB")
    assert settings.reload().resources == {"gpu": 2.0, "memory": 16e9}
    monkeypatch.setenv("FLOWDECK_RESOURCES", "gpu=many")
    with pytest.raises(ConfigurationError, match="a table of amounts"):
        settings.reload()
    monkeypatch.delenv("FLOWDECK_RESOURCES")


# -- counted here ---------------------------------------------------------------------------------------------


def test_no_more_execute_than_there_is_for_them_on_threads_and_loops(home: Path) -> None:
    busy = Busy()

    @task(resources={"gpu": 1, "memory": "2GB"})
    def train() -> None:
        with busy:
            time.sleep(0.01)

    @task(resources={"gpu": 1})
    async def train_async() -> None:
        import asyncio

        with busy:
            await asyncio.sleep(0.01)

    @flow(task_runner=ConcurrentTaskRunner(resources={"gpu": 3, "memory": "5GB"}))
    def f() -> None:
        for _ in range(4):
            train.submit()
        for _ in range(4):
            train_async.submit()

    assert f(return_state=True).message == "All states completed."
    assert 1 <= busy.most <= 3


def test_memory_is_counted_together(home: Path) -> None:
    busy = Busy()

    @task(resources={"memory": "2GB"})
    def load() -> None:
        with busy:
            time.sleep(0.01)

    @flow(task_runner=ConcurrentTaskRunner(resources={"memory": "5GB"}))
    def f() -> None:
        for _ in range(6):
            load.submit()

    assert f(return_state=True).is_completed()
    assert busy.most <= 2


def test_processes_of_a_runner_share_what_there_is(home: Path, tmp_path: Path) -> None:
    @task(resources={"licence": 1})
    def alone(path: Path) -> int:
        with path.open("a") as file:
            file.write("x")
        time.sleep(0.01)
        found = path.stat().st_size
        os.truncate(path, 0)
        return found

    @flow(task_runner=ProcessTaskRunner(max_workers=2, resources={"licence": 1}))
    def f() -> Any:
        return alone.map([tmp_path / "file"] * 5).result()

    assert f() == [1] * 5


def test_flow_runs_of_a_process_share_the_setting_and_what_the_machine_has(home: Path) -> None:
    holds, go = threading.Event(), threading.Event()

    @task(resources={"bay": 1})
    def hold() -> None:
        holds.set()
        go.wait(30)

    @task(resources={"bay": 1})
    def quick() -> str:
        return "done"

    @flow
    def first() -> None:
        hold.submit()

    @flow
    def second() -> Any:
        future = quick.submit()
        until(lambda: future.get_state().name == "AwaitingConcurrencySlot")
        message = future.get_state().message
        go.set()
        return future.result(), message

    with settings.using(resources={"bay": 1}):
        here = settings.get_settings()
        thread = threading.Thread(target=_in, args=(here, first))
        thread.start()
        assert holds.wait(30)
        assert second() == ("done", "Waiting for bay to be free.")
        thread.join()


def _in(found: Any, function: Any) -> None:
    with settings.using(resources=found.resources):
        function()


@pytest.mark.parametrize(
    "runner",
    [SequentialTaskRunner(), ConcurrentTaskRunner(), ProcessTaskRunner(max_workers=1)],
    ids=lambda runner: runner.name,
)
def test_what_can_never_fit_is_said_and_does_not_wait(home: Path, runner: Any) -> None:
    @task(resources={"gpu": 3})
    def train() -> None: ...

    @flow(task_runner=runner)
    def f() -> Any:
        state = train.submit(return_state=True)
        return state.name, state.message

    with settings.using(resources={"gpu": 2}):
        name, message = f()
    assert name == "Crashed"
    assert message.startswith("The task needs gpu=3, but there is only gpu=2 in this process")


def test_what_nobody_has_counted_is_not_waited_for_and_said_once(home: Path) -> None:
    @task(resources={"scanner": 1})
    def scan() -> int:
        return 1

    @flow(task_runner=ConcurrentTaskRunner(resources={"gpu": 1}))
    def f() -> Any:
        return [scan.submit() for _ in range(3)]

    f()
    recording.recorder().flush()
    lines = [row.message for row in Reader(home).logs(1) if "Nobody has said" in row.message]
    assert len(lines) == 1
    assert "how much 'scanner' there is" in lines[0]


def test_resources_are_free_while_a_task_waits_to_be_tried_again_and_when_it_is_cancelled(
    home: Path,
) -> None:
    @task(resources={"bay": 1}, retries=1, retry_delay_seconds=600)
    def flaky() -> None:
        raise ValueError

    @task(resources={"bay": 1})
    def quick() -> str:
        return "done"

    @flow(task_runner=ConcurrentTaskRunner(resources={"bay": 1}))
    def f() -> Any:
        first = flaky.submit()
        until(lambda: first.get_state().name == "AwaitingRetry")
        done = quick.submit().result(), quick()
        stop_runs([first.task_run], Stop.CANCEL)
        return done, first.wait().name

    assert f() == (("done", "done"), "Cancelled")


def test_tasks_without_resources_ask_nobody(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(budgets, "_machine", lambda: pytest.fail("nobody needs to know"))

    @flow
    def f() -> int:
        return task(lambda: 1).submit().result()

    assert f() == 1


# -- engines --------------------------------------------------------------------------------------------------


def run_with(resources: dict[str, Any], options: Any = None) -> Any:
    made = task(resources=resources, name="train")(len)
    recorder = SimpleNamespace(emit=lambda event: None)
    info = SimpleNamespace(uid="u")
    return SimpleNamespace(
        task=made, name="train-0", no=1, info=info, recorder=recorder, context=options,
        logger_name="flowdeck.task_runs", title="", uid="u.1",
    )  # fmt: skip


def test_ray_is_asked_in_its_own_words() -> None:
    import contextvars

    from flowdeck.task_runners._ray.options import _options, options_of

    context = contextvars.Context()
    context.run(_options.set, {"num_cpus": 2, "resources": {"disk": 1}})
    run = run_with({"gpu": 1, "memory": "2GB", "tape": 2}, context)
    assert options_of(run) == {
        "num_cpus": 2, "num_gpus": 1.0, "memory": 2_000_000_000, "resources": {"disk": 1, "tape": 2.0},
    }  # fmt: skip
    with pytest.raises(
        ConfigurationError, match="num_cpus=4 by its `resources`, and for num_cpus=2"
    ):
        options_of(run_with({"cpu": 4}, context))
    with pytest.raises(ConfigurationError, match="disk=3"):
        options_of(run_with({"disk": 3}, context))
    assert options_of(run_with({}, context)) == {"num_cpus": 2, "resources": {"disk": 1}}


def test_dask_is_asked_for_what_its_workers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    from flowdeck.task_runners._dask import resources

    said: list[str] = []
    monkeypatch.setattr(resources, "line", lambda run, level, text: said.append(text))
    client = SimpleNamespace(run_on_scheduler=lambda function: ["GPU", "MEMORY"])
    asks = resources.WorkerResources(client)
    run = run_with({"gpu": 1, "memory": "2GB", "cpu": 2, "tape": 1})
    for _ in range(2):
        assert asks.annotated(run, {"priority": 1}) == {
            "priority": 1, "resources": {"GPU": 1.0, "MEMORY": 2e9, "tape": 1.0},
        }  # fmt: skip
    assert len(said) == 1
    assert "No worker of the Dask cluster counts CPU" in said[0]
    same = {"resources": {"GPU": 1, "disk": 1}}
    assert asks.annotated(run_with({"gpu": 1}), same) == {"resources": {"GPU": 1.0, "disk": 1}}
    with pytest.raises(ConfigurationError, match="GPU=1 by its `resources`, and for GPU=2"):
        asks.annotated(run_with({"gpu": 1}), {"resources": {"GPU": 2}})

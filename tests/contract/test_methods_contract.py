"""Tasks and flows as methods, on every task runner: they bind like functions."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import BaseTaskRunner, SequentialTaskRunner

pytestmark = pytest.mark.timeout(120)


class Loader:
    place = "class"

    def __init__(self, place: str = "here") -> None:
        self.place = place

    @task
    def rows(self, table: str = "users", limit: int = 10) -> Any:
        return self.place, table, limit

    @task
    async def fetch(self, table: str = "users") -> Any:
        return self.place, table

    @classmethod
    @task
    def under_class(cls, table: str = "users") -> Any:
        return cls.place, table

    @task
    @classmethod
    def over_class(cls, table: str = "users") -> Any:
        return cls.place, table

    @staticmethod
    @task
    def under_static(table: str = "users") -> Any:
        return table

    @task
    @staticmethod
    def over_static(table: str = "users") -> Any:
        return table


class Special(Loader):
    place = "special"


@dataclass
class Config:
    factor: int

    @task(retries=1)
    def times(self, number: int, plus: int = 0) -> int:
        return self.factor * number + plus


def test_a_method_s_arguments_are_not_its_instance(runner: BaseTaskRunner) -> None:
    loader, config = Loader(), Config(3)

    @flow(task_runner=runner)
    def f() -> Any:
        return [
            loader.rows("orders"),
            loader.rows.submit("orders", limit=5).result(),
            loader.rows.with_options(name="other").submit("orders").result(),
            [future.result() for future in loader.rows.map(["a", "b"], limit=1)],
            [future.result() for future in config.times.map([1, 2], plus=[1, 2])],
            loader.fetch("orders"),
            loader.fetch.submit("orders").result(),
            loader.rows.fn("plain"),
            Loader.rows.submit(loader, "by the class").result(),
        ]

    assert f() == [
        ("here", "orders", 10),
        ("here", "orders", 5),
        ("here", "orders", 10),
        [("here", "a", 1), ("here", "b", 1)],
        [4, 8],
        ("here", "orders"),
        ("here", "orders"),
        ("here", "plain", 10),
        ("here", "by the class", 10),
    ]


@pytest.mark.parametrize("name", ["under_class", "over_class"])
def test_class_methods_get_the_class_that_was_asked(runner: BaseTaskRunner, name: str) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        calls = [getattr(owner, name) for owner in (Loader, Special, Special("instance"))]
        called = [call("orders") for call in calls]
        submitted = [call.submit("orders").result() for call in calls]
        mapped = [call.map(["orders"])[0].result() for call in calls]
        return called == submitted == mapped, called

    wanted = [("class", "orders"), ("special", "orders"), ("special", "orders")]
    assert f() == (True, wanted)


@pytest.mark.parametrize("name", ["under_static", "over_static"])
def test_static_methods_get_their_arguments_alone(runner: BaseTaskRunner, name: str) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        calls = [getattr(owner, name) for owner in (Loader, Loader())]
        return [(c("x"), c.submit("x").result(), c.map(["x"])[0].result()) for c in calls]

    assert f() == [("x", "x", "x")] * 2


def test_flows_are_methods_too(runner: BaseTaskRunner) -> None:
    class Job:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        @task
        def step(self, number: int) -> int:
            return self.factor * number

        @flow(task_runner=runner, retries=1)
        def nightly(self, numbers: list[int]) -> int:
            return sum(future.result() for future in self.step.map(numbers))

        @flow(task_runner=SequentialTaskRunner())
        @classmethod
        def named(cls, suffix: str = "!") -> str:
            return cls.__name__ + suffix

    job = Job(2)
    assert job.nightly([1, "2"]) == 6
    assert job.nightly.with_options(name="other")(numbers=[5]) == 10
    assert job.nightly([3], return_state=True).result() == 6
    assert Job.named("?") == "Job?"
    assert Job.nightly(job, [1]) == 2


@pytest.mark.anyio
async def test_async_methods_are_awaited(runner: BaseTaskRunner) -> None:
    class Job:
        scale = 2

        @task
        async def step(self, number: int) -> int:
            return self.scale * number

        @flow(task_runner=runner)
        async def nightly(self, number: int) -> Any:
            future = await self.step.submit(number)
            (child,) = await self.step.map([number + 1])
            return await self.step(number), await future.result(), await child.result()

    assert await Job().nightly(4) == (8, 8, 10)


def test_an_instance_that_cannot_be_sent_is_named(runner: BaseTaskRunner) -> None:
    class Held:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        @task
        def work(self, number: int) -> int:
            with self.lock:
                return number

    @flow(task_runner=runner)
    def f() -> Any:
        return Held().work.submit(4).wait()

    state = f(return_state=True).result(raise_on_failure=False)
    if runner.name in ("sequential", "concurrent"):
        assert state.result() == 4
        return
    assert state.is_crashed()
    assert "argument 'self' of task 'work', a Held, cannot be sent to a worker" in state.message
    assert "lock" in state.message

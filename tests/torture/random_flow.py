"""A flow of random shape, in a process of its own: what :mod:`run_torture` disturbs.

    python random_flow.py SEED RUNNER FACTS

Each fact is a line ``uid name`` in the file FACTS, written once the flow has seen the task run
completed: from then on the record must say so, whatever happens to this process.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import Any

from flowdeck import flow, get_run_logger, runtime, tags, task
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner


@task(task_run_name="{name}", log_prints=True)
def work(name: str, seconds: float, fails: bool, lines: int, *given: Any) -> int:
    for line in range(lines):
        print(f"{name} says {line}")
    time.sleep(seconds)
    if fails:
        raise ValueError(f"{name} fails")
    return len(given)


@task(task_run_name="{name}")
async def work_async(name: str, seconds: float, fails: bool, lines: int, *given: Any) -> int:
    for line in range(lines):
        get_run_logger().warning("%s says %d", name, line)
    await asyncio.sleep(seconds)
    if fails:
        raise ValueError(f"{name} fails")
    return len(given)


@task(task_run_name="{name}", retries=2)
def work_again(name: str, seconds: float, fails: bool, lines: int, *given: Any) -> int:
    if fails and runtime.task_run.run_count < 3:
        raise ConnectionError(f"{name} fails for now")
    return work.fn(name, seconds, False, lines, *given)


class Shape:
    """Draws what a flow does, and notes what it has seen."""

    def __init__(self, seed: int, facts: int) -> None:
        self.chance = random.Random(seed)
        self.facts = facts
        self.made = 0

    def runner(self, kind: str) -> BaseTaskRunner:
        if kind == "process":
            from flowdeck.task_runners import ProcessTaskRunner

            return ProcessTaskRunner(max_workers=2)
        if kind == "sequential":
            return SequentialTaskRunner()
        return ConcurrentTaskRunner(max_workers=self.chance.choice([1, 2, 8, None]))

    def body(self, depth: int) -> int:
        futures: list[Any] = []
        for _ in range(self.chance.randrange(3, 25)):
            if depth and self.chance.random() < 0.08:
                self.subflow(depth - 1)
            elif self.chance.random() < 0.3:
                self.call()
            else:
                futures.append(self.submit(futures))
            if futures and self.chance.random() < 0.3:
                self.see(self.chance.choice(futures))
        for future in futures:
            self.see(future)
        return len(futures)

    def arguments(self) -> tuple[Any, tuple[Any, ...]]:
        self.made += 1
        which = self.chance.choices([work, work_async, work_again], [6, 2, 2])[0]
        seconds = self.chance.choice([0.0, 0.0, 0.002, 0.03])
        name = f"t{self.made}"
        return which, (name, seconds, self.chance.random() < 0.15, self.chance.randrange(3))

    def submit(self, futures: list[Any]) -> tuple[str, Any]:
        which, given = self.arguments()
        upstreams = self.chance.sample(futures, min(len(futures), self.chance.randrange(3)))
        with tags(*self.chance.sample(["blue", "green"], self.chance.randrange(3))):
            return given[0], which.submit(*given, *(future for _, future in upstreams))

    def call(self) -> None:
        which, given = self.arguments()
        try:
            which(*given)
        except (ValueError, ConnectionError):
            return
        self.note(given[0])

    def subflow(self, depth: int) -> None:
        @flow(name="inner", task_runner=self.runner("concurrent"))
        def inner() -> int:
            return self.body(depth)

        inner()

    def see(self, future: tuple[str, Any]) -> None:
        name, seen = future
        if seen.wait().is_completed():
            self.note(name)

    def note(self, name: str) -> None:
        os.write(self.facts, f"{runtime.flow_run.id} {name}\n".encode())


def jump(chance: random.Random) -> None:
    """Have the clock of this process jump, back and forth by up to hours, now and then."""
    real, shift = time.time_ns, 0

    def jumping() -> int:
        nonlocal shift
        if chance.random() < 0.01:
            shift = chance.randrange(-7200, 7200) * 10**9
        return real() + shift

    time.time_ns = jumping


def main(seed: int, kind: str, facts: str) -> None:
    shape = Shape(seed, os.open(facts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    if shape.chance.random() < 0.2:
        jump(random.Random(seed + 1))

    @flow(name="outer", task_runner=shape.runner(kind), log_prints=True)
    def outer() -> int:
        print(f"seed {seed}")
        return shape.body(2)

    outer(return_state=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

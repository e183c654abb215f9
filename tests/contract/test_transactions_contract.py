"""Transactions with every task runner: their hooks are called in the flow's process, in its order."""

from __future__ import annotations

import os
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.transactions import get_transaction, transaction

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("fail", [True, False])
def test_hooks_are_called_in_the_process_and_the_order_of_the_flow(runner: Any, fail: bool) -> None:
    seen: list[Any] = []

    @task
    def step(name: str, before: Any = None) -> str:
        if name == "bad":
            raise ValueError
        return name

    def told(txn: Any) -> None:
        seen.append((os.getpid(), txn.task_run.state.result(), txn.get("set")))

    # Such hooks cannot travel, nor what they use: they do not.
    step = step.with_options(on_rollback=[told], on_commit=[told])

    @flow(task_runner=runner)
    def f() -> bool:
        with transaction() as txn:
            txn.set("set", 1)
            first = step.submit("a")
            second = step.submit("b", first)
            step.map(["c"], before=second)
            if fail:
                step.submit("bad")
        return txn.is_rolled_back()

    assert f() is fail
    names = [name for _, name, _ in seen]
    assert names == (["c", "b", "a"] if fail else ["a", "b", "c"])
    assert {(pid, value) for pid, _, value in seen} == {(os.getpid(), 1)}


def test_a_worker_says_that_transactions_are_elsewhere(runner: Any) -> None:
    @task
    def asks(told: str) -> str:
        own = get_transaction()
        assert own is not None
        own.set("told", told)
        return told

    @asks.on_rollback
    def undo(txn: Any) -> None:
        seen.append(txn.get("told"))

    seen: list[str] = []

    @flow(task_runner=runner)
    def f() -> Any:
        with transaction():
            future = asks.submit("x")
            future.wait()
            raise ValueError(str(future.state.message))

    message = str(f(return_state=True).message)
    assert seen == ["x"] or "another process than that of the flow run" in message

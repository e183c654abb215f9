"""Transactions: what is committed, what is rolled back, in which order, and what strikes in between."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.exceptions import MissingContextError
from flowdeck.stopping import cancellation
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.threads.active import current_flow_run
from flowdeck.transactions import TransactionState, get_transaction, transaction

if TYPE_CHECKING:
    from flowdeck.testing import Record

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


class Bench:
    """Tasks that note what is done and undone."""

    def __init__(self) -> None:
        self.seen: list[str] = []

        @task
        def step(name: str, after: Any = None) -> str:
            self.seen.append(name)
            return name

        @step.on_rollback
        def undo(transaction: Any) -> None:
            self.seen.append(f"undo {transaction.task_run.state.result()}")

        @step.on_commit
        def hold(transaction: Any) -> None:
            self.seen.append(f"hold {transaction.task_run.state.result()}")

        @task
        def fails(after: Any = None) -> None:
            raise ValueError("no")

        self.step, self.fails = step, fails

    def since(self, name: str) -> list[str]:
        return self.seen[self.seen.index(name) + 1 :]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- how it ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_a_block_that_ends_well_is_committed_in_the_order_of_its_runs(
    runner: Any, bench: Bench
) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        with transaction() as txn:
            first = bench.step("a")
            second = bench.step.submit("b", first)
            bench.step.map(["c"], after=second)
            assert txn.is_active()
        return txn.state

    assert f() is TransactionState.COMMITTED
    assert bench.since("c") == ["hold a", "hold b", "hold c"]


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
@pytest.mark.parametrize("how", ["raises", "task", "caught", "state", "submitted", "not ready"])
def test_whatever_does_not_complete_rolls_the_others_back_the_last_one_first(
    how: str, runner: Any, bench: Bench
) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        bad = bench.fails.submit() if how == "not ready" else None
        with transaction() as txn:
            first = bench.step.submit("a")
            bench.step.submit("b", first).wait()
            if how == "raises":
                raise RuntimeError("in the block")
            if how == "task":
                bench.fails()
            if how == "caught":
                with contextlib.suppress(ValueError):
                    bench.fails()
            if how == "state":
                bench.fails(return_state=True)
            if how == "submitted":
                bench.fails.submit()
            if how == "not ready":
                bench.step.submit("never", bad)
        return txn.state, first.state.name

    state = f(return_state=True)
    assert bench.seen == ["a", "b", "undo b", "undo a"]
    if how in {"raises", "task"}:
        assert isinstance(state.result(raise_on_failure=False), (RuntimeError, ValueError))
    else:
        assert state.result() == (TransactionState.ROLLED_BACK, "RolledBack")


def test_runs_that_did_not_complete_are_not_rolled_back_and_others_are_untouched(
    bench: Bench,
) -> None:
    @bench.fails.on_rollback
    def never(transaction: Any) -> None:
        bench.seen.append("never")

    @flow
    def f() -> None:
        bench.step("before")
        with transaction():
            bench.step("in")
            bench.fails(return_state=True)
        bench.step("behind")

    f(return_state=True)
    assert bench.seen == ["before", "in", "undo in", "behind"]


def test_hooks_of_one_task_are_called_last_one_first_and_are_logged(record: Record) -> None:
    seen: list[str] = []

    def first(txn: Any) -> None:
        seen.append("first")

    @task(on_rollback=[first])
    def t() -> None: ...

    @t.on_rollback
    async def second(txn: Any) -> None:
        seen.append("second")

    @flow
    def f() -> None:
        with transaction(key="orders"):
            t()
            raise ValueError("the block")

    f(return_state=True)
    assert seen == ["second", "first"]
    (run,) = record.task_runs
    expected = [
        "Rolling back transaction 'orders' (1 task run), because its block raised ValueError: the block",
        "Running rollback hook 'second'",
        "Rollback hook 'second' finished running successfully",
        "Running rollback hook 'first'",
    ]
    assert [line for line in record.logs if line in expected] == expected
    assert record.state_names(run) == ["Pending", "Running", "Completed"]


@pytest.mark.parametrize("error", [OSError("locked"), SystemExit(3)])
def test_a_hook_that_fails_hides_nothing_and_stops_no_other(
    error: BaseException, bench: Bench, record: Record
) -> None:
    def bad(txn: Any) -> None:
        raise error

    bench.step.on_rollback(bad)  # called first
    bench.step.on_commit(bad)

    @flow
    def f(fail: bool) -> Any:
        with transaction() as txn:
            bench.step("a")
            if fail:
                raise RuntimeError("the cause")
        return txn.state

    with pytest.raises(RuntimeError, match="the cause"):
        f(True)
    assert bench.seen == ["a", "undo a"]
    assert f(False) is TransactionState.COMMITTED
    told = [line for line in record.logs if "encountered while running" in line]
    assert [line.splitlines()[0].split("running ")[1] for line in told] == ["rollback hook 'bad'", "commit hook 'bad'"]  # fmt: skip
    assert all(type(error).__name__ in line for line in told)


# -- values ------------------------------------------------------------------------------------------------


def test_values_are_seen_inside_and_by_hooks() -> None:
    seen: list[Any] = []

    @task
    def write(path: str) -> None:
        own = get_transaction()
        assert own is not None
        own.set("path", path)
        seen.append(own.get("folder"))

    @write.on_rollback
    def undo(txn: Any) -> None:
        seen.append((txn.get("folder"), txn.get("path"), txn.get("more"), txn.is_rolled_back()))

    @flow
    def f() -> None:
        assert get_transaction() is None
        with transaction() as txn:
            assert get_transaction() is txn
            txn.set("folder", "in")
            write.map(["a", "b"]).wait()
            txn.set("more", 1)
            with pytest.raises(ValueError, match="Nothing was set under 'path'"):
                txn.get("path")
            assert txn.get("path", None) is None
            raise KeyError

    f(return_state=True)
    assert seen[:2] == ["in", "in"]
    assert sorted(seen[2:]) == [("in", "a", 1, True), ("in", "b", 1, True)]


# -- inside of others -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outer_fails", [True, False])
def test_a_transaction_inside_of_another_is_decided_with_that_one(
    outer_fails: bool, bench: Bench
) -> None:
    @flow
    def f() -> None:
        with transaction() as outer:
            outer.set("x", 1)
            bench.step("a")
            with transaction() as inner:
                assert inner.get("x") == 1
                inner.set("x", 2)
                bench.step("b")
            assert (inner.is_staged(), outer.get("x")) == (True, 1)
            bench.step("c")
            if outer_fails:
                raise ValueError

    f(return_state=True)
    end = ["undo c", "undo b", "undo a"] if outer_fails else ["hold a", "hold b", "hold c"]
    assert bench.seen == ["a", "b", "c", *end]


def test_one_that_is_rolled_back_takes_the_one_around_it_with_it(bench: Bench) -> None:
    @flow
    def f() -> Any:
        with transaction() as outer:
            bench.step("a")
            with contextlib.suppress(ValueError), transaction() as inner:
                bench.step("b")
                raise ValueError
            bench.step("c")
        return inner.state, outer.state

    assert f() == (TransactionState.ROLLED_BACK,) * 2
    assert bench.seen == ["a", "b", "undo b", "c", "undo c", "undo a"]


def test_tasks_of_subflows_and_of_tasks_belong_to_the_block(bench: Bench) -> None:
    @task
    def outer() -> None:
        bench.step("in a task")

    @outer.on_rollback
    def undo(txn: Any) -> None:
        bench.seen.append("undo outer")

    @flow
    def inner() -> None:
        bench.step("in a subflow")

    @flow
    def f() -> None:
        with transaction():
            inner()
            outer.submit().wait()
            raise ValueError

    f(return_state=True)
    assert bench.since("in a task") == ["undo outer", "undo in a task", "undo in a subflow"]


@pytest.mark.parametrize("fail", [True, False])
def test_a_task_can_have_a_transaction_also_on_the_only_thread(fail: bool, bench: Bench) -> None:
    @task
    def both(first: str, second: str) -> None:
        with transaction():
            bench.step.submit(first)
            bench.step.submit(second).wait()
            if fail:
                raise ValueError

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> Any:
        with transaction() as txn:
            bench.step("before")
            both.submit("a", "b")
        return txn.is_committed()

    assert f() is not fail
    end = ["undo b", "undo a", "undo before"] if fail else ["hold before", "hold a", "hold b"]
    assert bench.seen == ["before", "a", "b", *end]


# -- async -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fail", [True, False])
def test_async_flows(fail: bool) -> None:
    seen: list[str] = []

    @task
    async def step(name: str) -> str:
        await asyncio.sleep(0)
        return name

    @step.on_rollback
    async def undo(txn: Any) -> None:
        await asyncio.sleep(0)
        seen.append(f"undo {await txn.task_run.state.result()}")

    @step.on_commit
    def hold(txn: Any) -> None:
        seen.append(f"hold {txn.task_run.state.result()}")

    @flow
    async def f() -> None:
        async with transaction():
            await step("a")
            await step.submit("b")
            if fail:
                raise ValueError

    asyncio.run(f(return_state=True))
    assert seen == (["undo b", "undo a"] if fail else ["hold a", "hold b"])


def test_the_sync_form_in_async_code_is_refused_with_the_other_one() -> None:
    @flow
    async def f() -> None:
        with pytest.raises(TypeError, match="write `async with transaction"), transaction():
            pass

    asyncio.run(f())


def test_mistakes_are_told() -> None:
    with pytest.raises(MissingContextError, match="outside of a flow run"), transaction():
        pass
    with pytest.raises(TypeError, match="is a text, got int"):
        transaction(3)  # type: ignore[arg-type]
    assert get_transaction() is None

    @flow
    def f() -> None:
        twice = transaction()
        with twice:
            pass
        with pytest.raises(RuntimeError, match="has one block"), twice:
            pass

    f()


# -- what is taken over ---------------------------------------------------------------------------------------


def test_another_attempt_of_the_flow_repeats_what_was_rolled_back_and_nothing_else(
    bench: Bench,
) -> None:
    attempts: list[int] = []

    @flow
    def inner() -> str:
        return bench.step("sub")

    @flow(retries=1)
    def f() -> None:
        attempts.append(1)
        bench.step("before")
        with transaction():
            bench.step("held")
        with transaction():
            inner()
            bench.step("undone")
            if len(attempts) == 1:
                raise ValueError

    f()
    first = ["before", "held", "hold held", "sub", "undone", "undo undone", "undo sub"]
    assert bench.seen == [*first, "sub", "undone", "hold sub", "hold undone"]


def test_results_are_offered_to_the_cache_at_the_commit(bench: Bench) -> None:
    cached = bench.step.with_options(cache_key_fn=lambda context, arguments: arguments["name"])

    @flow
    def f(fail: bool) -> Any:
        with transaction():
            states = [cached("a", return_state=True).name for _ in range(2)]
            if fail:
                raise ValueError
        return states

    f(True, return_state=True)
    assert bench.seen == ["a", "a", "undo a", "undo a"]
    assert f(False) == ["Completed", "Completed"]
    bench.seen.clear()
    assert f(False) == ["Cached", "Cached"]
    assert bench.seen == []  # what is taken from the cache was committed before


def test_a_key_remembers_that_a_transaction_was_committed(bench: Bench) -> None:
    @flow
    def f(fail: bool, overwrite: bool = False) -> Any:
        with transaction(key="orders", overwrite=overwrite) as txn:
            if txn.is_committed():
                return "before"
            bench.step("a")
            if fail:
                raise ValueError
        return "now"

    f(True, return_state=True)
    assert [f(False), f(False), f(False, overwrite=True)] == ["now", "before", "now"]
    assert bench.seen == ["a", "undo a", "a", "hold a", "a", "hold a"]


# -- what strikes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_rolls_back_when_the_tasks_have_stopped(error: Any, bench: Bench) -> None:
    go = threading.Event()

    @task
    def late() -> None:
        go.wait(20)

    @late.on_rollback
    def undo_late(txn: Any) -> None:
        bench.seen.append("undo late")

    @flow
    def f() -> None:
        with transaction():
            bench.step("a")
            late.submit()
            go.set()
            raise error

    with pytest.raises(error):
        f()
    assert bench.seen[-1] == "undo a"


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_a_request_to_cancel_rolls_back(where: str, bench: Bench, record: Record) -> None:
    started = threading.Event()

    @task
    def long() -> None:
        started.set()
        threading.Event().wait(0.001)
        while True:
            threading.Event().wait(0.001)

    @flow
    def f() -> None:
        run = current_flow_run.get()

        def cancel() -> None:
            started.wait(20)
            cancellation.cancel(run)

        thread = threading.Thread(target=cancel)
        thread.start()
        with transaction():
            bench.step("a")
            future = long.submit()
            if where == "in the block":
                future.wait()

    assert f(return_state=True).name == "Cancelled"
    assert bench.seen == ["a", "undo a"]


def test_an_interrupt_that_the_flow_catches_rolls_back_all_the_same(bench: Bench) -> None:
    @flow
    def f() -> Any:
        with transaction() as outer:
            bench.step("a")
            with contextlib.suppress(KeyboardInterrupt), transaction() as inner:
                bench.step("b")
                raise KeyboardInterrupt
        return inner, outer

    inner, outer = f()
    assert inner.is_rolled_back()
    assert outer.is_rolled_back()
    assert bench.seen[2:] == ["undo b", "undo a"]


def test_a_time_limit_rolls_back_before_the_next_attempt(bench: Bench) -> None:
    attempts: list[int] = []

    @flow(retries=1, timeout_seconds=0.2)
    def f() -> None:
        attempts.append(1)
        with transaction():
            bench.step("a")
            if len(attempts) == 1:
                threading.Event().wait(20)

    f()
    assert bench.seen == ["a", "undo a", "a", "hold a"]


def test_hooks_behind_one_that_was_interrupted_are_still_called(bench: Bench) -> None:
    def interrupted(txn: Any) -> None:
        bench.seen.append("interrupted")
        raise KeyboardInterrupt

    struck = bench.step.with_options(on_rollback=[*bench.step.on_rollback, interrupted])

    @flow
    def f() -> None:
        with transaction():
            bench.step("a")
            struck("b")
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        f()
    assert bench.seen == ["a", "b", "interrupted", "undo b", "undo a"]

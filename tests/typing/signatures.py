"""What type checkers know of flows and tasks: read by mypy and basedpyright, never executed.

Each line that must be refused carries the marks with which it is accepted; a checker that does not
refuse it says that its mark is unused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from flowdeck import State, allow_failure, ask, flow, once_per_worker, task
from flowdeck.cache_policies import INPUTS, TASK_SOURCE
from flowdeck.futures import AsyncTaskFuture, FutureList, TaskFuture, as_completed, wait
from flowdeck.transactions import Transaction, transaction

if TYPE_CHECKING:
    from flowdeck.futures import AsyncFutureList


@task
def inc(x: int) -> int:
    return x + 1


@task(retries=2, tags=["sums"])
def add(x: int, y: int = 1) -> int:
    return x + y


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@once_per_worker
def client(host: str) -> dict[str, int]:
    return {host: 1}


@once_per_worker(close=print)
async def session() -> list[int]:
    return []


async def made_once() -> None:
    assert_type(client("a"), dict[str, int])
    assert_type(await session(), list[int])
    client(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


class Model:
    @task
    def fit(self, rows: int) -> float:
        return float(rows)


@inc.on_failure
@inc.on_running
def told(task: object, task_run: object, state: State[int]) -> str:
    return state.name


@add.on_rollback
@add.on_commit
def settled(txn: Transaction) -> bool:
    return txn.is_committed()


def decorated_hooks(state: State[int]) -> None:
    assert_type(told(inc, None, state), str)


def wrong_calls() -> None:
    inc.on_failure(3)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    task(cache_policy="INPUTS")(max)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    inc("x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    inc(y=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    add(1, "y")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    name: str = inc(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    text: str = inc.submit(1).result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(name, text)


@flow
def sync_flow(n: int, label: str = "") -> int:
    assert_type(inc(n), int)
    assert_type(inc(x=n), int)
    future = inc.submit(n)
    assert_type(future, TaskFuture[int])
    assert_type(future.result(), int)
    assert_type(future.result(timeout=3), int)
    assert_type(future.result(raise_on_failure=False), int | BaseException)
    assert_type(future.state, State[int])
    assert_type(future.wait(), State[int] | None)
    assert_type(inc(future), int)
    assert_type(inc(x=future), int)
    assert_type(add(1, future, wait_for=[future]), int)
    assert_type(add(1, future), int)
    assert_type(add.submit(1, y=future), TaskFuture[int])
    assert_type(add.submit(allow_failure(future)), TaskFuture[int])
    assert_type(inc(n, return_state=True), State[int])
    assert_type(inc.submit(future, return_state=True), State[int])
    mapped = add.map(range(n), y=2)
    assert_type(mapped, FutureList[int])
    assert_type(mapped.result(), list[int])
    assert_type(mapped.states, list[State[int]])
    assert_type(inc.map([1], return_state=True), list[State[int]])
    assert_type(total(mapped), int)
    assert_type(total.submit(mapped).result(), int)
    for each in as_completed(mapped):
        assert_type(each.result(), int)
    wait([*mapped, future])
    with transaction(key="sums") as txn:
        assert_type(txn, Transaction)
        txn.set("n", n)
    assert_type(inc.with_options(name="other").submit(n).result(), int)
    model = Model()
    assert_type(model.fit(3), float)
    assert_type(model.fit.submit(3), TaskFuture[float])
    return future.result()


@sync_flow.on_crashed
def crashed(flow: object, flow_run: object, state: object) -> None: ...


@task(cache_policy=INPUTS - "y" + TASK_SOURCE)
def cached(x: int, y: str) -> int:
    return x


@flow(name="asynchronous", retries=2, retry_delay_seconds=[1, 2.5], retry_jitter_factor=0.5)
async def async_flow(url: str) -> bytes:
    assert_type(await fetch(url), bytes)
    assert_type(await fetch(url, return_state=True), State[bytes])
    async with transaction() as txn:
        assert_type(txn.is_rolled_back(), bool)
    future = await fetch.submit(url)
    assert_type(future, AsyncTaskFuture[bytes])
    assert_type(await future, bytes)
    assert_type(await future.result(), bytes)
    mapped = await fetch.map([url])
    check: AsyncFutureList[bytes] = mapped
    assert_type(await check.result(), list[bytes])
    plain = inc.submit(1)
    assert_type(await plain, int)
    async for each in as_completed([plain]):
        assert_type(each, TaskFuture[int])
    return await future


def flows() -> None:
    assert_type(sync_flow(3), int)
    assert_type(sync_flow(3, label="x", return_state=True), State[int])
    sync_flow("x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def async_flows() -> None:
    assert_type(await async_flow("x"), bytes)
    assert_type(await async_flow("x", return_state=True), State[bytes])


def answers() -> None:
    assert_type(ask("Deploy?", bool), bool)
    assert_type(ask("Where?"), str)
    assert_type(ask("How many?", int, default=3, timeout_seconds=60), int)

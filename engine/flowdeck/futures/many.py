"""Waiting for many task runs: all of them, the first, each as it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from flowdeck.futures.future import TaskFuture, not_in_time, runs_of, seconds
from flowdeck.inputs import nested
from flowdeck.runs import waiting
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from flowdeck.runs.task_run import TaskRun
    from flowdeck.states import State

R = TypeVar("R")

#: For ``return_when``, as in ``concurrent.futures``.
FIRST_COMPLETED: Final = "FIRST_COMPLETED"
FIRST_EXCEPTION: Final = "FIRST_EXCEPTION"
ALL_COMPLETED: Final = "ALL_COMPLETED"


class DoneAndNotDone(NamedTuple):
    """What :func:`wait` returns."""

    done: set[TaskFuture[Any]]
    not_done: set[TaskFuture[Any]]


def wait(
    futures: Iterable[TaskFuture[Any]],
    timeout: float | None = None,
    return_when: str = ALL_COMPLETED,
) -> DoneAndNotDone:
    """Wait on this thread for task runs to end; in async code see :func:`wait_async`.

    Args:
        futures: of one flow run or of several.
        timeout: seconds for all together; ``None`` waits as long as it takes.
        return_when: ``ALL_COMPLETED``, ``FIRST_COMPLETED`` (one has ended, however), or
            ``FIRST_EXCEPTION`` (one has ended and did not complete, or all have ended).

    Raises:
        ValueError: there is no such ``return_when``.
    """
    given = list(dict.fromkeys(futures))
    arrivals = _arrivals_for(given, return_when)
    limit = _deadline(timeout)
    if arrivals is None:
        waiting.wait(runs_of(given), _left(limit))
        return _sorted_out(given)
    try:
        while (run := arrivals.next(_left(limit))) is not None and not _is_enough(run, return_when):
            pass
    finally:
        arrivals.leave()
    return _sorted_out(given)


async def wait_async(
    futures: Iterable[TaskFuture[Any]],
    timeout: float | None = None,
    return_when: str = ALL_COMPLETED,
) -> DoneAndNotDone:
    """As :func:`wait`, on this loop."""
    given = list(dict.fromkeys(futures))
    arrivals = _arrivals_for(given, return_when)
    limit = _deadline(timeout)
    if arrivals is None:
        await waiting.wait_async(runs_of(given), _left(limit))
        return _sorted_out(given)
    try:
        while (run := await arrivals.next_async(_left(limit))) is not None:
            if _is_enough(run, return_when):
                break
    finally:
        arrivals.leave()
    return _sorted_out(given)


class as_completed(Generic[R]):  # noqa: N801 - called like a function, as in concurrent.futures
    """Iterate over futures in the order in which their runs end: ``for`` in sync code, ``async
    for`` in async code.

    Args:
        futures: each comes once; those that have ended come first, in their order.
        timeout: seconds for all together.

    Raises:
        TimeoutError: while iterating: not all have ended in time; they go on.
    """

    def __init__(self, futures: Iterable[TaskFuture[R]], timeout: float | None = None) -> None:
        self._futures = {future.task_run: future for future in futures}
        self._deadline = _deadline(timeout)

    def __iter__(self) -> Iterator[TaskFuture[R]]:
        arrivals = waiting.Arrivals(self._futures)
        try:
            while (run := arrivals.next(_left(self._deadline))) is not None:
                yield self._futures[run]
            if arrivals.left:
                raise not_in_time(self._futures.values())
        finally:
            arrivals.leave()

    async def __aiter__(self) -> AsyncIterator[TaskFuture[R]]:
        arrivals = waiting.Arrivals(self._futures)
        try:
            while (run := await arrivals.next_async(_left(self._deadline))) is not None:
                yield self._futures[run]
            if arrivals.left:
                raise not_in_time(self._futures.values())
        finally:
            arrivals.leave()


def resolve(value: Any) -> Any:
    """Return nested data with each future and state in it replaced by its value, as a task gets it;
    waits for the futures.

    Args:
        value: lists, tuples, sets, dicts, dataclasses and models, to any depth.

    Raises:
        Exception: whatever one of the tasks raised.
    """
    waiting.wait(_runs_in(value))
    return nested.replace(value, lambda found: _state_of(found).value())


async def resolve_async(value: Any) -> Any:
    """As :func:`resolve`, on this loop."""
    await waiting.wait_async(_runs_in(value))
    values = {}
    for found, _ in nested.find(value):
        state = _state_of(found)
        values[id(state)] = await state.value_async()
    return nested.replace(value, lambda found: values[id(_state_of(found))])


def _runs_in(value: Any) -> list[TaskRun]:
    return runs_of(found for found, _ in nested.find(value) if nested.is_future(found))


def _state_of(found: Any) -> State[Any]:
    state: State[Any] = found.task_run.state if nested.is_future(found) else found
    return state


def _arrivals_for(futures: list[TaskFuture[Any]], return_when: str) -> waiting.Arrivals | None:
    if return_when == ALL_COMPLETED:
        return None
    if return_when in (FIRST_COMPLETED, FIRST_EXCEPTION):
        return waiting.Arrivals(runs_of(futures))
    raise ValueError(
        f"There is no return_when {return_when!r}: it is {ALL_COMPLETED!r}, {FIRST_COMPLETED!r} or "
        f"{FIRST_EXCEPTION!r}."
    )


def _is_enough(run: TaskRun, return_when: str) -> bool:
    return return_when == FIRST_COMPLETED or not run.state.is_completed()


def _sorted_out(futures: list[TaskFuture[Any]]) -> DoneAndNotDone:
    done = {future for future in futures if future.done()}
    return DoneAndNotDone(done, set(futures) - done)


def _deadline(timeout: float | None) -> float | None:
    limit = seconds(timeout)
    return None if limit is None else clock.monotonic() + limit


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - clock.monotonic(), 0.0)

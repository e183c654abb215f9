"""Futures of submitted task runs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flowdeck import waiting

if TYPE_CHECKING:
    from flowdeck.runs import TaskRun
    from flowdeck.states import State

R = TypeVar("R")


class TaskFuture(Generic[R]):
    """The result to come of a task run, wherever it runs.

    In a sync flow, or for a sync task, the methods give plain values. For an async task in an
    async flow they give awaitables of the same.
    """

    __slots__ = ("asynchronous", "task_run")

    _is_flowdeck_future = True

    def __init__(self, task_run: TaskRun, asynchronous: bool = False) -> None:
        self.task_run = task_run
        self.asynchronous = asynchronous

    @property
    def name(self) -> str:
        """The task run's name."""
        return self.task_run.name

    @property
    def key(self) -> str:
        """Unique text: the task run's uid."""
        return self.task_run.uid

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the run to end.

        Args:
            timeout: seconds; ``None`` waits as long as it takes. The run goes on after it.

        Returns:
            The final state, or ``None`` if the run had not ended in time. An awaitable of it for
            an async task in an async flow.
        """
        if self.asynchronous:
            return self._wait_async(timeout)
        return self._wait(timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Wait for the run to end and return what it returned.

        Args:
            timeout: seconds; ``None`` waits as long as it takes.
            raise_on_failure: ``False`` returns the exception instead of raising it.

        Raises:
            TimeoutError: the run had not ended in time; it goes on.
            UnfinishedRun: the run never started, because an upstream did not complete.
            Exception: whatever the task raised.
        """
        if self.asynchronous:
            return self._result_async(timeout, raise_on_failure)
        return _value_of(self._wait(timeout), raise_on_failure)

    def get_state(self) -> Any:
        """Return the state now, final or not, without waiting."""
        if self.asynchronous:
            return _ready(self.task_run.state)
        return self.task_run.state

    def _wait(self, timeout: float | None) -> State[R] | None:
        run = self.task_run
        if not run.is_final:
            waiting.wait([run], timeout)
        return run.state if run.is_final else None

    async def _wait_async(self, timeout: float | None) -> State[R] | None:
        run = self.task_run
        if not run.is_final:
            await waiting.wait_async([run], timeout)
        return run.state if run.is_final else None

    async def _result_async(self, timeout: float | None, raise_on_failure: bool) -> Any:
        state = await self._wait_async(timeout)
        if state is None:
            return _value_of(None, raise_on_failure)
        return await state.value_async(raise_on_failure)

    def __hash__(self) -> int:
        return hash(id(self.task_run))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskFuture) and other.task_run is self.task_run

    def __bool__(self) -> bool:
        warnings.warn(
            "A 'TaskFuture' from a task call was cast to a boolean; did you mean to check the "
            "result of the task instead? e.g. `if my_task.submit().result(): ...`",
            stacklevel=2,
        )
        return True

    def __repr__(self) -> str:
        return f"TaskFuture({self.name!r})"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"The future of task run {self.name!r} cannot be pickled: it belongs to this process. "
            "Pass it as an argument of a task (nested in lists, dicts... is fine) and the task "
            "gets its value, or pass `future.result()`."
        )


def _value_of(state: State[Any] | None, raise_on_failure: bool) -> Any:
    if state is None:
        raise TimeoutError("Call timed out before task finished.")
    return state.value(raise_on_failure)


async def _ready(value: Any) -> Any:
    return value

"""The future of one submitted task run."""

from __future__ import annotations

import contextvars
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, overload

from flowdeck.inputs import nested
from flowdeck.logging import ERROR, line
from flowdeck.runs import waiting
from flowdeck.runs.task_run import Stop
from flowdeck.values.unawaited import named, to_be_awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable

    from flowdeck.runs.task_run import TaskRun
    from flowdeck.states import State

R = TypeVar("R", covariant=True)
V = TypeVar("V")


@nested.stands_for_a_result
class TaskFuture(Generic[R]):
    """The result to come of a task run, wherever it runs.

    Its methods give plain values. The future of an async task in an async flow is an
    :class:`AsyncTaskFuture`, whose methods give awaitables of the same. ``await future`` gives the
    result of either.
    """

    __module__ = "flowdeck.futures"  # where users have it from
    __slots__ = ("task_run",)

    #: Whether ``wait``, ``result``, ``exception`` and ``get_state`` give awaitables.
    asynchronous: ClassVar[bool] = False

    def __init__(self, task_run: TaskRun) -> None:
        self.task_run = task_run

    @property
    def name(self) -> str:
        """The task run's name."""
        return self.task_run.name

    @property
    def key(self) -> str:
        """Unique text: the task run's uid."""
        return self.task_run.uid

    @property
    def state(self) -> State[R]:
        """The state now, final or not."""
        return self.task_run.state

    def done(self) -> bool:
        """Say whether the run has ended, however."""
        return self.task_run.is_final

    def cancel(self) -> bool:
        """Ask the run to stop, and do not wait: one that has not started ends at once, a function
        that goes on is interrupted where that can be done.

        Returns:
            ``False`` if the run had ended already.
        """
        if self.task_run.is_final:
            return False
        from flowdeck.runs import stopping

        stopping.stop_runs([self.task_run], Stop.CANCEL)
        return True

    def add_done_callback(self, fn: Callable[[TaskFuture[R]], object]) -> None:
        """Have ``fn(future)`` called once when the run has ended, on the thread that ends it; at
        once if it has ended. What it raises is logged.

        Args:
            fn: a plain function. It holds up the run's flow as long as it executes.
        """
        callback = _Callback(self, fn)
        if not waiting.on_end(self.task_run, callback):
            callback(self.task_run)

    def wait(self, timeout: float | None = None) -> State[R] | None:
        """Wait for the run to end.

        Args:
            timeout: seconds; ``None`` waits as long as it takes. The run goes on after it.

        Returns:
            The final state, or ``None`` if the run had not ended in time.
        """
        return self.wait_for_state(seconds(timeout))

    @overload
    def result(self, timeout: float | None = None, raise_on_failure: Literal[True] = True) -> R: ...
    @overload
    def result(
        self, timeout: float | None = None, raise_on_failure: bool = True
    ) -> R | BaseException: ...
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
        return value_of(self.wait_for_state(seconds(timeout)), raise_on_failure)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the run to end and return why it did not complete, ``None`` if it did.

        Args:
            timeout: seconds; ``None`` waits as long as it takes.

        Raises:
            TimeoutError: the run had not ended in time; it goes on.
        """
        return _reason_of(self.wait_for_state(seconds(timeout)))

    def get_state(self) -> State[R]:
        """Return the state now, final or not, without waiting."""
        return self.task_run.state

    def wait_for_state(self, timeout: float | None) -> State[R] | None:
        """Wait on this thread; return the final state, ``None`` if the run had not ended in time."""
        run = self.task_run
        if not run.is_final:
            waiting.wait([run], timeout)
        return run.state if run.is_final else None

    @to_be_awaited
    async def wait_for_state_async(self, timeout: float | None) -> State[R] | None:
        """As :meth:`wait_for_state`, on this loop."""
        run = self.task_run
        if not run.is_final:
            await waiting.wait_async([run], timeout)
        return run.state if run.is_final else None

    @to_be_awaited
    async def result_async(self, timeout: float | None, raise_on_failure: bool) -> R:
        """As :meth:`result`, on this loop."""
        state = await self.wait_for_state_async(timeout)
        if state is None:
            return value_of(state, raise_on_failure)
        value: R = await state.value_async(raise_on_failure)
        return value

    def __await__(self) -> Generator[Any, Any, R]:
        return self.result_async(None, True).__await__()

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

    def _repr_html_(self) -> str:
        from flowdeck.values import html

        state = self.task_run.state
        badge = html.badge(state.name, state.type.value)
        return html.facts(f"{badge} {html.escaped(self.name)}", [("message", state.message)])

    def __reduce__(self) -> Any:
        raise TypeError(
            f"The future of task run {self.name!r} cannot be pickled: it belongs to this process. "
            "Pass it as an argument of a task (nested in lists, dicts... is fine) and the task "
            "gets its value, or pass `future.result()`."
        )


@nested.stands_for_a_result
class AsyncTaskFuture(TaskFuture[R]):
    """The future of an async task in an async flow: what its methods give is to be awaited."""

    __module__ = "flowdeck.futures"
    __slots__ = ()

    asynchronous = True

    def wait(  # type: ignore[override]
        self, timeout: float | None = None
    ) -> Coroutine[Any, Any, State[R] | None]:
        """As :meth:`TaskFuture.wait`, to be awaited."""
        return named(self.wait_for_state_async(seconds(timeout)), f"{self.name}.wait")

    @overload  # type: ignore[override]
    def result(
        self, timeout: float | None = None, raise_on_failure: Literal[True] = True
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def result(
        self, timeout: float | None = None, raise_on_failure: bool = True
    ) -> Coroutine[Any, Any, R | BaseException]: ...
    def result(
        self, timeout: float | None = None, raise_on_failure: bool = True
    ) -> Coroutine[Any, Any, Any]:
        """As :meth:`TaskFuture.result`, to be awaited."""
        return named(self.result_async(seconds(timeout), raise_on_failure), f"{self.name}.result")

    def exception(  # type: ignore[override]
        self, timeout: float | None = None
    ) -> Coroutine[Any, Any, BaseException | None]:
        """As :meth:`TaskFuture.exception`, to be awaited."""
        return named(self._exception_async(seconds(timeout)), f"{self.name}.exception")

    def get_state(self) -> Coroutine[Any, Any, State[R]]:  # type: ignore[override]
        """As :meth:`TaskFuture.get_state`, to be awaited."""
        return named(_ready(self.task_run.state), f"{self.name}.get_state")

    @to_be_awaited
    async def _exception_async(self, timeout: float | None) -> BaseException | None:
        return _reason_of(await self.wait_for_state_async(timeout))


class _Callback:
    """Calls a user's function once, whoever asks how often, with the context of who added it."""

    __slots__ = ("_context", "_fn", "_future")

    def __init__(self, future: TaskFuture[Any], fn: Callable[[Any], object]) -> None:
        self._future = future
        self._fn: Callable[[Any], object] | None = fn
        self._context = contextvars.copy_context()

    def __call__(self, run: TaskRun) -> None:
        fn, self._fn = self._fn, None
        if fn is None:
            return
        try:
            self._context.run(fn, self._future)
        except Exception as error:
            line(run, ERROR, f"A done callback raised {type(error).__name__}: {error}")


def seconds(timeout: Any) -> float | None:
    """Return a timeout that was given as a number or a ``timedelta``, in seconds."""
    from flowdeck.definitions.definition import seconds_of

    return None if timeout is None else seconds_of("timeout", timeout)


def value_of(state: State[V] | None, raise_on_failure: bool) -> V:
    """Return the value of a run; ``None`` stands for the state of one that has not ended."""
    if state is None:
        raise TimeoutError("Call timed out before task finished.")
    value: V = state.value(raise_on_failure)
    return value


def _reason_of(state: State[Any] | None) -> BaseException | None:
    if state is None:
        raise TimeoutError("Call timed out before task finished.")
    if state.is_completed():
        return None
    reason: BaseException = state.value_or_reason()
    return reason


def not_in_time(futures: Iterable[TaskFuture[Any]]) -> TimeoutError:
    """Return what is raised when some of several runs have not ended."""
    given = list(futures)
    open_ = sum(not future.done() for future in given)
    return TimeoutError(f"{open_} of {len(given)} task runs had not ended in time; they go on.")


def runs_of(futures: Iterable[TaskFuture[Any]]) -> list[TaskRun]:
    """Return the runs of futures."""
    return [future.task_run for future in futures]


@to_be_awaited
async def _ready(value: Any) -> Any:
    return value

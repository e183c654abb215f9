"""Tasks: functions whose runs are recorded, retried, cached, and executed by a task runner."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

from flowdeck.caching import exponential_backoff, task_input_hash
from flowdeck.calls import task_calls
from flowdeck.definitions import hooks
from flowdeck.definitions.bases import TaskDefinition
from flowdeck.definitions.cache_options import cache_options, check_excluded, newest
from flowdeck.definitions.definition import (
    check_callable,
    check_run_name,
    check_serializer,
    is_async,
    jitter_factor,
    key_of,
    lifetime,
    refuse_storage,
    retry_delays,
    source_of,
    take_over,
    time_limit,
    whole_number,
)
from flowdeck.definitions.methods import BoundTask, bound, unwrapped
from flowdeck.definitions.options import TASK_OPTIONS, TaskOptions
from flowdeck.exceptions import MissingContextError
from flowdeck.futures import AsyncTaskFuture, TaskFuture
from flowdeck.parameters.binding import function_name
from flowdeck.runs.names import task_key_hash
from flowdeck.runs.upstreams import of_wait_for
from flowdeck.settings.amounts import amounts
from flowdeck.threads import active
from flowdeck.values.unawaited import named, to_be_awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from flowdeck.futures import AsyncFutureList, FutureList, Passed
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.states import State

P = ParamSpec("P")
P2 = ParamSpec("P2")
R = TypeVar("R", covariant=True)
T = TypeVar("T")


class Task(TaskDefinition[P, R]):
    """A function as a task. Made by :func:`task`, which documents the options."""

    _binds_like_functions = True

    def __init__(self, fn: Callable[P, R], **options: Unpack[TaskOptions]) -> None:
        given = TASK_OPTIONS.completed(options, "Task.__init__")
        fn, self.binds = unwrapped(fn)
        if not callable(fn):
            raise TypeError("'fn' must be callable")
        check_run_name("task_run_name", given["task_run_name"])
        check_serializer(given["result_serializer"])
        tags = given["tags"]
        if isinstance(tags, str):
            raise TypeError(f"Expected a list of strings for 'tags'; got a string: [{tags!r}]?")
        check_callable("retry_condition_fn", given["retry_condition_fn"])
        if given["retry_condition_fn"] is not None:
            hooks.check_signature(
                "retry_condition_fn", given["retry_condition_fn"], hooks.TASK_ARGUMENTS
            )
        take_over(self, fn)
        self.fn = fn
        self.isasync = is_async(fn)
        self.name = given["name"] or function_name(fn)
        self.description = given["description"] or inspect.getdoc(fn)
        self.tags = frozenset(tags or ())
        self.version = given["version"]
        self.cache_key_fn, self.cache_policy = cache_options(self.name, given)
        self.cache_expiration = lifetime(given["cache_expiration"])
        self.refresh_cache = given["refresh_cache"]
        self.task_run_name = given["task_run_name"]
        self.retries = whole_number("retries", given["retries"])
        self.retry_delay_seconds = given["retry_delay_seconds"]
        self.retry_delays = retry_delays(given["retry_delay_seconds"], self.retries)
        self.retry_jitter_factor = jitter_factor(given["retry_jitter_factor"])
        self.retry_condition_fn = given["retry_condition_fn"]
        self.always = bool(given["always"])
        self.timeout_seconds = time_limit(given["timeout_seconds"])
        self.resources = amounts(given["resources"])
        self.map_batch = whole_number("map_batch", given["map_batch"])
        self.log_prints = given["log_prints"]
        self.persist_result = given["persist_result"]
        refuse_storage(
            result_storage=given["result_storage"], result_storage_key=given["result_storage_key"]
        )
        self.result_storage = given["result_storage"]
        self.result_serializer = given["result_serializer"]
        self.result_storage_key = given["result_storage_key"]
        self.cache_result_in_memory = bool(given["cache_result_in_memory"])
        hooks.take(self, given, hooks.OF_TASKS)
        self.viz_return_value = given["viz_return_value"]
        self.set_up()
        check_excluded(self.cache_policy, self.binder.signature, self.name)

    def set_up(self) -> None:
        super().set_up()
        self.key = key_of(self.fn)
        self.short_hash = task_key_hash(self.key)
        file, lineno = source_of(self.fn)
        self.source = None if file is None else f"{file}:{lineno}"
        self.definition_key = f"{file or ''}:{self.key}|{self.name}|{self.retries}"

    # -- calling ----------------------------------------------------------------------------------

    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self: Task[P, Coroutine[Any, Any, T]],
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(
        self,
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> State[R]: ...
    @overload
    def __call__(self, /, *args: Any, wait_for: Iterable[Any] | None, **kwargs: Any) -> R: ...
    @overload
    def __call__(self, first: Passed, /, *args: Any, **kwargs: Any) -> R: ...
    @overload
    def __call__(self, first: Any, second: Passed, /, *args: Any, **kwargs: Any) -> R: ...
    @overload
    def __call__(self, /, **kwargs: Passed) -> R: ...
    def __call__(
        self,
        /,
        *args: Any,
        return_state: Any = False,
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Run now, on this thread (or loop), and return the value.

        Inside a flow this makes a recorded task run, whatever the flow's task runner. Outside of
        flows the task runs with its retries and time limit, and nothing is recorded.

        Args:
            *args: for the function; futures in them are replaced by their values.
            return_state: return the final state, and do not raise what the function raised.
            wait_for: futures that must have completed first.
            **kwargs: for the function.

        Raises:
            ParameterBindError: the arguments do not fit the signature.
            UnfinishedRun: an upstream did not complete.
        """
        parameters = self.binder.bind(args, kwargs)
        run: Any = active.current_flow_run.get()
        if run is None:
            from flowdeck.calls.detached import call_outside

            return call_outside(self, parameters, wait_for, return_state)
        if self.isasync and active.caller_is_async():
            return named(self._call_async(run, parameters, wait_for, return_state), self.call_name)
        task_run = task_calls.call(run, self, parameters, wait_for)
        return task_run.state if return_state else task_run.state.value()

    @to_be_awaited
    async def _call_async(
        self, run: FlowRun, parameters: dict[str, Any], wait_for: Any, return_state: bool
    ) -> Any:
        task_run = await task_calls.call_async(run, self, parameters, wait_for)
        return task_run.state if return_state else task_run.state.value()

    @overload
    def submit(  # type: ignore[overload-overlap]
        self: Task[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, AsyncTaskFuture[T]]: ...
    @overload
    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[R]: ...
    @overload
    def submit(
        self: Task[P, Coroutine[Any, Any, T]],
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def submit(
        self,
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> State[R]: ...
    @overload
    def submit(
        self: Task[P, Coroutine[Any, Any, T]], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, AsyncTaskFuture[T]]: ...
    @overload
    def submit(self, /, *args: Any, **kwargs: Any) -> TaskFuture[R]: ...
    def submit(
        self,
        /,
        *args: Any,
        return_state: Any = False,
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Hand a run of the task to the flow's task runner.

        Args:
            *args: for the function; futures in them are replaced by their values when they are
                there.
            return_state: ``True`` waits, and returns the final state.
            wait_for: futures that must have completed before the run starts.
            **kwargs: for the function.

        Returns:
            A :class:`~flowdeck.futures.TaskFuture`; for an async task in an async flow an
            awaitable of it.

        Raises:
            MissingContextError: (a ``RuntimeError``) outside of a flow run.
            ParameterBindError: the arguments do not fit the signature.
        """
        run = self._flow_run_for("submit")
        binder = self.binder
        parameters = run.submissions.given.as_they_are(binder.bind(args, kwargs), binder.starred)
        if self.isasync and active.caller_is_async():
            waited = None if wait_for is None else of_wait_for(wait_for)
            submission = self._submit_async(run, parameters, waited, return_state)
            return named(submission, f"{self.call_name}.submit")
        task_run = task_calls.submit(run, self, parameters, wait_for)
        future: TaskFuture[Any] = TaskFuture(task_run)
        return future.wait_for_state(None) if return_state else future

    @to_be_awaited
    async def _submit_async(
        self, run: FlowRun, parameters: dict[str, Any], wait_for: Any, return_state: bool
    ) -> Any:
        task_run = await task_calls.submit_async(run, self, parameters, wait_for)
        future: AsyncTaskFuture[Any] = AsyncTaskFuture(task_run)
        return await future.wait_for_state_async(None) if return_state else future

    @overload
    def map(
        self: Task[P, Coroutine[Any, Any, T]],
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, list[State[T]]]: ...
    @overload
    def map(
        self,
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> list[State[R]]: ...
    @overload
    def map(
        self: Task[P, Coroutine[Any, Any, T]], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, AsyncFutureList[T]]: ...
    @overload
    def map(self, /, *args: Any, **kwargs: Any) -> FutureList[R]: ...
    def map(
        self,
        /,
        *args: Any,
        return_state: Any = False,
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Submit one run per item of the iterable arguments.

        Args:
            *args: iterables of one length (not text), or single values that every run gets; see
                :func:`~flowdeck.annotations.unmapped`.
            return_state: wait, and return final states.
            wait_for: futures that must have completed before any run starts.
            **kwargs: as ``args``.

        Returns:
            A list of futures in the order of the items; for an async task in an async flow an
            awaitable of it.

        Raises:
            MissingContextError: (a ``RuntimeError``) outside of a flow run.
            MappingMissingIterable: no argument is iterable.
            MappingLengthMismatch: the iterables have different lengths.
            UpstreamTaskError: a future that is to be mapped over did not complete.
        """
        run = self._flow_run_for("map")
        from flowdeck.calls import mapping

        call = mapping.MapCall(self, run.submissions.given, args, kwargs)
        waited = None if wait_for is None else of_wait_for(wait_for)
        if self.isasync and active.caller_is_async():
            mapped = mapping.map_async(run, call, waited, return_state)
            return named(mapped, f"{self.call_name}.map")
        return mapping.map_sync(run, call, waited, return_state)

    def _flow_run_for(self, method: str) -> FlowRun:
        run: FlowRun | None = active.current_flow_run.get()
        if run is not None:
            return run
        name = self.call_name
        if active.current_task_run.get() is not None:
            raise MissingContextError(
                f"`{name}.{method}()` was called on a worker of a cluster, where there is no flow "
                f"run to submit to. Call `{name}(...)` there, or submit from the flow function."
            )
        raise MissingContextError(
            f"`{name}.{method}()` was called, but there is no active flow run. Call it inside a "
            f"function decorated with @flow; `{name}(...)` or `{name}.fn(...)` run the function "
            "right here."
        )

    def with_options(self, **options: Unpack[TaskOptions]) -> Task[P, R]:
        """Return a new task with some options changed.

        ``tags`` replace, they do not add. 0 switches retries, delays and the time limit off.
        ``None`` changes only what inherits from the flow or settings then (``log_prints``,
        ``refresh_cache``, the result options) and ``retry_jitter_factor``.
        """
        found = newest(options, TASK_OPTIONS.changed(self, options))
        changed: Task[P, R] = Task(self.fn, **found)
        changed.binds = self.binds
        return changed

    @overload
    def __get__(self, instance: None, owner: Any) -> Task[P, R]: ...
    @overload
    def __get__(
        self: Task[Concatenate[Any, P2], R], instance: object, owner: Any = None
    ) -> Task[P2, R]: ...
    def __get__(self, instance: object, owner: Any = None) -> Any:
        return bound(BoundTask, self, instance, owner)

    def __reduce__(self) -> Any:
        from flowdeck.remote.pickling import reduce_definition

        return reduce_definition(self)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a task.

    Args:
        OPTIONS

    Raises:
        TypeError: an option has the wrong type.
        ValueError: an option has a value that makes no sense.
        ReservedArgumentError: a parameter is called ``wait_for`` or ``return_state``.
    """
    if fn is None:
        return functools.partial(Task, **options)
    return Task(fn, **options)


TASK_OPTIONS.show(Task.__init__)
TASK_OPTIONS.show(Task.with_options)
TASK_OPTIONS.show(task)

__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]

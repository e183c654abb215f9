"""Tasks: functions whose runs are recorded, retried, cached, and executed by a task runner."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from flowdeck import context, hooks
from flowdeck.caching import exponential_backoff, task_input_hash
from flowdeck.definitions import (
    NOT_SET,
    check_run_name,
    check_serializer,
    is_async,
    key_of,
    merge_options,
    retry_delays,
    source_of,
)
from flowdeck.exceptions import MissingContextError
from flowdeck.futures import TaskFuture
from flowdeck.names import task_key_hash
from flowdeck.parameters import Binder

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Sequence

    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import FlowRunInfo

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function as a task. Made by :func:`task`, which documents the options."""

    def __init__(
        self,
        fn: Callable[P, R],
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_key_fn: Callable[[Any, dict[str, Any]], str | None] | None = None,
        cache_expiration: datetime.timedelta | None = None,
        refresh_cache: bool | None = None,
        task_run_name: str | Callable[[], str] | None = None,
        retries: int = 0,
        retry_delay_seconds: float | Sequence[float] | Callable[[int], list[float]] = 0,
        retry_jitter_factor: float | None = None,
        retry_condition_fn: Callable[..., Any] | None = None,
        timeout_seconds: float | None = None,
        log_prints: bool | None = None,
        persist_result: bool | None = None,
        result_storage: Any = None,
        result_serializer: str | None = None,
        result_storage_key: str | None = None,
        cache_result_in_memory: bool = True,
        on_completion: Iterable[hooks.Hook] | None = None,
        on_failure: Iterable[hooks.Hook] | None = None,
        viz_return_value: Any = None,
    ) -> None:
        if not callable(fn):
            raise TypeError("'fn' must be callable")
        check_run_name("task_run_name", task_run_name)
        check_serializer(result_serializer)
        if isinstance(tags, str):
            raise TypeError(f"Expected a list of strings for 'tags'; got a string: [{tags!r}]?")
        if retry_condition_fn is not None and not callable(retry_condition_fn):
            raise TypeError(
                "Expected `retry_condition_fn` to be callable, got "
                f"{type(retry_condition_fn).__name__} instead."
            )
        if retry_jitter_factor is not None and retry_jitter_factor < 0:
            raise ValueError("`retry_jitter_factor` must be >= 0.")
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.isasync = is_async(fn)
        self.name = name or getattr(fn, "__name__", None) or type(fn).__name__
        self.description = description or inspect.getdoc(fn)
        self.tags = frozenset(tags or ())
        self.version = version
        self.cache_key_fn = cache_key_fn
        self.cache_expiration = cache_expiration
        self.refresh_cache = refresh_cache
        self.task_run_name = task_run_name
        self.retries = int(retries or 0)
        self.retry_delay_seconds = retry_delay_seconds
        self.retry_delays = retry_delays(retry_delay_seconds, self.retries)
        self.retry_jitter_factor = retry_jitter_factor
        self.retry_condition_fn = retry_condition_fn
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self.log_prints = log_prints
        self.persist_result = persist_result
        self.result_storage = result_storage
        self.result_serializer = result_serializer
        self.result_storage_key = result_storage_key
        self.cache_result_in_memory = cache_result_in_memory
        self.on_completion = hooks.check("on_completion", on_completion)
        self.on_failure = hooks.check("on_failure", on_failure)
        self.viz_return_value = viz_return_value
        self._set_up()

    def _set_up(self) -> None:
        """Compute what follows from the function (again, after a trip between processes)."""
        self._binder = Binder(self.fn)
        self.call_args = self._binder.call_args
        self.key = key_of(self.fn)
        self.short_hash = task_key_hash(self.key)
        file, lineno = source_of(self.fn)
        self.source = None if file is None else f"{file}:{lineno}"
        self.definition_key = f"{file or ''}:{self.key}|{self.name}|{self.retries}"

    # -- for task runs ------------------------------------------------------------------------------

    def keeps_result(self, info: FlowRunInfo) -> bool:
        """Say whether results are written to disk in this flow run."""
        if self.persist_result is not None:
            return self.persist_result
        return bool(info.persist_result) or not self.cache_result_in_memory

    def serializer(self, info: FlowRunInfo) -> str:
        """Return the name of the serializer for kept results."""
        return self.result_serializer or info.result_serializer

    def refreshes_cache(self) -> bool:
        """Say whether cached results are to be computed anew."""
        if self.refresh_cache is not None:
            return self.refresh_cache
        from flowdeck.settings import get_settings

        return get_settings().refresh_cache

    def cache_expires_us(self, us: int) -> int | None:
        """Return when a result computed at ``us`` expires (µs), ``None`` for never."""
        if self.cache_expiration is None:
            return None
        return us + int(self.cache_expiration.total_seconds() * 1e6)

    # -- calling ----------------------------------------------------------------------------------

    def __call__(
        self,
        *args: Any,
        return_state: bool = False,
        wait_for: Iterable[Any] | None = None,
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
        parameters = self._binder.bind(args, kwargs)
        run: Any = context.current_flow_run.get()
        if run is None:
            from flowdeck.detached import call_outside

            return call_outside(self, parameters, wait_for, return_state)
        if self.isasync and context.caller_is_async():
            return self._call_async(run, parameters, wait_for, return_state)
        from flowdeck.task_runners.sequential import execute_here

        task_run, upstreams = run.submissions.create(self, parameters, wait_for, direct=True)
        if run.submissions.wait_for_direct(task_run, upstreams):
            execute_here(task_run)
        return task_run.state if return_state else task_run.state.value()

    async def _call_async(
        self, run: FlowRun, parameters: dict[str, Any], wait_for: Any, return_state: bool
    ) -> Any:
        from flowdeck.task_runners.sequential import execute_on_this_loop

        task_run, upstreams = run.submissions.create(self, parameters, wait_for, direct=True)
        if await run.submissions.wait_for_direct_async(task_run, upstreams):
            await execute_on_this_loop(task_run)
        return task_run.state if return_state else task_run.state.value()

    def submit(
        self,
        *args: Any,
        return_state: bool = False,
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Hand a run of the task to the flow's task runner.

        Args:
            *args: for the function; futures in them are replaced by their values when they are
                there.
            return_state: wait, and return the final state.
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
        parameters = self._binder.bind(args, kwargs)
        if self.isasync and context.caller_is_async():
            return self._submit_async(run, parameters, wait_for, return_state)
        task_run, upstreams = run.submissions.create(self, parameters, wait_for, direct=False)
        run.submissions.dispatch(task_run, upstreams)
        future: TaskFuture[Any] = TaskFuture(task_run)
        return future._wait(None) if return_state else future

    async def _submit_async(
        self, run: FlowRun, parameters: dict[str, Any], wait_for: Any, return_state: bool
    ) -> Any:
        task_run, upstreams = run.submissions.create(self, parameters, wait_for, direct=False)
        await run.submissions.dispatch_async(task_run, upstreams)
        future: TaskFuture[Any] = TaskFuture(task_run, asynchronous=True)
        return await future._wait_async(None) if return_state else future

    def map(
        self,
        *args: Any,
        return_state: bool = False,
        wait_for: Iterable[Any] | None = None,
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
        from flowdeck import mapping

        if self.isasync and context.caller_is_async():
            return mapping.map_async(self, run, args, kwargs, wait_for, return_state)
        return mapping.map_sync(self, run, args, kwargs, wait_for, return_state)

    def _flow_run_for(self, method: str) -> FlowRun:
        run: FlowRun | None = context.current_flow_run.get()  # type: ignore[assignment]
        if run is not None:
            return run
        name = getattr(self.fn, "__name__", self.name)
        if context.current_task_run.get() is not None:
            raise MissingContextError(
                f"`{name}.{method}()` was called on a worker of a cluster, where there is no flow "
                f"run to submit to. Call `{name}(...)` there, or submit from the flow function."
            )
        raise MissingContextError(
            f"`{name}.{method}()` was called, but there is no active flow run. Call it inside a "
            f"function decorated with @flow; `{name}(...)` or `{name}.fn(...)` run the function "
            "right here."
        )

    def with_options(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_key_fn: Callable[[Any, dict[str, Any]], str | None] | None = None,
        cache_expiration: datetime.timedelta | None = None,
        refresh_cache: bool | None = NOT_SET,
        task_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | Sequence[float] | Callable[[int], list[float]] | None = None,
        retry_jitter_factor: float | None = NOT_SET,
        retry_condition_fn: Callable[..., Any] | None = None,
        timeout_seconds: float | None = None,
        log_prints: bool | None = NOT_SET,
        persist_result: bool | None = NOT_SET,
        result_storage: Any = NOT_SET,
        result_serializer: str | None = NOT_SET,
        result_storage_key: str | None = NOT_SET,
        cache_result_in_memory: bool | None = None,
        on_completion: Iterable[hooks.Hook] | None = None,
        on_failure: Iterable[hooks.Hook] | None = None,
        viz_return_value: Any = None,
    ) -> Task[P, R]:
        """Return a new task with some options changed.

        ``tags`` replace, they do not add. 0 switches retries, delays and the time limit off.
        ``None`` changes only what inherits from the flow or settings then (``log_prints``,
        ``refresh_cache``, the result options) and ``retry_jitter_factor``.
        """
        given = {k: v for k, v in locals().items() if k != "self"}
        return Task(self.fn, **merge_options(self, given))

    def __reduce__(self) -> Any:
        from flowdeck.transport import reduce_task

        return reduce_task(self)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"


@overload
def task(__fn: Callable[P, R]) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    cache_key_fn: Callable[[Any, dict[str, Any]], str | None] | None = None,
    cache_expiration: datetime.timedelta | None = None,
    refresh_cache: bool | None = None,
    task_run_name: str | Callable[[], str] | None = None,
    retries: int = 0,
    retry_delay_seconds: float | Sequence[float] | Callable[[int], list[float]] = 0,
    retry_jitter_factor: float | None = None,
    retry_condition_fn: Callable[..., Any] | None = None,
    timeout_seconds: float | None = None,
    log_prints: bool | None = None,
    persist_result: bool | None = None,
    result_storage: Any = None,
    result_serializer: str | None = None,
    result_storage_key: str | None = None,
    cache_result_in_memory: bool = True,
    on_completion: Iterable[hooks.Hook] | None = None,
    on_failure: Iterable[hooks.Hook] | None = None,
    viz_return_value: Any = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(__fn: Any = None, **options: Any) -> Any:
    """Make a function a task.

    Args:
        name: shown name; default: the function's.
        description: default: the docstring.
        tags: added to the tags in force where it is called.
        version: any text.
        cache_key_fn: called with (context, arguments); a completed run under the same key is
            re-used. ``None`` as key: do not cache.
        cache_expiration: for how long (a ``timedelta``).
        refresh_cache: ``True`` computes anew, and keeps the new result.
        task_run_name: template over the parameters (``"load-{day}"``), or a callable.
        retries: how often to try again after a failure.
        retry_delay_seconds: one delay, a list of them, or a callable such as
            :func:`~flowdeck.caching.exponential_backoff`.
        retry_jitter_factor: up to which fraction of itself a delay may be longer.
        retry_condition_fn: called with (task, task_run, state); falsy: do not try again.
        timeout_seconds: for each attempt. A thread that does not stop is left behind.
        log_prints: whether prints become log lines; default: as the flow.
        persist_result: whether results are kept on disk; default: as the flow.
        result_serializer: ``pickle``, ``json``, ``compressed/pickle``, ``compressed/json``.
        cache_result_in_memory: ``False`` drops the value from memory once it is kept on disk.
        on_completion: called with (task, task_run, state) when a run completed.
        on_failure: the same, when it finally failed.
        result_storage, result_storage_key, viz_return_value: accepted, without effect.

    Raises:
        TypeError: an option has the wrong type.
        ValueError: an option has a value that makes no sense.
        ReservedArgumentError: a parameter is called ``wait_for`` or ``return_state``.
    """
    if __fn is None:
        return functools.partial(Task, **options)
    return Task(__fn, **options)


__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]

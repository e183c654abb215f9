"""Flows: functions whose runs, and the runs of the tasks they call, are recorded."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from flowdeck import context, hooks
from flowdeck.definitions import (
    NOT_SET,
    check_run_name,
    check_serializer,
    is_async,
    merge_options,
    source_of,
)
from flowdeck.names import check_name, flow_display_name
from flowdeck.parameters import Binder, check_compatible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck.flow_run import FlowRun
    from flowdeck.task_runners.base import BaseTaskRunner

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Generic[P, R]):
    """A function as a flow. Made by :func:`flow`, which documents the options."""

    def __init__(
        self,
        fn: Callable[P, R],
        name: str | None = None,
        version: str | None = None,
        flow_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | None = None,
        task_runner: type[BaseTaskRunner] | BaseTaskRunner | None = None,
        description: str | None = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_storage: Any = None,
        result_serializer: str | None = None,
        cache_result_in_memory: bool = True,
        log_prints: bool | None = None,
        on_completion: Iterable[hooks.Hook] | None = None,
        on_failure: Iterable[hooks.Hook] | None = None,
        on_cancellation: Iterable[hooks.Hook] | None = None,
        on_crashed: Iterable[hooks.Hook] | None = None,
        on_running: Iterable[hooks.Hook] | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            hint = (
                " If you want to make a flow of a function with options, call the decorator: "
                "`@flow(name=...)`."
                if callable(name)
                else ""
            )
            raise TypeError(
                f"Expected string for flow parameter 'name'; got {type(name).__name__} "
                f"instead.{hint}"
            )
        if not callable(fn):
            raise TypeError("'fn' must be callable")
        check_run_name("flow_run_name", flow_run_name)
        check_serializer(result_serializer)
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.isasync = is_async(fn)
        self.name = name or flow_display_name(getattr(fn, "__name__", type(fn).__name__))
        check_name(self.name, "flow name")
        self.version = version or _file_hash(fn)
        self.flow_run_name = flow_run_name
        self.retries = int(retries or 0)
        self.retry_delay_seconds = float(retry_delay_seconds or 0)
        self.task_runner = _runner_instance(task_runner)
        self.description = description or inspect.getdoc(fn)
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self.should_validate_parameters = validate_parameters
        if validate_parameters:
            check_compatible(fn)
        self.persist_result = persist_result
        self.result_storage = result_storage
        self.result_serializer = result_serializer
        self.cache_result_in_memory = cache_result_in_memory
        self.log_prints = log_prints
        self.on_completion = hooks.check("on_completion", on_completion)
        self.on_failure = hooks.check("on_failure", on_failure)
        self.on_cancellation = hooks.check("on_cancellation", on_cancellation)
        self.on_crashed = hooks.check("on_crashed", on_crashed)
        self.on_running = hooks.check("on_running", on_running)
        self._binder = Binder(fn)
        self.call_args = self._binder.call_args
        file, lineno = source_of(fn)
        self.source = None if file is None else f"{file}:{lineno}"
        qualname = getattr(fn, "__qualname__", None) or type(fn).__qualname__
        self.key = f"{file or getattr(fn, '__module__', '?')}:{qualname}"

    @property
    def validate_parameters(self) -> bool:
        """Whether parameters are checked and coerced by annotation."""
        return self.should_validate_parameters

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the parameters (for forms)."""
        from flowdeck.parameters import describe

        return {info.name: info.schema for info in describe(self.fn)}

    def __call__(
        self,
        *args: Any,
        return_state: bool = False,
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the flow; a call inside another flow makes a subflow run.

        Args:
            *args: for the function; they are validated, and futures replaced by their values.
            return_state: return the final state, and do not raise what the function raised.
            wait_for: for subflows, futures that must have completed first.
            **kwargs: for the function.

        Returns:
            What the function returns (see the final-state rules for futures and states); for an
            async flow an awaitable of it, unless it is called from a sync flow.

        Raises:
            ParameterBindError: the arguments do not fit the signature; no run is created.
            StoreError: the store cannot be used.
        """
        parameters = self._binder.bind(args, kwargs)
        parent: FlowRun | None = context.current_flow_run.get()  # type: ignore[assignment]
        if parent is None and wait_for is not None:
            raise ValueError("Only flows run as subflows can wait for dependencies.")
        from flowdeck import flow_call

        call = (self, parameters, parent, wait_for, return_state)
        from_async = parent is not None and _in_async_caller(parent)
        if not self.isasync:
            # Sync code in an async flow or task must not see that one's running loop.
            return (_in_thread if from_async else _here)(flow_call.call_sync, *call)
        if parent is not None and not from_async:
            from flowdeck import loop

            return loop.run_here(flow_call.call_async, *call)
        return flow_call.call_async(*call)

    def with_options(
        self,
        *,
        name: str | None = None,
        version: str | None = None,
        flow_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | None = None,
        task_runner: type[BaseTaskRunner] | BaseTaskRunner | None = None,
        description: str | None = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool | None = None,
        persist_result: bool | None = NOT_SET,
        result_storage: Any = NOT_SET,
        result_serializer: str | None = NOT_SET,
        cache_result_in_memory: bool | None = None,
        log_prints: bool | None = NOT_SET,
        on_completion: Iterable[hooks.Hook] | None = None,
        on_failure: Iterable[hooks.Hook] | None = None,
        on_cancellation: Iterable[hooks.Hook] | None = None,
        on_crashed: Iterable[hooks.Hook] | None = None,
        on_running: Iterable[hooks.Hook] | None = None,
    ) -> Flow[P, R]:
        """Return a new flow with some options changed.

        0 switches retries, delays and the time limit off. ``None`` changes only what inherits from
        the parent run or settings then: ``log_prints`` and the result options.
        """
        given = {k: v for k, v in locals().items() if k != "self"}
        return Flow(self.fn, **merge_options(self, given))

    def __repr__(self) -> str:
        return f"Flow({self.name!r})"


def _in_async_caller(parent: FlowRun) -> bool:
    task_run = context.current_task_run.get()
    caller_is_async = parent.flow.isasync if task_run is None else task_run.task.isasync
    return caller_is_async and context.running_loop() is not None


def _here(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a new thread in a copy of this context, and wait."""
    outcome: dict[str, Any] = {}
    here = contextvars.copy_context()

    def target() -> None:
        try:
            outcome["value"] = here.run(function, *args)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=target, name="flowdeck-subflow", daemon=True)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _runner_instance(
    given: type[BaseTaskRunner] | BaseTaskRunner | None,
) -> BaseTaskRunner:
    from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner

    if given is None:
        return ConcurrentTaskRunner()
    runner = given() if isinstance(given, type) else given
    if not isinstance(runner, BaseTaskRunner):
        raise TypeError(
            f"Expected a task runner for 'task_runner'; got {type(given).__name__} instead. Pass "
            "one of flowdeck.task_runners, e.g. task_runner=SequentialTaskRunner()."
        )
    return runner


_file_hashes: dict[str, str | None] = {}


def _file_hash(fn: Callable[..., Any]) -> str | None:
    """Return 32 hex digits that change with the file that holds the function."""
    file, _ = source_of(fn)
    if file is None:
        return None
    if file not in _file_hashes:
        import hashlib

        try:
            with open(file, "rb") as source:
                digest = hashlib.blake2b(source.read(), digest_size=16).hexdigest()
        except OSError:
            return None
        _file_hashes[file] = digest
    return _file_hashes[file]


@overload
def flow(__fn: Callable[P, R]) -> Flow[P, R]: ...


@overload
def flow(
    *,
    name: str | None = None,
    version: str | None = None,
    flow_run_name: str | Callable[[], str] | None = None,
    retries: int | None = None,
    retry_delay_seconds: float | None = None,
    task_runner: type[BaseTaskRunner] | BaseTaskRunner | None = None,
    description: str | None = None,
    timeout_seconds: float | None = None,
    validate_parameters: bool = True,
    persist_result: bool | None = None,
    result_storage: Any = None,
    result_serializer: str | None = None,
    cache_result_in_memory: bool = True,
    log_prints: bool | None = None,
    on_completion: Iterable[hooks.Hook] | None = None,
    on_failure: Iterable[hooks.Hook] | None = None,
    on_cancellation: Iterable[hooks.Hook] | None = None,
    on_crashed: Iterable[hooks.Hook] | None = None,
    on_running: Iterable[hooks.Hook] | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(__fn: Any = None, **options: Any) -> Any:
    """Make a function a flow.

    Args:
        name: shown name; default: the function's with ``-`` for ``_``.
        version: any text; default: a hash of the file.
        flow_run_name: template over the parameters (``"etl-{day}"``), or a callable.
        retries: how often the whole function is called again after a failure; task runs that
            completed are not run again.
        retry_delay_seconds: between attempts.
        task_runner: class or instance; default: ``ConcurrentTaskRunner()``. Each run gets a
            duplicate.
        description: default: the docstring.
        timeout_seconds: for each attempt; on the main thread and in async flows the function is
            interrupted, elsewhere it ends at its next task call.
        validate_parameters: check and coerce arguments by annotation.
        persist_result: whether results (of its tasks too) are kept on disk.
        result_serializer: ``pickle``, ``json``, ``compressed/pickle``, ``compressed/json``.
        log_prints: whether prints become log lines, in tasks too.
        on_completion, on_failure, on_cancellation, on_crashed, on_running: lists of callables,
            called with (flow, flow_run, state).
        result_storage, cache_result_in_memory: accepted, without effect.

    Raises:
        TypeError: an option has the wrong type.
        ValueError: an option has a value that makes no sense.
        InvalidNameError: the name has one of ``/ % & < >``.
        ReservedArgumentError: a parameter is called ``wait_for`` or ``return_state``.
    """
    if __fn is None:
        return functools.partial(Flow, **options)
    if isinstance(__fn, str):
        raise TypeError("'fn' must be callable: give the name by keyword, `@flow(name=...)`.")
    return Flow(__fn, **options)


__all__ = ["Flow", "flow"]

"""Flows: functions whose runs, and the runs of the tasks they call, are recorded."""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

from flowdeck.definitions import hooks
from flowdeck.definitions.bases import FlowDefinition, TaskRunnerLike
from flowdeck.definitions.definition import (
    check_run_name,
    check_serializer,
    is_async,
    jitter_factor,
    module_of,
    qualname_of,
    refuse_storage,
    retry_delays,
    source_of,
    take_over,
    time_limit,
    whole_number,
)
from flowdeck.definitions.methods import Bound, bound, unwrapped
from flowdeck.definitions.options import FLOW_OPTIONS, FlowOptions
from flowdeck.parameters import check_compatible
from flowdeck.parameters.binding import function_name
from flowdeck.parameters.scope import remember
from flowdeck.runs.names import check_name, flow_display_name
from flowdeck.threads import active, patience
from flowdeck.threads.engine_threads import engine_thread
from flowdeck.values.unawaited import named

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from flowdeck.futures import Passed
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.states import State
    from flowdeck.task_runners.base import BaseTaskRunner

P = ParamSpec("P")
P2 = ParamSpec("P2")
R = TypeVar("R", covariant=True)
T = TypeVar("T")


class BoundFlow(Bound["Flow[Any, Any]"]):
    """A flow that was looked up on an instance."""


class Flow(FlowDefinition[P, R]):
    """A function as a flow. Made by :func:`flow`, which documents the options."""

    _binds_like_functions = True
    task_runner: BaseTaskRunner

    def __init__(self, fn: Callable[P, R], **options: Unpack[FlowOptions]) -> None:
        given = FLOW_OPTIONS.completed(options, "Flow.__init__")
        name: object = given["name"]
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
        fn, self.binds = unwrapped(fn)
        if not callable(fn):
            raise TypeError("'fn' must be callable")
        check_run_name("flow_run_name", given["flow_run_name"])
        check_serializer(given["result_serializer"])
        take_over(self, fn)
        self.fn = fn
        self.isasync = is_async(fn)
        self.name = given["name"] or flow_display_name(function_name(fn))
        check_name(self.name, "flow name")
        self.version = given["version"] or _file_hash(fn)
        self.flow_run_name = given["flow_run_name"]
        self.retries = whole_number("retries", given["retries"])
        self.retry_delays = retry_delays(given["retry_delay_seconds"] or 0, self.retries, "flow")
        one = isinstance(self.retry_delays, float)
        self.retry_delay_seconds = self.retry_delays if one else given["retry_delay_seconds"]
        self.retry_jitter_factor = jitter_factor(given["retry_jitter_factor"])
        self.task_runner = _runner_instance(given["task_runner"])
        self.description = given["description"] or inspect.getdoc(fn)
        self.timeout_seconds = time_limit(given["timeout_seconds"])
        self.should_validate_parameters = bool(given["validate_parameters"])
        if given["validate_parameters"]:
            check_compatible(fn)
            remember(fn)
        self.persist_result = given["persist_result"]
        refuse_storage(result_storage=given["result_storage"])
        self.result_storage = given["result_storage"]
        self.result_serializer = given["result_serializer"]
        self.cache_result_in_memory = bool(given["cache_result_in_memory"])
        self.log_prints = given["log_prints"]
        hooks.take(self, given, hooks.OF_FLOWS)
        self.set_up()

    def set_up(self) -> None:
        super().set_up()
        file, lineno = source_of(self.fn)
        self.source = None if file is None else f"{file}:{lineno}"
        self.key = f"{file or module_of(self.fn)}:{qualname_of(self.fn)}"

    def validate_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters checked and coerced by annotation, as a run of the flow gets them.

        Args:
            parameters: all of them by name.

        Raises:
            ParameterTypeError: some do not fit; the message lists each.
        """
        from flowdeck.parameters import validate

        return validate(self.fn, parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the parameters (for forms)."""
        from flowdeck.parameters import describe

        return {info.name: info.schema for info in describe(self.fn)}

    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self: Flow[P, Coroutine[Any, Any, T]],
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
        parameters = self.binder.bind(args, kwargs)
        parent: FlowRun | None = active.current_flow_run.get()
        if parent is None and wait_for is not None:
            raise ValueError("Only flows run as subflows can wait for dependencies.")

        from flowdeck.calls import flow_calls

        call = (self, parameters, parent, wait_for, return_state)
        from_async = parent is not None and active.caller_is_async()
        if not self.isasync:
            # Sync code in an async flow or task must not see that one's running loop.
            if not from_async:
                return _here(flow_calls.call_sync, *call)
            with flow_calls.loop_blocked(self, parent, parameters, wait_for):
                return _in_thread(flow_calls.call_sync, *call)
        if parent is not None and not from_async:
            from flowdeck.threads import loop

            return loop.run_here(flow_calls.call_async, *call)
        return named(flow_calls.call_async(*call), function_name(self.fn))

    def with_options(self, **options: Unpack[FlowOptions]) -> Flow[P, R]:
        """Return a new flow with some options changed.

        0 switches retries, delays and the time limit off. ``None`` changes only what inherits from
        the parent run or settings then: ``log_prints`` and the result options.
        """
        changed: Flow[P, R] = Flow(self.fn, **FLOW_OPTIONS.changed(self, options))
        changed.binds = self.binds
        return changed

    @overload
    def __get__(self, instance: None, owner: Any) -> Flow[P, R]: ...
    @overload
    def __get__(
        self: Flow[Concatenate[Any, P2], R], instance: object, owner: Any = None
    ) -> Flow[P2, R]: ...
    def __get__(self, instance: object, owner: Any = None) -> Any:
        return bound(BoundFlow, self, instance, owner)

    def __reduce__(self) -> Any:
        from flowdeck.remote.pickling import reduce_definition

        return reduce_definition(self)

    def __repr__(self) -> str:
        return f"Flow({self.name!r})"


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

    thread = engine_thread("flowdeck-subflow", target)
    thread.start()
    patience.until_joined(thread)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _runner_instance(
    given: type[TaskRunnerLike] | TaskRunnerLike | None,
) -> BaseTaskRunner:
    from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner

    if given is None:
        return ConcurrentTaskRunner()
    kind: type = given if isinstance(given, type) else type(given)
    if not issubclass(kind, BaseTaskRunner):
        raise TypeError(
            f"Expected a task runner for 'task_runner'; got {kind.__name__} instead. Pass "
            "one of flowdeck.task_runners, e.g. task_runner=SequentialTaskRunner()."
        )
    if kind._submit is BaseTaskRunner._submit and kind.submit is BaseTaskRunner.submit:
        raise TypeError(
            f"{kind.__name__} is no task runner but what task runners have in common. Pass one of "
            "flowdeck.task_runners, e.g. task_runner=SequentialTaskRunner(), or a subclass that "
            "has a _submit."
        )
    found: Any = given() if isinstance(given, type) else given
    return found  # type: ignore[no-any-return]


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
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def flow(**options: Unpack[FlowOptions]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a flow.

    Args:
        OPTIONS

    Raises:
        TypeError: an option has the wrong type.
        ValueError: an option has a value that makes no sense.
        InvalidNameError: the name has one of ``/ % & < >``.
        ReservedArgumentError: a parameter is called ``wait_for`` or ``return_state``.
    """
    if fn is None:
        return functools.partial(Flow, **options)
    if isinstance(fn, str):
        raise TypeError("'fn' must be callable: give the name by keyword, `@flow(name=...)`.")
    return Flow(fn, **options)


FLOW_OPTIONS.show(Flow.__init__)
FLOW_OPTIONS.show(Flow.with_options)
FLOW_OPTIONS.show(flow)

__all__ = ["Flow", "flow"]

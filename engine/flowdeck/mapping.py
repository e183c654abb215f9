"""`.map`: one task run per item."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from flowdeck import inputs
from flowdeck.annotations import Annotation, allow_failure, quote, unmapped
from flowdeck.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    UpstreamTaskError,
)
from flowdeck.futures import TaskFuture
from flowdeck.states import State
from flowdeck.upstreams import blocked_message, of_wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck.flow_run import FlowRun
    from flowdeck.tasks import Task


def split(parameters: dict[str, Any]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Split arguments into those with an item per child and those that each child gets whole.

    Args:
        parameters: by name; futures and states at the top are values already.

    Raises:
        MappingMissingIterable: nothing is iterable.
        MappingLengthMismatch: the iterables have different lengths.
    """
    mapped: dict[str, list[Any]] = {}
    static: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, unmapped):
            static[name] = value.value
            continue
        inner = value.value if isinstance(value, (allow_failure, quote)) else value
        if inputs.is_static_for_map(inner):
            static[name] = value
        elif isinstance(value, allow_failure):
            mapped[name] = [allow_failure(item) for item in inner]
        else:
            mapped[name] = list(inner)
    if not mapped:
        raise MappingMissingIterable(
            "No iterable parameters were received. Parameters for map must include at least one "
            f"iterable. Parameters: {_shown(parameters)}"
        )
    lengths = {name: len(items) for name, items in mapped.items()}
    if len(set(lengths.values())) > 1:
        raise MappingLengthMismatch(
            "Received iterable parameters with different lengths. Parameters for map must all be "
            f"the same length. Got lengths: {lengths}"
        )
    return mapped, static


def _shown(parameters: dict[str, Any]) -> str:
    # An argument may be huge or have a repr that raises: an error message must survive both.
    from flowdeck.previews import safe_repr

    return "{" + ", ".join(f"{n!r}: {safe_repr(v)}" for n, v in parameters.items()) + "}"


class _Call:
    """The arguments of one `.map` call, and how those of each child follow from them."""

    def __init__(self, task: Task[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._base = task._binder.bind(args, kwargs)
        signature = task._binder.signature
        given = signature.bind(*args, **kwargs).arguments
        kinds = {p.kind: name for name, p in signature.parameters.items()}
        self._extra = kinds.get(inspect.Parameter.VAR_KEYWORD)
        rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)
        #: What may be mapped: what was passed, each item of ``**kwargs`` on its own. Defaults and
        #: ``*args`` go whole to each child.
        self.parameters = {n: v for n, v in given.items() if n not in (self._extra, rest)}
        self._own = frozenset(self.parameters)
        if self._extra is not None:
            self.parameters |= given.get(self._extra, {})

    def children(self, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the bound arguments of each child, in order.

        Args:
            parameters: :attr:`parameters` with the futures at the top replaced by their values.
        """
        mapped, static = split(parameters)
        count = len(next(iter(mapped.values())))
        for i in range(count):
            child = dict(self._base)
            for name, value in static.items():
                self._put(child, name, value)
            for name, items in mapped.items():
                self._put(child, name, items[i])
            yield child

    def _put(self, child: dict[str, Any], name: str, value: Any) -> None:
        if name in self._own:
            child[name] = value
        else:
            assert self._extra is not None
            child[self._extra] = {**child[self._extra], name: value}


def _awaited(parameters: dict[str, Any]) -> list[Any]:
    """Return the futures at the top of arguments: what they hold is to be mapped over."""
    found = []
    for value in parameters.values():
        inner = value.value if isinstance(value, allow_failure) else value
        if inputs.is_future(inner):
            found.append(inner.task_run)
    return found


def _with_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """Put the values of futures and states in that stand at the top of arguments."""
    result = {}
    for name, value in parameters.items():
        mark = value if isinstance(value, allow_failure) else None
        inner = value.value if mark is not None else value
        state = inner if isinstance(inner, State) else None
        if inputs.is_future(inner):
            state = inner.task_run.state
        if state is None or (isinstance(value, Annotation) and mark is None):
            result[name] = value
            continue
        if not state.is_completed() and not (mark is not None and state.is_failed()):
            run_id = state.state_details.task_run_id or str(state)
            raise UpstreamTaskError(blocked_message(run_id))
        got = state.value(raise_on_failure=False)
        result[name] = got if mark is None else allow_failure(got)
    return result


def map_sync(
    task: Task[Any, Any],
    run: FlowRun,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> list[Any]:
    """Create and submit the children; see :meth:`flowdeck.tasks.Task.map`."""
    from flowdeck import waiting

    call = _Call(task, args, kwargs)
    parameters = call.parameters
    waiting.wait(_awaited(parameters))
    edges = _edges(parameters)
    waited = None if wait_for is None else of_wait_for(wait_for)
    futures: list[TaskFuture[Any]] = []
    for i, child in enumerate(call.children(_with_values(parameters))):
        task_run, upstreams = run.submissions.create(
            task, child, waited, direct=False, map_index=i, edges=edges
        )
        run.submissions.dispatch(task_run, upstreams)
        futures.append(TaskFuture(task_run))
    if not return_state:
        return futures
    waiting.wait([future.task_run for future in futures])
    return [future.task_run.state for future in futures]


async def map_async(
    task: Task[Any, Any],
    run: FlowRun,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> list[Any]:
    """As :func:`map_sync`, for an async task in an async flow."""
    from flowdeck import waiting

    call = _Call(task, args, kwargs)
    parameters = call.parameters
    await waiting.wait_async(_awaited(parameters))
    edges = _edges(parameters)
    waited = None if wait_for is None else of_wait_for(wait_for)
    futures: list[TaskFuture[Any]] = []
    for i, child in enumerate(call.children(_with_values(parameters))):
        task_run, upstreams = run.submissions.create(
            task, child, waited, direct=False, map_index=i, edges=edges
        )
        await run.submissions.dispatch_async(task_run, upstreams)
        futures.append(TaskFuture(task_run, asynchronous=True))
    if not return_state:
        return futures
    await waiting.wait_async([future.task_run for future in futures])
    return [future.task_run.state for future in futures]


def _edges(parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return (parameter, future or state) of what was mapped over, so that each child is recorded
    as its downstream although it only gets an item of the value."""
    found = []
    for name, value in parameters.items():
        inner = value.value if isinstance(value, allow_failure) else value
        if inputs.is_future(inner) or isinstance(inner, State):
            found.append((name, inner))
    return found

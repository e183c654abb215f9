"""`.map`: one task run per item."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from flowdeck.annotations import Annotation, allow_failure, quote, unmapped
from flowdeck.calls import task_calls
from flowdeck.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    UpstreamTaskError,
)
from flowdeck.futures import AsyncFutureList, AsyncTaskFuture, FutureList, TaskFuture
from flowdeck.inputs import nested
from flowdeck.inputs.given import drawn
from flowdeck.runs.task_run import Common
from flowdeck.runs.upstreams import blocked_message, value_of
from flowdeck.states import State
from flowdeck.values.statics import is_a
from flowdeck.values.unawaited import to_be_awaited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.inputs.given import Snapshots
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.upstreams import Waited


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
        if is_a(value, unmapped):
            static[name] = value.value
            continue
        inner = value.value if is_a(value, (allow_failure, quote)) else value
        if nested.is_static_for_map(inner):
            static[name] = value
        elif is_a(value, allow_failure):
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
    # An argument may be huge, secret, or have a repr that raises: a message must survive that.
    from flowdeck.values.previews import params_reprs

    return "{" + ", ".join(f"{n!r}: {text}" for n, text in params_reprs(parameters).items()) + "}"


class MapCall:
    """The arguments of one `.map` call, and how those of each child follow from them.

    Args:
        task: of which.
        snapshots: of the flow run, to take the arguments as they are now.
        args: as given.
        kwargs: as given.

    Raises:
        Exception: an iterator among them raised, or gives items without end.
    """

    def __init__(
        self,
        task: TaskDefinition[Any, Any],
        snapshots: Snapshots,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.task = task
        items = [_drawn(str(place), value) for place, value in enumerate(args, 1)]
        named = {name: _drawn(name, value) for name, value in kwargs.items()}
        taken = snapshots.as_they_are({"args": items, "kwargs": named})
        args, kwargs = tuple(taken["args"]), taken["kwargs"]
        self._base = task.binder.bind(args, kwargs)
        signature = task.binder.signature
        given = signature.bind(*args, **kwargs).arguments
        kinds = {p.kind: name for name, p in signature.parameters.items()}
        self._extra = kinds.get(inspect.Parameter.VAR_KEYWORD)
        rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)
        #: What may be mapped: what was passed, each item of ``**kwargs`` on its own. Defaults and
        #: ``*args`` go whole to each child.
        self.parameters = {n: v for n, v in given.items() if n not in (self._extra, rest)}
        self._own = frozenset(self.parameters)
        #: What all children get alike, by name: once the children are made.
        self.common: dict[str, Common] | None = None
        if self._extra is not None:
            self.parameters |= given.get(self._extra, {})

    def children(self, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the bound arguments of each child, in order.

        Args:
            parameters: :attr:`parameters` with the futures at the top replaced by their values.
        """
        mapped, static = split(parameters)
        count = len(next(iter(mapped.values())))
        if count > 1:
            apart = {name if name in self._own else self._extra for name in mapped}
            self.common = {name: Common() for name in self._base if name not in apart}
        for i in range(count):
            child = dict(self._base)
            for name, value in static.items():
                self._set_argument(child, name, value)
            for name, items in mapped.items():
                self._set_argument(child, name, items[i])
            yield child

    def _set_argument(self, child: dict[str, Any], name: str, value: Any) -> None:
        if name in self._own:
            child[name] = value
        else:
            assert self._extra is not None
            child[self._extra] = {**child[self._extra], name: value}


def _awaited(parameters: dict[str, Any]) -> list[Any]:
    """Return the futures at the top of arguments: what they hold is to be mapped over."""
    found = []
    for value in parameters.values():
        inner = value.value if is_a(value, allow_failure) else value
        if nested.is_future(inner):
            found.append(inner.task_run)
    return found


def _with_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """Put the values of futures and states in that stand at the top of arguments."""
    result = {}
    for name, value in parameters.items():
        mark = value if is_a(value, allow_failure) else None
        inner = value.value if mark is not None else value
        state = inner if is_a(inner, State) else None
        run_name = None
        if nested.is_future(inner):
            state, run_name = inner.task_run.state, inner.task_run.name
        if state is None or (is_a(value, Annotation) and mark is None):
            result[name] = value
            continue
        if not state.is_completed() and not (mark is not None and state.ends_run):
            upstream = run_name or state.state_details.task_run_id or str(state)
            raise UpstreamTaskError(blocked_message(upstream))
        got = value_of(state)
        result[name] = got if mark is None else allow_failure(got)
    return result


def _drawn(name: str, value: Any) -> Any:
    """Return an argument with its items if it is an iterator that is a way to write a list."""
    if is_a(value, (unmapped, allow_failure)):
        inner = drawn(name, value.value)
        return value if inner is value.value else value.rewrap(inner)
    return drawn(name, value)


def map_sync(run: FlowRun, call: MapCall, waited: Waited | None, return_state: bool) -> list[Any]:
    """Create and submit the children; see :meth:`flowdeck.tasks.Task.map`."""
    from flowdeck.runs import waiting

    task, parameters = call.task, call.parameters
    waiting.wait(_awaited(parameters))
    edges = _edges(run, parameters)
    futures: FutureList[Any] = FutureList()
    for i, child in enumerate(call.children(_with_values(parameters))):
        task_run = task_calls.submit(run, task, child, waited, i, edges, call.common)
        futures.append(TaskFuture(task_run))
    if task.map_batch:
        run.runner.map_is_over()
    if not return_state:
        return futures
    waiting.wait([future.task_run for future in futures])
    return [future.task_run.state for future in futures]


@to_be_awaited
async def map_async(
    run: FlowRun, call: MapCall, waited: Waited | None, return_state: bool
) -> list[Any]:
    """As :func:`map_sync`, for an async task in an async flow."""
    from flowdeck.runs import waiting

    task, parameters = call.task, call.parameters
    await waiting.wait_async(_awaited(parameters))
    edges = _edges(run, parameters)
    futures: AsyncFutureList[Any] = AsyncFutureList()
    for i, child in enumerate(call.children(_with_values(parameters))):
        task_run = await task_calls.submit_async(run, task, child, waited, i, edges, call.common)
        futures.append(AsyncTaskFuture(task_run))
    if task.map_batch:
        run.runner.map_is_over()
    if not return_state:
        return futures
    await waiting.wait_async([future.task_run for future in futures])
    return [future.task_run.state for future in futures]


def _edges(run: FlowRun, parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return (parameter, future or state) of what was mapped over, so that each child is recorded
    as its downstream although it only gets an item of the value."""
    found = []
    for name, value in parameters.items():
        inner = value.value if is_a(value, allow_failure) else value
        if nested.is_future(inner) or is_a(inner, State):
            found.append((name, inner))
        else:
            origin = run.lineage.origin_of(inner)  # of the whole list; each item is looked at later
            if origin is not None and origin[0]:
                found.append((name, origin[0]))
    return found

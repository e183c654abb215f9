"""What a call of a task or flow depends on: found in its arguments and in ``wait_for``, judged when
it has ended, and recorded as edges."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck.annotations import Annotation
from flowdeck.inputs import nested
from flowdeck.logging import WARNING, line
from flowdeck.runs.task_run import FlowRunLike
from flowdeck.states import NotReady, State
from flowdeck.values.statics import is_a, type_name
from flowdeck.values.unawaited import refuse_unawaited
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.runs.lineage import Lineage
    from flowdeck.runs.task_run import TaskRun

#: A future or state, and whether its failure is allowed.
Upstream = tuple[Any, bool]
#: Parameter (or ``wait_for``), uid of the upstream's flow run (``None``: the same), its number.
Edge = tuple[str, str | None, int]

#: Looking through inputs for less than this (seconds) is not worth a look at the settings.
_NOTICEABLE = 0.01


class CallingRun(FlowRunLike, Protocol):
    """What is needed here of the flow run that a call belongs to."""

    lineage: Lineage


class OnlyAwaited(tuple[Any, bool]):
    """An upstream whose end matters and whose value does not: one from ``wait_for``."""

    __slots__ = ()


class Waited(list[Upstream]):
    """What was found in a ``wait_for``: looked through once for all children of a ``.map``."""


def of_call(
    flow_run: CallingRun,
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
    extra: Iterable[tuple[str, Any]] = (),
    look: bool | None = None,
) -> tuple[tuple[Edge, ...] | None, list[Upstream]]:
    """Find futures, states and results of this flow run in the arguments: the edges to record, and
    whom to wait for.

    Args:
        flow_run: the one that the call belongs to.
        parameters: bound arguments by name.
        wait_for: futures and states, nested at will.
        extra: (parameter, future, state or number of a task run) to record only.
        look: what :func:`~flowdeck.inputs.nested.needs_look` says of the parameters, if that is known.

    Raises:
        TypeError: ``wait_for`` is a future instead of a list of them.
    """
    uid = flow_run.info.uid
    upstreams: list[Upstream] = []
    edges: dict[Edge, None] = {}
    for name, item in extra:
        if isinstance(item, int):
            edges[name, None, item] = None
        else:
            _add_edges(uid, name, [(item, True)], edges)
    if flow_run.lineage.is_used:
        for name, no in flow_run.lineage.edges(parameters):
            edges[name, None, no] = None
    if nested.needs_look(parameters) if look is None else look:
        started = clock.monotonic()
        for name, value in parameters.items():
            if type(value) not in nested.ATOMIC:
                found = nested.find(value)
                if found:
                    upstreams += found
                    _add_edges(uid, name, found, edges)
        seconds = clock.monotonic() - started
        if seconds > _NOTICEABLE:
            _warn_of_slow_inputs(flow_run, seconds)
    if wait_for is not None:
        waited = of_wait_for(wait_for)
        upstreams += waited
        _add_edges(uid, "wait_for", waited, edges)
    return (tuple(edges) or None), upstreams


def of_wait_for(wait_for: Iterable[Any]) -> Waited:
    """Find the futures and states to wait for, unless that is done already.

    Raises:
        TypeError: it is no list, or something in it cannot be waited for.
    """
    if type(wait_for) is Waited:
        return wait_for
    if nested.is_future(wait_for) or is_a(wait_for, (State, str)):
        raise TypeError(
            f"wait_for takes a list of futures, got {type(wait_for).__name__}: write "
            "wait_for=[future], also for one."
        )
    if is_a(wait_for, Annotation):
        raise TypeError("Put the annotation around each future: wait_for=[allow_failure(future)].")
    given: Any = wait_for
    if type(given) is CoroutineType:
        refuse_unawaited(given)
    try:
        items = list(wait_for)
    except TypeError:
        raise TypeError(f"wait_for takes a list of futures, got {type_name(wait_for)}.") from None
    _check_waited(items)
    return Waited(OnlyAwaited(pair) for pair in nested.find(items))


def _check_waited(items: Any) -> None:
    """Refuse anything that cannot be waited for: a dependency that is dropped is found late.

    Raises:
        TypeError: names it.
    """
    stack = [("wait_for", items)]
    while stack:
        place, item = stack.pop()
        kind = type(item)
        if nested.is_result(kind):
            continue
        if issubclass(kind, Annotation):
            stack.append((place, item.value))
        elif kind in nested.MAPPINGS:
            stack += [(f"{place}[{key!r}]", value) for key, value in item.items()]
        elif kind in nested.CONTAINERS:
            stack += [(f"{place}[{number}]", each) for number, each in enumerate(item)]
        elif not nested.find(item):  # of records: what they hold
            hint = _HINTS.get(kind.__name__, "write wait_for=[future, ...]")
            raise TypeError(
                f"{place} is a {type_name(item)}, which cannot be waited for: only futures and "
                f"states can, and lists of them; {hint}."
            )


_HINTS: Final = {
    "Task": "wait for what its .submit() returns",
    "Flow": "wait for the state that it returns with return_state=True",
    "coroutine": "write `await` before it",
}


def _add_edges(uid: str, name: str, found: Iterable[Upstream], edges: dict[Edge, None]) -> None:
    for item, _ in found:
        if isinstance(item, State):
            task_run_id = item.state_details.task_run_id
            if task_run_id is None:
                continue
            run_uid, _, no = task_run_id.rpartition(".")
            edges[name, None if run_uid == uid else run_uid, int(no)] = None
        else:
            run = item.task_run
            edges[name, None if run.info.uid == uid else run.info.uid, run.no] = None


def _warn_of_slow_inputs(flow_run: CallingRun, seconds: float) -> None:
    from flowdeck.settings import get_settings

    limit = get_settings().input_warning_seconds
    if 0 < limit < seconds:
        line(
            flow_run,
            WARNING,
            f"Looking for futures in the inputs of a call took {seconds:.1f} seconds, more than "
            f"the {limit:g} of the setting input_warning_seconds. Wrap large inputs that hold no "
            "futures, e.g. `my_task.submit(quote(data))`.",
        )


# -- when they have ended ---------------------------------------------------------------------------


def runs_of(upstreams: Iterable[Upstream]) -> list[TaskRun]:
    """Return the task runs among them; states need no waiting."""
    return [item.task_run for item, _ in upstreams if not isinstance(item, State)]


def state_of(item: Any) -> State[Any]:
    """Return the state of a future (now), or the state itself."""
    return item if isinstance(item, State) else item.task_run.state


def first_bad_state(upstreams: Iterable[Upstream]) -> str | None:
    """Return what to call the first state among them that nothing may start after (of states only
    the id of their run is known); futures are not looked at."""
    for item, allowed in upstreams:
        if isinstance(item, State) and _is_bad(item, allowed):
            details = item.state_details
            return details.task_run_id or details.flow_run_id or str(item)
    return None


def first_bad(upstreams: Iterable[Upstream]) -> str | None:
    """As :func:`first_bad_state`, of futures too, which have the names of their runs."""
    for item, allowed in upstreams:
        if isinstance(item, State):
            found = first_bad_state([(item, allowed)])
            if found is not None:
                return found
        elif _is_bad(item.task_run.state, allowed):
            return str(item.task_run.name)
    return None


def _is_bad(state: State[Any], allowed: bool) -> bool:
    return not state.is_completed() and not (allowed and state.ends_run)


def blocked_message(upstream: str) -> str:
    """Return the sentence about an upstream that nothing may start after."""
    return f"Upstream task run '{upstream}' did not reach a 'COMPLETED' state."


def not_ready(upstream: str) -> State[Any]:
    """Return the state of a run that does not start because of an upstream."""
    return NotReady(message=blocked_message(upstream))


def value_of(item: Any) -> Any:
    """Return what a function gets for a future or state: its value, or, where that it has none is
    allowed, the exception that says why."""
    return state_of(item).value_or_reason()

"""What a call of a task or flow depends on: found in its arguments and in ``wait_for``, judged when
it has ended, and recorded as edges."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flowdeck import inputs
from flowdeck.annotations import Annotation
from flowdeck.logging import WARNING, line
from flowdeck.states import NotReady, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun

#: A future or state, and whether its failure is allowed.
Upstream = tuple[Any, bool]
#: Parameter (or ``wait_for``), uid of the upstream's flow run (``None``: the same), its number.
Edge = tuple[str, str | None, int]

#: Looking through inputs for less than this (seconds) is not worth a look at the settings.
_NOTICEABLE = 0.01


class OnlyAwaited(tuple[Any, bool]):
    """An upstream whose end matters and whose value does not: one from ``wait_for``."""

    __slots__ = ()


class Waited(list[Upstream]):
    """What was found in a ``wait_for``: looked through once for all children of a ``.map``."""


def of_call(
    flow_run: FlowRun,
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
    extra: Iterable[tuple[str, Any]] = (),
) -> tuple[tuple[Edge, ...] | None, list[Upstream]]:
    """Find futures and states in the arguments: the edges to record, and whom to wait for.

    Args:
        flow_run: the one that the call belongs to.
        parameters: bound arguments by name.
        wait_for: futures and states, nested at will.
        extra: (parameter, future or state) to record only.

    Raises:
        TypeError: ``wait_for`` is a future instead of a list of them.
    """
    uid = flow_run.info.uid
    upstreams: list[Upstream] = []
    edges: dict[Edge, None] = {}
    for name, item in extra:
        _add_edges(uid, name, [(item, True)], edges)
    if inputs.needs_look(parameters):
        started = time.monotonic()
        for name, value in parameters.items():
            if type(value) not in inputs.ATOMIC:
                found = inputs.find(value)
                if found:
                    upstreams += found
                    _add_edges(uid, name, found, edges)
        seconds = time.monotonic() - started
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
        TypeError: it is a future instead of a list of them.
    """
    if type(wait_for) is Waited:
        return wait_for
    if inputs.is_future(wait_for) or isinstance(wait_for, (State, str)):
        raise TypeError(
            f"wait_for takes a list of futures, got {type(wait_for).__name__}: write "
            "wait_for=[future], also for one."
        )
    if isinstance(wait_for, Annotation):
        raise TypeError("Put the annotation around each future: wait_for=[allow_failure(future)].")
    return Waited(OnlyAwaited(pair) for pair in inputs.find(list(wait_for)))


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


def _warn_of_slow_inputs(flow_run: FlowRun, seconds: float) -> None:
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
    """Return what to call the first state among them that nothing may start after; futures are
    not looked at."""
    for item, allowed in upstreams:
        if isinstance(item, State) and not item.is_completed():
            if allowed and item.is_failed():
                continue
            details = item.state_details
            return details.task_run_id or details.flow_run_id or str(item)
    return None


def first_bad(upstreams: Iterable[Upstream]) -> str | None:
    """As :func:`first_bad_state`, of futures too."""
    return first_bad_state((state_of(item), allowed) for item, allowed in upstreams)


def blocked_message(upstream: str) -> str:
    """Return the sentence about an upstream that nothing may start after."""
    return f"Upstream task run '{upstream}' did not reach a 'COMPLETED' state."


def not_ready(upstream: str) -> State[Any]:
    """Return the state of a run that does not start because of an upstream."""
    return NotReady(message=blocked_message(upstream))


def value_of(item: Any) -> Any:
    """Return what a function gets for a future or state: its value, or the allowed exception."""
    return state_of(item).value(raise_on_failure=False)

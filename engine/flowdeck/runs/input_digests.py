"""Digests of what a call was given: the same call in another attempt or run is known by them; and marks
of what it returned, which tell later whether that was changed in place.

Results of other calls stand in them as these calls, so that large values are not pickled for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.caching import digest_of
from flowdeck.inputs import nested
from flowdeck.runs.upstreams import OnlyAwaited
from flowdeck.settings import get_settings
from flowdeck.states import LazyValue, State
from flowdeck.values.marks import is_immutable, mark_of
from flowdeck.values.statics import is_a

if TYPE_CHECKING:
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.runs.upstreams import Upstream


def input_digest(parameters: dict[str, Any]) -> str | None:
    """Return what stands for the arguments of a call in every run, wherever they come from: 32 hex
    digits, ``None`` if something in them cannot be pickled."""
    known = True

    def stand_in(item: Any) -> Any:
        nonlocal known
        if isinstance(item, State):
            known = False
            return None
        run = item.task_run
        return "\0run", run.task.key, run.index

    values = [(name, nested.replace(v, stand_in, unwrap=False)) for name, v in parameters.items()]
    return digest_of(values) if known else None


def call_digest(parameters: dict[str, Any], upstreams: list[Upstream]) -> str | None:
    """Return what stands for the arguments of a call and for what it only waits for; ``None`` if
    there is nothing."""

    def stand_in(item: Any) -> Any:
        if isinstance(item, State):
            details = item.state_details
            of = details.task_run_id or details.flow_run_id
            return ("state", of, item.type.value, None if of else item.data)
        return ("run", item.task_run.no)

    values = [
        (name, nested.replace(value, stand_in, unwrap=False)) for name, value in parameters.items()
    ]
    waited = [stand_in(pair[0]) for pair in upstreams if type(pair) is OnlyAwaited]
    if waited:
        values.append(("wait_for", waited))
    return digest_of(values)


# -- results ---------------------------------------------------------------------------------------


def mark_for_retry(value: Any) -> str | None:
    """Return the mark of a result that another attempt of its flow run may use: of all that it is.
    Empty if nobody can change it, ``None`` if it cannot be told."""
    if _stays(value):
        return ""
    return None if is_a(value, LazyValue) else digest_of([("", value)])


def mark_of_run(run: TaskRun) -> str | None:
    """Return the mark of what a task run that ends has returned; ``None`` if it must run again.

    A task that returns an argument of unknown origin may have filled it in, and not to run it would
    leave that out. If the origin is known, it is seen there that the object has changed.
    """
    value, given = run.state.data, run.parameters
    if is_immutable(value):
        return ""
    for item in given.values() if given else ():
        if item is value and run.owner.lineage.origin_of(value) is None:
            return None
    return mark_for(run.owner.flow, value)


def mark_for(flow: Any, value: Any) -> str | None:
    """Return the mark of a result of a task run, by what it may be used for later.

    Args:
        flow: which called the task.
        value: the result, as the run's state has it.
    """
    if _stays(value):
        return ""
    if is_a(value, LazyValue):
        return None
    if flow.retries:
        return mark_for_retry(value)
    return mark_of(value) if get_settings().keep_on_failure > 0 else None


def _stays(value: Any) -> bool:
    if is_immutable(value):
        return True
    if is_a(value, list):
        return bool(value) and is_a(value[0], State) and all(is_a(item, State) for item in value)
    return not value.is_changed() if is_a(value, LazyValue) else is_a(value, State)

"""What becomes of values on a cluster when the flow run ends, and the cluster with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingResult
from flowdeck.inputs import nested
from flowdeck.remote.values import RemoteValue
from flowdeck.states import LazyValue, State
from flowdeck.states.final_state import ChildStates
from flowdeck.values.statics import is_a

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def rescue(values: Iterable[RemoteValue], returned: State[Any]) -> None:
    """Move those values here that the flow returned, before the cluster goes away.

    The states of a flow that returns ``None`` are a by-product: their values stay behind. Asking
    for a value that stayed behind raises :class:`~flowdeck.exceptions.MissingResult` from then on.

    Args:
        values: all that are on the cluster.
        returned: the flow run's final state.
    """
    wanted: set[int] = set()
    if not is_a(returned.data, ChildStates):
        wanted = {id(value) for value in _found(returned.data)}
    gone = MissingResult(
        "The value was on a cluster that ended with its flow run. Ask for it inside the flow "
        "(future.result()), return the future from the flow, or let the task keep its result "
        "(persist_result=True)."
    )
    for value in values:
        problem: Exception = gone
        if id(value) in wanted:
            try:
                value.keep()
                continue
            except Exception as error:
                problem = error
        value.forget(problem)


def _found(value: Any) -> Iterator[RemoteValue]:
    for item, _ in nested.find(value):
        data = item.data if isinstance(item, State) else item.task_run.state.data
        if is_a(data, RemoteValue):
            yield data
        elif data is not None and not is_a(data, LazyValue):
            yield from _found(data)

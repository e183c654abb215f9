"""What a flow's or task's return value means for its final state. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.annotations import quote
from flowdeck.states import Completed, Failed, State, StateGroup, is_state_iterable
from flowdeck.values.statics import is_a
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ChildStates(list[State[Any]]):
    """What a flow that returned ``None`` has as its data: nobody asked for these."""


def aggregate(states: Iterable[State[Any]], data: Any) -> State[Any]:
    """Return the one state that several states amount to, holding ``data``."""
    group = StateGroup(states)
    n = group.total_count
    if group.all_completed():
        return Completed(message="All states completed.", data=data)
    if group.any_cancelled():
        message = f"{group.cancelled_count}/{n} states cancelled."
        return State(StateType.CANCELLED, message=message, data=data)
    if group.any_paused():
        message = f"{group.type_counts[StateType.PAUSED]}/{n} states paused."
        return State(StateType.PAUSED, message=message, data=data)
    if group.any_failed():
        message = f"{group.fail_count}/{n} states failed."
    elif not group.all_final():
        message = f"{group.not_final_count}/{n} states are not final."
    else:  # pragma: no cover - every final type is handled above
        message = "Given states: " + group.counts_message()
    return Failed(message=message, data=data)


def from_return_value(value: Any, children: Sequence[State[Any]] = ()) -> State[Any]:
    """Decide the final state from a return value in which futures are already their states.

    Args:
        value: what the function returned.
        children: for a flow, the states of its direct task runs, then of its subflow runs; they
            decide when the value is ``None``.
    """
    if value is None:
        if not children:
            return Completed()
        return aggregate(children, ChildStates(children))
    if is_a(value, quote):
        return Completed(data=value)
    if is_a(value, State):
        if value.is_from_run or not value.is_final():
            return aggregate([value], value)
        return value
    if is_state_iterable(value):
        return aggregate(value, value)
    return Completed(data=value)

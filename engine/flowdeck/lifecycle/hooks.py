"""Calling state hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.definitions.hooks import name_of_hook
from flowdeck.lifecycle.steps import CallHook, CallResult
from flowdeck.logging import ERROR, INFO, line

if TYPE_CHECKING:
    from collections.abc import Generator

    from flowdeck.definitions.hooks import Hook
    from flowdeck.states import State


def call_all(
    run: Any, hooks: list[Hook], state: State[Any], subject: dict[str, Any]
) -> Generator[CallHook, CallResult, None]:
    """Call hooks in order. One that raises is logged; it changes nothing and stops none.

    Args:
        run: the task run or flow run, for its log.
        hooks: what to call.
        state: the state that was entered.
        subject: the keyword arguments before ``state``: ``flow`` and ``flow_run``, or ``task``
            and ``task_run``.
    """
    occasion = f" in response to entering state {state.name!r}"
    for hook in hooks:
        yield from call_one(run, hook, CallHook(hook, {**subject, "state": state}), occasion)


def call_one(
    run: Any, hook: Hook, step: CallHook, occasion: str = "", kind: str = "hook"
) -> Generator[CallHook, CallResult, None]:
    """Call a hook. If it raises, that is logged and changes nothing.

    Args:
        run: for whose log it is.
        hook: which is called.
        step: calls it.
        occasion: the end of the sentence that it is called.
        kind: what it is.
    """
    name = name_of_hook(hook)
    line(run, INFO, f"Running {kind} {name!r}{occasion}")
    outcome = yield step
    if outcome.error is None:
        line(run, INFO, f"{kind.capitalize()} {name!r} finished running successfully")
        return
    from flowdeck.failures.capture import capture

    text = f"An error was encountered while running {kind} {name!r}\n{capture(outcome.error).text}"
    line(run, ERROR, text, clean=True)

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
    for hook in hooks:
        name = name_of_hook(hook)
        line(run, INFO, f"Running hook {name!r} in response to entering state {state.name!r}")
        outcome = yield CallHook(hook, {**subject, "state": state})
        if outcome.error is None:
            line(run, INFO, f"Hook {name!r} finished running successfully")
        else:
            from flowdeck.failures.capture import capture

            text = capture(outcome.error).text
            line(
                run,
                ERROR,
                f"An error was encountered while running hook {name!r}\n{text}",
                clean=True,
            )

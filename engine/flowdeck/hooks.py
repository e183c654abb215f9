"""State hooks: checking what the user passes, and calling them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from flowdeck.logging import ERROR, INFO, line
from flowdeck.parameters_bind import function_name
from flowdeck.steps import CallHook, Outcome

if TYPE_CHECKING:
    from flowdeck.states import State

Hook = Callable[..., Any]

_EXAMPLE = (
    "Please provide a list of hooks to '{name}':\n\n"
    "@flow({name}=[hook1, hook2])\ndef my_flow():\n\tpass"
)


def check(name: str, hooks: Iterable[Hook] | None) -> list[Hook]:
    """Return the hooks as a list.

    Raises:
        ValueError: an empty list, which is more likely a mistake than a wish.
        TypeError: not an iterable of callables.
    """
    if hooks is None:
        return []
    try:
        found = list(hooks)
    except TypeError:
        raise TypeError(
            f"Expected iterable for '{name}'; got {type(hooks).__name__} instead. "
            + _EXAMPLE.format(name=name)
        ) from None
    if not found:
        raise ValueError(f"Empty list passed for '{name}'")
    for hook in found:
        if not callable(hook):
            raise TypeError(
                f"Expected callables in '{name}'; got {type(hook).__name__} instead. "
                + _EXAMPLE.format(name=name)
            )
    return found


def call_all(
    run: Any, hooks: list[Hook], state: State[Any], subject: dict[str, Any]
) -> Generator[CallHook, Outcome, None]:
    """Call hooks in order. One that raises is logged; it changes nothing and stops none.

    Args:
        run: the task run or flow run, for its log.
        hooks: what to call.
        state: the state that was entered.
        subject: the keyword arguments before ``state``: ``flow`` and ``flow_run``, or ``task``
            and ``task_run``.
    """
    for hook in hooks:
        name = function_name(getattr(hook, "func", hook))  # of a partial, what it calls
        line(run, INFO, f"Running hook {name!r} in response to entering state {state.name!r}")
        outcome = yield CallHook(hook, {**subject, "state": state})
        if outcome.error is None:
            line(run, INFO, f"Hook {name!r} finished running successfully")
        else:
            from flowdeck.failures import capture

            text = capture(outcome.error).text
            line(run, ERROR, f"An error was encountered while running hook {name!r}\n{text}")

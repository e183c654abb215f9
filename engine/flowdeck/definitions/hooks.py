"""State hooks and other functions that users hand in: whether they can be called as they will be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from flowdeck.parameters.binding import function_name

Hook = Callable[..., Any]

_EXAMPLE = (
    "Please provide a list of hooks to '{name}':\n\n"
    "@flow({name}=[hook1, hook2])\ndef my_flow():\n\tpass"
)


#: What hooks and conditions are called with, by keyword.
FLOW_ARGUMENTS = ("flow", "flow_run", "state")
TASK_ARGUMENTS = ("task", "task_run", "state")


def check(name: str, hooks: Iterable[Hook] | None, arguments: tuple[str, ...]) -> list[Hook]:
    """Return the hooks as a list.

    Args:
        name: of the option.
        hooks: as given.
        arguments: what they are called with, by keyword.

    Raises:
        ValueError: an empty list, which is more likely a mistake than a wish.
        TypeError: not an iterable of callables, or one cannot be called with the arguments.
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
        check_signature(name, hook, arguments)
    return found


def check_signature(
    option: str, fn: Hook, arguments: tuple[str, ...], *, by_keyword: bool = True
) -> None:
    """Refuse a function that would fail when it is called with these arguments: a run that needs it
    would be the first to find out.

    Raises:
        TypeError: it cannot be called so.
    """
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # a builtin that does not tell
        return
    try:
        if by_keyword:
            signature.bind(**dict.fromkeys(arguments))
        else:
            signature.bind(*arguments)
    except TypeError as problem:
        name = name_of_hook(fn)
        how = "the keyword arguments" if by_keyword else "the arguments"
        raise TypeError(
            f"{name!r}, given as '{option}', is called with {how} {', '.join(arguments)}, and does "
            f"not take them: {problem}. Define it as `def {name}({', '.join(arguments)}):`."
        ) from None


def name_of_hook(hook: Hook) -> str:
    return function_name(getattr(hook, "func", hook))  # of a partial, what it calls

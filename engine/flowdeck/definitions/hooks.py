"""State hooks and other functions that users hand in: whether they can be called as they will be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from flowdeck.parameters.binding import function_name

Hook = Callable[..., Any]
H = TypeVar("H", bound=Hook)

_EXAMPLE = (
    "Please provide a list of hooks to '{name}':\n\n"
    "@flow({name}=[hook1, hook2])\ndef my_flow():\n\tpass"
)


#: What hooks and conditions are called with, by keyword.
FLOW_ARGUMENTS = ("flow", "flow_run", "state")
TASK_ARGUMENTS = ("task", "task_run", "state")
#: What hooks of transactions are called with, by position: everybody names it as they like.
TRANSACTION_ARGUMENTS = ("transaction",)

#: The hooks of flows and of tasks, each with its arguments.
OF_FLOWS: Final = dict.fromkeys(
    ("on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running"), FLOW_ARGUMENTS
)
OF_TASKS: Final = {
    **dict.fromkeys(("on_completion", "on_failure", "on_running"), TASK_ARGUMENTS),
    **dict.fromkeys(("on_rollback", "on_commit"), TRANSACTION_ARGUMENTS),
}


class HookList(list[Hook]):
    """The hooks of a flow or task for one occasion. Called with a function, it adds that, so it is
    a decorator: ``@my_task.on_failure``.

    Args:
        name: of the option.
        hooks: as they were given there.
        arguments: what they are called with.
    """

    def __init__(self, name: str, hooks: Iterable[Hook] | None, arguments: tuple[str, ...]) -> None:
        super().__init__(check(name, hooks, arguments))
        self.name = name
        self.arguments = arguments

    def __call__(self, hook: H) -> H:
        """Add a hook, and return it.

        Args:
            hook: called after those that are there already.

        Raises:
            TypeError: it cannot be called, or not with the arguments that it will get.
        """
        self.extend(check(self.name, [hook], self.arguments))
        return hook


def take(definition: Any, given: Mapping[str, Any], kinds: Mapping[str, tuple[str, ...]]) -> None:
    """Give a flow or task the hooks that its options name, each kind as an attribute.

    Raises:
        ValueError: an empty list, which is more likely a mistake than a wish.
        TypeError: not an iterable of callables, or one cannot be called with its arguments.
    """
    for name, arguments in kinds.items():
        setattr(definition, name, HookList(name, given[name], arguments))


def check(name: str, hooks: Iterable[Hook] | None, arguments: tuple[str, ...]) -> list[Hook]:
    """Return the hooks as a list.

    Args:
        name: of the option.
        hooks: as given.
        arguments: what they are called with.

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
        by_keyword = arguments is not TRANSACTION_ARGUMENTS
        check_signature(name, hook, arguments, by_keyword=by_keyword)
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

"""Looking at the options of task runners when they are given: what is wrong is told there, not when
a flow run has begun."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

#: How much alike a name and a known one are if it is mistyped, from 0 to 1.
_ALIKE: Final = 0.8


def address(value: Any, example: str) -> str | None:
    """Return an address.

    Raises:
        TypeError: it is no text.
        ValueError: it is an empty one.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"`address` must be a text such as {example!r}, not {value!r}.")
    if not value.strip():
        raise ValueError(
            f"`address` is empty. Write it as {example!r}, or leave it out: then what is needed is "
            "started for the flow run, and ends with it."
        )
    return value


def arguments(
    name: str,
    value: Any,
    known: Collection[str],
    *,
    managed: Mapping[str, str] | None = None,
    numbers: Collection[str] = (),
) -> dict[str, Any]:
    """Return a copy of the arguments that a runner is to pass on.

    Args:
        name: of the option.
        value: of the option; ``None`` for none.
        known: names of arguments. Others are passed on too, unless they look like one of these.
        managed: arguments that cannot be given here, each with what to do instead.
        numbers: those that must be numbers, not below zero.

    Raises:
        TypeError: it is no dict of arguments by name, or a name is mistyped.
        ValueError: an argument that cannot be given here, or has no possible value.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"`{name}` must be a dict of arguments, not {value!r}.")
    for key, given in value.items():
        if not isinstance(key, str):
            raise TypeError(f"`{name}` must be a dict of arguments by name, but has {key!r}.")
        if managed and key in managed:
            raise ValueError(managed[key])
        if key not in known:
            _refuse_typo(name, key, known)
        if key in numbers and given is not None and not _is_amount(given):
            raise ValueError(f"`{key}` in `{name}` must be a number from 0 on, not {given!r}.")
    return dict(value)


def _refuse_typo(name: str, key: str, known: Collection[str]) -> None:
    close = difflib.get_close_matches(key, known, 1, _ALIKE)
    if close:
        raise TypeError(f"`{name}` has no argument {key!r}. Did you mean {close[0]!r}?")


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0

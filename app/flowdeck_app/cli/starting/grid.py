"""What ``--grid`` means: values of parameters, and all their combinations."""

from __future__ import annotations

import itertools
import json
import math
import re
from decimal import Decimal, InvalidOperation, Overflow
from typing import TYPE_CHECKING, Final

from flowdeck.values.redaction import HIDDEN, concealed, is_hidden, names_in_force
from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.given import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Combinations of one sweep; more is a slip of the keyboard.
MOST: Final = 100_000
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_RANGE: Final = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?")


def combinations(grids: Iterable[str], fixed: Iterable[str]) -> list[dict[str, str]]:
    """Return all combinations, the last parameter changing fastest, as texts as ``-p`` has them.

    Args:
        grids: ``name=values`` each: ``0.1,0.01``, ``2:6``, ``0:1:0.25`` or a JSON list.
        fixed: names that have a value already.

    Raises:
        Trouble: one is no list of values, is fixed as well, or there are too many.
    """
    given = {name: values_of(name, text) for name, text in pairs(grids, "--grid").items()}
    twice = sorted(given.keys() & set(fixed))
    if twice:
        raise Trouble(f"{twice[0]} is given by --grid and by -p or --params.")
    count = math.prod(len(values) for values in given.values())
    if count > MOST:
        raise Trouble(f"that is {count:,} combinations, more than {MOST:,}.")
    found = itertools.product(*given.values())
    return [dict(zip(given, values, strict=True)) for values in found]


def values_of(name: str, text: str) -> list[str]:
    """Return the values that a parameter takes.

    Args:
        name: of the parameter.
        text: several with commas, a range that includes its end, or a JSON list.

    Raises:
        Trouble: it is none of these.
    """
    text = text.strip()
    if text.startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list):
            raise Trouble(f"--grid {name}={text} is no JSON list.")
        values = [item if isinstance(item, str) else json.dumps(item) for item in found]
    elif match := _RANGE.fullmatch(text):
        values = _range(name, *match.groups())
    else:
        values = [item.strip() for item in text.split(",")]
    if not values or "" in values:
        raise Trouble(
            f"--grid {name}={text} has an empty value.",
            f'say {name}=0.1,0.01 or {name}=2:6, or a JSON list: {name}=\'["", "a,b"]\'.',
        )
    return list(dict.fromkeys(values))


def _range(name: str, first: str, last: str, step: str | None) -> list[str]:
    said = f"--grid {name}={first}:{last}{f':{step}' if step is not None else ''}"
    start, end = Decimal(first), Decimal(last)
    by = Decimal(step) if step is not None else Decimal(1 if end >= start else -1)
    try:
        steps = (end - start) / by
    except (InvalidOperation, Overflow, ZeroDivisionError):
        steps = Decimal(-1)
    if not steps >= 0:
        raise Trouble(f"{said} is an empty range.")
    if steps >= MOST:
        raise Trouble(f"{said} has more than {MOST:,} values.")
    return [f"{(start + by * n).normalize():f}" for n in range(int(steps) + 1)]


def run_name(combination: Mapping[str, str], most: int = 80) -> str:
    """Return a run's name that tells its parameters, without those that are secret: ``lr=0.1,depth=2``."""
    hides = names_in_force()
    text = ",".join(
        f"{name}={HIDDEN if is_hidden(name, value, hides) else concealed(value)}"
        for name, value in combination.items()
    )
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"

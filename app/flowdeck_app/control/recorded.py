"""What a recorded run was given, to be given again.

The record shows values; it does not keep them. What is secret is hidden in it, and what JSON cannot
hold stands there as ``<Frame 3x4>``, a text that a flow would take as well. Neither may become an
argument by mistake, so both are found before a run is repeated, in all parts of a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import has_hidden
from flowdeck_store.read.runs import json_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flowdeck_store.read.records import FlowRunRecord

#: What the record holds where JSON could not hold the value.
_STAND_IN: Final = re.compile(r"<[^<>\n]{1,100}>")
_STAND_IN_WITHIN: Final = re.compile(rf'"{_STAND_IN.pattern}"')


@dataclass(frozen=True, slots=True)
class RecordedValues:
    """Parameters of a run, and which parts of them the record does not hold.

    Attributes:
        values: by name, as JSON values.
        hidden: names of parts that are hidden, as ``-p`` takes them (``cfg.token``).
        stand_ins: names of parts that are recorded as a stand-in, with that.
    """

    values: dict[str, Any]
    hidden: list[str]
    stand_ins: list[tuple[str, str]]


def recorded_values(run: FlowRunRecord, replaced: Collection[str] = ()) -> RecordedValues:
    """Return the recorded parameters of a run that are not given anew.

    Args:
        run: the run.
        replaced: names of parameters, or of parts of them, that are.
    """
    values = json_object(run.given)
    kept = {name: value for name, value in values.items() if name not in replaced}
    again = [part for part in _parts(kept) if not _is_given(part[0], replaced)]
    return RecordedValues(
        kept,
        [name for name, value in again if has_hidden(value)],
        [(n, value) for n, value in again if isinstance(value, str) and _STAND_IN.fullmatch(value)],
    )


def has_stand_in(text: str) -> bool:
    """Say whether a recorded value, as text or JSON, is one that stands for another or holds one."""
    return bool(_STAND_IN.fullmatch(text) or _STAND_IN_WITHIN.search(text))


def _parts(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the texts, numbers and the like in a value, each with how ``-p`` names it."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            if not name:
                yield from _parts(part, key)
            else:  # a part whose name has a dot cannot be given alone
                yield from _parts(part, name if "." in key else f"{name}.{key}")
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from _parts(part, f"{name}.{index}")
    else:
        yield name, value


def _is_given(name: str, replaced: Collection[str]) -> bool:
    """Say whether the value with this name, or one that it is a part of, is given anew."""
    while name:
        if name in replaced:
            return True
        name = name.rpartition(".")[0]
    return False

"""What was changed in a task's code since a run: pure functions over what the record says of it.

A digest is of bytecode, which is another one under the next Python. So between two of them functions are
compared by their texts, and constants, which have no text, by what they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowdeck_store.read.provenance import code_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowdeck_store.read.provenance import CodeRecord, ProvenancePart

#: Names that are said of many.
_NAMED: Final = 3

#: The name that a task run gets if nobody names it: the task, a hash of it, a number.
_GENERATED: Final = re.compile(r"(.+)-[0-9a-f]{8}-(\d+)", re.DOTALL)


def changed_parts(now: CodeRecord, then: Iterable[CodeRecord]) -> tuple[str, ...]:
    """Return the names of the parts that differ; none if the code is the same.

    Args:
        now: the code.
        then: what the record has under its key: of functions that a factory made more than one. It
            does not say which of them a call had, so that none counts as the same.
    """
    known = list(then)
    if len(known) > 1:
        return (f"{now.key}, of which that run had {len(known)}",)
    return _differing(now, known[0]) if known else ()


def _differing(now: CodeRecord, then: CodeRecord) -> tuple[str, ...]:
    same_python = now.python == then.python
    names = dict.fromkeys((*now.parts, *then.parts))
    return tuple(
        name
        for name in names
        if not _is_same(now.parts.get(name), then.parts.get(name), same_python=same_python)
    )


def _is_same(now: ProvenancePart | None, then: ProvenancePart | None, *, same_python: bool) -> bool:
    if now is None or then is None:
        return False
    if same_python or (now.source is None and then.source is None):
        return now.digest == then.digest
    return now.source == then.source


def said(parts: Sequence[str]) -> str:
    """Return the names in a few words: ``etl.clean, etl.RATE and 2 more``."""
    shown = ", ".join(parts[:_NAMED])
    more = len(parts) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def is_asked_for(names: Iterable[str], definition: str, *run_names: str) -> bool:
    """Say whether one of the names is that of a task (its function's will do) or of a run of it:
    ``run_names`` has its name and its label. ``fetch-3`` and, unless it is a call of a ``map``, which has
    an index of its own, ``fetch[3]`` stand for ``fetch-7633879f-3``."""
    key, name = _split(definition)
    short = [_GENERATED.fullmatch(run_name) for run_name in run_names]
    forms = ["-{}"] if any(run_name.endswith("]") for run_name in run_names) else ["-{}", "[{}]"]
    shown = {m[1] + form.format(m[2]) for m in short if m for form in forms}
    return not {key, key.rpartition(".")[2], name, *run_names, *shown}.isdisjoint(names)


def _split(definition: str) -> tuple[str, str]:
    name = definition.rpartition("|")[0].rpartition("|")[2]
    return code_key(definition), name


def changes_by_key(
    now: Mapping[str, Sequence[CodeRecord]], then: Mapping[str, Sequence[CodeRecord]]
) -> dict[str, tuple[str, ...]]:
    """Return the changed parts of each task that both know, by key; tasks without changes left out."""
    found: dict[str, tuple[str, ...]] = {}
    for key in now.keys() & then.keys():
        changed = [changed_parts(one, then[key]) for one in now[key]]
        if any(changed):  # of functions with one name it is not known which one will be called
            found[key] = max(changed, key=len)
    return found

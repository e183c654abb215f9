"""What people call a task run: ``fetch[7]``, ``fetch-3``, or the name that it was given.

The name that a task run has unless it is given one, ``fetch-7633879f-3``, holds a hash of the task, so
that task runs of two functions of one name differ. It stays the name by which logs and programs know
the task run; people are shown the label, in every view, and may type either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What follows the task's name in a name that was not given: a hash of the task, a number.
_GENERATED: Final = re.compile(r"-[0-9a-f]{8}-(\d+)")
_MAPPED: Final = re.compile(r"(.+)\[(\d{1,9})\]", re.DOTALL)
_COUNTED: Final = re.compile(r"(.+)-(\d{1,9})", re.DOTALL)

#: A condition on ``task_runs``, as ``t``, and its values.
Meaning: TypeAlias = "tuple[str, tuple[str | int, ...]]"


def label_of(name: str, task: str, map_index: int | None) -> str:
    """Return what a task run is called where people look.

    Args:
        name: the task run's name, as recorded.
        task: the name of its task.
        map_index: which call of a ``map`` it is, from 0; ``None``: it is of none.

    Returns:
        ``fetch[7]`` for a call of a ``map``, ``fetch-3`` for the call 3 of a task in its flow run (from
        0); a name that was given, by ``task_run_name`` say, as it is.
    """
    generated = _GENERATED.fullmatch(name, len(task)) if name.startswith(task) else None
    if generated is None:
        return name
    return f"{task}-{generated[1]}" if map_index is None else f"{task}[{map_index}]"


def meanings(label: str) -> Iterator[Meaning]:
    """Yield which task runs a label other than a name may be that of.

    Args:
        label: what somebody typed.
    """
    mapped = _MAPPED.fullmatch(label)
    if mapped is not None:
        of_task = "t.task_id IN (SELECT id FROM tasks WHERE name = ?)"
        yield f"t.map_index = ? AND {of_task}", (int(mapped[2]), mapped[1])
    counted = _COUNTED.fullmatch(label)
    if counted is not None:
        yield "t.name LIKE ? ESCAPE '\\'", (f"{escaped(counted[1])}-________-{counted[2]}",)


def escaped(text: str) -> str:
    """Return a text as the part of a LIKE pattern (``ESCAPE '\\'``) that stands for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

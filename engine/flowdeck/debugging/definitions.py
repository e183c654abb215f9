"""The task of a recorded task run in the code of today, and whether that is the code of then."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import FlowdeckError
from flowdeck.launch.targets import Target, load_module
from flowdeck.provenance.code import PYTHON, code_of
from flowdeck.reuse.earlier_run import kind_of
from flowdeck.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from flowdeck_store.read.reader import Reader

#: Of definitions with more parts the record may not have all.
_ALL_PARTS: Final = 500


class CannotDebug(FlowdeckError):
    """A task run cannot be done again here; the message says why, and what to do."""


def find_task(definition: str) -> Task[..., Any]:
    """Return the task that a recorded key stands for, from the modules that are loaded, else from its
    file.

    Args:
        definition: :attr:`flowdeck_store.read.records.TaskRunRecord.task_key`.

    Raises:
        CannotDebug: it is not there any more, or cannot be had from outside.
        TargetError: its file cannot be imported.
    """
    file, _, key = kind_of(definition).rpartition(":")
    stem = os.path.splitext(os.path.basename(file))[0]
    qualname = key.removeprefix(f"{stem}.")
    if not file:
        raise CannotDebug(
            f"The task {key} was typed in or made by a program, so its code cannot be had again. "
            "Put it into a file."
        )
    outer, inside, inner = qualname.rpartition(".<locals>.")
    if inside:
        raise CannotDebug(
            f"The task {inner} is defined inside the function {outer.partition('.<locals>')[0]} of "
            f"{file}: it exists only while that runs. Move it to the top level of the file, or put "
            "breakpoint() into it and run the flow with --runner sequential --quiet."
        )
    modules = list(_modules_of(file))
    if not modules:
        if not Path(file).is_file():
            raise CannotDebug(f"The file of the task {qualname} is gone: {file}.")
        modules = [load_module(Target(file, Path(file), None, None))]
    tasks = [task for module in modules for task in _tasks_in(module, qualname)]
    found = [task for task in tasks if task.key == key]
    if not found:
        near = difflib.get_close_matches(qualname, {t.key.removeprefix(f"{stem}.") for t in tasks})
        hint = f" Did it become {near[0]}?" if near else ""
        raise CannotDebug(f"There is no task {qualname} in {file} any more.{hint}")
    same = (task for task in found if task.definition_key == definition)
    return next(same, found[0])


def _modules_of(file: str) -> Iterator[ModuleType]:
    real = os.path.realpath(file)
    for module in list(sys.modules.values()):
        place = getattr(module, "__file__", None)
        if isinstance(place, str) and os.path.basename(place) == os.path.basename(file):
            if os.path.realpath(place) == real:
                yield module


def _tasks_in(module: ModuleType, qualname: str) -> Iterator[Task[..., Any]]:
    """Yield the task at a place, first, and those that variables of the module hold."""
    holder: Any = module
    for part in qualname.split("."):
        holder = vars(holder).get(part) if hasattr(holder, "__dict__") else None
        if isinstance(holder, (classmethod, staticmethod)):
            holder = holder.__func__
    if isinstance(holder, Task):
        yield holder
    yield from (value for value in list(vars(module).values()) if isinstance(value, Task))


def changed_code(reader: Reader, run_id: int, task: Task[..., Any]) -> tuple[str, ...] | None:
    """Return the names of functions, classes and constants of a task that are others now than when a
    flow run used it.

    Returns:
        ``None``: it is not recorded what they were, or another Python ran them.
    """
    records = [r for r in reader.code(run_id).get(task.key, ()) if r.python == PYTHON]
    if not records:
        return None
    now = code_of(task.fn).digests
    changes: list[tuple[str, ...]] = []
    for record in records:
        then = {name: part.digest for name, part in record.parts.items()}
        names = then.keys() if len(then) >= _ALL_PARTS else dict.fromkeys([*then, *now]).keys()
        changes.append(tuple(name for name in names if then.get(name) != now.get(name)))
    return min(changes, key=len)

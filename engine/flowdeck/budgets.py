"""What tasks with ``resources=`` may use together, where no engine counts that.

Dask and Ray know what their workers have. For the other task runners, and for tasks that are called
directly, this process counts: what its task runs use that execute now must fit into what there is. That is
what the task runner was given, else the setting ``resources``, else what the machine says of itself. Other
processes count for themselves.

Task runs wait for resources as they wait for slots of limited tags, in the same lines (:mod:`flowdeck.runs.slots`).
"""

from __future__ import annotations

import functools
import glob
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, line
from flowdeck.settings import get_settings
from flowdeck.settings.amounts import shown, shown_amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Before the name of a resource where names of limited tags stand, too.
PREFIX: Final = "resource "
_EXACT: Final = 1e-9


class Unfit(Exception):
    """A task run wants more than there is."""


class ResourceBudget:
    """Resources, and who has them.

    Args:
        totals: how much there is, by name; what is not among them is not counted.
    """

    def __init__(self, totals: Mapping[str, float]) -> None:
        self.totals = dict(totals)
        self._lock = threading.Lock()
        self._users: dict[Any, dict[str, float]] = {}
        self._said: set[str] = set()

    def take(self, run: Any) -> tuple[str, ...]:
        """Give a run what it wants, or nothing; return the names of what there is too little of now.

        Raises:
            Unfit: there will never be enough.
        """
        wanted = {}
        for name, amount in run.task.resources.items():
            if name not in self.totals:
                self._say_that_it_is_not_counted(run, name)
            elif amount > self.totals[name] + _EXACT:
                raise Unfit(
                    f"The task needs {shown({name: amount})}, but there is only "
                    f"{shown({name: self.totals[name]})} in this process, so it would wait for ever. "
                    "Say how much there is with the task runner's `resources`, or the setting "
                    "`resources`."
                )
            else:
                wanted[name] = amount
        with self._lock:
            if run in self._users:
                return ()
            lacking = tuple(
                PREFIX + name
                for name, amount in wanted.items()
                if self._used(name) + amount > self.totals[name] + _EXACT
            )
            if not lacking:
                self._users[run] = wanted
            return lacking

    def give_back(self, run: Any) -> None:
        """Take back what a run has; also more than once."""
        with self._lock:
            self._users.pop(run, None)

    def _used(self, name: str) -> float:
        return sum(used.get(name, 0.0) for used in self._users.values())

    def users(self, name: str) -> Iterator[tuple[Any, str, float]]:
        """Return who has how much of a resource, and of how much."""
        with self._lock:
            users = [(run, used[name]) for run, used in self._users.items() if name in used]
        for run, amount in users:
            yield run, shown_amount(name, amount), self.totals[name]

    def _say_that_it_is_not_counted(self, run: Any, name: str) -> None:
        if name in self._said:
            return
        self._said.add(name)
        line(
            run,
            WARNING,
            f"Nobody has said how much {name!r} there is, so tasks that need it do not wait for it: "
            f"use the task runner's `resources={{{name!r}: ...}}`, or the setting `resources`.",
        )


def names_of(run: Any) -> frozenset[str]:
    """Return what a run may have to wait for: its tags, and its resources."""
    tags: frozenset[str] = run.tags
    if not run.task.resources:
        return tags
    return tags.union(PREFIX + name for name in run.task.resources)


def said(names: tuple[str, ...]) -> str:
    """Return what is waited for, as in ``a free slot of tag 'db'``."""
    tags = ", ".join(repr(name) for name in names if not name.startswith(PREFIX))
    resources = ", ".join(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))
    of_tags = [f"a free slot of tag {tags}"] if tags else []
    return " and ".join([*of_tags, *([f"{resources} to be free"] if resources else [])])


def budget_of(run: Any) -> ResourceBudget | None:
    """Return what counts the resources of a run, ``None`` if it needs none or an engine counts them."""
    if not run.task.resources or run.owner is None:
        return None
    runner = run.owner.runner
    if runner.places_resources and not run.direct:
        return None
    own = getattr(runner, "resources", None)
    if not own:
        return _of_totals(_key(get_settings().resources))
    with _lock:
        if runner.budget is None:
            runner.budget = ResourceBudget({**_machine(), **own})
        found: ResourceBudget = runner.budget
    return found


_lock: Final = threading.Lock()


def _key(totals: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(totals.items()))


@functools.lru_cache(maxsize=16)
def _of_totals(totals: tuple[tuple[str, float], ...]) -> ResourceBudget:
    """Return the budget of all flow runs of this process that have no other one."""
    return ResourceBudget({**_machine(), **dict(totals)})


@functools.cache
def _machine() -> dict[str, float]:
    """Return what this machine says of itself."""
    found: dict[str, float] = {}
    try:
        found["cpu"] = float(len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):  # macOS has no such thing
        found["cpu"] = float(os.cpu_count() or 1)
    memory = [_memory_of_machine(), _memory_of_container()]
    known = [size for size in memory if size]
    if known:
        found["memory"] = min(known)
    gpus = _gpus()
    if gpus:
        found["gpu"] = float(gpus)
    return found


def _memory_of_machine() -> float | None:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):
        return None


def _memory_of_container() -> float | None:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                return float(file.read())
        except (OSError, ValueError):  # none, or "max"
            continue
    return None


def _gpus() -> int:
    """Return how many GPUs this process may use, as far as it can be seen without a library."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in {"", "-1"}])
    return len(glob.glob("/proc/driver/nvidia/gpus/*"))

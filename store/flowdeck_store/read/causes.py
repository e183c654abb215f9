"""Why a run ended as it did: by its own exception, or by which task run. Pure.

A record says it in several places: the message of the run, the messages of its task runs, those of
its subflows. :func:`cause_of` decides which of them is the cause; every view shows what it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from flowdeck_store.states import CRASHED, FAILED, bucket

if TYPE_CHECKING:
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: What messages of states begin with and the state's own word says already. In the order tried.
BOILERPLATE: Final = (
    "Task run encountered an exception. ",
    "Task run encountered an exception: ",
    "Task run encountered an exception ",
    "Flow run encountered an exception. ",
    "Flow run encountered an exception: ",
    "Flow run encountered an exception ",
    "The flow could not be imported. ",
    "Execution was interrupted by an unexpected exception: ",
)
#: A time limit's message ends with the exception that nobody raised.
_TIMED_OUT: Final = re.compile(r"((?:Task|Flow) run exceeded timeout of .*?)[.:]? TimeoutError:? ?")
#: What a flow says that has no failure of its own: its task runs decided.
_BY_TASKS: Final = re.compile(
    r"\d+/\d+ states (?:failed|paused|cancelled|are not final)\.|Given states: .*", re.DOTALL
)
#: What a flow raises that asks a task run for its result which never began: another had failed.
_NEVER_BEGAN: Final = re.compile(
    r"UnfinishedRun: Run is in \w+ state, its result is not available\."
)
#: Characters of a task run's name in a headline.
_LONGEST: Final = 60
#: How deep subflows are followed, and how many are looked into.
_DEEPEST: Final = 20
_MOST_RUNS: Final = 50
_WRONG: Final = (bucket(FAILED, None), bucket(CRASHED, None))


def plain(message: str | None) -> str:
    """Return what a state's message says beyond the state itself: ``ValueError: bad page``."""
    text = _without_begin(message or "").strip()
    return text.removesuffix(":") if (message or "").endswith(": ") else text


def _without_begin(text: str) -> str:
    timed_out = _TIMED_OUT.fullmatch(text)
    if timed_out is not None:
        return timed_out[1]
    for begin in BOILERPLATE:
        if text.startswith(begin):
            return text[len(begin) :] or text
    return text


def _short(name: str) -> str:
    """Return a name that leaves room for what follows it."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


@dataclass(frozen=True, slots=True)
class Cause:
    """What a run that failed or crashed failed of.

    ``tasks`` leads from the run to the task run that it was, through the task runs that stand for
    subflows; it is empty where the flow's own code failed. ``error`` is one text without
    boilerplate, such as ``ConnectionError: 502 for page 7``; it may have several lines.
    """

    tasks: tuple[TaskRunRecord, ...]
    error: str

    @property
    def task(self) -> TaskRunRecord | None:
        """The task run that it was, ``None`` where it was the flow's own code."""
        return self.tasks[-1] if self.tasks else None

    @property
    def where(self) -> str:
        """``fetch[7]``, ``load-0 > fetch[7]`` in a subflow, or ``""``."""
        return " > ".join(_short(task.label) for task in self.tasks)

    @property
    def headline(self) -> str:
        """``fetch[7] ConnectionError: 502 for page 7``."""
        return (
            f"{self.where} {self.error}" if self.tasks and self.error else self.where or self.error
        )


class Failures(Protocol):
    """What has to be looked up to decide."""

    def first_failure(self, run_id: int) -> TaskRunRecord | None:
        """Return the task run of a run that failed or crashed first, by time."""

    def failed_with(self, run_id: int, error: str) -> TaskRunRecord | None:
        """Return the first failed task run of a run whose message says ``error``."""

    def failed_subflows(self, run_id: int) -> list[TaskRunRecord]:
        """Return the failed task runs that stand for subflow runs, some at most."""

    def run(self, run_id: int) -> FlowRunRecord | None:
        """Return a flow run."""


def by_tasks(run: FlowRunRecord) -> bool:
    """Say whether it was the states of its task runs that made the run fail."""
    return not run.message or _BY_TASKS.fullmatch(run.message) is not None


def cause_of(run: FlowRunRecord, failures: Failures) -> Cause | None:
    """Decide what the cause of a run's end is.

    The flow's own exception goes before failures of tasks, which it may have handled; but where it
    is one that a task run failed with (``future.result()`` raised it), that task run is the cause.
    Without one, or where it only says that a task run has no result because others failed, it is the
    task run that failed first. What a subflow failed of is looked for in it.

    Args:
        run: the run.
        failures: looks up its task runs.

    Returns:
        ``None`` for runs that go on, completed or were cancelled.
    """
    if not run.is_final or run.code not in {FAILED, CRASHED}:
        return None
    return _cause(run, failures, _DEEPEST)


def _cause(run: FlowRunRecord, failures: Failures, depth: int) -> Cause:
    error = plain(run.message)
    some = any(run.counts[place] for place in _WRONG)
    told = _without_begin(run.message or "")
    if not by_tasks(run) and not (some and _NEVER_BEGAN.fullmatch(told)):
        # Only an exception can have come from a task run. The end of a process, say, is told of
        # the run and of its task runs in the same words.
        raised = some and told != run.message
        return Cause(_raised(run.id, told, failures, set()) if raised else (), error)
    first = failures.first_failure(run.id) if some else None
    if first is None:
        return Cause((), error or run.state)
    child = failures.run(first.child_run) if first.child_run and depth else None
    if child is None:
        return Cause((first,), plain(first.message) or first.state)
    inner = _cause(child, failures, depth - 1)
    return Cause((first, *inner.tasks), inner.error)


def _raised(
    run_id: int, error: str, failures: Failures, seen: set[int]
) -> tuple[TaskRunRecord, ...]:
    """Return the way to the task run that failed with just this error, if there is one.

    Args:
        run_id: where to look, also in its subflows.
        error: what the flow's own failure says.
        failures: looks it up.
        seen: the runs that were looked into: imported ones may lead round in a circle.
    """
    seen.add(run_id)
    task = failures.failed_with(run_id, error)
    if task is not None and not task.child_run:
        return (task,)
    for standin in failures.failed_subflows(run_id):
        child = standin.child_run
        if child and child not in seen and len(seen) < _MOST_RUNS:
            way = _raised(child, error, failures, seen)
            if way:
                return (standin, *way)
    return () if task is None else (task,)

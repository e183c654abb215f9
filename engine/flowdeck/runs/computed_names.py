"""The names of task runs that are computed from their parameters, before and after these are known."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flowdeck.definitions.definition import computed_name
from flowdeck.inputs import nested
from flowdeck.runs.upstreams import value_of
from flowdeck.threads import active
from flowdeck_store import events

if TYPE_CHECKING:
    from flowdeck.runs.task_run import TaskRun


class _Unknown:
    """Stands in a run's name for a value that never came."""

    def __str__(self) -> str:
        return "?"

    def __format__(self, how: str) -> str:
        return "?"

    def __getattr__(self, name: str) -> _Unknown:
        return self

    def __getitem__(self, key: object) -> _Unknown:
        return self


def name_early(run: TaskRun) -> None:
    """Give a run that was created the name of its template, if that shows nothing that is still to
    come: it is seen while the run waits.

    What goes wrong here goes wrong again when the run is prepared, and is told then. A name that a
    function gives is computed when the run starts, which it may look at.
    """
    template = run.task.task_run_name
    if isinstance(template, str):
        with contextlib.suppress(Exception):
            run.name = computed_name("task_run_name", template, _known(run))
            run.is_named = True


def name_late(run: TaskRun) -> None:
    """Give a run that ended without being started the name that it would have had, as far as that
    can be told."""
    template, submitted = run.task.task_run_name, run.parameters or {}
    if template is None or run.is_named or run.context is None:
        return
    run.parameters = dict.fromkeys(submitted, _Unknown()) | _known(run)
    try:
        run.name = run.context.run(_name_of, run, template)
        run.is_named = True
        run.emit(events.rename(run.info.uid, run.no, run.name))
    except Exception:  # code of users: the usual name will do
        pass
    finally:
        run.parameters = submitted


def _name_of(run: TaskRun, template: Any) -> str:
    token = active.current_task_run.set(run)
    try:
        return computed_name("task_run_name", template, run.parameters)
    finally:
        active.current_task_run.reset(token)


def _known(run: TaskRun) -> dict[str, Any]:
    """Return the parameters in which nothing is to come, as the function would get them."""
    return {
        name: nested.replace(value, value_of)
        for name, value in (run.parameters or {}).items()
        if type(value) in nested.ATOMIC or not nested.find(value)
    }

"""Groups of errors as the JSON that scripts may depend on; fields are only ever added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck_store.read import json_shape
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.errors.reads import ErrorDetails


def error_group(group: ErrorGroup, example: str | None) -> dict[str, Any]:
    """Return a group as JSON.

    Args:
        group: the group.
        example: the task run (``1234.17``) or, where only flow functions failed, the run
            (``1234``) of the newest failure.
    """
    place = group.place
    return {
        "id": group.id,
        "type": group.exc_type,
        "file": place.file or None,
        "line": place.line or None,
        "function": place.function or None,
        "task_runs": group.tasks,
        "failures": group.attempts,
        "runs": len(group.runs),
        "open_runs": list(group.open_runs),
        "repaired_runs": list(group.repaired_runs),
        "repaired": not group.is_open,
        "flows": list(group.flows),
        "first": iso(group.first_us),
        "last": iso(group.last_us),
        "example": example,
    }


def error_details(details: ErrorDetails) -> dict[str, Any]:
    """Return everything about a group as JSON."""
    failure = details.failure
    return {
        **error_group(details.group, details.example),
        "messages": [
            {
                "message": message.text,
                "failures": message.count,
                "example": message.task_run or str(message.run_id),
            }
            for message in details.messages
        ],
        "n_messages": details.n_messages,
        "in_runs": [
            {
                "id": run.id,
                "name": run.name,
                "flow": run.flow,
                "state": run.state,
                "repaired_by": details.made_good.get(run.id),
            }
            for run in details.runs
        ],
        "in_task_runs": list(details.task_runs),
        "failure": None if failure is None else json_shape.failure_of(failure),
    }

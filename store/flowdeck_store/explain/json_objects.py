"""Runs and task runs as JSON with all that belongs to them, read from the record.

What ``--json`` of the command line prints and what :meth:`flowdeck.record.RecordedRun.as_json` returns
is made here, so that they are the same.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.read import json_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: Task runs that are read at once.
_PAGE: Final = 200


def run_object(reader: Reader, run: FlowRunRecord) -> dict[str, Any]:
    """Return a flow run, with what it failed of."""
    return json_shape.flow_run(run, reader.cause(run))


def task_objects(
    reader: Reader, run_id: int, tasks: Iterable[TaskRunRecord]
) -> Iterator[dict[str, Any]]:
    """Yield task runs of a flow run, with upstreams, inputs, tags, result and failure."""
    rest = iter(tasks)
    while batch := list(itertools.islice(rest, _PAGE)):
        nos = [task.no for task in batch]
        results, tags = reader.results_by_nos(run_id, nos), reader.task_tags(run_id, nos)
        upstreams = reader.upstreams(run_id, nos)
        for task in batch:
            yield json_shape.task_run(
                task,
                result=results.get(task.no),
                failure=reader.last_failure(run_id, task.no),
                upstream=upstreams.get(task.no, ()),
                tags=tags.get(task.no, ()),
                inputs=reader.task_parameters(run_id, task.no),
            )

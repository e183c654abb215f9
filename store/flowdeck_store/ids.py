"""Packed ids: one integer names a task run in the whole store.

A task run's id is its flow run's id, shifted, with its number in that run below. So the rows of one
run lie side by side in every table and index that is keyed by task run: "all task runs of this run"
is a range of integers, listing them is a scan and deleting them a range delete, and no table needs
a column or a second index for the run. Number 0 is the flow run itself, where a table holds both.

What was tried before: random ids as text take 6.7 times the bytes, and an index whose inserts
scatter dirties about a page a row, which is 3.9 kB of write-ahead log a row against 0.3 to 0.8 kB
for ids that only grow. The price is a limit of 16.7 million task runs in one flow run.

This is the only place that knows how the two are packed, in Python and in SQL. The schema of every
store contains what :func:`sql_run`, :func:`sql_number` and :func:`sql_id` return, so they never change.
"""

from __future__ import annotations

from typing import Final

_NUMBER_BITS: Final = 24
#: The highest number that a task run can have in its flow run.
MAX_NUMBER: Final = (1 << _NUMBER_BITS) - 1


def task_run_id(run_id: int, number: int) -> int:
    """Return the id of a task run: of flow run ``run_id``, the one with this number in it.

    The numbers -1 and ``MAX_NUMBER + 1`` give what lies before and behind all of its task runs.
    """
    return (run_id << _NUMBER_BITS) + number


def run_of(task_run_id: int) -> int:
    """Return the id of the flow run that a task run belongs to."""
    return task_run_id >> _NUMBER_BITS


def number_of(task_run_id: int) -> int:
    """Return the number of a task run in its flow run."""
    return task_run_id & MAX_NUMBER


def split(task_run_id: int) -> tuple[int, int]:
    """Return flow run id and number of a task run."""
    return task_run_id >> _NUMBER_BITS, task_run_id & MAX_NUMBER


def ref(task_run_id: int) -> str:
    """Return a task run as users type it: ``1234.17``."""
    return f"{task_run_id >> _NUMBER_BITS}.{task_run_id & MAX_NUMBER}"


def span(run_id: int) -> tuple[int, int]:
    """Return the lowest and highest id that a task run of a flow run can have."""
    return task_run_id(run_id, 1), task_run_id(run_id, MAX_NUMBER)


def span_with_run(run_id: int) -> tuple[int, int]:
    """Return the same range for tables that hold rows of the flow run itself too."""
    return task_run_id(run_id, 0), task_run_id(run_id, MAX_NUMBER)


# In SQLite << >> & | bind alike, from left to right, and closer than comparisons.


def sql_id(run: str, number: str) -> str:
    """Return the SQL that packs an id; the caller puts parentheses round it or its parts."""
    return f"{run}<<{_NUMBER_BITS}|{number}"


def sql_run(task_run_id: str) -> str:
    """Return the SQL for :func:`run_of`, without parentheses."""
    return f"{task_run_id}>>{_NUMBER_BITS}"


def sql_number(task_run_id: str) -> str:
    """Return the SQL for :func:`number_of`, without parentheses."""
    return f"{task_run_id} & {MAX_NUMBER}"

"""Reading why a task run went as it did (on a lane's thread)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.reports.why import task_reasons
from flowdeck_store.explain.task_run import why_task
from flowdeck_store.upkeep.slot_holders import slot_holders_of

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import TaskRunRecord


def read_reasons(reader: Reader, task: TaskRunRecord, now_us: int) -> list[str]:
    """Return the sentences that say more of a task run than its state."""
    return task_reasons(why_task(reader, task, now_us), now_us, slot_holders_of(reader, task))

"""Who holds a slot, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from flowdeck_store.upkeep.slot_holders import SlotHolder


def who_holds(holder: SlotHolder) -> str:
    """Return what the task run is called that holds a slot: ``query-0 (12.1)``."""
    if holder.is_block and not holder.no:  # code that is in no task run
        return "a program" if holder.run_id is None else f"the flow's own code ({holder.run_id})"
    name = one_line(holder.task_run or "a task run", 80)
    return name if holder.run_id is None else f"{name} ({holder.run_id}.{holder.no})"


def where_of(holder: SlotHolder) -> str:
    """Return of which run and in which process it is, and whether that one lives."""
    run = "another run" if holder.run_name is None else f"run {one_line(holder.run_name, 80)}"
    is_program = holder.is_block and not holder.no and holder.run_name is None
    text = "" if is_program else f" of {run}"
    if holder.pid is not None:
        text += f" in process {holder.pid}"
    if not holder.is_here and holder.host:
        return f"{text} on {one_line(holder.host, 60)} (nobody knows here whether that lives)"
    return (
        text if holder.is_alive else f"{text}, which is dead: its slot comes free at the next look"
    )

"""What task runs of a live run wait for, as sentences. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck.stalls.holders import where_of, who_holds
from flowdeck.stalls.sentences import clock_time, listed
from flowdeck_app.drawing.times import duration
from flowdeck_store.safe import one_line
from flowdeck_store.states import AWAITING_RETRY, AWAITING_SLOT, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowdeck_store.explain.stall import BusyRecord, StallRecord
    from flowdeck_store.explain.task_run import TaskWhy
    from flowdeck_store.read.records import TaskRunRecord
    from flowdeck_store.upkeep.slot_holders import SlotHolder

#: Functions, upstreams and holders of slots that are told.
_TOLD = 8
_SOME = 3


def stall_sentences(stall: StallRecord, now_us: int) -> Iterator[str]:
    """Say what the task runs of a live run wait for, and what executes meanwhile.

    Args:
        stall: what its process noted.
        now_us: what durations are counted to.
    """
    still = duration(max(0, now_us - stall.since_us) / 1e6)
    begin = "Nothing has gone on for" if stall.is_stall else "Nothing has ended or begun for"
    yield f"{begin} {still}: {one_line(stall.text)}"
    if stall.busy:
        shown = [_busy(busy, now_us) for busy in stall.busy[:_TOLD]]
        yield f"Meanwhile: {listed(shown, len(stall.busy) - len(shown))}."


def headline(stall: StallRecord, now_us: int) -> str:
    """Return it in one line, for the place above a run's tabs."""
    return next(stall_sentences(stall, now_us))


def _busy(busy: BusyRecord, now_us: int) -> str:
    place = f" in {one_line(busy.place)}" if busy.place else ""
    return f"{one_line(busy.name)}{place}, {duration(max(0, now_us - busy.since_us) / 1e6)}"


def waiting_sentences(why: TaskWhy, now_us: int, holders: Sequence[SlotHolder]) -> Iterator[str]:
    """Say what a task run waits for.

    Args:
        why: what is known of it.
        now_us: what durations are counted to.
        holders: of the slots of its limited tags.
    """
    task = why.task
    if task.named == AWAITING_SLOT:
        if holders:
            shown = [f"{who_holds(one)}{where_of(one)}" for one in holders[:_SOME]]
            yield f"Slots are held by {listed(shown, len(holders) - len(shown))}."
    elif task.named == AWAITING_RETRY and why.retry_us is not None:
        yield f"It is tried again at {clock_time(why.retry_us)}."
    elif why.waits_for:
        shown = [_upstream(one, now_us) for one in why.waits_for[:_SOME]]
        yield f"It waits for {listed(shown, len(why.waits_for) - len(shown))}."
    elif not task.message:  # which stands behind its state
        yield "Its inputs are there: it waits for a thread or worker."
    if why.stall is not None:
        yield from stall_sentences(why.stall, now_us)


def _upstream(task: TaskRunRecord, now_us: int) -> str:
    since = duration(max(0, now_us - (task.started_us or task.created_us)) / 1e6)
    what = f"{task.state} for {since}" if task.code == RUNNING else task.state
    return f"{one_line(task.label)} ({task.ref}), which is {what}"

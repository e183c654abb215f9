"""What the sentences need to know beside who waits: who holds slots, what threads do, which loop is blocked."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck import budgets
from flowdeck.stalls import sentences, stacks
from flowdeck.stalls.activity import waits_in_code
from flowdeck.stalls.sentences import Busy, HeldBy, StallFacts
from flowdeck.threads import loop
from flowdeck.threads.deadlines import thread_behind
from flowdeck.threads.interrupts import thread_of
from flowdeck_store.events import now_us
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.stalls.activity import Activity
    from flowdeck.stalls.sentences import Waiter
    from flowdeck_store.upkeep.slot_holders import SlotHolder

#: Seconds that a loop has to answer.
_ANSWER: Final = 0.3


class Places:
    """Since when threads are where they are, from look to look."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, int]] = {}

    def since(self, thread: int, spot: stacks.Spot, began_us: int) -> int:
        """Return since when a thread is at a place, µs.

        Args:
            thread: its number.
            spot: where it is.
            began_us: when what it executes began, for a place that was not seen before.
        """
        mark, since_us = self._seen.get(thread, (None, 0))
        if mark != spot.mark:
            since_us = now_us() if mark is not None and since_us > began_us else began_us
            self._seen[thread] = spot.mark, since_us
        return since_us


def facts_of(
    run: FlowRun, activities: list[Activity], waiting: Sequence[Waiter], places: Places
) -> StallFacts:
    """Find out what is needed to say why task runs wait.

    Args:
        run: the flow run.
        activities: of it and of the subflow runs below it.
        waiting: what waits in them.
        places: of the looks before.
    """
    kinds = {waiter.kind for waiter in waiting}
    waits, names = waits_in_code()
    holders: list[HeldBy] = []
    if sentences.SLOT in kinds:
        tags = {tag for w in waiting if w.kind == sentences.SLOT for tag in w.detail}
        holders = [*_holders(run, tags, waits), *_users(activities, tags)]
    executing = [task_run for activity in activities for task_run in activity.executing]
    on_threads = [one for one in executing if _has_a_place(one)]
    blocked = _blocked_loop(activities, places) if sentences.LOOP in kinds else None
    return StallFacts(
        waiters=waiting,
        names=names,
        waits_for=waits,
        holders=holders,
        busy=_busy(kinds, executing, on_threads, places),
        limit=getattr(_runner(activities), "max_workers", None),
        engine=run.runner.name.capitalize(),
        loop=blocked,
        beside=len(on_threads) < len(executing) or any(activity.body for activity in activities),
    )


def _runner(activities: Sequence[Activity]) -> Any:
    """Return the runner whose task runs wait."""
    return next(activity.run.runner for activity in activities if activity.waiting)


def _busy(
    kinds: set[str], executing: list[TaskRun], on_threads: list[TaskRun], places: Places
) -> list[Busy]:
    """Return what holds the places that task runs wait for."""
    if kinds & {sentences.THREAD, sentences.WORKER}:
        return busy_with(on_threads, places)
    if sentences.LOOP in kinds:
        return [Busy(run.name, "", run.started_us) for run in executing if run.task.isasync]
    return []


def _has_a_place(run: TaskRun) -> bool:
    """Say whether a run holds a thread or worker of its runner: not what the flow's own code called,
    nor what is on a loop."""
    return not run.task.isasync and not (run.direct and run.called_in is None)


# -- slots ------------------------------------------------------------------------------------------


def _holders(run: FlowRun, tags: Iterable[str], waits: dict[str, str]) -> list[HeldBy]:
    home: Path | None = getattr(run.recorder, "home", None)
    if home is None:
        return []
    from flowdeck_store.upkeep.slot_holders import slot_holders

    with contextlib.suppress(Exception):  # locked, or not there: then the sentence is shorter
        return [_holder(one, run.info.uid) for one in slot_holders(home, tags)]
    return []


def _users(activities: Sequence[Activity], names: set[str]) -> list[HeldBy]:
    """Return who has the resources that are waited for."""
    found = {id(b): b for a in activities for run in a.waiting if (b := budgets.budget_of(run))}
    return [
        HeldBy(name, int(most), run.uid, f"{run.name} ({amount})")
        for budget in found.values()
        for name in sorted(names)
        if name.startswith(budgets.PREFIX)
        for run, amount, most in budget.users(name.removeprefix(budgets.PREFIX))
    ]


def _holder(one: SlotHolder, own_uid: str) -> HeldBy:
    from flowdeck.stalls.holders import where_of, who_holds

    return HeldBy(
        one.tag,
        one.limit,
        f"{one.run_uid}.{one.no}",
        who_holds(one),
        "" if one.run_uid == own_uid else where_of(one),
    )


# -- threads ----------------------------------------------------------------------------------------


def busy_with(executing: Sequence[TaskRun], places: Places) -> list[Busy]:
    """Return what the threads do that execute task runs, those that are there for longest first."""
    threads = {
        run: thread_behind(thread_of(run.interrupt)) for run in executing[: sentences.MOST_BUSY]
    }
    spots = stacks.spots(set(threads.values()))
    found = []
    for run, thread in threads.items():
        spot = spots.get(thread)
        if spot is None:  # on a loop, on a worker, or over
            where = f"worker {one_line(run.worker, 60)}" if run.worker else ""
            found.append(Busy(run.name, where, run.started_us))
        else:
            since_us = places.since(thread, spot, run.started_us)
            found.append(Busy(run.name, spot.place, since_us, spot.is_blocked))
    return sorted(found, key=lambda busy: busy.since_us)


# -- loops ------------------------------------------------------------------------------------------


def _blocked_loop(activities: Sequence[Activity], places: Places) -> Busy | None:
    """Return what blocks a loop on which async task runs are to start."""
    asked = {run.loop for activity in activities for run in activity.waiting if run.task.isasync}
    loops = {one for one in asked if one is not None}
    if None in asked:
        loops |= set(loop.user_loops())
    for one in loops:
        thread = _thread_if_blocked(one)
        if thread is None:
            continue
        spot = stacks.spots({thread}).get(thread)
        if spot is not None:
            name = _name_on(thread, activities)
            return Busy(name, spot.place, places.since(thread, spot, now_us()), spot.is_blocked)
    return None


def _thread_if_blocked(event_loop: Any) -> int | None:
    """Return the thread of a loop that does not answer, ``None`` of one that does."""
    answered = threading.Event()
    try:
        event_loop.call_soon_threadsafe(answered.set)
    except RuntimeError:  # closed
        return None
    if answered.wait(_ANSWER):
        return None
    thread = getattr(event_loop, "_thread_id", None)  # uvloop does not tell
    return thread if isinstance(thread, int) else None


def _name_on(thread: int, activities: Sequence[Activity]) -> str:
    for activity in activities:
        for run in activity.executing:
            if run.task.isasync and getattr(run.loop, "_thread_id", None) == thread:
                return run.name
    return "the flow's own code"

"""The slots of limited tags: which task runs hold one, and which stand in line for one.

The store counts slots, for all processes of a home folder. Runs that wait for one stand in line here,
by the tags that are full. Only the first of a line asks the store now and then (another process may
have given a slot back); the others are woken when a slot comes free in this process. Asking for each
of 1,000 waiting runs would keep the store busy.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

from flowdeck import budgets
from flowdeck.runs.task_run import Slots
from flowdeck.settings import get_settings
from flowdeck.threads import loop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.runs.recorder import Recorder
    from flowdeck.runs.task_run import TaskRun


def is_needed(run: TaskRun) -> bool:
    """Say whether a run has to ask anything before it may be executed."""
    if run.task.cache_key_fn is not None:
        return True
    return is_limited(run)


def is_limited(run: TaskRun) -> bool:
    """Say whether a run needs slots, or resources that are counted here."""
    if run.task.resources and budgets.budget_of(run) is not None:
        return True
    return bool(run.tags) and not run.tags.isdisjoint(run.recorder.limited_tags())


class Never(Exception):
    """There will never be a slot."""


class NeverFits(Never):
    """There will never be the resources."""


def acquire(run: TaskRun) -> tuple[str, ...]:
    """Take a slot of every limited tag of a run, and its resources, or none of them; return the tags
    and resources that are full.

    Raises:
        Never: one of them has no slots at all, or not so many.
    """
    budget = budgets.budget_of(run)
    if budget is not None:
        try:
            lacking = budget.take(run)
        except budgets.Unfit as unfit:
            raise NeverFits(str(unfit)) from None
        if lacking:
            return lacking
    try:
        full = _acquire_slots(run) if run.tags else ()
    except BaseException:
        full = ("",)
        raise
    finally:
        if full and budget is not None:
            budget.give_back(run)
    if not full:
        run.slots = Slots.HELD
    return full


def _acquire_slots(run: TaskRun) -> tuple[str, ...]:
    from flowdeck_store.record.limits import LimitZero

    try:
        return run.recorder.acquire_slots(run.tags, run.info.uid, run.no)
    except LimitZero as zero:
        raise Never(str(zero)) from None


def give_back(run: TaskRun) -> None:
    """Give back what a run has that has ended, or is to wait: its slots, or its place in a line.

    A function that still executes, because it could not be stopped, keeps its slots: they count
    what goes on, not what the record calls running; see :func:`linger`.
    """
    if run.slots is Slots.WAITED_FOR:
        run.slots = Slots.NONE
        lines_of(run.recorder).leave(run)
    elif run.slots is Slots.HELD:
        vacate(run)


def linger(run: TaskRun) -> None:
    """Let a run keep its slots that ends while its function goes on: until that is over (and calls
    :func:`vacate`), but not for ever, because it may hang for good."""
    if run.slots >= Slots.HELD:
        run.slots = Slots.IN_USE
        loop.call_later(get_settings().left_behind_seconds, vacate, run)


def vacate(run: TaskRun) -> None:
    """Give back the slots of a run; from any thread, also more than once."""
    with _lines_lock:
        before, run.slots = run.slots, Slots.NONE
    if before >= Slots.HELD:
        budget = budgets.budget_of(run)
        if budget is not None:
            budget.give_back(run)
        if run.tags:
            run.recorder.release_slots(run.info.uid, run.no)
        lines_of(run.recorder).freed(budgets.names_of(run))


class WaitingLines:
    """Task runs of one recorder that wait for slots: a line for each set of full tags.

    A run that stands in a line sleeps, or is about to; so while the lock is held its ``interrupt``
    ends a sleep, and is never what would interrupt its function.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, ...], deque[TaskRun]] = {}
        self._place: dict[TaskRun, tuple[str, ...]] = {}

    def ahead_of(self, run: TaskRun) -> tuple[str, ...]:
        """Return the tags of a newcomer for which others wait already."""
        if not self._lines:
            return ()
        with self._lock:
            names = budgets.names_of(run)
            return next((full for full in self._lines if names.issuperset(full)), ())

    def join(self, run: TaskRun, full: tuple[str, ...]) -> None:
        """Stand at the end of a line, unless the run stands in it already."""
        with self._lock:
            if self._place.get(run) != full:
                self._take_out(run)
                self._lines.setdefault(full, deque()).append(run)
                self._place[run] = full

    def is_first(self, run: TaskRun) -> bool:
        """Say whether it is the run's turn to ask."""
        with self._lock:
            place = self._place.get(run)
            return place is None or self._lines[place][0] is run

    def waited_for(self, run: TaskRun) -> tuple[str, ...]:
        """Return the full tags of the line in which a run stands."""
        return self._place.get(run, ())

    def leave(self, run: TaskRun) -> None:
        """Stand in no line any more."""
        if run in self._place:
            with self._lock:
                self._take_out(run)

    def _take_out(self, run: TaskRun) -> None:
        place = self._place.pop(run, None)
        if place is None:
            return
        waiting = self._lines[place]
        was_first = waiting[0] is run
        waiting.remove(run)
        if not waiting:
            del self._lines[place]
        elif was_first:  # the next one may fit beside it
            _wake(waiting[0])

    def freed(self, tags: Iterable[str]) -> None:
        """Wake those whose turn it may be now."""
        if not self._lines:
            return
        with self._lock:
            for full, waiting in self._lines.items():
                if not set(full).isdisjoint(tags):
                    _wake(waiting[0])


def _wake(run: TaskRun) -> None:
    """End the sleep of a run, as a request to cancel does: it looks what there is then."""
    interrupt = run.interrupt
    if interrupt is not None:
        interrupt()


_lines: Final[weakref.WeakKeyDictionary[Recorder, WaitingLines]] = weakref.WeakKeyDictionary()
_lines_lock: Final = threading.Lock()


def lines_of(recorder: Recorder) -> WaitingLines:
    """Return the lines of those who record there."""
    with _lines_lock:
        found = _lines.get(recorder)
        if found is None:
            found = _lines[recorder] = WaitingLines()
        return found

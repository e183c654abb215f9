"""How long a recorded flow run would have taken with another number of workers: played again. Pure.

From what is recorded, each task run has a duration, the task runs that it needs, and a moment at which
the flow's code made the call. These are played again by list scheduling (Graham 1966): whenever one of
so many workers is free, the next task run starts that has all that it needs, in the order of the calls.

What the record does not say is what the flow's own code waited for. If a task run ended right before the
code went on, the code is taken to have waited for it; otherwise it was busy itself. In a run on the
sequential runner every call waits, needed or not: played again on others, such a run is a lower bound.

Durations are taken as they were. What makes them others is not played: more threads that share one
interpreter, more processes that share the disk, caches, retries, the transport of values.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowdeck_store.read.paths import Span

#: Microseconds within which the flow's code went on after what it had waited for. Shorter pauses
#: between two calls are no waiting.
_AT_ONCE_US: Final = 2_000
_AT_ONCE_SHARE: Final = 0.2
#: The runner that executes each task in the call.
INLINE: Final = "sequential"


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A task run to be played again: microseconds, and places in :attr:`RunPlan.calls`.

    Attributes:
        busy_us: how long it keeps a worker.
        code_us: how long the flow's code took before the call, of its own.
        after: the call whose end the code waited for before this one; ``None``: for none.
        needs: the calls that must have ended before this one can begin.
    """

    busy_us: int
    code_us: int
    after: int | None
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A recorded flow run, ready to be played again.

    Attributes:
        run_id: its number.
        runner: what it ran on.
        calls: its task runs in the order of the calls.
        tail_us: how long the flow's code took after all of them.
        wall_us: how long it really took.
        peak: the most task runs that executed at the same time.
        cpu_us: processor time of its task runs; ``None`` if it is not known of most of them.
    """

    run_id: int
    runner: str | None
    calls: tuple[PlannedCall, ...]
    tail_us: int
    wall_us: int
    peak: int
    cpu_us: int | None = None

    @property
    def busy_us(self) -> int:
        """How long all of it would keep one worker."""
        return sum(call.busy_us for call in self.calls)


def plan_of(
    spans: Sequence[Span],
    upstreams: Mapping[int, Iterable[int]],
    start_us: int,
    end_us: int,
    *,
    run_id: int = 0,
    runner: str | None = None,
    cpu_us: int | None = None,
) -> RunPlan:
    """Return what is played again of a flow run that has ended.

    Args:
        spans: its task runs.
        upstreams: by number, the task runs of the same run that one needs.
        start_us: when it started.
        end_us: when it ended.
        run_id: its number.
        runner: what it ran on.
        cpu_us: processor time of its task runs.
    """
    ordered = sorted(spans, key=lambda span: (span.created_us, span.no))
    place = {span.no: index for index, span in enumerate(ordered)}
    ended = sorted((span.ended_us, span.no) for span in spans if span.ended_us is not None)
    ends = [us for us, _ in ended]
    calls = []
    before_us = start_us
    for index, span in enumerate(ordered):
        gap = max(0, span.created_us - before_us)
        at = bisect_right(ends, span.created_us) - 1
        after, code = None, gap
        if at >= 0 and ends[at] > before_us and gap > _AT_ONCE_US:
            since = span.created_us - ends[at]
            if runner == INLINE:
                code = since
            elif since <= max(_AT_ONCE_US, gap * _AT_ONCE_SHARE) and ended[at][1] != span.no:
                after, code = place[ended[at][1]], since
                after = after if after < index else None
        started = span.started_us if span.started_us is not None else span.ended_us
        busy = 0 if started is None or span.ended_us is None else max(0, span.ended_us - started)
        needs = tuple(sorted({place[no] for no in upstreams.get(span.no, ()) if no in place}))
        needs = tuple(one for one in needs if one < index)  # nothing needs what was called later
        calls.append(PlannedCall(busy, code, after, needs))
        before_us = max(before_us, span.created_us)
    last = max((us for us in ends if us <= end_us), default=before_us)
    tail = max(0, end_us - max(last, before_us))
    wall = max(0, end_us - start_us)
    return RunPlan(run_id, runner, tuple(calls), tail, wall, _peak(spans), cpu_us)


def _peak(spans: Iterable[Span]) -> int:
    """Return the most task runs that executed at the same time."""
    starts = sorted(s.started_us for s in spans if s.started_us is not None and s.ended_us)
    ends = sorted(s.ended_us for s in spans if s.started_us is not None and s.ended_us is not None)
    return max((i + 1 - bisect_left(ends, us + 1) for i, us in enumerate(starts)), default=0)


def played(plan: RunPlan, workers: int | None, *, inline: bool = False) -> int:
    """Return how long a run takes with so many workers, in microseconds.

    Args:
        plan: the run.
        workers: task runs that execute at the same time; ``None``: as many as there are.
        inline: each task executes in its call, one after the other.
    """
    if inline:
        return sum(call.busy_us + call.code_us for call in plan.calls) + plan.tail_us
    return _Play(plan, len(plan.calls) if workers is None else max(1, workers)).run()


class _Play:
    """One run, played again with a number of workers."""

    def __init__(self, plan: RunPlan, workers: int) -> None:
        self._plan, self._free = plan, workers
        self._end: list[int | None] = [None] * len(plan.calls)
        self._missing = [len(call.needs) for call in plan.calls]
        self._called = [False] * len(plan.calls)
        self._followers: dict[int, list[int]] = {}
        for index, call in enumerate(plan.calls):
            for need in call.needs:
                self._followers.setdefault(need, []).append(index)
        self._ready: list[int] = []  # in the order of the calls
        self._running: list[tuple[int, int]] = []
        self._now = 0

    def run(self) -> int:
        """Return the moment at which all of it is over."""
        calls, code_us, following = self._plan.calls, 0, 0
        while following < len(calls) or self._running:
            call_us = self._next_call(following, code_us)
            if call_us is not None and (not self._running or call_us <= self._running[0][0]):
                self._now = code_us = max(call_us, self._now)
                self._called[following] = True
                if not self._missing[following]:
                    heapq.heappush(self._ready, following)
                following += 1
            else:
                self._end_one()
            self._begin()
        return max(self._now, code_us) + self._plan.tail_us

    def _next_call(self, index: int, code_us: int) -> int | None:
        """Return when the flow's code makes a call; ``None``: it waits for one that is not over."""
        if index >= len(self._plan.calls):
            return None
        call = self._plan.calls[index]
        if call.after is None:
            return code_us + call.code_us
        end = self._end[call.after]
        return None if end is None else max(code_us, end) + call.code_us

    def _end_one(self) -> None:
        self._now, index = heapq.heappop(self._running)
        self._end[index] = self._now
        self._free += 1
        for follower in self._followers.get(index, ()):
            self._missing[follower] -= 1
            if not self._missing[follower] and self._called[follower]:
                heapq.heappush(self._ready, follower)

    def _begin(self) -> None:
        while self._free and self._ready:
            index = heapq.heappop(self._ready)
            self._free -= 1
            heapq.heappush(self._running, (self._now + self._plan.calls[index].busy_us, index))

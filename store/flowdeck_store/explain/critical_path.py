"""Which chain of task runs decided how long a flow run took, and what its time was spent on.

The chain is walked backwards from the task run that ended last. What decided when a task run could
start is whatever came last: an upstream that ended, or the flow's own code that made the call. In the
second case the link before it is the task run that ended last before the call, since that is what the
code can have waited for (`future.result()`, a direct call); the time between the two is the flow's own.

This is the longest path of project planning (CPM: Kelley and Walker 1959) over what really happened,
not over estimates: waiting for a worker is on the path as well, since more workers would shorten it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flowdeck_store.read.paths import Span

#: Links of a path, at most: a chain of 20,000 tasks is one, and nobody reads more.
LONGEST: Final = 50_000
#: Clock readings of two threads or machines are not compared more finely (microseconds).
_SAME: Final = 2_000


@dataclass(frozen=True, slots=True)
class PathLink:
    """One task run of the path.

    Attributes:
        no: its number.
        after: the number of the one before it; ``None`` for the first.
        is_upstream: whether that one is an upstream; else the flow's code waited for it.
        code_us: how long the flow's own code took between the one before (or the run's start) and
            the call of this one; 0 if an upstream was the last thing that it needed.
        ready_us: when all that it needed was there.
        started_us: when its function began (or it was taken over).
        ended_us: when it ended, or now.
        pause_us: how long it waited between tries, or was paused.
    """

    no: int
    after: int | None
    is_upstream: bool
    code_us: int
    ready_us: int
    started_us: int
    ended_us: int
    pause_us: int = 0

    @property
    def queue_us(self) -> int:
        """How long it waited, with all that it needed, for a worker, a slot or the engine."""
        return max(0, self.started_us - self.ready_us)

    @property
    def run_us(self) -> int:
        """How long it ran, all tries together."""
        return max(0, self.ended_us - self.started_us - self.pause_us)


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The chain of task runs that decided when a flow run ended, first to last.

    Attributes:
        links: the chain.
        start_us: when the flow run started.
        end_us: when it ended, or now.
    """

    links: tuple[PathLink, ...]
    start_us: int
    end_us: int

    @property
    def total_us(self) -> int:
        """The flow run's wall time."""
        return max(0, self.end_us - self.start_us)

    @property
    def run_us(self) -> int:
        """The part in which the tasks of the path ran."""
        return sum(link.run_us for link in self.links)

    @property
    def queue_us(self) -> int:
        """The part in which they could have run, and waited."""
        return sum(link.queue_us for link in self.links)

    @property
    def pause_us(self) -> int:
        """The part in which they waited between tries, or were paused."""
        return sum(link.pause_us for link in self.links)

    @property
    def code_us(self) -> int:
        """The part in which the flow's own code ran between, before and after them."""
        return max(0, self.total_us - self.run_us - self.queue_us - self.pause_us)

    def with_pauses(self, pauses: Mapping[int, int]) -> CriticalPath:
        """Return the same path with the pauses of its task runs, in microseconds by number."""
        links = [
            replace(link, pause_us=min(pauses[link.no], link.run_us)) if link.no in pauses else link
            for link in self.links
        ]
        return replace(self, links=tuple(links))


def critical_path(
    spans: Sequence[Span],
    upstreams: Callable[[int], Iterable[int]],
    start_us: int,
    end_us: int,
) -> CriticalPath:
    """Find the chain that decided when a run ended.

    Args:
        spans: the task runs that began, in any order.
        upstreams: the numbers of those that a task run takes something from or waits for.
        start_us: when the flow run started.
        end_us: when it ended; of a run that goes on: now.

    Returns:
        The path; without links if no task run began.
    """
    began = {span.no: span for span in spans if span.started_us is not None}
    by_end = sorted((_end(span, end_us), span.no) for span in began.values())
    ends = [end for end, _ in by_end]
    links: list[PathLink] = []
    on_path: set[int] = set()
    no = by_end[-1][1] if by_end else None
    while no is not None and len(links) < LONGEST:
        on_path.add(no)
        link = _link(began[no], began, upstreams(no), by_end, ends, on_path, start_us, end_us)
        links.append(link)
        no = link.after
    return CriticalPath(tuple(reversed(links)), start_us, end_us)


def _end(span: Span, now_us: int) -> int:
    return now_us if span.ended_us is None else span.ended_us


def _link(
    span: Span,
    began: dict[int, Span],
    upstreams: Iterable[int],
    by_end: list[tuple[int, int]],
    ends: list[int],
    on_path: set[int],
    start_us: int,
    end_us: int,
) -> PathLink:
    started = span.started_us or span.created_us
    needed = [
        (_end(began[no], end_us), no) for no in upstreams if no in began and no not in on_path
    ]
    last_end, last = max(needed, default=(0, 0))
    if last and last_end + _SAME >= span.created_us:
        ready = min(max(last_end, span.created_us), started)
        return PathLink(span.no, last, True, 0, ready, started, _end(span, end_us))
    before = _ended_before(span, by_end, ends, on_path)
    if before is None:
        code = span.created_us - start_us
        return PathLink(
            span.no, None, False, max(0, code), span.created_us, started, _end(span, end_us)
        )
    code = span.created_us - before[0]
    return PathLink(
        span.no,
        before[1],
        before[1] == last,
        max(0, code),
        span.created_us,
        started,
        _end(span, end_us),
    )


def _ended_before(
    span: Span, by_end: list[tuple[int, int]], ends: list[int], on_path: set[int]
) -> tuple[int, int] | None:
    """Return end and number of the task run that ended last before this one was created."""
    place = bisect_right(ends, span.created_us)
    while place:
        place -= 1
        end, no = by_end[place]
        if no not in on_path:
            return end, no
    return None

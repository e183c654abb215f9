"""The figures of a run's header: how long it will still take, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.cells import clean, cut, width
from flowdeck_app.drawing.times import duration
from flowdeck_store.read.records import quantile
from flowdeck_store.states import BUCKETS, COMPLETED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import FlowRunRecord, ProgressRecord, RunPoint
    from flowdeck_store.read.summaries import TaskGroup

#: Ended task runs from which on the pace of this run says something.
_PACE_TASKS: Final = 5
_PACE_SHARE: Final = 0.2
_LIVE: Final = tuple(BUCKETS.index(name) for name in ("scheduled", "pending", "running"))


def zero_us(run: FlowRunRecord) -> int:
    """Return the moment that everything in a run's views counts from: its start, once it began."""
    return run.started_us or run.created_us


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a run takes in all, in seconds, and in a word how sure that is."""

    seconds: float
    word: str


def estimate(
    points: Sequence[RunPoint],
    run: FlowRunRecord,
    elapsed: float | None,
    own: ProgressRecord | None = None,
    partly: float = 0.0,
) -> Estimate | None:
    """Return the probable whole duration of a run.

    From what the flow says of its own progress; else from the completed runs of the flow before it;
    without any, from the pace of this run, for which what its tasks say counts too.

    Args:
        points: history of the flow.
        run: the run that goes on.
        elapsed: seconds since it began.
        own: how far the flow function says it is.
        partly: sum of the shares that running tasks say they have done.
    """
    share = None if own is None else own.share
    if own is not None and share and run.started_us is not None and own.us > run.started_us:
        return Estimate((own.us - run.started_us) / 1e6 / share, "by its progress")
    done = [
        point.seconds
        for point in points
        if point.code == COMPLETED and point.seconds is not None and point.run_id < run.id
    ]
    middle = quantile(done, 0.5)
    if middle is not None:
        return Estimate(middle, sureness(done, middle))
    ended = run.n_tasks - sum(run.counts[place] for place in _LIVE)
    if elapsed is None or (ended < _PACE_TASKS and not partly):
        return None
    if ended + partly < run.n_tasks * _PACE_SHARE:
        return None
    return Estimate(elapsed * run.n_tasks / (ended + partly), "by pace")


def sureness(seconds: Sequence[float], middle: float) -> str:
    """Return ``likely``, ``roughly`` or ``a guess``, by how many runs there are and how alike."""
    low, high = quantile(seconds, 0.1) or 0.0, quantile(seconds, 0.9) or 0.0
    spread = (high - low) / middle if middle > 0 else 0.0
    if len(seconds) >= 5 and spread < 0.5:
        return "likely"
    return "roughly" if len(seconds) >= 3 and spread < 1.5 else "a guess"


def annotation_pieces(run: FlowRunRecord, look: Look) -> list[tuple[str, str]]:
    """Return what people gave the run: its tags where they were changed, and its newest note."""
    pieces: list[tuple[str, str]] = []
    plain = look.symbols.ascii
    if set(run.tags) != set(run.ran_with):
        tags = clean(", ".join(run.tags) or "none", 200, newline=" ", ascii_only=plain)
        pieces += [("tags ", "$fd-muted"), (f"{tags}   ", "")]
    if run.notes:
        more = f" (1 of {len(run.notes)})" if len(run.notes) > 1 else ""
        text = clean(run.notes[-1].text, 500, newline=" ", ascii_only=plain)
        pieces += [(f"note{more} ", "$fd-muted"), (text, "")]
    return pieces


def slowest(groups: Sequence[TaskGroup]) -> TaskGroup | None:
    """Return the group with the longest task run."""
    known = [group for group in groups if group.longest is not None]
    return max(known, key=lambda group: group.longest or 0.0, default=None)


def figures(
    look: Look,
    cells: int,
    *,
    elapsed: float | None,
    expected: Estimate | None,
    usual: float | None,
    slow: tuple[str, float] | None,
    live: bool,
) -> list[tuple[str, str]]:
    """Return the pieces at the right of the counts, as many as there is room for.

    Args:
        look: for the signs.
        cells: room there is.
        elapsed: seconds since the start.
        expected: of the whole run, while it goes on.
        usual: median seconds of the flow's completed runs.
        slow: name and seconds of the slowest task run.
        live: the run goes on.
    """
    left: list[tuple[str, str]] = []
    if live and expected is not None and elapsed is not None:
        left = [_left(expected, elapsed)]
    middle = [(f"p50 {duration(usual)}", "$fd-muted")] if usual is not None else []
    longest: list[tuple[str, str]] = []
    if slow is not None:
        name = cut(clean(slow[0], 200), 24, ellipsis=look.ellipsis)
        longest = [(f"slowest {name} {duration(slow[1])}", "$fd-muted")]
    choices = ([*left, *middle, *longest], [*left, *longest], [*left, *middle], left)
    return next((found for pieces in choices if _cells(found := _joined(pieces)) <= cells), [])


def _left(expected: Estimate, elapsed: float) -> tuple[str, str]:
    seconds = expected.seconds - elapsed
    if seconds <= 0:
        return "longer than usual", "$fd-retrying"
    text = f"{round(seconds)}s" if seconds < 60 else duration(seconds)
    return f"{text} left, {expected.word}", "$fd-strong"


def _joined(pieces: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    joined: list[tuple[str, str]] = []
    for piece in pieces:
        joined += [("   ", ""), piece] if joined else [piece]
    return joined


def _cells(pieces: Sequence[tuple[str, str]]) -> int:
    return sum(width(text) for text, _ in pieces)

"""Task runs, groups and workers as bars over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.cells import clean, cut, fit, fit_middle, width
from flowdeck_app.drawing.signs import SIGNS, Kind, kind_of, worst_of
from flowdeck_app.drawing.states import style_of
from flowdeck_app.drawing.stems import CLOSED, Fold, stem_text
from flowdeck_app.drawing.times import duration
from flowdeck_app.views.critical_path import MARK, MARK_STYLE
from flowdeck_store import states
from flowdeck_store.ids import task_run_id
from flowdeck_store.read.summaries import TaskGroup, TimelineRow, TimelineSegment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.tree.runs import Stem

#: Lengths between two marks of the axis, in seconds.
_STEPS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600,
    900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800,
)  # fmt: skip
#: Cells between two marks at least.
_MARK: Final = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One line: a task run, the folded runs of a task, or a worker.

    Attributes:
        key: what the cursor is bound to.
        name: any text.
        code: state code; ``named`` the state's own name.
        segments: stretches of waiting and running.
        folded: how many task runs the line stands for (0: itself).
        busy: share of the time in which a worker ran something; ``None`` for tasks.
        stem: where it lies in a tree; ``fold`` whether there are others below it.
    """

    key: int | str
    name: str
    code: int
    named: str | None
    segments: tuple[TimelineSegment, ...]
    folded: int = 0
    busy: float | None = None
    stem: Stem = ()
    fold: Fold = Fold.NONE


@dataclass(frozen=True, slots=True)
class Scale:
    """Which time a cell stands for."""

    start_us: int
    us_per_cell: float

    def cell(self, us: int) -> int:
        """Return the cell of a time (may lie outside)."""
        return int((us - self.start_us) // self.us_per_cell)


def bar_of(row: TimelineRow, run_id: int) -> Bar:
    """Return the bar of a task run."""
    return Bar(task_run_id(run_id, row.no), row.label, row.code, row.named, row.segments)


def bar_of_group(group: TaskGroup) -> Bar:
    """Return the folded bar of all runs of a task: from the first start to the last end."""
    code, named = _STATE_OF[worst_of(group.counts) or "pending"]
    segments: tuple[TimelineSegment, ...] = ()
    if group.first_us is not None:
        going = any(group.counts[states.BUCKETS.index(bucket)] for bucket in _GOING)
        segments = (TimelineSegment(group.first_us, None if going else group.last_us, "run", 1),)
    return Bar(group.task_key, group.task, code, named, segments, folded=group.n)


#: What a group is, as the state that one task run of that kind has.
_STATE_OF: Final[dict[str, tuple[int, str | None]]] = {
    "failed": (states.FAILED, None),
    "crashed": (states.CRASHED, None),
    "running": (states.RUNNING, None),
    "cancelled": (states.CANCELLED, None),
    "not_ready": (states.PENDING, "NotReady"),
    "pending": (states.PENDING, None),
    "scheduled": (states.PENDING, None),
    "completed": (states.COMPLETED, None),
    "cached": (states.COMPLETED, "Cached"),
}
#: While there is one of these, the group goes on.
_GOING: Final = ("running",)


def lanes(rows: Iterable[TimelineRow], start_us: int, end_us: int) -> list[Bar]:
    """Return one bar a worker: when it ran something, and the share of the time."""
    by_worker: dict[str, list[TimelineSegment]] = {}
    for row in rows:
        runs = [segment for segment in row.segments if segment.kind == "run"]
        by_worker.setdefault(row.worker or "here", []).extend(runs)
    found: list[Bar] = []
    for worker, segments in sorted(by_worker.items()):
        merged = _merged(segments, end_us)
        busy = sum((end or end_us) - start for start, end in merged)
        share = busy / max(1, end_us - start_us)
        parts = tuple(TimelineSegment(start, end, "run", 1) for start, end in merged)
        running = any(segment.end_us is None for segment in segments)
        code = states.RUNNING if running else states.COMPLETED
        found.append(Bar(worker, worker, code, None, parts, busy=min(1.0, share)))
    return found


def _merged(segments: Iterable[TimelineSegment], end_us: int) -> list[tuple[int, int]]:
    """Join stretches that overlap."""
    merged: list[tuple[int, int]] = []
    for segment in sorted(segments, key=lambda s: s.start_us):
        end = segment.end_us if segment.end_us is not None else end_us
        if merged and segment.start_us <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((segment.start_us, end))
    return merged


def timeline_content(
    bar: Bar,
    look: Look,
    scale: Scale,
    name_cells: int,
    bar_cells: int,
    note_cells: int,
    *,
    on_path: bool = False,
) -> Content:
    """Return one line: glyph and name, the bar, a note at the right.

    Args:
        bar: what to draw.
        look: clock and signs.
        scale: where the bars lie.
        name_cells: cells for glyph and name.
        bar_cells: cells for bars.
        note_cells: cells for the note (0: none).
        on_path: mark it as a part of the critical path.
    """
    signs = look.symbols
    kind = kind_of(bar.code, bar.named)
    folded = f" {signs.times}{bar.folded}" if bar.folded > 1 else ""
    folded += CLOSED if bar.fold is Fold.CLOSED else ""
    name = clean(bar.name, 300, ascii_only=signs.ascii)
    stem = stem_text(bar.stem, signs)
    room = max(1, name_cells - 3 - width(folded) - width(stem))
    name = stem + fit_middle(name, room, ellipsis=signs.ellipsis).rstrip() + folded
    mark = MARK if on_path else " "
    head = f"{signs.of(kind)} {fit(name, name_cells - 3, ellipsis=signs.ellipsis)}{mark}"
    drawn, spans = _bar(bar, kind, look, scale, bar_cells)
    offset = len(head)
    all_spans = [
        Span(0, 1, style_of(kind)),
        Span(2, offset, MARK_STYLE if on_path else "$fd-strong"),
        *(Span(a + offset, b + offset, style) for a, b, style in spans),
    ]
    text = head + drawn
    if note_cells > 2:
        note = "  " + fit(cut(note_of(bar, look), note_cells - 2), note_cells - 2)
        all_spans.append(Span(len(text), len(text) + len(note), "$fd-muted"))
        text += note
    return Content(text, all_spans, strip_control_codes=False)


def _bar(
    bar: Bar, kind: Kind, look: Look, scale: Scale, cells: int
) -> tuple[str, list[tuple[int, int, str]]]:
    """Return the cells of the bar and their styles; at least one cell for what has begun.

    What ran lies over what waited: the shortest run is seen.
    """
    signs = look.symbols
    chars, styles = [" "] * cells, [""] * cells
    last = -1
    for segment in sorted(bar.segments, key=lambda part: part.kind == "run"):
        begin = scale.cell(segment.start_us)
        until = look.now_us if segment.end_us is None else segment.end_us
        end = max(begin + 1, scale.cell(until - 1) + 1)
        a, b = max(0, begin), min(cells, end)
        last = max(last, min(end, cells) - 1)
        if a < b:
            chars[a:b] = [signs.run if segment.kind == "run" else signs.wait] * (b - a)
            styles[a:b] = [_segment_style(bar, segment, kind)] * (b - a)
    if last >= 0 and kind is not Kind.COMPLETED and bar.busy is None:
        chars[last], styles[last] = signs.of(kind), style_of(kind)
    return "".join(chars), _joined(styles)


def _joined(styles: list[str]) -> list[tuple[int, int, str]]:
    """Return stretches of cells with the same style, without those that have none."""
    found: list[tuple[int, int, str]] = []
    for place, style in enumerate(styles):
        if style and found and found[-1][1] == place and found[-1][2] == style:
            found[-1] = (found[-1][0], place + 1, style)
        elif style:
            found.append((place, place + 1, style))
    return found


def _segment_style(bar: Bar, segment: TimelineSegment, kind: Kind) -> str:
    if segment.kind == "wait":
        return "$fd-line"
    if segment.kind in {"retry", "pause"}:
        return "$fd-retrying"
    if bar.busy is not None:
        return "$fd-accent"
    return SIGNS[kind].style


def note_of(bar: Bar, look: Look) -> str:
    """Return what is worth saying about a bar: duration, tries, waits, how busy."""
    if bar.busy is not None:
        return f"busy {bar.busy * 100:.0f} %"
    runs = [segment for segment in bar.segments if segment.kind == "run"]
    seconds = sum(((s.end_us or look.now_us) - s.start_us) / 1e6 for s in runs)
    waited = sum(
        ((s.end_us or look.now_us) - s.start_us) / 1e6 for s in bar.segments if s.kind == "wait"
    )
    parts = [duration(seconds)] if runs else []
    attempts = max((segment.attempt for segment in bar.segments), default=1)
    if attempts > 1:
        parts.insert(0, f"{attempts} tries")
    elif waited >= 1 and waited > seconds:
        parts.append(f"waited {duration(waited)}")
    return ", ".join(parts)


def axis_content(
    scale: Scale, look: Look, name_cells: int, bar_cells: int, origin_us: int
) -> Content:
    """Return the heading: marks at round times since the start of the run."""
    step = next((s for s in _STEPS if s * 1e6 / scale.us_per_cell >= _MARK), _STEPS[-1])
    text = [" "] * bar_cells
    spans = [Span(0, name_cells + bar_cells, "$fd-muted")]
    now = scale.cell(look.now_us)
    if 0 <= now <= bar_cells - 3:
        text[now : now + 3] = "now"
        spans.append(Span(name_cells + now, name_cells + now + 3, "$fd-accent"))
    first = int((scale.start_us - origin_us) / 1e6 // step)
    for count in range(first, first + bar_cells // _MARK + 2):
        place = scale.cell(origin_us + round(count * step * 1e6))
        label = _mark(count * step, step)
        room = text[max(0, place - 1) : place + len(label) + 1]
        if place >= 0 and place + len(label) <= bar_cells and not "".join(room).strip():
            text[place : place + len(label)] = label
    return Content("Task".ljust(name_cells) + "".join(text), spans, strip_control_codes=False)


def _mark(seconds: float, step: float) -> str:
    if step < 1:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    whole = round(seconds)
    if whole < 60 or (step < 60 and whole < 600 and whole % 60):
        return f"{whole}s"
    if whole % 3600 == 0:
        return f"{whole // 3600}h"
    if whole < 3600 or step < 3600:
        hours, rest = divmod(whole, 3600)
        minutes, seconds_left = divmod(rest, 60)
        text = f"{hours}h{minutes:02d}" if hours else f"{minutes}m"
        return f"{text}{seconds_left:02d}" if seconds_left else text
    return f"{whole // 3600}h"

"""Home's health panel: the store, the last day, the engines, the last failure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.amounts import number, size
from flowdeck_app.drawing.bars import fitting, spark_content
from flowdeck_app.drawing.cells import clean, cut, wrap_cells
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.times import ago
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import FailureRecord, FlowRunRecord
    from flowdeck_store.read.summaries import HistogramBucket, StoreInfo

_LABEL: Final = 8
#: Hours that one bar of the last day may stand for.
_HOURS: Final = (1, 2, 3, 4, 6)
_KINDS: Final = (
    ("completed", Kind.COMPLETED),
    ("failed", Kind.FAILED),
    ("crashed", Kind.CRASHED),
    ("cancelled", Kind.CANCELLED),
)


@dataclass(frozen=True, slots=True)
class HomeHealth:
    """What the panel shows. Sizes in bytes."""

    store: StoreInfo
    day: tuple[HistogramBucket, ...]  # runs per hour of the last day
    engines: tuple[tuple[str, bool], ...]  # name, installed
    free: int | None  # of the file system that holds the store
    failed_run: FlowRunRecord | None
    failed_task: str | None
    failure: FailureRecord | None
    asking: int = 0  # runs that wait for an answer

    def with_free(self, free: int | None) -> HomeHealth:
        """Return the same with the free bytes of the store's file system."""
        return replace(self, free=free)

    def day_counts(self) -> dict[str, int]:
        """Return the runs of the last day per bucket."""
        return {
            name: sum(bucket.counts[place] for bucket in self.day)
            for place, name in enumerate(BUCKETS)
        }


def health_lines(health: HomeHealth, cells: int, look: Look) -> list[Content]:
    """Return the panel's lines, each at most ``cells`` wide."""
    info, gap = health.store, look.symbols.group
    lines = [
        _fact("Store", f"{info.path.name}  {size(info.bytes)}", cells, look),
        _fact(
            "Runs",
            f"{number(info.totals.runs, gap)}   tasks {number(info.totals.task_runs, gap)}",
            cells,
            look,
        ),
        _day(health, look),
        _indented(_bars(health, cells - _LABEL, look)),
    ]
    for name, installed in health.engines:
        lines.append(_fact(name, "installed" if installed else "not installed", cells, look))
    if health.free is not None:
        lines.append(_fact("Disk", f"{size(health.free)} free", cells, look))
    lines += ["", *_last_failure(health, cells, look)]  # type: ignore[list-item]
    return [line if isinstance(line, Content) else Content(line) for line in lines]


def trouble_lines(trouble: str, cells: int, look: Look) -> list[Content]:
    """Return why the record cannot be read, in lines of ``cells`` cells."""
    text = clean(trouble, 600, newline=" ", ascii_only=look.symbols.ascii)
    lines = [line.strip() for line in wrap_cells(text, cells)]
    title = cut("The record cannot be read", cells, ellipsis=look.ellipsis)
    return [Content.styled(title, "bold $fd-failed"), Content(""), *map(Content, lines)]


def _fact(label: str, text: str, cells: int, look: Look) -> Content:
    shown = cut(text, max(cells - _LABEL, 1), ellipsis=look.ellipsis)
    return Content(f"{label:<{_LABEL}}{shown}", [Span(0, _LABEL, "$fd-muted")])


def _indented(content: Content) -> Content:
    return Content(" " * _LABEL) + content


def _day(health: HomeHealth, look: Look) -> Content:
    counts = health.day_counts()
    counts["completed"] += counts.pop("cached", 0)
    text = f"{'24 h':<{_LABEL}}"
    spans = [Span(0, _LABEL, "$fd-muted")]
    for name, kind in _KINDS:
        if not counts[name] and kind is not Kind.COMPLETED:
            continue
        start = len(text)
        text += f"{look.symbols.of(kind)} {number(counts[name], look.symbols.group)}  "
        spans.append(Span(start, start + 1, SIGNS[kind].style))
    return Content(text.rstrip(), spans)


def _bars(health: HomeHealth, cells: int, look: Look) -> Content:
    """Return the last day as bars with gaps: as many hours to a bar as it takes to fit."""
    runs = [float(sum(bucket.counts)) for bucket in health.day]
    hours = next((n for n in _HOURS if len(runs) <= fitting(cells, 1) * n), _HOURS[-1])
    first = len(runs) % hours
    bars = [sum(runs[place : place + hours]) for place in range(first, len(runs), hours)]
    return spark_content(bars, min(cells, 2 * len(bars) - 1), look, gap=1)


def _last_failure(health: HomeHealth, cells: int, look: Look) -> list[Content]:
    run = health.failed_run
    if run is None:
        return [Content("No failures recorded", [Span(0, 20, "$fd-muted")])]
    plain, end = look.symbols.ascii, look.ellipsis
    when = ago(run.ended_us or run.created_us, look.now_us)
    head = f"Last failure  {when}"
    where = clean(run.flow, 60, ascii_only=plain)
    if health.failed_task:
        where += f" {look.symbols.separator} {clean(health.failed_task, 60, ascii_only=plain)}"
    lines = [Content(head, [Span(0, 12, "$fd-muted")]), Content(cut(where, cells, ellipsis=end))]
    if health.failure is not None:
        kind = health.failure.exc_type.rpartition(".")[2]
        text = clean(f"{kind}: {health.failure.exc_msg}", 300, newline=" ", ascii_only=plain)
        lines.append(
            Content(cut(text, cells, ellipsis=end), [Span(0, min(len(kind), cells), "$fd-failed")])
        )
    lines.append(Content("f opens it", [Span(0, 10, "$fd-faint")]))
    return lines

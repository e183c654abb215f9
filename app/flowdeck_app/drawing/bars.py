"""Progress bars and strips of bar glyphs, as Content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.signs import SIGNS, Kind, kind_of
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import RunPoint

_B: Final = {name: place for place, name in enumerate(BUCKETS)}
#: Parts of a progress bar, in the order drawn, with their styles.
_PARTS: Final = (
    (("completed", "cached"), "$fd-completed"),
    (("failed", "crashed"), "$fd-failed"),
    (("cancelled", "not_ready"), "$fd-cancelled"),
)


def progress_content(
    counts: Sequence[int], cells: int, look: Look, *, final: bool = False
) -> Content:
    """Return a bar of exactly ``cells`` cells: done, wrong, given up, the rest.

    Every part that is not empty gets at least one cell; the tip shows that it goes on.

    Args:
        counts: task runs per bucket.
        cells: width.
        look: for the signs.
        final: the run is over: nothing moves any more.
    """
    signs = look.symbols
    total = sum(counts)
    widths = _shares([sum(counts[_B[name]] for name in names) for names, _ in _PARTS], total, cells)
    text: list[str] = []
    spans: list[Span] = []
    position = 0
    for (_, style), width in zip(_PARTS, widths, strict=True):
        if width:
            text.append(signs.done * width)
            spans.append(Span(position, position + width, style))
            position += width
    rest = cells - position
    if rest > 0:
        tip = signs.tip if counts[_B["running"]] and not final else signs.rest
        text.append(tip + signs.rest * (rest - 1))
        spans.append(
            Span(position, position + 1, "$fd-running" if tip == signs.tip else "$fd-line")
        )
        spans.append(Span(position + 1, cells, "$fd-line"))
    return Content("".join(text), spans, strip_control_codes=False)


def _shares(parts: Sequence[int], total: int, cells: int) -> list[int]:
    """Split cells in proportion; full only when everything is done, never empty for something."""
    if total <= 0:
        return [0] * len(parts)
    done = sum(parts)
    room = cells if done >= total else min(cells - 1, cells * done // total)
    widths = [max(1, room * part // done) if part else 0 for part in parts]
    while sum(widths) > max(room, sum(1 for part in parts if part)):
        widths[widths.index(max(widths))] -= 1
    while done and sum(widths) < room:
        widths[parts.index(max(parts))] += 1
    while sum(widths) > cells:
        widths[widths.index(max(widths))] -= 1
    return widths


def history_content(points: Sequence[RunPoint], cells: int, look: Look, *, gap: int = 0) -> Content:
    """Return the last runs of a flow, one cell each, the newest at the right.

    The height is the duration (the longest shown fills the cell); a run that is not completed is
    its state's glyph instead, so the strip reads without colour.

    Args:
        points: the runs, the newest last.
        cells: width of the strip.
        look: for the signs.
        gap: empty cells between two runs, without which bars of full height become one block.
    """
    shown = list(points)[-fitting(cells, gap) :]
    longest = max((point.seconds or 0.0 for point in shown), default=0.0)
    text: list[str] = []
    spans: list[Span] = []
    levels = look.symbols.levels
    taken = max(0, len(shown) * (1 + gap) - gap)
    for number, point in enumerate(shown):
        place = cells - taken + number * (1 + gap)
        kind = kind_of(point.code, None)
        if kind is Kind.COMPLETED:
            share = (point.seconds or 0.0) / longest if longest > 0 else 0.0
            text.append(levels[min(len(levels) - 1, int(share * (len(levels) - 0.01)))])
        else:
            text.append(look.symbols.of(kind))
        spans.append(Span(place, place + 1, SIGNS[kind].style))
    drawn = " " * (cells - taken) + (" " * gap).join(text)
    return Content(drawn, spans, strip_control_codes=False)


def chart_lines(points: Sequence[RunPoint], cells: int, height: int, look: Look) -> list[Content]:
    """Return the last runs of a flow as a chart, the newest at the right end of what is drawn.

    A column is as high as its run took long, of the longest shown; below stand the glyphs of the
    states. Columns stand apart by one cell.

    Args:
        points: the runs, the newest last.
        cells: width of the chart; what is not needed is not drawn.
        height: lines of the chart, the one of the glyphs included: at least 2.
        look: for the signs.
    """
    shown = list(points)[-fitting(cells, 1) :]
    longest = max(0.0, *(point.seconds or 0.0 for point in shown), 0.0) or 1.0
    levels = look.symbols.levels
    kinds = [kind_of(point.code, None) for point in shown]
    styles = [SIGNS[kind].style for kind in kinds]
    eighths = [
        max(1, round((p.seconds or 0.0) / longest * (height - 1) * len(levels)))
        if p.seconds is not None
        else 0
        for p in shown
    ]
    rows: list[list[str]] = []
    for line in range(height - 2, -1, -1):
        filled = [min(len(levels), size - line * len(levels)) for size in eighths]
        rows.append([levels[size - 1] if size > 0 else " " for size in filled])
    rows.append([look.symbols.of(kind) for kind in kinds])
    return [
        Content(
            " ".join(row),
            [Span(2 * n, 2 * n + 1, style) for n, style in enumerate(styles)],
            strip_control_codes=False,
        )
        for row in rows
    ]


def fitting(cells: int, gap: int) -> int:
    """Return how many bars of one cell fit, with ``gap`` empty cells between them."""
    return (cells + gap) // (1 + gap)


def spark_content(
    values: Sequence[float], cells: int, look: Look, style: str = "$fd-accent", *, gap: int = 0
) -> Content:
    """Return values as a strip of bars, the last one at the right; zero is the lowest bar.

    Args:
        values: not negative; those that have no room are left out, the first ones first.
        cells: width of the strip.
        look: for the signs.
        style: of the bars.
        gap: empty cells between two bars.
    """
    shown = list(values)[-fitting(cells, gap) :]
    top = max(shown, default=0.0)
    levels = look.symbols.levels
    bars = [
        levels[min(len(levels) - 1, int(v / top * (len(levels) - 0.01)))] if top else levels[0]
        for v in shown
    ]
    text = (" " * gap).join(bars)
    start = cells - len(text)
    return Content(text.rjust(cells), [Span(start, cells, style)], strip_control_codes=False)

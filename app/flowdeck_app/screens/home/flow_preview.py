"""Home's preview: the flow under the cursor, in as many lines as there is room for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.bars import chart_lines, fitting, history_content
from flowdeck_app.drawing.cells import clean, cut, wrap_cells
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.times import ago, duration
from flowdeck_app.views.comparison import parameters_of
from flowdeck_store.states import COMPLETED, CRASHED, FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck.launch.discovery_syntax import FoundParameter
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.flow_list import FlowRow
    from flowdeck_store.read.records import FlowRecord, FlowRunRecord

_LABEL: Final = 9
#: Most lines of the description, of the parameters, of the last failure; rows of the chart.
_DOC: Final = 4
_TAKES: Final = 3
_FAILED: Final = 3
_CHART: Final = 8


@dataclass(frozen=True, slots=True)
class FlowFailure:
    """The last of a flow's shown runs that failed, and of what."""

    run: FlowRunRecord
    headline: str  # where and what, one text


def failed_run_of(row: FlowRow) -> int | None:
    """Return the number of the last run in a flow's history that failed."""
    points = () if row.record is None else row.record.history
    return next((p.run_id for p in reversed(points) if p.code in {FAILED, CRASHED}), None)


def preview_lines(
    row: FlowRow, failure: FlowFailure | None, cells: int, height: int, look: Look
) -> list[Content]:
    """Return at most ``height`` lines, each at most ``cells`` wide.

    Where there are few, texts get shorter; where there are many, the trend becomes a chart.
    """
    ran = _ran(row, cells, look)
    failed = [] if failure is None else _failure(failure, cells, look)
    shown = [
        _doc(row, cells, look)[:_DOC], _takes(row, cells, look)[:_TAKES], ran, failed[:_FAILED],
    ]  # fmt: skip
    for place in (0, 1, 3):  # the description gets shorter first, what failed last
        over = sum(map(len, shown)) - height
        if over > 0:
            shown[place] = shown[place][: max(1, len(shown[place]) - over)]
    rows = min(_CHART, height - sum(map(len, shown)) + 1)
    if rows > 2 and row.record is not None and len(row.record.ended) > 1:
        shown[2] = [*_chart(row.record, cells, rows, look), *ran[1:]]
    return [line for part in shown for line in part][:height]


def _labelled(label: str, lines: Sequence[str], look: Look, style: str = "") -> list[Content]:
    """Return lines behind a label."""
    found = []
    for place, text in enumerate(lines):
        head = (label if not place else "").ljust(_LABEL)
        spans = [Span(0, _LABEL, "$fd-muted")]
        if style:
            spans.append(Span(_LABEL, _LABEL + len(text), style))
        found.append(Content(head + text, spans, strip_control_codes=False))
    return found


def _wrapped(text: str, cells: int) -> list[str]:
    return [line.rstrip() for line in wrap_cells(text, max(cells - _LABEL, 2))]


def _doc(row: FlowRow, cells: int, look: Look) -> list[Content]:
    first = " ".join((row.doc or "").strip().split("\n\n")[0].split())
    if not first:
        return []
    text = clean(first, 600, newline=" ", ascii_only=look.symbols.ascii)
    return [
        Content(line.rstrip(), strip_control_codes=False)
        for line in wrap_cells(text, max(cells, 2))
    ]


def _takes(row: FlowRow, cells: int, look: Look) -> list[Content]:
    """What it takes, as written; of a flow whose file was not found, what its last run was given."""
    plain = look.symbols.ascii
    if row.parameters is not None:
        text = ", ".join(map(_signature, row.parameters)) or "no parameters"
        label = "takes"
    elif row.last is not None and (given := parameters_of(row.last)):
        text = ", ".join(f"{name}={json.dumps(value)}" for name, value in given.items())
        label = "ran with"
    else:
        return []
    shown = clean(text, 600, newline=" ", ascii_only=plain)
    return _labelled(label, _wrapped(shown, cells), look)


def _signature(parameter: FoundParameter) -> str:
    star = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
    text = star + parameter.name
    if parameter.annotation:
        text += f": {parameter.annotation}"
    if parameter.default is not None:
        text += f" = {parameter.default}" if parameter.annotation else f"={parameter.default}"
    return text


def _ran(row: FlowRow, cells: int, look: Look) -> list[Content]:
    """The trend in one line, and its figures in the next."""
    record = row.record
    if record is None or not record.history:
        return _labelled("runs", ["never run"], look, "$fd-muted")
    room = max(cells - _LABEL, 1)
    bars = min(len(record.history), fitting(room, 1))
    trend = history_content(record.history, min(room, 2 * bars - 1), look, gap=1)
    head = Content("trend".ljust(_LABEL), [Span(0, _LABEL, "$fd-muted")])
    figures = cut(_figures(record, row.p50, look), room, ellipsis=look.ellipsis)
    return [head + trend, *_labelled("runs", [figures], look)]


def _figures(record: FlowRecord, p50: float | None, look: Look) -> str:
    """How many runs, how many of the last ones completed, how long they took."""
    ended = record.ended
    good = sum(point.code == COMPLETED for point in ended)
    parts = [number(record.runs, look.symbols.group)]
    if ended:
        parts.append(f"{good} of the last {len(ended)} completed")
    if p50 is not None:
        parts.append(f"p50 {duration(p50)}")
        last = next((p.seconds for p in reversed(ended) if p.code == COMPLETED), None)
        parts.append(f"last {duration(last)}")
    return "   ".join(parts)


def _chart(record: FlowRecord, cells: int, rows: int, look: Look) -> list[Content]:
    """The trend as a chart of ``rows`` lines, the longest in front."""
    longest = max(point.seconds or 0.0 for point in record.history)
    lines = chart_lines(record.history, max(cells - _LABEL, 1), rows, look)
    heads = [duration(longest, look.dash), *[""] * (len(lines) - 2), "trend"]
    return [
        Content(head.ljust(_LABEL), [Span(0, _LABEL, "$fd-muted")]) + line
        for head, line in zip(heads, lines, strict=True)
    ]


def _failure(failure: FlowFailure, cells: int, look: Look) -> list[Content]:
    run, plain = failure.run, look.symbols.ascii
    when = ago(run.ended_us or run.created_us, look.now_us)
    head = f"{when} in {clean(run.name, 60, newline=' ', ascii_only=plain)}: "
    text = clean(failure.headline, 400, newline=" ", ascii_only=plain)
    return _labelled("failed", _wrapped(head + text, cells), look, SIGNS[Kind.FAILED].style)

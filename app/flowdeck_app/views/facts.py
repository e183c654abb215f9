"""Short lists of facts as rows: states, inputs, results, parameters. Pure functions.

A :class:`PanelRow` is one line on the screen and knows what it stands for: the whole value (to
read or copy it) and the task run that ``enter`` goes to.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content

from flowdeck_app.drawing.amounts import size
from flowdeck_app.drawing.cells import clean, fit, width
from flowdeck_app.drawing.signs import kind_of
from flowdeck_app.drawing.states import state_cell, style_of
from flowdeck_app.drawing.times import clock, duration
from flowdeck_app.drawing.values import MOST, value_lines
from flowdeck_store.read.runs import json_value
from flowdeck_store.states import RUNNING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.provenance import ProvenanceRecord
    from flowdeck_store.read.records import (
        FlowRunRecord,
        ResultRecord,
        StateRecord,
        TaskRunRecord,
        UpstreamRecord,
    )

#: Cells of the column of names, at most.
NAMES: Final = 24
#: Lines of a result's preview that are shown.
_PREVIEW: Final = 200


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One line of a panel.

    Attributes:
        key: what names the row.
        content: what is drawn.
        text: the whole value, for reading in full and for copying; ``""``: what is drawn.
        title: heading of the dialog that shows ``text``; ``""``: nothing to open.
        target: run id and task number that ``enter`` goes to.
    """

    key: Hashable
    content: Content
    text: str = ""
    title: str = ""
    target: tuple[int, int] | None = None


def content(*parts: str | tuple[str, str]) -> Content:
    """Return drawable pieces as one line."""
    return Content.assemble(*parts, strip_control_codes=False)


def heading(text: str, key: Hashable = None) -> PanelRow:
    """Return a heading line."""
    return PanelRow(("heading", key or text), content((text, "bold $fd-muted")), text)


def note(text: str, style: str = "$fd-faint") -> PanelRow:
    """Return a line that explains."""
    return PanelRow(("note", text), content((text, style)), text)


def fact(name: str, value: str, look: Look, *, cells: int = 12, style: str = "") -> PanelRow:
    """Return ``name   value``; ``enter`` shows the whole value."""
    ascii_only, signs = look.symbols.ascii, look.symbols
    label = fit(clean(name, 200, ascii_only=ascii_only), cells, ellipsis=signs.ellipsis)
    shown = clean(value, newline=signs.newline, ascii_only=ascii_only)
    return PanelRow(
        ("fact", name), content((label, "$fd-accent"), "  ", (shown, style)), value, name
    )


def valued(first: PanelRow, value: str, style: str, look: Look) -> list[PanelRow]:
    """Return a value behind what stands before it; of several lines, each in a row of its own.

    Args:
        first: the row so far: what stands before the value.
        value: as it is recorded.
        style: of the value.
        look: how to draw.
    """
    signs = look.symbols
    lines = value_lines(value)
    if len(lines) == 1:  # drawn as it is recorded, whatever it is
        lines = [clean(value, newline=signs.newline, ascii_only=signs.ascii)]
    whole = "\n".join(lines) if len(lines) > 1 else value
    indent = " " * first.content.cell_length
    rows = []
    for place, line in enumerate(lines[:MOST]):
        drawn = clean(line, ascii_only=signs.ascii)
        before = first.content if place == 0 else content(indent)
        key = first.key if place == 0 else (first.key, place)
        rows.append(PanelRow(key, before + content((drawn, style)), whole, first.title))
    if len(lines) > MOST:
        more = f"{indent}{len(lines) - MOST} more lines: enter shows all"
        rows.append(PanelRow((first.key, "more"), content((more, "$fd-faint")), whole, first.title))
    return rows


def facts(name: str, value: str, look: Look, *, cells: int = 12, style: str = "") -> list[PanelRow]:
    """Return ``name   value``, in several rows where the value has several lines."""
    signs = look.symbols
    label = fit(clean(name, 200, ascii_only=signs.ascii), cells, ellipsis=signs.ellipsis)
    first = PanelRow(("fact", name), content((label, "$fd-accent"), "  "), value, name)
    return valued(first, value, style, look)


def _cells(names: Iterable[str]) -> int:
    return max((min(NAMES, width(clean(name, NAMES + 1))) for name in names), default=0)


# -- states ----------------------------------------------------------------------------------------


def _own(state: StateRecord) -> str | None:
    """Return the name a state has in a history: there the wait is the retry, and this an attempt."""
    return None if (state.code, state.named) == (RUNNING, "Retrying") else state.named


def state_rows(states: Sequence[StateRecord], look: Look) -> list[PanelRow]:
    """Return the state history: time, step, state, message."""
    rows: list[PanelRow] = []
    before: int | None = None
    for state in states:
        step = "" if before is None else f"+{duration((state.us - before) / 1e6)}"
        word, style = state_cell(state.code, _own(state), look)
        message = clean(state.message or "", ascii_only=look.symbols.ascii, newline=" ")
        line = content(
            (clock(state.us, look.zone, fraction=3), "$fd-muted"),
            (f"{step:>9}  ", "$fd-faint"),
            (fit(clean(word, 40), 18, ellipsis=look.ellipsis), style),
            (message, ""),
        )
        title = "What the state says" if state.message else ""
        rows.append(PanelRow(state.seq, line, state.message or "", title))
        before = state.us
    return rows


def states_line(states: Sequence[StateRecord], look: Look, most: int = 12) -> list[tuple[str, str]]:
    """Return the history in one line: ``10:38:02 ◌ › +2ms ▸ › +6.0s ✗``."""
    pieces: list[tuple[str, str]] = []
    signs = look.symbols
    left_out = max(0, len(states) - most)
    before: int | None = None
    for place, state in enumerate(states):
        if left_out and 1 <= place <= left_out:
            if place == 1:
                pieces.append((f" {signs.separator} {signs.ellipsis}", "$fd-faint"))
            before = state.us
            continue
        kind = kind_of(state.code, _own(state))
        if before is None:
            pieces.append((clock(state.us, look.zone) + " ", "$fd-muted"))
        else:
            step = duration((state.us - before) / 1e6)
            pieces.append((f" {signs.separator} +{step} ", "$fd-faint"))
        pieces.append((signs.of(kind), style_of(kind)))
        before = state.us
    return pieces


def why_rows(sentences: Sequence[str], look: Look) -> list[PanelRow]:
    """Return why a task run went as it did, a row a sentence; ``enter`` shows it whole."""
    rows = [
        PanelRow(("why", place), content(clean(text, ascii_only=look.symbols.ascii)), text, "Why")
        for place, text in enumerate(sentences)
    ]
    return [heading("Why"), *rows] if rows else []


# -- inputs ----------------------------------------------------------------------------------------


def input_rows(
    parameters: Mapping[str, str],
    upstreams: Sequence[UpstreamRecord],
    downstream: Sequence[TaskRunRecord],
    look: Look,
    *,
    more: int = 0,
) -> list[PanelRow]:
    """Return what a task run was given, what it waited for, and what takes its result.

    Args:
        parameters: bounded reprs by name.
        upstreams: edges into it.
        downstream: the task runs that take something from it.
        look: how to draw.
        more: how many of those are left out.
    """
    cells = _cells([*parameters, *(edge.param for edge in upstreams)])
    rows = [
        row for name, value in parameters.items() for row in facts(name, value, look, cells=cells)
    ]
    if upstreams:
        rows.append(heading("Comes from"))
        rows += [_edge_row(place, edge, cells, look) for place, edge in enumerate(upstreams)]
    if downstream:
        rows.append(heading("Goes to"))
        rows += [_task_row(task, cells, look) for task in downstream]
        if more:
            rows.append(note(f"{' ' * cells}  and {more} more"))
    return rows


def _edge_row(place: int, edge: UpstreamRecord, cells: int, look: Look) -> PanelRow:
    signs = look.symbols
    label = fit(clean(edge.param, 200, ascii_only=signs.ascii), cells, ellipsis=signs.ellipsis)
    if edge.code < 0:
        parts = [(label, "$fd-accent"), ("  its run was deleted", "$fd-muted")]
        return PanelRow(("edge", place), content(*parts), edge.ref)
    word, style = state_cell(edge.code, edge.named, look)
    name = clean(edge.label or "", 200, ascii_only=signs.ascii)
    line = content((label, "$fd-accent"), "  ", (word, style), "  ", (name, "$fd-strong"))
    return PanelRow(("edge", place), line, edge.ref, target=(edge.run_id, edge.no))


def _task_row(task: TaskRunRecord, cells: int, look: Look) -> PanelRow:
    word, style = state_cell(task.code, task.named, look)
    name = clean(task.label, 200, ascii_only=look.symbols.ascii)
    line = content(" " * cells, "  ", (word, style), "  ", (name, "$fd-strong"))
    return PanelRow(("to", task.id), line, task.ref, target=(task.run_id, task.no))


# -- results and parameters ------------------------------------------------------------------------


def result_rows(result: ResultRecord | None, look: Look) -> list[PanelRow]:
    """Return type, size, place and preview of a result."""
    if result is None:
        return []
    rows = [fact("type", result.type, look, cells=6)]
    if result.size is not None:
        rows.append(fact("size", size(result.size), look, cells=6))
    if result.location:
        rows.append(fact("kept", result.location, look, cells=6))
    else:
        rows.append(fact("kept", "no: persist_result is off", look, cells=6, style="$fd-muted"))
    preview = result.preview or ""
    if preview:
        rows.append(heading("Value"))
    for place, line in enumerate(value_lines(preview)[:_PREVIEW]):
        rows.append(PanelRow(("value", place), content(clean(line)), preview, "Value"))
    return rows


def parameter_rows(text: str | None, look: Look) -> list[PanelRow]:
    """Return a run's recorded parameters, JSON values as they would be given again."""
    values = json_value(text) if text else {}
    if not isinstance(values, dict):
        return [fact("params", text or "", look)]
    cells = _cells(values)
    return [
        row
        for name, value in values.items()
        for row in facts(name, json.dumps(value, ensure_ascii=False), look, cells=cells)
    ]


def run_rows(
    run: FlowRunRecord, look: Look, ran_as: ProvenanceRecord | None = None
) -> list[PanelRow]:
    """Return parameters, the command that does the same, where the run comes from, and what it ran
    as."""
    given = parameter_rows(run.params, look)
    rows = [heading("Parameters")]
    rows += given or [note("The flow takes no parameters")]
    rows += [PanelRow("gap-1", content("")), heading("The same from a shell")]
    command = f"flowdeck retry {run.id}"
    rows.append(PanelRow("command", content((command, "$fd-strong")), command, "Command"))
    rows += [PanelRow("gap-2", content("")), heading("This run")]
    told = ran_as.facts() if ran_as else []
    again = {name for name, _, _ in told}
    for name, value in _about(run):
        rows += facts(name, value, look, cells=9) if value and name not in again else []
    if told:
        rows += [PanelRow("gap-3", content("")), heading("Ran as")]
    for name, value, whole in told:
        row = fact(name, value, look, cells=10)
        rows.append(dataclasses.replace(row, key=("ran as", name), text=whole or value))
    return rows


def _about(run: FlowRunRecord) -> list[tuple[str, str]]:
    info = run.info
    git = info.get("git")
    return [
        ("flow", run.flow),
        ("source", run.source or ""),
        ("runner", run.runner or ""),
        ("tags", ", ".join(run.tags)),
        *(("note", note.text) for note in run.notes),
        ("message", run.message or ""),
        ("number", str(run.id)),
        ("uid", run.uid),
        ("rerun of", run.rerun_of or ""),
        ("attempt", str(run.attempt) if run.attempt > 1 else ""),
        ("process", f"{run.pid} on {run.host or '?'}" if run.pid else ""),
        ("folder", str(info.get("cwd") or "")),
        ("command", " ".join(map(str, info["argv"])) if _is_list(info.get("argv")) else ""),
        ("python", str(info.get("python") or "")),
        ("version", str(info.get("version") or "")),
        ("git", json.dumps(git) if isinstance(git, dict) else str(git or "")),
    ]


def _is_list(value: object) -> bool:
    return isinstance(value, list)

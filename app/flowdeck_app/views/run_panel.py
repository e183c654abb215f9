"""Short lists of facts as rows: states, inputs, results, parameters. Pure functions.

A :class:`PanelRow` is one line on the screen and knows what it stands for: the whole value (to
read or copy it) and the task run that ``enter`` goes to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content

from flowdeck_app.glyphs import kind_of
from flowdeck_app.text.times import size
from flowdeck_app.views.states import state_cell, style_of
from flowdeck_app.views.text import clean, clean_lines, fit
from flowdeck_app.views.times import clock, duration
from flowdeck_store.states import RUNNING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from flowdeck_app.views.look import Look
    from flowdeck_store.records import (
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


def _cells(names: Iterable[str]) -> int:
    return max((min(NAMES, len(clean(name, NAMES + 1))) for name in names), default=0)


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
            (fit(clean(word, 40), 18, ellipsis=look.symbols.ellipsis), style),
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
    rows = [fact(name, value, look, cells=cells) for name, value in parameters.items()]
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
    name = clean(edge.name or "", 200, ascii_only=signs.ascii)
    line = content((label, "$fd-accent"), "  ", (word, style), "  ", (name, "$fd-strong"))
    return PanelRow(("edge", place), line, edge.ref, target=(edge.run_id, edge.no))


def _task_row(task: TaskRunRecord, cells: int, look: Look) -> PanelRow:
    word, style = state_cell(task.code, task.named, look)
    name = clean(task.name, 200, ascii_only=look.symbols.ascii)
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
    for place, line in enumerate(clean_lines(preview, most=_PREVIEW)):
        rows.append(PanelRow(("value", place), content(line), preview, "Value"))
    return rows


def parameter_rows(text: str | None, look: Look) -> list[PanelRow]:
    """Return a run's recorded parameters, JSON values as they would be given again."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        return [fact("params", text or "", look)]
    if not isinstance(values, dict):
        return [fact("params", text or "", look)]
    cells = _cells(values)
    return [
        fact(name, json.dumps(value, ensure_ascii=False), look, cells=cells)
        for name, value in values.items()
    ]


def run_rows(run: FlowRunRecord, look: Look) -> list[PanelRow]:
    """Return parameters, the command that does the same, and where the run comes from."""
    given = parameter_rows(run.params, look)
    rows = [heading("Parameters")]
    rows += given or [note("The flow takes no parameters")]
    rows += [PanelRow("gap-1", content("")), heading("The same from a shell")]
    command = f"flowdeck retry {run.id}"
    rows.append(PanelRow("command", content((command, "$fd-strong")), command, "Command"))
    rows += [PanelRow("gap-2", content("")), heading("This run")]
    rows += [fact(name, value, look, cells=9) for name, value in _about(run) if value]
    return rows


def _about(run: FlowRunRecord) -> list[tuple[str, str]]:
    info = run.info
    git = info.get("git")
    return [
        ("flow", run.flow),
        ("source", run.source or ""),
        ("runner", run.runner or ""),
        ("tags", ", ".join(run.tags)),
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

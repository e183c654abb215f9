"""The recorded source of a frame, and its variables, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from textual.content import Content
from textual.highlight import highlight

from flowdeck_app.drawing.cells import clean, clean_lines, fit, width
from flowdeck_app.views.facts import PanelRow, content, heading, note, valued

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.screens.task.failure_rows import Captured, FrameItem

#: What a hidden variable says; the record holds no value.
HIDDEN: Final = "hidden: the name or its content looks like a secret"
_NAMES: Final = 20
_TYPES: Final = 16


def source_of(frame: Captured) -> tuple[int, list[str]]:
    """Return the number of the first recorded line, and the lines (none were recorded: empty)."""
    source = frame.get("source")
    if isinstance(source, (list, tuple)) and len(source) == 2:
        first, lines = source
        if isinstance(first, int) and isinstance(lines, (list, tuple)):
            return first, [str(line) for line in lines]
    return 1, []


def detail_rows(item: FrameItem, look: Look) -> list[PanelRow]:
    """Return what is shown beside the list of frames for the row under its cursor."""
    if item.kind == "frame" and item.frame is not None:
        return [*source_rows(item.frame, look), *variable_rows(item.frame, look)]
    if item.kind == "fold":
        return [
            note(f"{item.hidden} frames of libraries are folded here"),
            note("enter or a shows them"),
        ]
    if item.kind == "skipped":
        return [note(f"{item.hidden} frames were left out of the record (deep recursion)")]
    return exception_rows(item.exception, look)


def exception_rows(exception: Captured, look: Look) -> list[PanelRow]:
    """Return an exception's type, whole message and notes."""
    module = str(exception.get("module") or "")
    name = str(exception.get("type") or "Exception")
    full = name if module in {"", "builtins", "__main__"} else f"{module}.{name}"
    message = str(exception.get("message") or "")
    rows = [PanelRow("type", content((clean(full, 400), "bold $fd-failed")), full)]
    rows += _text_rows("message", message, "Message", look)
    for place, text in enumerate(exception.get("notes") or []):
        rows.append(heading("Note", f"note-{place}"))
        rows += _text_rows(f"note-{place}", str(text), "Note", look)
    syntax = exception.get("syntax")
    if isinstance(syntax, dict):
        where = [str(syntax[key]) for key in ("file", "lineno") if syntax.get(key) is not None]
        if where:
            rows.append(heading(clean(":".join(where), 400), "syntax"))
        rows += _text_rows("syntax", str(syntax.get("text") or ""), "Source", look)
    if exception.get("truncated"):
        text = clean(str(exception["truncated"]), 300)
        rows.append(note(f"The record was shortened: {text}"))
    return rows


def _text_rows(key: str, text: str, title: str, look: Look) -> list[PanelRow]:
    lines = clean_lines(text, most=200)
    return [PanelRow((key, place), content(line), text, title) for place, line in enumerate(lines)]


# -- source ----------------------------------------------------------------------------------------


def source_rows(frame: Captured, look: Look) -> list[PanelRow]:
    """Return the recorded lines with numbers, the failing one and its columns marked."""
    first, lines = source_of(frame)
    if not lines:
        return [note("No source was recorded for this frame")]
    here = frame.get("lineno")
    end = frame.get("end_lineno") or here
    digits = len(str(first + len(lines) - 1))
    indent = _indent(lines)
    painted = _painted([line[indent:] for line in lines], ascii_only=look.symbols.ascii)
    marks = _columns(frame, lines, first)
    pointer = look.symbols.right if look.symbols.ascii else "❯"
    rows: list[PanelRow] = []
    for number, (text, code) in enumerate(zip(lines, painted, strict=True), first):
        failing = isinstance(here, int) and isinstance(end, int) and here <= number <= end
        sign = pointer if number == here else " "
        margin = content(
            (f"{number:>{digits}} ", "$fd-strong" if failing else "$fd-faint"),
            (f"{sign} ", "bold $fd-failed"),
        )
        rows.append(PanelRow(("line", number), margin + code, text))
        if number in marks:
            start, stop = marks[number]
            blank = " " * (digits + 3 + width(clean(text[indent:start])))
            line = "^" * max(1, width(clean(text[start:stop])))
            rows.append(PanelRow(("mark", number), content(blank, (line, "bold $fd-failed")), ""))
    return rows


def _indent(lines: Sequence[str]) -> int:
    """Return the characters of indentation that all lines share."""
    filled = [line for line in lines if line.strip()]
    if any(line[:1] == "\t" for line in filled):
        return 0
    return min((len(line) - len(line.lstrip(" ")) for line in filled), default=0)


def _painted(lines: Sequence[str], *, ascii_only: bool) -> list[Content]:
    """Return the lines with colours; as they are where highlighting does not keep them apart."""
    drawn = [clean(line, 400, newline=" ", ascii_only=ascii_only) for line in lines]
    # the highlighter drops blank lines at either end: what is between two sentinels stays
    code = highlight("\n".join(["#", *drawn, "#"]), language="python", tab_size=4)
    parts = code.split("\n")[1 : len(drawn) + 1]
    if [part.plain for part in parts] != drawn:
        return [Content(line, strip_control_codes=False) for line in drawn]
    return [Content(part.plain, list(part.spans), strip_control_codes=False) for part in parts]


def _columns(frame: Captured, lines: Sequence[str], first: int) -> dict[int, tuple[int, int]]:
    """Return start and end of what failed by line number, where it is not the whole line."""
    start, end = frame.get("col"), frame.get("end_col")
    number = frame.get("lineno")
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(number, int)):
        return {}
    place = number - first
    if not 0 <= place < len(lines) or frame.get("end_lineno") not in {None, number}:
        return {}
    text = lines[place]
    if not 0 <= start < end <= len(text) or text[start:end].strip() == text.strip():
        return {}
    return {number: (start, end)}


# -- variables -------------------------------------------------------------------------------------


def variable_rows(frame: Captured, look: Look) -> list[PanelRow]:
    """Return the local variables: name, type, value; a hidden one says why."""
    variables = [item for item in frame.get("locals") or [] if isinstance(item, dict)]
    title = f"{look.symbols.wait * 2} locals {look.symbols.wait * 12}"
    rows = [PanelRow("locals", content((title, "$fd-faint")), "locals")]
    if not variables:
        return [*rows, note("  none were recorded")]
    names = min(_NAMES, max(width(clean(str(item.get("name") or "?"), 80)) for item in variables))
    types = min(_TYPES, max(width(clean(str(item.get("type") or ""), 80)) for item in variables))
    for place, item in enumerate(variables):
        rows += _variable(place, item, names, types, look)
    return rows


def _variable(
    place: int, item: Mapping[str, Any], names: int, types: int, look: Look
) -> list[PanelRow]:
    signs = look.symbols
    name = str(item.get("name") or "?")
    value = str(item.get("repr") or "")
    style = ""
    if item.get("hidden"):
        value, style = HIDDEN, "italic $fd-muted"
    label = fit(clean(name, 80, ascii_only=signs.ascii), names, ellipsis=signs.ellipsis)
    kind = clean(str(item.get("type") or ""), 80, ascii_only=signs.ascii)
    before = content(
        ("  ", ""), (label, "$fd-accent"),
        (f"  {fit(kind, types, ellipsis=signs.ellipsis)}  ", "$fd-faint"),
    )  # fmt: skip
    size = item.get("size")
    title = f"{name}: {item.get('type') or '?'}" + (f", {size} items" if size else "")
    return valued(PanelRow(("local", place), before, value, title), value, style, look)

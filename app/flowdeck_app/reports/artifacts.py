"""Artifacts as text: a list, one with its content, and the history of a key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing import amounts, times
from flowdeck_app.drawing.cells import cut
from flowdeck_app.drawing.sparks import spark
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.read.artifacts.reads import ShownArtifact

#: Rows of a table that a terminal is given; --save and --json have all of them.
MOST_ROWS: Final = 50
_MOST_LINES: Final = 400
_OPENED: Final = ("http://", "https://", "mailto:")


def artifact_table(
    found: Sequence[ShownArtifact], names: Mapping[int, str], look: Look
) -> list[str]:
    """Return a heading and one line an artifact.

    Args:
        found: the artifacts.
        names: of task runs, by number.
        look: what the place can show.
    """
    columns = (
        TextColumn("Artifact", right=True),
        TextColumn("Of", least=8, middle=True),
        TextColumn("Kind"),
        TextColumn("Key", least=4),
        TextColumn("Size", right=True),
        TextColumn("What", least=10),
    )
    rows: list[Row] = [
        [
            str(one.seq),
            names.get(one.task_no, one.run_name),
            one.kind,
            (one.key or "", "bold"),
            amounts.size(one.size),
            summary(one, look),
        ]
        for one in found
    ]
    return table(columns, rows, look)


def summary(artifact: ShownArtifact, look: Look) -> str:
    """Return what an artifact is, in a few words."""
    parts = [artifact.description or "", _facts(artifact, look), artifact.cut or ""]
    return "; ".join(one_line(part, 300) for part in parts if part)


def _facts(artifact: ShownArtifact, look: Look) -> str:
    about, inline = artifact.about, artifact.inline
    if artifact.kind == "table":
        return (
            f"{_several(about.get('rows'), 'row', look)}, "
            f"{_several(about.get('columns'), 'column', look)}"
        )
    if artifact.kind == "image":
        form = str(about.get("format") or "?").upper()
        return f"{form} of {about.get('width')}{look.symbols.times}{about.get('height')}"
    if artifact.kind == "link" and isinstance(inline, dict):
        return str(inline.get("text") or inline.get("url") or "")
    if artifact.kind == "number":
        return number_text(artifact.number)
    if artifact.kind == "markdown" and isinstance(inline, str):
        return next((line.strip("# ") for line in inline.splitlines() if line.strip()), "")
    return json.dumps(inline, ensure_ascii=False)[:200] if inline is not None else ""


def _several(number: object, word: str, look: Look) -> str:
    return f"{_count(number, look)} {word}{'' if number == 1 else 's'}"


def _count(value: object, look: Look) -> str:
    return amounts.number(value, look.symbols.group) if isinstance(value, int) else "many"


def number_text(value: float | None) -> str:
    """Return a number as people read it: ``0.93``, ``1200``."""
    return "" if value is None else f"{value:.6g}"


def content_lines(artifact: ShownArtifact, value: Any, look: Look) -> list[str]:
    """Return the content of an artifact as lines; markup in it means nothing."""
    if artifact.kind == "image":
        saved = "" if artifact.file is None else "; --save FILE writes it"
        return [f"{summary(artifact, look)}{saved}"]
    if value is None:
        return [artifact.cut or "its content is gone"]
    if artifact.kind == "table":
        return table_lines(value, look)
    if artifact.kind == "link" and isinstance(value, dict):
        url, text = str(value.get("url") or ""), value.get("text")
        return [one_line(f"{text}  {url}" if text else url)]
    if artifact.kind == "number":
        return [number_text(artifact.number)]
    text = value if isinstance(value, str) and artifact.kind == "markdown" else None
    shown = json.dumps(value, indent=2, ensure_ascii=False) if text is None else text
    lines = [one_line(line, 2_000) for line in shown.splitlines()]
    more = (
        [f"{look.ellipsis} {len(lines) - _MOST_LINES} more lines"]
        if len(lines) > _MOST_LINES
        else []
    )
    return lines[:_MOST_LINES] + more


def rows_of(value: Any) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of a table's content; nobody of ours may have written it."""
    if not isinstance(value, dict):
        return [], []
    columns, rows = value.get("columns"), value.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return [], []
    names = [str(name) for name in columns]
    width = len(names)
    return names, [(row + [None] * width)[:width] for row in rows if isinstance(row, list)]


def cell_text(value: Any) -> str:
    """Return a cell's value as text."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else str(value)


def table_lines(value: Any, look: Look) -> list[str]:
    """Return a table's first rows, aligned."""
    names, rows = rows_of(value)
    if not names:
        return ["an empty table"]
    shown = rows[:MOST_ROWS]
    columns = [
        TextColumn(one_line(name, 60), right=_is_numbers(shown, place), least=6)
        for place, name in enumerate(names)
    ]
    lines = table(columns, [[cell_text(cell) for cell in row] for row in shown], look)
    if len(rows) > MOST_ROWS:
        lines.append(f"{look.ellipsis} {len(rows) - MOST_ROWS:,} more rows: --json or --save FILE")
    return [cut(line, look.width, ellipsis=look.ellipsis) if look.width else line for line in lines]


def _is_numbers(rows: Sequence[Sequence[Any]], place: int) -> bool:
    cells = [row[place] for row in rows if row[place] is not None]
    return bool(cells) and all(isinstance(cell, (int, float)) for cell in cells)


def history(found: Sequence[ShownArtifact], look: Look) -> list[str]:
    """Return the artifacts of one key over runs, one a line, and numbers as bars."""
    columns = (
        TextColumn("Run", right=True),
        TextColumn("Name", least=8, middle=True),
        TextColumn("When"),
        TextColumn("Kind"),
        TextColumn("Value", least=6),
    )
    rows = [
        [
            one.ref,
            one.run_name,
            times.calendar(one.us, look.now_us, dash=look.dash),
            one.kind,
            number_text(one.number) or summary(one, look),
        ]
        for one in found
    ]
    numbers = [value for one in found if (value := one.number) is not None]
    lines = table(columns, rows, look)
    if len(numbers) > 1:
        least, most = number_text(min(numbers)), number_text(max(numbers))
        lines += ["", f"{look.paint(spark(numbers, look), 'cyan')}  {least} to {most}"]
    return lines

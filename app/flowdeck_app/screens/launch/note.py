"""What the launch dialog says of a flow above its form: its docstring, and where it would run. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from flowdeck.launch.interpreters import Interpreter
from flowdeck_app.drawing.cells import clean, clean_lines

if TYPE_CHECKING:
    from flowdeck.launch.inspection import Inspection


def note_lines(found: Inspection, folder: Path) -> list[str]:
    """Return how its docstring begins and, if that is not flowdeck's own, in which Python it runs.

    Args:
        found: what is known of the flow.
        folder: the app's; a Python below it is named from there.
    """
    doc = (found.doc or "").strip().split("\n\n")[0]
    where = _where(found, folder)
    limit, most = (120, 1) if where else (200, 2)  # there are four lines, after wrapping
    return [*(clean_lines(doc, limit, most) if doc else ()), *where]


def error_content(found: Inspection, folder: Path) -> Content:
    """Return why there is no form, and that the flow can be run all the same."""
    lines = clean_lines(found.error or "The flow cannot be read.", 300, 4)
    if found.traceback:
        lines += ["", *clean_lines(found.traceback, 200, 30), ""]
    lines += _where(found, folder)
    lines.append("Run it all the same (ctrl+r): it is recorded as a failed run.")
    return Content("\n".join(lines))


def _where(found: Inspection, folder: Path) -> list[str]:
    """Return the Python of the flow's project and why it is that one, where it has one."""
    if not found.python:
        return []
    path = Path(found.python)
    if Interpreter(path, found.chosen_by).is_own:
        return []
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return [clean(f"Runs with {shown} (chosen by {found.chosen_by})", 300)]

"""``flowdeck debug`` in the app's place: the app steps back until the debugger is left."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_app.terminal.in_terminal import InTerminal


def debug(app: InTerminal, home: Path, ref: str) -> None:
    """Run a task again in the debugger, and wait for Enter so that what it said can be read.

    Args:
        app: what steps back.
        home: flowdeck's home folder.
        ref: the task run, ``12.7``.
    """
    command = [sys.executable, "-P", "-m", "flowdeck_app", "debug", ref, "--home", str(home)]
    try:
        with app.stepped_back():
            subprocess.run(command, check=False)
            sys.__stdout__.write("\nflowdeck: Enter goes back to the app ")  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]
            sys.__stdin__.readline()  # type: ignore[union-attr]
    except SuspendNotSupported:
        app.notify(f"Not possible in this terminal: flowdeck debug {ref}", markup=False)

"""Opening the app: on a record, and on each other one that the user goes to from there."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.control.homes import name_of
from flowdeck_app.terminal.graphics import pictures_here

if TYPE_CHECKING:
    from pathlib import Path


def run_app(
    home: Path,
    *,
    ascii_only: bool = False,
    animation: bool = True,
    folder: Path | None = None,
    open_run: int | None = None,
    machine: str = "",
) -> int:
    """Run the app until the user leaves; another one on each record that they switch to.

    Args:
        home: flowdeck's home folder.
        ascii_only: draw with ASCII signs only.
        animation: allow the few moving cells there are.
        folder: where to look for flows and project settings; default: the working folder.
        open_run: number of a run to open at once.
        machine: the name of this machine, where the user sits at another one.

    Returns:
        The exit code.
    """
    from flowdeck.settings import get_settings

    _trust_the_terminal()
    pictures = pictures_here(get_settings().images)
    while True:
        settings = get_settings()
        app = FlowdeckApp(
            home,
            ascii_only=ascii_only,
            folder=folder,
            keymap=settings.keys,
            theme_name=settings.theme,
            first_run=open_run,
            pictures=pictures,
            record_name=name_of(home, settings.homes, machine),
        )
        if not animation:
            app.animation_level = "none"
        app.run()
        if app.next_home is None or app.crashed:
            break
        home, open_run = app.next_home, None
        os.environ["FLOWDECK_HOME"] = str(home)  # for what this process asks and starts from now on
    if not app.crashed:
        return app.return_code or 0
    where = f"What happened is in {app.log_file}." if app.log_file is not None else ""
    print(f"flowdeck's app ended on a fault of its own; runs go on. {where}", file=sys.stderr)
    return 1


def _trust_the_terminal() -> None:
    """Forget COLUMNS and LINES where the terminal knows its size: exported by a shell or a container
    they would be the app's size for ever, whatever the window does."""
    try:
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (OSError, ValueError):  # no terminal: a browser's size is in these variables
        return
    if size.columns and size.lines:
        os.environ.pop("COLUMNS", None)
        os.environ.pop("LINES", None)

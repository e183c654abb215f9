"""Going on in the Python of the project, before anything of the project is imported."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from flowdeck_app.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path


def settle(target: str | None, asked: str | None, cwd: Path | None = None) -> None:
    """Stay in this process if its Python is the target's, else replace it by the same command there.

    Args:
        target: what is to be run or looked into; ``None``: not known.
        asked: the Python to take.
        cwd: the working directory of the run; default: this process's.

    Raises:
        ConfigurationError: the Python is not there, or flows cannot run in it: with what to do.
    """
    from flowdeck.launch import interpreters

    if os.environ.pop(interpreters.CHOSEN, None) is not None or target is None:
        return  # it was started in the Python that was chosen for it
    if asked is None and sys.stderr.isatty() and interpreters.takes_time(target, cwd=cwd):
        say("flowdeck: uv makes an environment for this script, which may take a moment...")
    python = interpreters.usable(target, asked=asked, cwd=cwd)
    if python.is_own:
        return
    command = interpreters.command(python, "flowdeck_app", *sys.argv[1:])
    os.environ[interpreters.CHOSEN] = str(python.python)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)

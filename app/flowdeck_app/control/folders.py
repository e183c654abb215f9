"""Where a recorded run was started: it is repeated, and looked into, there.

What its code opens by relative paths lies there; elsewhere it would find other files, or none, and
write beside them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.read.records import FlowRunRecord


def recorded_folder(run: FlowRunRecord) -> Path | None:
    """Return the working folder of a run; ``None``: not known, not there any more, or on another
    machine."""
    folder = run.info.get("cwd")
    if not isinstance(folder, str) or not os.path.isabs(folder):
        return None
    path = Path(folder)
    return path if path.is_dir() else None


def go_to_folder_of(run: FlowRunRecord, say: Callable[[str], None]) -> None:
    """Make the folder of a run this process's own, and say so if it was not.

    Args:
        run: the recorded run.
        say: called with one sentence.
    """
    folder = recorded_folder(run)
    if folder is None or os.path.realpath(folder) == os.path.realpath(os.getcwd()):
        return
    home = os.environ.get("FLOWDECK_HOME")
    if home:  # the record stays the one that it was
        os.environ["FLOWDECK_HOME"] = os.path.abspath(home)
    os.chdir(folder)
    say(f"in the folder of the run: {folder}")

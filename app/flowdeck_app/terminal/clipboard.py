"""Copying that works: the terminal's OSC 52 and, where there is one, the computer's own tool.

Several terminals ignore OSC 52, and a tool is of no use over ssh: both are tried.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Terminals drop longer sequences (bytes before encoding).
MOST_OSC52: Final = 100_000
_TIMEOUT: Final = 2.0  # seconds for a tool


def osc52(text: str, environment: Mapping[str, str]) -> str | None:
    """Return the escape sequence that asks the terminal to copy; ``None`` if it is too long.

    Inside tmux the sequence is wrapped so that it reaches the outer terminal.
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) > MOST_OSC52:
        return None
    sequence = f"\x1b]52;c;{base64.b64encode(raw).decode('ascii')}\x07"
    if environment.get("TMUX"):
        return f"{sequence}\x1bPtmux;\x1b{sequence}\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        return f"\x1bP{sequence}\x1b\\"
    return sequence


def native_tool(
    environment: Mapping[str, str],
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
) -> list[str] | None:
    """Return the command that takes text on stdin into the clipboard, if there is one.

    Args:
        environment: which tells the kind of desktop.
        platform: as ``sys.platform``.
        which: finds a program by its name.
    """
    candidates: list[tuple[bool, list[str]]] = [
        (platform == "darwin", ["pbcopy"]),
        (bool(environment.get("WAYLAND_DISPLAY")), ["wl-copy"]),
        (bool(environment.get("DISPLAY")), ["xclip", "-selection", "clipboard"]),
        (bool(environment.get("DISPLAY")), ["xsel", "--clipboard", "--input"]),
        (bool(environment.get("WSL_DISTRO_NAME")), ["clip.exe"]),
    ]
    for fits, command in candidates:
        found = which(command[0]) if fits else None
        if found:
            return [found, *command[1:]]
    return None


def give_to_tool(text: str, command: list[str]) -> bool:
    """Hand the text to a clipboard tool; ``False`` if it fails. Blocks shortly: use a thread."""
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0

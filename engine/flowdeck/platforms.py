"""Where flowdeck runs: Linux and macOS. Elsewhere one sentence says so, before anything else fails."""

from __future__ import annotations

import sys
from typing import Final

_WINDOWS: Final = frozenset({"win32", "cygwin"})


def refusal(platform: str = sys.platform) -> str | None:
    """Say why flowdeck cannot run on a system, with what to do; ``None``: it can."""
    if platform not in _WINDOWS:
        return None
    return (
        "flowdeck runs on Linux and macOS, not on Windows itself: what it knows of processes, locks and "
        "terminals is theirs. On Windows use it inside WSL."
    )


def check(platform: str = sys.platform) -> None:
    """Raise what :func:`refusal` says.

    Raises:
        ImportError: flowdeck cannot run here.
    """
    told = refusal(platform)
    if told is not None:
        raise ImportError(told, name="flowdeck")

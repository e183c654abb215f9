"""Recorded source against the file as it is today: has it changed, and where is the line now?"""

from __future__ import annotations

import difflib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.screens.task.source import source_of
from flowdeck_store.secrets.names import HIDDEN, is_secret
from flowdeck_store.secrets.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flowdeck_app.screens.task.failure_rows import Captured

#: Bytes of a source file that is still read.
MOST: Final = 4_000_000
#: Characters of a line that the record keeps.
KEPT: Final = 400


@dataclass(frozen=True, slots=True)
class Drift:
    """How a recorded frame relates to today's file.

    Attributes:
        state: ``same``, ``moved`` (the same lines stand elsewhere), ``changed``, ``gone`` or
            ``unknown`` (nothing was recorded).
        line: where the failing line is today, as far as can be told.
        diff: unified diff, recorded to today; empty when nothing differs.
    """

    state: str
    line: int
    diff: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What the screen says about it; empty while nothing has changed."""
        return {
            "moved": f"The lines have moved since: line {self.line} today",
            "changed": "The file has changed since this run: showing the recorded text",
            "gone": "The file is not there any more: showing the recorded text",
        }.get(self.state, "")


def read_lines(path: Path) -> list[str] | None:
    """Return the lines of a source file; ``None`` if it is gone, too big or no regular file."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST:
            return None
        return path.read_text("utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return None


def drift(frame: Captured, today: Sequence[str] | None) -> Drift:
    """Compare the recorded lines of a frame with the file.

    Args:
        frame: of a captured exception.
        today: the file's lines, ``None`` if it cannot be read.
    """
    first, recorded = source_of(frame)
    lineno = frame.get("lineno")
    line = lineno if isinstance(lineno, int) else first
    if not recorded:
        return Drift("unknown", line)
    if today is None:
        return Drift("gone", line)
    old = [text.rstrip("\r\n") for text in recorded]
    new = [text[:KEPT] for text in today]
    if any(HIDDEN in text for text in old):  # as the record hides what is secret in source
        new = [text[:KEPT] for text in _concealed(today)]
    if new[first - 1 : first - 1 + len(old)] == old:
        return Drift("same", line)
    place = _find(old, new, first - 1)
    if place is not None:
        return Drift("moved", line + place - (first - 1))
    return _changed(frame, old, new, first, line)


def _concealed(lines: Sequence[str]) -> list[str]:
    """Return the lines as they would be recorded: secrets in them are hidden."""
    text = without_secrets("\n".join(lines), is_secret, code=True)
    concealed = text.split("\n")
    if len(concealed) == len(lines):
        return concealed
    return [without_secrets(line, is_secret, code=True) for line in lines]


def _find(old: Sequence[str], new: Sequence[str], near: int) -> int | None:
    """Return where exactly these lines stand, the place nearest to where they were."""
    size = len(old)
    places = [
        place for place in range(len(new) - size + 1)
        if new[place] == old[0] and list(new[place : place + size]) == list(old)
    ]  # fmt: skip
    return min(places, key=lambda place: abs(place - near), default=None)


def _changed(
    frame: Captured, old: Sequence[str], new: Sequence[str], first: int, line: int
) -> Drift:
    near = max(0, first - 1 - 200)
    window = list(new[near : first - 1 + len(old) + 200])
    matcher = difflib.SequenceMatcher(None, old, window, autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    solid = [
        block
        for block in blocks
        if any(text.strip() for text in old[block.a : block.a + block.size])
    ]
    if not solid:
        diff = difflib.unified_diff(list(old), [], "as recorded", "today", lineterm="")
        return Drift("changed", line, tuple(diff))
    start = max(0, solid[0].b - solid[0].a)
    end = min(len(window), solid[-1].b + len(old) - solid[-1].a)
    diff = difflib.unified_diff(
        list(old), window[start:end], "as recorded", "today", lineterm="", n=len(old)
    )
    return Drift("changed", _mapped(solid, line - first, near, line), tuple(diff))


def _mapped(blocks: Sequence[difflib.Match], place: int, near: int, line: int) -> int:
    """Return today's number of a recorded line: exact if it is still there, else close to it."""
    for block in blocks:
        if block.a <= place < block.a + block.size:
            return near + block.b + place - block.a + 1
    before = [block for block in blocks if block.a <= place]
    block = before[-1] if before else blocks[0]
    return max(1, near + block.b + place - block.a + 1)

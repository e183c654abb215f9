"""Log lines made shorter: tracebacks as one line, lines of one pattern as one with their number.

Pure. What is left out is the same for every reader, and one key away: nothing here looks at a store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.read.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

_BEGIN: Final = "Traceback (most recent call last):"
#: What the engine says of every exception.
_OF_ENGINE: Final = "Encountered exception during execution:"
#: Numbers, and what is made of hexadecimal digits with at least one number: it differs from line to line.
_VARIES: Final = re.compile(
    r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\b|\d+(?:[.,:]\d+)*"
)
_REPEATED: Final = re.compile(r"\*(?:[-_.:/,]\*)+")
#: Characters of a message that its pattern is made of.
_LOOKED_AT: Final = 300
#: Patterns that are told apart; what comes then is told apart by its first word.
MOST_PATTERNS: Final = 20_000


def folded_traceback(message: str) -> str | None:
    """Return a message whose traceback is one line: ``ValueError: bad page 4 [traceback of 12 lines]``,
    behind what else it says; ``None`` where there is no traceback in it."""
    place = message.find(_BEGIN)
    if place < 0:
        return None
    lines = message[place:].rstrip().split("\n")
    frames = [number for number, line in enumerate(lines) if line.startswith("  ")]
    behind = lines[frames[-1] + 1 :] if frames else lines[1:]
    raised = next((line for line in behind if line.strip()), "")
    head = message[:place].rstrip().removeprefix(_OF_ENGINE)
    count = f"[traceback of {len(lines)} lines]"
    return " ".join(part for part in (head, raised, count) if part)


def pattern_of(message: str) -> str:
    """Return what a message has in common with others of its kind: ``GET /invoices?page=*``."""
    text = folded_traceback(message) or message
    return _REPEATED.sub("*", _VARIES.sub("*", text[:_LOOKED_AT]))


@dataclass(slots=True)
class PatternGroup:
    """The lines of one pattern.

    Attributes:
        first: sequence number of the first of them.
        count: how many there are.
        text: the message itself while all are the same, else the pattern.
        origin: number of the task run that wrote them; ``None``: several did.
        run_id: number of its flow run; level, time and logger are those of the first line, too.
    """

    first: int
    count: int
    text: str
    origin: int | None
    run_id: int
    us: int
    level: int
    logger: str
    exact: bool = True


class LogPatterns:
    """The patterns of the lines that were added, in the order of their first lines."""

    def __init__(self) -> None:
        self.groups: list[PatternGroup] = []
        self.reached = 0
        self._by_key: dict[tuple[int, str], PatternGroup] = {}

    def add(self, lines: Iterable[tuple[int, int, int, int, int, str, str]]) -> None:
        """Add lines: sequence number, run, number of the task run, time, level, logger, message."""
        by_key = self._by_key
        for seq, run_id, task_no, us, level, logger, message in lines:
            pattern = pattern_of(message)
            key = (level, pattern)
            found = by_key.get(key)
            if found is None and len(by_key) >= MOST_PATTERNS:
                pattern = f"{pattern.partition(' ')[0]} …"
                key = (level, pattern)
                found = by_key.get(key)
            if found is None:
                found = PatternGroup(seq, 1, message, task_no, run_id, us, level, logger)
                by_key[key] = found
                self.groups.append(found)
            else:
                found.count += 1
                if found.exact and found.text != message:
                    found.exact, found.text = False, pattern
                if (found.run_id, found.origin) != (run_id, task_no):
                    found.origin = None
            self.reached = seq


def pattern_rows(found: LogPatterns) -> tuple[list[LogRecord], dict[int, int]]:
    """Return patterns as log lines, and of each that stands for several how many they are, by the
    number of the first."""
    rows = [
        LogRecord(
            group.first,
            group.run_id,
            group.origin or 0,
            group.us,
            group.level,
            group.logger,
            group.text,
        )
        for group in found.groups
    ]
    return rows, {group.first: group.count for group in found.groups if group.count > 1}

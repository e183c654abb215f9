"""What is counted of a run's log part by part: levels over time, and the patterns of its lines.

A log may have a million lines and grow. So only what is new is read, some at a time and beside the
rows that are scrolled; what was counted is kept until the filter or the run changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.access import SLOW
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.views.log.folds import LogPatterns
from flowdeck_app.views.log.levels import MOST_BINS, LevelBins

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.widget import Widget

    from flowdeck_app.access import StoreAccess
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import LogRecord
    from flowdeck_store.read.tree.levels import LevelPart

#: Lines whose patterns are made at once: 30 ms, in which the event loop gets its share.
_LINES: Final = 5_000
#: Seconds between two times that patterns are shown while there are further lines.
_OFTEN: Final = 0.3


@dataclass(frozen=True, slots=True)
class LogSubject:
    """Of which lines: the run, whether with all that is below it, the filter; in a replay also how
    often it went back, as lines are there no more then."""

    access: StoreAccess
    run_id: int
    whole: bool
    query: str
    turns: int = 0

    def run_ids(self, reader: Reader) -> list[int]:
        """Return the runs whose lines these are."""
        return [*reader.run_tree(self.run_id)] if self.whole else [self.run_id]


class LevelReading:
    """Counts the levels of a log.

    Args:
        owner: the widget that it reads for.
        counted: is told the counts whenever there are more.
        failed: hears of errors.
    """

    def __init__(
        self,
        owner: Widget,
        counted: Callable[[LevelBins], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self.bins = LevelBins(0)
        self._counted = counted
        self._subject: LogSubject | None = None
        self._runs: list[int] = []
        self._reading = Renewal(owner, self._load, failed, rest=0.2)

    def ask(self, subject: LogSubject, zero_us: int, span_us: int) -> None:
        """Count what is new; another subject is counted from its first line on.

        Args:
            subject: of which lines.
            zero_us: when the run was made.
            span_us: how long it has taken.
        """
        if subject != self._subject or zero_us != self.bins.zero_us:
            self._subject, self.bins = subject, LevelBins(zero_us, span_us)
            self._reading.now()
        else:
            self._reading.ask()

    async def _load(self) -> None:
        subject, bins = self._subject, self.bins
        if subject is None:
            return
        after, zero_us, width_us = bins.reached, bins.zero_us, bins.width_us

        def read(reader: Reader) -> tuple[list[int], LevelPart]:
            runs = subject.run_ids(reader)
            return runs, reader.level_part(
                runs, subject.query, after_seq=after, zero_us=zero_us, width_us=width_us
            )

        runs, part = await subject.access.ask(read, SLOW)
        if bins is not self.bins:
            return
        if after and runs != self._runs:  # a subflow has begun: its first lines may lie before
            self.bins = LevelBins(zero_us, width_us * MOST_BINS // 2)
            self._reading.ask()
        else:
            bins.add(part.counts, part.reached)
            self._counted(bins)
            if part.more:
                self._reading.ask()
        self._runs = runs


class PatternReading:
    """Folds the lines of a log that have the same pattern.

    Args:
        owner: the widget that it reads for.
        found: is told the patterns whenever there are more lines.
        failed: hears of errors.
    """

    def __init__(
        self,
        owner: Widget,
        found: Callable[[LogPatterns], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self._found = found
        self._shown_at = 0.0
        self._patterns = LogPatterns()
        self._subject: LogSubject | None = None
        self._reading = Renewal(owner, self._load, failed)

    def ask(self, subject: LogSubject) -> None:
        """Look at what is new; another subject is looked at from its first line on."""
        if subject != self._subject:
            self._subject, self._patterns = subject, LogPatterns()
            self._reading.now()
        else:
            self._reading.ask()

    def forget(self) -> None:
        """Let go of all that was found."""
        self._subject, self._patterns = None, LogPatterns()

    async def _load(self) -> None:
        subject, patterns = self._subject, self._patterns
        if subject is None:
            return

        def read(reader: Reader) -> int:
            lines = _some(reader, subject, patterns.reached)
            patterns.add(
                (x.seq, x.run_id, x.task_no, x.us, x.level, x.logger, x.message) for x in lines
            )
            return len(lines)

        count = await subject.access.ask(read, SLOW)
        if patterns is not self._patterns:
            return
        if count == _LINES:
            self._reading.now()
        if count < _LINES or time.monotonic() - self._shown_at > _OFTEN:
            self._shown_at = time.monotonic()
            self._found(patterns)


def _some(reader: Reader, subject: LogSubject, after: int) -> list[LogRecord]:
    return reader.tree_logs(
        subject.run_ids(reader), query=subject.query, after_seq=after, limit=_LINES
    )

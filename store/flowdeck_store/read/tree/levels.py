"""Reading how many log lines of which level there were when: a part at a time.

The lines of a run may be a million, and more come. So what reads them says how far it has come, and
counts only what lies behind; a part is about :data:`PART` lines, 30 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.read.tree.runs import TreeRunReads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_store.query.language import Query

#: Lines that are counted at once, about.
PART: Final = 100_000


@dataclass(frozen=True, slots=True)
class LevelPart:
    """What was counted of a part of a log.

    Attributes:
        counts: stretch of time, rank of the level (0: below warnings, 1: warnings, 2: errors), number
            of lines, and the sequence number of the first of them.
        reached: sequence number up to which lines are counted.
        more: there are further ones.
    """

    counts: tuple[tuple[int, int, int, int], ...]
    reached: int
    more: bool


class LevelReads(TreeRunReads):
    """The counts of levels over time; part of :class:`flowdeck_store.read.reader.Reader`."""

    def level_part(
        self,
        run_ids: Sequence[int],
        query: Query | str | None = None,
        *,
        after_seq: int,
        zero_us: int,
        width_us: int,
    ) -> LevelPart:
        """Count the next part of the lines of runs, by level and stretch of time.

        Args:
            run_ids: of the runs.
            query: a filter of log lines.
            after_seq: up to where they are counted already.
            zero_us: when stretch 0 begins.
            width_us: how long a stretch is.

        Raises:
            QueryError: the filter is wrong.
        """
        lines, first, last = self._runs_log_range(run_ids)
        low = max(after_seq + 1, first)
        if not lines or low > last:
            return LevelPart((), after_seq, False)
        high = min(last, low + max(PART, PART * (last - first + 1) // lines))
        where, parameters = self._of_runs(run_ids, low, query, high)
        counts = self._rows(
            "SELECT max(0, l.us - ?) / ?, "
            "CASE WHEN l.level >= 40 THEN 2 WHEN l.level >= 30 THEN 1 ELSE 0 END, "
            f"count(*), min(l.seq) FROM logs l WHERE {where} GROUP BY 1, 2",
            (zero_us, width_us, *parameters),
        )
        return LevelPart(tuple(tuple(row) for row in counts), high, high < last)

"""Log lines as the console shows them, and those that a search has found."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing import times
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.levels import level_style, level_word
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_app.views.log.folds import folded_traceback
from flowdeck_store.safe import lines, one_line
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_app.views.log.folds import PatternGroup
    from flowdeck_store.read.records import LogRecord
    from flowdeck_store.search import Hit

_HITS: Final = (
    TextColumn("When"),
    TextColumn("Run"),
    TextColumn("Flow", least=6),
    TextColumn("Level"),
    TextColumn("Text", least=20),
)
_RUN_LOGGERS: Final = frozenset({"flowdeck.flow_runs", "flowdeck.task_runs"})


def log_lines(record: LogRecord, speaker: str | None, look: Look) -> list[str]:
    """Return one log line as text, several lines when its message has them.

    Args:
        record: the line.
        speaker: ``Flow run 'brave-otter'`` or ``Task run 'fetch-3'``, shown where the run's own
            logger spoke; other loggers show their name.
        look: what the place can show.
    """
    name = speaker if speaker and record.logger in _RUN_LOGGERS else one_line(record.logger, 200)
    level = logging.getLevelName(record.level)
    first, *rest = lines(record.message)
    style = level_style(record.level)
    head = look.paint(f"{times.clock(record.us, fraction=3)} |", "dim")
    return [
        f"{head} {look.paint(f'{level:<7}', style)} {look.paint('|', 'dim')} {name} - {first}",
        *rest,
    ]


def pattern_lines(groups: Iterable[PatternGroup], look: Look) -> Iterator[str]:
    """Yield the patterns of log lines, one a line: when the first was, its level, how many there are."""
    for group in groups:
        level = logging.getLevelName(group.level)
        head = look.paint(f"{times.clock(group.us, fraction=3)} |", "dim")
        count = f"{look.symbols.times}{group.count:<6}" if group.count > 1 else " " * 7
        text = one_line(folded_traceback(group.text) or group.text, 2000)
        bar = look.paint("|", "dim")
        yield f"{head} {look.paint(f'{level:<7}', level_style(group.level))} {bar} {count} {text}"


def pattern_object(group: PatternGroup) -> dict[str, Any]:
    """Return the pattern of log lines as JSON."""
    return {
        "pattern": group.text,
        "lines": group.count,
        "level": logging.getLevelName(group.level),
        "first": iso(group.us),
        "flow_run": group.run_id,
        "task_run": f"{group.run_id}.{group.origin}" if group.origin else None,
    }


def speaker(name: str, *, is_task: bool) -> str:
    """Return who speaks in a run's own log lines."""
    return f"{'Task' if is_task else 'Flow'} run '{one_line(name, 120)}'"


def hit_table(hits: Sequence[Hit], look: Look) -> list[str]:
    """Return a heading and one line for each log line or failure that was found."""
    rows: list[Row] = [
        [
            times.calendar(hit.us, look.now_us, dash=look.dash),
            hit.ref,
            clean(hit.flow),
            (level_word(hit.level), level_style(hit.level)),
            clean(hit.text),
        ]
        for hit in hits
    ]
    return table(_HITS, rows, look)

"""Waiting for the record to change, and reading what is new in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flowdeck_app.cli.common import look_after_dead
from flowdeck_app.text.logs import log_lines, speaker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck_app.text.look import Look
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord, LogRecord

POLL = 0.05  # seconds between looks at whether anything changed: costs microseconds
PULSE = 1.0  # seconds after which clocks on the screen have moved even when nothing happened
LOOK_AFTER = 2.0  # seconds between looks for runs whose process is gone
PAGE = 500


def changes(reader: Reader, deadline: float | None = None) -> Iterator[bool]:
    """Yield at once, then whenever the record changed (true) or a second passed (false).

    Args:
        reader: the record.
        deadline: stop at this :func:`time.monotonic` time.
    """
    version = reader.data_version()
    looked = yielded = time.monotonic()
    yield True
    while deadline is None or time.monotonic() < deadline:
        now = time.monotonic()
        if now - looked >= LOOK_AFTER:
            look_after_dead()
            looked = now
        newest = reader.data_version()
        if newest != version or now - yielded >= PULSE:
            changed, version, yielded = newest != version, newest, now
            yield changed
        else:
            time.sleep(POLL)


def until_final(
    reader: Reader, run: FlowRunRecord, deadline: float | None = None
) -> Iterator[FlowRunRecord]:
    """Yield the run whenever it may have changed; the last one is final unless time is up.

    A run that is deleted while it is watched ends the iteration.
    """
    if run.is_final:
        yield run
        return
    for _ in changes(reader, deadline):
        fresh = reader.run(run.id)
        if fresh is None:
            return
        yield fresh
        if fresh.is_final:
            return


def wait_for(
    reader: Reader, run: FlowRunRecord, seconds: float | None = None
) -> FlowRunRecord | None:
    """Wait until a run is over or ``seconds`` have passed, and return it as it is then.

    Returns:
        ``None`` when it was deleted meanwhile.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    for _ in until_final(reader, run, deadline):
        pass
    return reader.run(run.id)


class Speakers:
    """Who speaks in log lines: looked up once for each task run."""

    def __init__(self, reader: Reader, run: FlowRunRecord) -> None:
        self._reader = reader
        self._run_id = run.id
        self._names = {0: speaker(run.name, is_task=False)}

    def of(self, records: Iterable[LogRecord]) -> list[tuple[LogRecord, str]]:
        """Return each line with its speaker."""
        found = list(records)
        missing = sorted({record.task_no for record in found} - self._names.keys())
        if len(self._names) > 50_000:  # a watched run may have millions of task runs
            self._names = {0: self._names[0]}
        if missing:
            for task in self._reader.tasks_by_nos(self._run_id, missing):
                self._names[task.no] = speaker(task.name, is_task=True)
        return [(record, self._names.get(record.task_no, "")) for record in found]

    def lines(self, records: Iterable[LogRecord], look: Look) -> Iterator[str]:
        """Yield log lines as text."""
        for record, name in self.of(records):
            yield from log_lines(record, name, look)

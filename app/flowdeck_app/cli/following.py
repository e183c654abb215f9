"""Waiting for the record to change, and reading what is new in it.

SQLite tells another process nothing: whoever waits has to look. A look at ``data_version`` takes
microseconds and no lock, so it is made twenty times a second, and only where that has changed is
anything read. Runs whose process is gone never change by themselves: every two seconds dead
processes are looked after, or ``flowdeck wait`` would wait for ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.record import look_after_dead
from flowdeck_app.reports.logs import log_lines, speaker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, LogRecord

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

    Args:
        reader: the record.
        run: the run as it was read.
        deadline: a :func:`time.monotonic` time; ``None``: however long it takes.
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

    def with_names(self, records: Iterable[LogRecord]) -> list[tuple[LogRecord, str]]:
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
        for record, name in self.with_names(records):
            yield from log_lines(record, name, look)


class LogLines:
    """The log lines of a run, in batches: what is there, then what comes.

    Args:
        reader: of the record.
        run: the run.
        no: number of the task run whose lines are wanted; ``None``: all.
        query: a filter of task runs; ``None``: all.
        minimum: the least level.
        search: what lines must contain.
    """

    def __init__(
        self,
        reader: Reader,
        run: FlowRunRecord,
        no: int | None = None,
        query: str | None = None,
        minimum: int = 0,
        search: str | None = None,
    ) -> None:
        self._speakers = Speakers(reader, run)
        self._reader, self._run, self._no = reader, run, no
        self._query, self._minimum, self._search = query, minimum, search
        self._after: int | None = None

    def batches(self, *, follow: bool, tail: int | None) -> Iterator[list[LogRecord]]:
        """Yield what is there, then what comes.

        Args:
            follow: go on until the run is over or deleted.
            tail: only so many of those that are there; ``None``: all.
        """
        if tail is not None:
            last = self._read(limit=max(tail, 1), tail=True)
            self._after = last[-1].seq if last else 0
            yield last if tail else []
        else:
            yield from self._new()
        if not follow:
            return
        for _ in until_final(self._reader, self._run):
            # The run is read before its lines, so a final run has no lines we have not seen.
            yield from self._new()

    def as_json(self, record: LogRecord) -> dict[str, Any]:
        """Return a line as ``--json`` shows it."""
        from flowdeck_store.read import json_shape

        return json_shape.log(record)

    def drawn(self, batch: Iterable[LogRecord], look: Look) -> Iterator[str]:
        """Yield a batch as text."""
        return self._speakers.lines(batch, look)

    def _new(self) -> Iterator[list[LogRecord]]:
        while True:
            batch = self._read(limit=PAGE, tail=False)
            if batch:
                self._after = batch[-1].seq
                yield batch
            if len(batch) < PAGE:
                return

    def _read(self, *, limit: int, tail: bool) -> list[LogRecord]:
        return self._reader.logs(
            self._run.id,
            self._no,
            query=self._query,
            min_level=self._minimum,
            text=self._search,
            after_seq=None if tail else self._after,
            limit=limit,
            tail=tail,
        )

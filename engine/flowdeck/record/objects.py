"""Flow runs and task runs as recorded.

All times are aware UTC :class:`~datetime.datetime`, durations seconds. Texts are as recorded: whoever
prints them on a terminal should know that users and their data made them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck.record.base import Recorded
from flowdeck.record.pieces import RecordedLine
from flowdeck.record.rows import Rows, joined, least_limit, query_text, run_columns
from flowdeck_store import ids
from flowdeck_store.errors import NotFound
from flowdeck_store.events import now_us
from flowdeck_store.read import json_shape
from flowdeck_store.read.runs import json_object
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.record.access import Access
    from flowdeck_store.explain.flow_run import RunWhy
    from flowdeck_store.explain.task_run import TaskWhy
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: Seconds between looks at a record that somebody follows; a look costs microseconds.
_POLL: Final = 0.05
#: Log lines that are read at once.
_PAGE: Final = 1_000


class RecordedTask(Recorded):
    """One task run."""

    def __init__(self, access: Access, record: TaskRunRecord) -> None:
        self._access = access
        self._record: TaskRunRecord = record

    @property
    def _place(self) -> tuple[int, int]:
        return self._record.run_id, self._record.no

    @property
    def ref(self) -> str:
        """What the command line calls it: ``1234.17``."""
        return self._record.ref

    @property
    def number(self) -> int:
        """Its number in its flow run, from 1."""
        return self._record.no

    @property
    def task(self) -> str:
        """The task's name."""
        return self._record.task

    @property
    def label(self) -> str:
        """What people call it: ``fetch[7]``, ``fetch-3``, or the name that it was given."""
        return self._record.label

    @property
    def map_index(self) -> int | None:
        """Which child of a ``.map`` it is, from 0."""
        return self._record.map_index

    @property
    def attempt(self) -> int:
        """How many times it was tried."""
        return self._record.attempt

    @property
    def worker(self) -> str | None:
        """Where it ran, if elsewhere."""
        return self._record.worker

    @property
    def flow_run(self) -> RecordedRun:
        """The flow run that it belongs to.

        Raises:
            NotFound: it was deleted.
        """
        with self._access as reader:
            found = reader.run(self._record.run_id)
        if found is None:
            number = self._record.run_id
            raise NotFound(f"Flow run {number} is not in the record any more: it was deleted.")
        return RecordedRun(self._access, found)

    @property
    def inputs(self) -> dict[str, str]:
        """Short texts of the arguments that it got, by parameter."""
        with self._access as reader:
            return reader.task_parameters(*self._place)

    @property
    def upstream(self) -> list[tuple[str, str]]:
        """Where its inputs came from: (parameter or ``wait_for``, task run as ``1234.17``)."""
        with self._access as reader:
            return [(edge.param, edge.ref) for edge in reader.inputs(*self._place)]

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, static ones included."""
        with self._access as reader:
            return reader.task_tags(self._record.run_id, [self.number]).get(self.number, ())

    @property
    def progress(self) -> dict[str, Any] | None:
        """How far it says it is: ``done``, ``total``, ``message``, ``at``."""
        return None if self._record.progress is None else json_shape.progress(self._record.progress)

    @property
    def usage(self) -> dict[str, Any] | None:
        """What it used of the machine, as in ``--json``."""
        return None if self._record.usage is None else json_shape.usage(self._record.usage)

    def as_json(self) -> dict[str, Any]:
        """Return what ``flowdeck task --json`` prints: texts, numbers, lists and dicts of these."""
        from flowdeck_store.explain.json_objects import task_objects

        with self._access as reader:
            return next(task_objects(reader, self._record.run_id, [self._record]))

    def logs(self, *, level: int = 0) -> Rows[RecordedLine]:
        """Return its log lines, oldest first.

        Args:
            level: the least level, a number of :mod:`logging`.
        """
        with self._access as reader:
            lines = reader.logs(*self._place, min_level=level, limit=0)
        return Rows(RecordedLine(line) for line in lines)

    def refreshed(self) -> RecordedTask:
        """Return the task run as it is now.

        Raises:
            NotFound: it was deleted.
        """
        with self._access as reader:
            return RecordedTask(self._access, reader.resolve_task(self.ref))

    def why(self) -> TaskWhy:
        """Return why it went as it did; ``flowdeck why`` says it in sentences."""
        from flowdeck_store.explain.task_run import why_task

        with self._access as reader:
            return why_task(reader, self._record, now_us())

    def to_dict(self, *, inputs: bool = False, results: bool = False) -> dict[str, Any]:
        """Return the task run as columns.

        Args:
            inputs: with its inputs, as ``inputs.NAME``.
            results: with what it returned as ``result``; its preview where it was not kept.
        """
        row: dict[str, Any] = {
            "ref": self.ref, "name": self.name, "task": self.task, "map_index": self.map_index,
            "state": self.state, "message": self.message, "created": self.created,
            "started": self.started, "ended": self.ended, "duration": self.duration,
            "attempt": self.attempt, "worker": self.worker,
        }  # fmt: skip
        if self._record.usage is not None:
            row |= joined("usage", json_shape.usage(self._record.usage).items())
        if inputs:
            row |= joined("inputs", self.inputs.items())
        if results:
            row["result"] = self.result_or_preview()
        return row

    def __repr__(self) -> str:
        return f"<task run {self.ref} {self.name} {self.state}>"


class RecordedRun(Recorded):
    """One flow run."""

    def __init__(self, access: Access, record: FlowRunRecord) -> None:
        self._access = access
        self._record: FlowRunRecord = record

    @property
    def _place(self) -> tuple[int, int]:
        return self._record.id, 0

    @property
    def number(self) -> int:
        """Its number in the record, what the command line takes for ``RUN``."""
        return self._record.id

    @property
    def flow(self) -> str:
        """The flow's name."""
        return self._record.flow

    @property
    def runner(self) -> str | None:
        """The task runner: ``concurrent``, ``dask``..."""
        return self._record.runner

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self._record.tags

    @property
    def file(self) -> str | None:
        """The flow's file."""
        return json_shape.file_of(self._record.source)

    @property
    def notes(self) -> tuple[str, ...]:
        """What people wrote on it afterwards, oldest first."""
        return tuple(note.text for note in self._record.notes)

    @property
    def parent_task_run(self) -> str | None:
        """The task run (``1234.17``) that stands for it in the run that called it; ``None``: nobody
        called it."""
        return ids.ref(self._record.parent_task) if self._record.parent_task else None

    @property
    def pid(self) -> int | None:
        """Number of its process, on its host."""
        return self._record.pid

    @property
    def host(self) -> str | None:
        """The machine that it ran on."""
        return self._record.host

    def as_json(self) -> dict[str, Any]:
        """Return what ``flowdeck runs --json`` prints: texts, numbers, lists and dicts of these."""
        from flowdeck_store.explain.json_objects import run_object

        with self._access as reader:
            return run_object(reader, self._record)

    @property
    def is_live(self) -> bool:
        """Whether it had not ended when this was read."""
        return not self._record.is_final

    @property
    def parameters(self) -> dict[str, Any]:
        """The flow's parameters as JSON values, without secrets in texts."""
        return json_object(self._record.params)

    @property
    def counts(self) -> dict[str, int]:
        """How many task runs are in which state: ``completed``, ``failed``, ``not_ready``..."""
        return dict(zip(BUCKETS, self._record.counts, strict=True))

    @property
    def cause(self) -> str | None:
        """What it failed of in one line: ``fetch[7] ConnectionError: 502 for page 7``."""
        with self._access as reader:
            found = reader.cause(self._record)
        return None if found is None else found.headline

    @property
    def children(self) -> Rows[RecordedRun]:
        """Its subflow runs."""
        with self._access as reader:
            return Rows(RecordedRun(self._access, run) for run in reader.children(self.number))

    def tasks(
        self, query: str = "", *, order: str = "number", limit: int = 0
    ) -> Rows[RecordedTask]:
        """Return its task runs.

        Args:
            query: a filter, as ``flowdeck tasks`` takes it: ``state:failed task:fetch*``.
            order: as ``flowdeck tasks --sort``.
            limit: the most to return; 0: all.

        Raises:
            QueryError: the filter is wrong.
            TypeError: the filter is no text.
            ValueError: the order is unknown, or the limit below 0.
        """
        query, limit = query_text(query), least_limit(limit)
        with self._access as reader:
            found = reader.tasks(self.number, query or None, order=order, limit=limit)
        return Rows(RecordedTask(self._access, task) for task in found)

    def task(self, name: str | int) -> RecordedTask:
        """Return one of its task runs by number or name (a unique prefix is enough).

        Raises:
            NotFound: there is none.
            Ambiguous: there are several.
        """
        ref = f"{self.number}.{name}" if isinstance(name, int) else f"{self.number}/{name}"
        with self._access as reader:
            return RecordedTask(self._access, reader.resolve_task(ref))

    def logs(self, query: str = "", *, level: int = 0, text: str = "") -> Rows[RecordedLine]:
        """Return its log lines, those of its task runs included, oldest first.

        Args:
            query: only of task runs that this filter finds.
            level: the least level, a number of :mod:`logging`.
            text: what lines must contain.

        Raises:
            QueryError: the filter is wrong.
            TypeError: the filter is no text.
        """
        query = query_text(query)
        with self._access as reader:
            lines = reader.logs(
                self.number, query=query or None, min_level=level, text=text or None, limit=0
            )
        return Rows(RecordedLine(line) for line in lines)

    def refreshed(self) -> RecordedRun:
        """Return the run as it is now.

        Raises:
            NotFound: it was deleted.
        """
        with self._access as reader:
            return RecordedRun(self._access, reader.resolve_run(str(self.number)))

    def wait(self, timeout: float | None = None) -> RecordedRun:
        """Wait until the run is over, and return it as it is then.

        Args:
            timeout: seconds; ``None`` waits as long as it takes.

        Raises:
            TimeoutError: it had not ended in time.
            NotFound: it was deleted meanwhile.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (run := self.refreshed()).is_live:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"Flow run {self.name!r} had not ended after {timeout:g} s.")
            time.sleep(_POLL)
        return run

    def follow(self) -> Iterator[RecordedLine | RecordedRun]:
        """Yield its log lines from the first on as they are recorded and, each time its counts or
        its state change, the run as it is then; the last thing is the run that is over."""
        last: RecordedRun | None = None
        after: int | None = None
        while True:
            run = self.refreshed()  # before its lines, so that none of a final run is missed
            while True:
                with self._access as reader:
                    lines = reader.logs(self.number, after_seq=after, limit=_PAGE)
                yield from map(RecordedLine, lines)
                if lines:
                    after = lines[-1].seq
                if len(lines) < _PAGE:
                    break
            if last is None or (run.state, run.counts) != (last.state, last.counts):
                yield run
                last = run
            if not run.is_live:
                return
            time.sleep(_POLL)

    def why(self) -> RunWhy:
        """Return why it went as it did; ``flowdeck why`` says it in sentences."""
        from flowdeck_store.explain.flow_run import why_run

        with self._access as reader:
            return why_run(reader, self._record, now_us())

    def to_dict(
        self, *, parameters: bool = False, results: bool = False, figures: bool = False
    ) -> dict[str, Any]:
        """Return the run as columns.

        Args:
            parameters: with its parameters, as ``parameters.NAME``.
            results: with what it returned as ``result``; its preview where it was not kept.
            figures: with its numbers, as ``figures.NAME``: see :attr:`figures`.
        """
        row: dict[str, Any] = {
            "number": self.number, "name": self.name, "flow": self.flow, "state": self.state,
            "cause": self.cause, "created": self.created, "started": self.started,
            "ended": self.ended, "duration": self.duration, "runner": self.runner,
            "tags": self.tags,
        }  # fmt: skip
        return row | run_columns(self, parameters=parameters, results=results, figures=figures)

    def __repr__(self) -> str:
        return f"<flow run #{self.number} {self.name} ({self.flow}) {self.state}>"

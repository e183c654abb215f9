"""From events to the rows of one ingest statement.

Many state changes of a task run become one row of ``task_runs`` and all stay in ``states``; counters
become one row of differences a run. Each list holds rows in the order that the trigger in
:mod:`flowdeck_store.file.tables.ingest_ddl` reads them; their first item names the flow run (number or uid).
"""

from __future__ import annotations

import json
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck_store import events as ev
from flowdeck_store.file.tables.ingest_ddl import AFTER_THE_END
from flowdeck_store.ids import MAX_NUMBER
from flowdeck_store.packed import digest_of
from flowdeck_store.record.measured import MeasuredRows
from flowdeck_store.states import (
    BUCKET_OF_CODE,
    BUCKETS,
    DEFAULT_NAMES,
    PENDING,
    RUNNING,
    bucket,
    is_final,
)
from flowdeck_store.text import MESSAGE_BYTES, clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.events import Event

RunRef: TypeAlias = int | str  # its number, or its uid until the number is known
Row: TypeAlias = list[Any]

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_WARNING, _ERROR = 30, 40
_LOGS, _WARN, _ERR = len(BUCKETS), len(BUCKETS) + 1, len(BUCKETS) + 2
_LONG: Final = MESSAGE_BYTES // 4
_PENDING_BUCKET: Final = BUCKET_OF_CODE[PENDING]


class BadEvent(Exception):
    """The event cannot be recorded; the text says why."""


class KnownIds:
    """What the writer knows of the store: numbers of runs, definitions and loggers."""

    __slots__ = ("defs", "loggers", "runs", "tracebacks")

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        self.defs: dict[str, int] = {}
        self.loggers: dict[str, int] = {}
        self.tracebacks: set[bytes] = set()

    def clear(self) -> None:
        """Forget everything: the store is another one, or rows are gone."""
        self.__init__()  # type: ignore[misc]


class Batch:
    """Rows of one flush.

    Args:
        known: numbers that need not be looked up.
        find_run: asks the store for the number of a uid that is not known; ``None``: no such run.
        find_def: asks it for the number of a task definition's key.
    """

    def __init__(
        self,
        known: KnownIds,
        find_run: Callable[[str], int | None],
        find_def: Callable[[str], int | None],
    ) -> None:
        self._known, self._find_run, self._find_def = known, find_run, find_def
        self.new_runs: set[str] = set()
        self.new_defs: dict[str, Row] = {}
        self.new_loggers: dict[str, None] = {}
        self.new_tracebacks: set[bytes] = set()
        self.text_bytes = 0  # roughly, of log lines and failures
        self._missing: set[str] = set()
        self._flows: dict[tuple[str, str], Row] = {}
        self._runs: list[Row] = []
        self._tasks: dict[tuple[str, int], Row] = {}
        self._task_states: dict[tuple[str, int], Row] = {}
        self._run_states: dict[RunRef, Row] = {}
        self._renames: list[Row] = []
        self._children: list[Row] = []
        self._states: list[tuple[Any, ...]] = []
        self._logs: list[tuple[Any, ...]] = []
        self._counts: dict[RunRef, list[int]] = {}
        self._inputs: list[Row] = []
        self._task_tags: list[Row] = []
        self._results: list[Row] = []
        self._tracebacks: list[Row] = []
        self._failures: list[Row] = []
        self._artifacts: list[Row] = []
        self._measured = MeasuredRows()
        self._caches: list[Row] = []
        self._texts: dict[bytes, Row] = {}
        self._provenance: list[Row] = []
        self._blob = bytearray()

    def add(self, event: Event) -> None:
        """Add an event's rows.

        Raises:
            BadEvent: its run is not in the store, or a field is impossible.
            TypeError, ValueError, LookupError: it has not the shape of its kind.
        """
        _HANDLERS[event[ev.KIND]](self, *event)

    def sections(self) -> dict[str, str | bytes | None]:
        """Return the JSON of every column of the ingest view that has rows.

        Raises:
            ValueError: a number is not finite.
        """
        lists: dict[str, list[Any]] = {
            "flows": list(self._flows.values()),
            "runs": self._runs,
            "defs": list(self.new_defs.values()),
            "tasks": list(self._tasks.values()),
            "task_states": list(self._task_states.values()),
            "run_states": list(self._run_states.values()),
            "renames": self._renames,
            "children": self._children,
            "states": self._states,
            "loggers": list(self.new_loggers),
            "logs": self._logs,
            "counts": [[run, *deltas] for run, deltas in self._counts.items()],
            "inputs": self._inputs,
            "task_tags": self._task_tags,
            "results": self._results,
            "tracebacks": self._tracebacks,
            "failures": self._failures,
            "artifacts": self._artifacts,
            "caches": self._caches,
            "texts": list(self._texts.values()),
            "provenance": self._provenance,
            **self._measured.sections(),
        }
        found: dict[str, str | bytes | None] = {
            name: _ENCODE(rows) for name, rows in lists.items() if rows
        }
        if self._blob:
            found["blob"] = bytes(self._blob)
        return found

    def _ref(self, uid: str) -> RunRef:
        """Return what names a flow run in a row."""
        number = self._known.runs.get(uid)
        if number is not None:
            return number
        if uid in self.new_runs:
            return uid
        number = None if uid in self._missing else self._find_run(uid)
        if number is None:
            self._missing.add(uid)
            raise BadEvent(f"there is no flow run with the uid {uid!r}")
        self._known.runs[uid] = number
        return number

    def _count(self, run: RunRef) -> list[int]:
        deltas = self._counts.get(run)
        if deltas is None:
            deltas = self._counts[run] = [0] * (_ERR + 1)
        return deltas

    def _run(
        self, _kind: int, uid: str, us: int, flow_key: str, flow_name: str, source: str | None,
        doc: str | None, name: str, runner: str | None, params: str | None, tags: str | None,
        parent_uid: str | None, parent_no: int | None, rerun_of: str | None, info: str | None,
    ) -> None:  # fmt: skip
        self._flows[flow_key, flow_name] = [flow_key, flow_name, source, doc, us]
        self._runs.append(
            [uid, flow_key, name, runner, us, params, tags, rerun_of, info, flow_name]
        )
        self.new_runs.add(uid)
        run = self._known.runs.get(uid, uid)
        self._run_states[run] = [run, PENDING, None, us, None, None, None, 1]
        self._states.append((run, 0, PENDING, us, None, None, None))
        if parent_uid is not None and parent_no is not None:
            self._child(uid, parent_uid, parent_no)

    def _child(self, uid: str, parent_uid: str, parent_no: int) -> None:
        try:
            self._children.append([uid, self._ref(parent_uid), parent_no])
        except BadEvent:
            pass  # the parent was deleted, or is in another store: the run stands on its own

    def _task_def(
        self, _kind: int, key: str, name: str, source: str | None, tags: str | None, retries: int
    ) -> None:
        self.new_defs[key] = [key, name, source, tags, retries]

    def _task(
        self, _kind: int, uid: str, no: int, us: int, def_key: str, name: str,
        map_index: int | None, inputs: tuple[tuple[str, str | None, int], ...] | None,
    ) -> None:  # fmt: skip
        run = self._ref(uid)
        if not 0 < no <= MAX_NUMBER:
            raise BadEvent(f"a task run's number is 1 to {MAX_NUMBER}, not {no}")
        definition = self._definition(def_key)
        self._tasks[uid, no] = [
            run, no, definition or def_key, name, map_index, us, PENDING, None, us, None, None,
            None, 1, None,
        ]  # fmt: skip
        self._states.append((run, no, PENDING, us, None, None, None))
        self._count(run)[_PENDING_BUCKET] += 1
        for param, upstream_uid, upstream_no in inputs or ():
            try:
                upstream = run if upstream_uid is None else self._ref(upstream_uid)
            except BadEvent:
                continue  # the upstream's run is not in this store: the edge leads nowhere
            self._inputs.append([run, no, upstream, upstream_no, param])

    def _definition(self, key: str) -> int | None:
        """Return the number of a task definition; ``None``: the batch adds it."""
        number = self._known.defs.get(key)
        if number is not None or key in self.new_defs:
            return number
        # Stored before this writer began to note numbers: by a session whose journal is replayed.
        number = self._find_def(key)
        if number is None:
            # It was never emitted: better a bare one than no task run.
            self.new_defs[key] = [key, key.rpartition(":")[2], None, None, 0]
        else:
            self._known.defs[key] = number
        return number

    def _tags(self, _kind: int, uid: str, no: int, tags: str) -> None:
        self._task_tags.append([self._ref(uid), no, tags])

    def _state(
        self, _kind: int, uid: str, no: int, prev: int, code: int, us: int, name: str | None,
        msg: str | None, attempt: int, worker: str | None, data: str | None,
    ) -> None:  # fmt: skip
        run = self._known.runs.get(uid) or self._ref(uid)
        if name is not None and name == DEFAULT_NAMES[code]:
            name = None
        if msg is not None and len(msg) > _LONG:
            msg = clip(msg)
        target = bucket(code, name)
        ended = us if is_final(code, name) else None
        started = us if code == RUNNING else None
        if no == 0:
            row = self._run_states.get(run)
            if row is not None:
                if row[6] is not None:
                    raise BadEvent(AFTER_THE_END)
                started = row[5] or started
            self._run_states[run] = [run, code, name, us, msg, started, ended, attempt]
            self._states.append((run, no, code, us, name, msg, data))
            return
        self._task_state(run, uid, no, [code, name, us, msg, started, ended, attempt, worker])
        self._states.append((run, no, code, us, name, msg, data))
        deltas = self._count(run)
        deltas[target] += 1
        if prev >= 0:
            deltas[prev] -= 1
        if data is not None and '"child"' in data:
            child = json.loads(data).get("child")
            if isinstance(child, str):
                self._child(child, uid, no)

    def _task_state(self, run: RunRef, uid: str, no: int, now: Row) -> None:
        """Let only the newest state of a task run reach its row; the first start and a worker stay."""
        row = self._tasks.get((uid, no))
        if row is not None:
            if row[11] is not None:
                raise BadEvent(AFTER_THE_END)
            now[4] = row[10] or now[4]
            now[7] = now[7] or row[13]
            row[6:14] = now
            return
        row = self._task_states.get((uid, no))
        if row is not None:
            if row[7] is not None:
                raise BadEvent(AFTER_THE_END)
            now[4] = row[6] or now[4]
            now[7] = now[7] or row[9]
            row[2:10] = now
            return
        self._task_states[uid, no] = [run, no, *now]

    def _log(
        self, _kind: int, uid: str, no: int, us: int, level: int, logger: str, msg: str
    ) -> None:
        run = self._known.runs.get(uid) or self._ref(uid)
        size = len(msg)
        if size > _LONG:
            msg = clip(msg)
        source: int | str | None = self._known.loggers.get(logger)
        if source is None:
            self.new_loggers[logger] = None
            source = logger
        deltas = self._counts.get(run) or self._count(run)
        if level >= _WARNING:
            deltas[_ERR if level >= _ERROR else _WARN] += 1
        deltas[_LOGS] += 1
        self._logs.append((run, no, us, level, source, msg))
        self.text_bytes += size

    def _result(
        self, _kind: int, uid: str, no: int, us: int, type_: str, size: int | None,
        preview: str | None, location: str | None,
    ) -> None:  # fmt: skip
        preview = clip(preview) if preview is not None else None
        self._results.append([self._ref(uid), no, us, type_, size, preview, location])

    def _failure(
        self, _kind: int, uid: str, no: int, us: int, attempt: int, exc_type: str, exc_msg: str,
        structure: str, variables: str,
    ) -> None:  # fmt: skip
        run = self._ref(uid)
        data = structure.encode("utf-8", "backslashreplace")
        name = exc_type.encode("utf-8", "backslashreplace")
        digest = blake2b(name + b"\0" + data, digest_size=16).digest()
        at = len(self._blob) + 1  # substr counts from 1
        self._blob += digest
        if digest not in self._known.tracebacks and digest not in self.new_tracebacks:
            packed = zlib.compress(data)
            self._blob += packed
            self._tracebacks.append([at, len(packed)])
            self.new_tracebacks.add(digest)
        message = clip(exc_msg)
        self._failures.append([run, no, us, attempt, exc_type, message, at, variables])
        self.text_bytes += len(variables) + len(structure)

    def _rename(self, _kind: int, uid: str, no: int, name: str) -> None:
        run = self._ref(uid)
        row = self._tasks.get((uid, no))
        if row is not None:
            row[3] = name
        else:
            self._renames.append([run, no, name])

    def _cache(
        self, _kind: int, uid: str, no: int, us: int, key: str, expires_us: int | None,
        location: str,
    ) -> None:  # fmt: skip
        self._caches.append([self._ref(uid), no, key, us, expires_us, location])

    def _artifact(
        self, _kind: int, uid: str, no: int, us: int, type_: str, key: str | None, data: str,
        _content: object,
    ) -> None:  # fmt: skip
        self._artifacts.append([self._ref(uid), no, us, type_, key, data])

    def _measure(self, kind: int, uid: str, no: int, *fields: Any) -> None:
        self._measured.add(kind, self._ref(uid), no, fields)

    def _ran_as(
        self, _kind: int, uid: str, _no: int, us: int, topic: str, name: str, data: str,
        text: bytes | None,
    ) -> None:  # fmt: skip
        run = self._ref(uid)
        at = None if text is None else self._text(text)
        self._provenance.append([run, topic, name, us, data, at])
        self.text_bytes += len(data) + len(text or b"")

    def _text(self, packed: bytes) -> int:
        """Put a packed text into the blob, once; return where its hash stands."""
        digest = digest_of(packed)
        row = self._texts.get(digest)
        if row is None:
            row = self._texts[digest] = [len(self._blob) + 1, len(packed)]
            self._blob += digest + packed
        at: int = row[0]
        return at


# Not a table of bound methods in each batch: in a cycle with itself, a batch and its thousands of
# rows would stay until the collector comes by.
_HANDLERS: Final[dict[int, Callable[..., None]]] = {
    ev.RUN: Batch._run,
    ev.TASK_DEF: Batch._task_def,
    ev.TASK: Batch._task,
    ev.STATE: Batch._state,
    ev.LOG: Batch._log,
    ev.RESULT: Batch._result,
    ev.FAILURE: Batch._failure,
    ev.RENAME: Batch._rename,
    ev.CACHE: Batch._cache,
    ev.ARTIFACT: Batch._artifact,
    ev.TASK_TAGS: Batch._tags,
    ev.PROVENANCE: Batch._ran_as,
    ev.PROGRESS: Batch._measure,
    ev.USAGE: Batch._measure,
    ev.SAMPLE: Batch._measure,
}

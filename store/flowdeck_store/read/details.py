"""Reading what belongs to one run: states, attempts, edges, results, failures, artifacts."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import failures
from flowdeck_store.events import OUTLINE
from flowdeck_store.ids import MAX_NUMBER, number_of, span, span_with_run, split, task_run_id
from flowdeck_store.labels import label_of
from flowdeck_store.read.base import ReaderBase, Row, at_most
from flowdeck_store.read.records import (
    ArtifactRecord,
    AttemptRecord,
    FailureRecord,
    InputRecord,
    ResultRecord,
    SameFailures,
    StateRecord,
    UpstreamRecord,
)
from flowdeck_store.read.runs import json_object, json_value
from flowdeck_store.states import CANCELLING, COMPLETED, PAUSED, PENDING, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATE: Final = "SELECT seq, run_id, task_no, state, name, us, msg, data FROM states "
_FAILURE: Final = (
    "SELECT f.id, f.run_id, f.task_no, f.us, f.attempt, f.exc_type, f.exc_msg, lower(hex(f.tb)), "
    "b.data, f.locals FROM failures f LEFT JOIN tracebacks b ON b.hash = f.tb "
)
_FAILURE_BARE: Final = (
    "SELECT f.id, f.run_id, f.task_no, f.us, f.attempt, f.exc_type, f.exc_msg, lower(hex(f.tb)), "
    "NULL, NULL FROM failures f "
)
_RESULT: Final = "SELECT task, us, type, size, preview, location FROM results "
_ARTIFACT: Final = "SELECT seq, task, us, kind, key, data FROM artifacts "


def state_record(row: Row) -> StateRecord:
    """Turn a row of ``states`` (columns above) into a record."""
    seq, run_id, no, code, named, us, message, data = row
    return StateRecord(seq, run_id, no, code, named, us, message, json_object(data) or None)


def _failure_record(row: Row) -> FailureRecord:
    id_, run_id, no, us, attempt, exc_type, exc_msg, tb_hash, structure, variables = row
    return FailureRecord(
        id_, run_id, no, us, attempt, exc_type, exc_msg, tb_hash or None,
        _exception(structure, variables, exc_type, exc_msg),
    )  # fmt: skip


def _exception(
    structure: bytes | None, variables: str | None, exc_type: str, exc_msg: str
) -> dict[str, Any] | None:
    if structure is None or variables is None:
        return None
    try:
        return failures.join(zlib.decompress(structure).decode(), variables)
    except (zlib.error, ValueError) as error:
        # A damaged row, or one that was written to break us: type and message are still there.
        said = [f"The recorded traceback is unreadable: {error}."]
        return {"type": exc_type, "message": exc_msg, "notes": said, "frames": []}


def attempts_of(states: Iterable[StateRecord]) -> list[AttemptRecord]:
    """Cut a state history into attempts: each begins with RUNNING and ends with what follows."""
    found: list[AttemptRecord] = []
    start: StateRecord | None = None
    last: StateRecord | None = None

    def close(end: StateRecord, ended_us: int | None) -> None:
        assert start is not None
        found.append(
            AttemptRecord(
                len(found) + 1, start.us, ended_us, end.code, end.named, end.message
            )
        )  # fmt: skip

    for state in states:
        if state.code == RUNNING:
            if start is not None and state.named is not None:  # Retrying without a wait between
                close(state, state.us)
                start = state
            start = start or state
        elif start is not None and state.code not in {PAUSED, CANCELLING, PENDING}:
            close(state, state.us)
            start = None
        last = state
    if start is not None and last is not None:
        close(last, None)
    return found


class DetailReads(ReaderBase):
    """The reads of what belongs to one run; part of :class:`flowdeck_store.read.reader.Reader`.

    ``no`` is a task run's number in its flow run; 0 means the flow run itself.
    """

    def states(self, run_id: int, no: int = 0) -> list[StateRecord]:
        """Return the state history, oldest first."""
        rows = self._rows(f"{_STATE} WHERE run_id = ? AND task_no = ? ORDER BY seq", (run_id, no))
        return [state_record(row) for row in rows]

    def states_page(
        self, run_id: int, *, after: tuple[int, int] = (-1, 0), limit: int = 1_000
    ) -> list[StateRecord]:
        """Return a page of all states of a run, those of the run itself first, then by task run.

        Args:
            run_id: number of the flow run.
            after: (``task_no``, ``seq``) of the last one of the page before.
            limit: the most states to return; 0 for all.
        """
        rows = self._rows(
            f"{_STATE} WHERE run_id = ? AND (task_no, seq) > (?, ?) ORDER BY task_no, seq LIMIT ?",
            (run_id, *after, at_most(limit)),
        )
        return [state_record(row) for row in rows]

    def attempts(self, run_id: int, no: int = 0) -> list[AttemptRecord]:
        """Return the attempts, first to last; none for what never ran (cached, not ready)."""
        return attempts_of(self.states(run_id, no))

    def task_parameters(self, run_id: int, no: int) -> dict[str, str]:
        """Return the (shortened) texts of the inputs that the task run got, by parameter."""
        rows = self._rows(
            "SELECT data FROM states WHERE run_id = ? AND task_no = ? AND state = ? "
            "AND data IS NOT NULL ORDER BY seq",
            (run_id, no, RUNNING),
        )
        for (data,) in rows:
            parameters = json_object(data).get("params")
            if isinstance(parameters, dict):
                return {str(key): str(value) for key, value in parameters.items()}
        return {}

    def inputs(self, run_id: int, no: int) -> list[InputRecord]:
        """Return the edges to this task run from those it takes something from."""
        rows = self._rows(
            "SELECT task, upstream, param FROM task_inputs WHERE task = ? ORDER BY upstream, param",
            (task_run_id(run_id, no),),
        )
        return [InputRecord(*row) for row in rows]

    def downstream(self, run_id: int, no: int) -> list[InputRecord]:
        """Return the edges from this task run to those of its flow run that take something."""
        rows = self._rows(
            "SELECT task, upstream, param FROM task_inputs "
            "WHERE task BETWEEN ? AND ? AND upstream = ? ORDER BY task, param",
            (*span(run_id), task_run_id(run_id, no)),
        )
        return [InputRecord(*row) for row in rows]

    def upstreams(self, run_id: int, nos: Iterable[int]) -> dict[int, list[UpstreamRecord]]:
        """Return what each of these task runs takes its inputs from, with states."""
        ids = [task_run_id(run_id, no) for no in nos]
        rows = self._rows(
            "SELECT i.task, i.param, i.upstream, coalesce(t.name, k.name), k.name, t.map_index, "
            "coalesce(t.state, -1), t.state_name FROM task_inputs i LEFT JOIN task_runs t ON t.id = i.upstream "
            "LEFT JOIN tasks k ON k.id = t.task_id "
            "WHERE i.task IN (SELECT value FROM json_each(?)) ORDER BY i.task, i.upstream, i.param",
            (json.dumps(ids),),
        )
        found: dict[int, list[UpstreamRecord]] = {}
        for task, param, upstream, name, of_task, map_index, *state in rows:
            label = None if name is None else label_of(name, of_task or "", map_index)
            record = UpstreamRecord(param, *split(upstream), name, label, *state)
            found.setdefault(number_of(task), []).append(record)
        return found

    def result(self, run_id: int, no: int = 0) -> ResultRecord | None:
        """Return what is known of the returned value (type, size, preview)."""
        row = self._one(f"{_RESULT} WHERE task = ?", (task_run_id(run_id, no),))
        return None if row is None else ResultRecord(*row)

    def results(self, run_id: int, *, after_no: int = -1, limit: int = 200) -> list[ResultRecord]:
        """Return a page of the results of a run, its own (number 0) first, then by task run."""
        rows = self._rows(
            f"{_RESULT} WHERE task > ? AND task <= ? ORDER BY task LIMIT ?",
            (task_run_id(run_id, after_no), task_run_id(run_id, MAX_NUMBER), at_most(limit)),
        )
        return [ResultRecord(*row) for row in rows]

    def results_by_nos(self, run_id: int, nos: Iterable[int]) -> dict[int, ResultRecord]:
        """Return the results of these task runs (or 0) by number."""
        rows = self._rows(
            f"{_RESULT} WHERE task IN (SELECT value FROM json_each(?))",
            (json.dumps([task_run_id(run_id, no) for no in nos]),),
        )
        return {number_of(row[0]): ResultRecord(*row) for row in rows}

    def outline(self, run_id: int, no: int = 0) -> Any:
        """Return the JSON of what the returned value looks like (:mod:`flowdeck_store.outlines`), of a
        result that was taken over that of the task run it is from; ``None`` if there is none."""
        row = self._one(
            "SELECT data FROM artifacts WHERE task = ? AND kind = ? ORDER BY seq DESC LIMIT 1",
            (task_run_id(run_id, no), OUTLINE),
        )
        if row is not None:
            return json_value(row[0])
        taken_from = (json_object(data).get("reused_from") for data in self._completed(run_id, no))
        for uid, dot, number in (str(ref).rpartition(".") for ref in taken_from if ref):
            run = self._one("SELECT id FROM flow_runs WHERE uid = ?", (uid,))
            if (
                run is not None
                and dot
                and number.isdecimal()
                and (run[0], int(number)) < (run_id, no)
            ):
                return self.outline(run[0], int(number))
        return None

    def _completed(self, run_id: int, no: int) -> list[str]:
        rows = self._rows(
            "SELECT data FROM states WHERE run_id = ? AND task_no = ? AND state = ? "
            "AND data IS NOT NULL",
            (run_id, no, COMPLETED),
        )
        return [row[0] for row in rows]

    def failures(
        self, run_id: int, no: int | None = None, *, limit: int = 200
    ) -> list[FailureRecord]:
        """Return the captured failures of a run or of one task run, oldest first."""
        where, parameters = "f.run_id = ?", [run_id]
        if no is not None:
            where, parameters = f"{where} AND f.task_no = ?", [run_id, no]
        rows = self._rows(
            f"{_FAILURE} WHERE {where} ORDER BY f.id LIMIT ?", (*parameters, at_most(limit))
        )
        return [_failure_record(row) for row in rows]

    def last_failure(self, run_id: int, no: int = 0) -> FailureRecord | None:
        """Return the failure of the last attempt that failed."""
        row = self._one(
            f"{_FAILURE} WHERE f.run_id = ? AND f.task_no = ? ORDER BY f.id DESC LIMIT 1",
            (run_id, no),
        )
        return None if row is None else _failure_record(row)

    def failure(self, failure_id: int) -> FailureRecord | None:
        """Return one captured failure by its id."""
        row = self._one(f"{_FAILURE} WHERE f.id = ?", (failure_id,))
        return None if row is None else _failure_record(row)

    def same_failures(
        self, tb_hash: str, run_id: int | None = None, *, limit: int = 20
    ) -> SameFailures:
        """Return where else the same error happened.

        Args:
            tb_hash: :attr:`FailureRecord.tb_hash`.
            run_id: the run that counts as "here".
            limit: how many examples to return, one a run; 0 for all.
        """
        try:
            key = bytes.fromhex(tb_hash)
        except ValueError:
            return SameFailures(0, 0, ())
        counts = self._one(
            "SELECT count(DISTINCT CASE WHEN run_id IS ? THEN task_no END), "
            "count(DISTINCT CASE WHEN run_id IS NOT ? THEN run_id END) FROM failures WHERE tb = ?",
            (run_id, run_id, key),
        )
        rows = self._rows(
            f"{_FAILURE_BARE} WHERE f.id IN (SELECT max(id) FROM failures WHERE tb = ? "
            "GROUP BY run_id) ORDER BY f.id DESC LIMIT ?",
            (key, at_most(limit)),
        )
        here, elsewhere = counts or (0, 0)
        return SameFailures(here, elsewhere, tuple(_failure_record(row) for row in rows))

    def artifacts(
        self, run_id: int, no: int | None = None, *, kind: str | None = None, limit: int = 200
    ) -> list[ArtifactRecord]:
        """Return the newest artifacts of a run (all of it, or one task run), oldest first."""
        low, high = span_with_run(run_id) if no is None else (task_run_id(run_id, no),) * 2
        rows = self._rows(
            f"{_ARTIFACT} WHERE task BETWEEN ? AND ? AND (? IS NULL OR kind = ?) "
            "ORDER BY seq DESC LIMIT ?",
            (low, high, kind, kind, at_most(limit)),
        )
        return [
            ArtifactRecord(seq, *split(task), us, kind_, key, json_value(data))
            for seq, task, us, kind_, key, data in reversed(rows)
        ]

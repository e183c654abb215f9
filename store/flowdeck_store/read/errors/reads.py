"""Reading failures as groups, and everything about one group.

No table and no index of its own: a tally of ``failures`` by run and traceback is one pass, and each
of the few tracebacks behind it is unpacked once in a process.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import json_text
from flowdeck_store.errors import Ambiguous, NotFound
from flowdeck_store.ids import ref, sql_id, sql_run, task_run_id
from flowdeck_store.labels import label_of
from flowdeck_store.query.values import shown
from flowdeck_store.read.base import as_query
from flowdeck_store.read.details import DetailReads
from flowdeck_store.read.errors.groups import (
    ErrorGroup,
    ErrorPlace,
    StartedRun,
    Tally,
    grouped,
    kinds_of,
    made_good,
    place_of,
    to_repair,
)
from flowdeck_store.read.runs import RunReads, runs_where

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.query.language import Query
    from flowdeck_store.read.records import FailureRecord, FlowRunRecord

_THESE: Final = "IN (SELECT value FROM json_each(?))"
#: Failures of task runs, but for those that stand for subflow runs which have the failure themselves.
_OF_TASK: Final = (
    f"(f.task_no > 0 AND ({sql_id('f.run_id', 'f.task_no')}) NOT IN (SELECT parent_task "
    "FROM flow_runs c WHERE parent_task IS NOT NULL "
    "AND EXISTS (SELECT 1 FROM failures g WHERE g.run_id = c.id)))"
)
#: Of each run and error: task runs, their failures, all failures of task runs, those of the flow.
_TALLIES: Final = (
    "WITH kinds(hash, kind) AS MATERIALIZED (SELECT key, value FROM json_each(?)) "
    "SELECT kind, exc_type, run_id, count(DISTINCT CASE WHEN of_task THEN task_no END), "
    "sum(of_task), sum(task_no > 0), sum(task_no = 0), min(us), max(us), "
    "coalesce(max(CASE WHEN of_task THEN id END), max(id)) FROM ("
    f"SELECT k.kind, f.exc_type, f.run_id, f.task_no, f.us, f.id, {_OF_TASK} AS of_task "
    "FROM failures f LEFT JOIN kinds k ON k.hash = hex(f.tb) {where}) GROUP BY 3, 1, 2"
)
_FACTS: Final = (
    "SELECT r.id, r.uid, coalesce(f.name, ''), r.state, r.rerun_of FROM flow_runs r "
    "LEFT JOIN flows f ON f.id = r.flow_id WHERE "
)
#: Tracebacks whose place is remembered, in this process.
_REMEMBERED: Final = 20_000
_MESSAGES: Final = 20
_EXAMPLES: Final = 50
_OCCURRENCES: Final = 1_000

#: Type and place by hash: what a traceback says never changes.
_known: dict[bytes, tuple[str, ErrorPlace]] = {}


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """One of the messages that an error came with."""

    text: str
    count: int  # failures
    task_run: str | None  # the newest that has it: "1234.17"; None: a flow function
    run_id: int


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """Everything about one group."""

    group: ErrorGroup
    failure: FailureRecord | None  # the newest, with its traceback
    messages: tuple[ErrorMessage, ...]  # the most frequent, up to 20
    n_messages: int  # different ones
    runs: tuple[FlowRunRecord, ...]  # the newest, up to 50
    made_good: dict[int, int]  # of all its runs those that a later run made good
    task_runs: tuple[str, ...]  # the newest, up to 50, as "1234.17"

    @property
    def example(self) -> str | None:
        """The newest failure's task run, or its run where a flow function failed."""
        return None if self.failure is None else _ref(self.failure.run_id, self.failure.task_no)


@dataclass(frozen=True, slots=True)
class ErrorOccurrence:
    """One task run (or flow function: number 0) that failed with an error, by its last failure."""

    failure: int  # its id
    run_id: int
    task_no: int
    us: int
    message: str
    run_name: str
    flow: str
    task: str | None  # label of the task run
    root: int  # the run that was started, where that is another one
    is_open: bool = False  # that one failed and was not made good since
    made_good: int | None = None  # the run that made it good


class ErrorReads(RunReads, DetailReads):
    """The reads of groups of errors; part of :class:`flowdeck_store.read.reader.Reader`."""

    def error_groups(self, query: Query | str | None = None) -> list[ErrorGroup]:
        """Return what failed, as groups; the one that was seen last first.

        Measured with 100,000 failures of 100 runs: 0.2 s, so read it at most every few seconds.

        Args:
            query: a filter of runs (:mod:`flowdeck_store.query.language`). What failed in a subflow
                counts if the filter lets through its run or one above.

        Raises:
            QueryError: the filter is wrong.
        """
        parsed = as_query(query, "runs")
        parents = self._parents()
        chosen = None if parsed.empty else self._chosen(parsed, parents)
        kinds = kinds_of(self._errors())
        by_hash = {
            digest.hex().upper(): number
            for number, kind in enumerate(kinds)
            for digest in kind.tracebacks
        }
        where, parameters = ("", []) if chosen is None else (f"WHERE f.run_id {_THESE}", [chosen])
        rows = self._rows(
            _TALLIES.format(where=where), [json.dumps(by_hash), *map(json.dumps, parameters)]
        )
        tallies = [_tally(*row) for row in rows]
        roots = _roots(parents)
        facts = self._run_facts({roots.get(tally.run_id, tally.run_id) for tally in tallies})
        return grouped(tallies, kinds, roots, facts, self._made_good(facts.values()))

    def error_group(self, ref: str, query: Query | str | None = None) -> ErrorGroup:
        """Return the group whose id begins with ``ref``; ``@last`` is the one that was seen last.

        Raises:
            NotFound: there is none (that the filter lets through).
            Ambiguous: there are several.
            QueryError: the filter is wrong.
        """
        wanted = ref.strip().lower()
        groups = self.error_groups(query)
        if wanted == "@last":
            found = groups[:1]
        else:
            found = [group for group in groups if group.id.startswith(wanted)]
        if not found or not wanted:
            raise NotFound(f"There is no group of errors {shown(ref)} in {self.paths.db}.")
        if len(found) > 1:
            listed = ", ".join(f"{group.id} ({group.title})" for group in found[:5])
            raise Ambiguous(f"{shown(ref)} fits several groups: {listed}. Give more of it.")
        return found[0]

    def error_details(self, group: ErrorGroup) -> ErrorDetails:
        """Return everything about a group (0.2 s where it has 100,000 failures)."""
        where, parameters = _failures_of(group)
        rows = self._rows(
            "SELECT exc_msg, count(*), max(id), run_id, task_no FROM failures f "
            f"WHERE {where} GROUP BY exc_msg ORDER BY 2 DESC, 3 DESC",
            parameters,
        )
        messages = tuple(
            ErrorMessage(text, count, ref(task_run_id(run, no)) if no else None, run)
            for text, count, _, run, no in rows[:_MESSAGES]
        )
        tasks = self._rows(
            f"SELECT max(id), run_id, task_no FROM failures f WHERE {where} AND task_no > 0 "
            "GROUP BY run_id, task_no ORDER BY 1 DESC LIMIT ?",
            (*parameters, _EXAMPLES),
        )
        return ErrorDetails(
            group=group,
            failure=self.failure(group.newest),
            messages=messages,
            n_messages=len(rows),
            runs=tuple(self.runs_by_ids(group.runs[:_EXAMPLES])),
            made_good=self._made_good(self._run_facts(group.runs).values()),
            task_runs=tuple(ref(task_run_id(run, no)) for _, run, no in tasks),
        )

    def error_examples(self, groups: Iterable[ErrorGroup]) -> dict[str, str]:
        """Return where each group was seen last: a task run, or a run; by id of the group."""
        wanted = {group.newest: group.id for group in groups}
        rows = self._rows(
            f"SELECT id, run_id, task_no FROM failures WHERE id {_THESE}",
            (json.dumps(list(wanted)),),
        )
        return {wanted[id_]: _ref(run, no) for id_, run, no in rows}

    def error_occurrences(
        self, group: ErrorGroup, *, limit: int = _OCCURRENCES
    ) -> list[ErrorOccurrence]:
        """Return the task runs and flow functions that failed with it, the newest first."""
        where, parameters = _failures_of(group)
        rows = self._rows(
            "SELECT n.id, n.run_id, n.task_no, n.us, n.exc_msg, r.name, coalesce(w.name, ''), "
            "coalesce(t.name, k.name), coalesce(k.name, ''), t.map_index "
            "FROM (SELECT max(id) AS id, run_id, task_no, us, exc_msg "
            f"FROM failures f WHERE {where} GROUP BY run_id, task_no ORDER BY 1 DESC LIMIT ?) n "
            "JOIN flow_runs r ON r.id = n.run_id LEFT JOIN flows w ON w.id = r.flow_id "
            f"LEFT JOIN task_runs t ON t.id = ({sql_id('n.run_id', 'n.task_no')}) "
            "LEFT JOIN tasks k ON k.id = t.task_id ORDER BY n.id DESC",
            (*parameters, limit),
        )
        roots = _roots(self._parents())
        still, good = set(group.open_runs), self._made_good(self._run_facts(group.runs).values())
        found = []
        for row in rows:
            name, task, map_index = row[7:]
            root = roots.get(row[1]) or row[1]
            label = None if name is None else label_of(name, task, map_index)
            whole = (*row[:7], label, root, root in still, good.get(root))
            found.append(ErrorOccurrence(*whole))
        return found

    def error_repairs(self, group: ErrorGroup) -> list[FlowRunRecord]:
        """Return the runs that a retry of the group does again: of each flow the newest that
        failed with it and was not made good since."""
        return self.runs_by_ids(to_repair(group, self._run_facts(group.open_runs)))

    def _parents(self) -> dict[int, int]:
        """Return the run that called each subflow run; those above come first."""
        return dict(
            self._rows(
                f"SELECT id, {sql_run('parent_task')} FROM flow_runs "
                "WHERE parent_task IS NOT NULL ORDER BY id"
            )
        )

    def _chosen(self, query: Query, parents: dict[int, int]) -> list[int]:
        where, parameters = runs_where(query, roots=False)
        chosen = {
            row[0] for row in self._rows(f"SELECT r.id FROM flow_runs r WHERE {where}", parameters)
        }
        for run, parent in parents.items():  # those above come first
            if parent in chosen:
                chosen.add(run)
        return sorted(chosen)

    def _run_facts(self, run_ids: Iterable[int]) -> dict[int, StartedRun]:
        rows = self._rows(f"{_FACTS} r.id {_THESE}", (json.dumps(list(run_ids)),))
        return {row[0]: StartedRun(*row) for row in rows}

    def _made_good(self, runs: Iterable[StartedRun]) -> dict[int, int]:
        again = self._rows(f"{_FACTS} r.rerun_of IS NOT NULL")
        return made_good(runs, (StartedRun(*row) for row in again)) if again else {}

    def _errors(self) -> dict[bytes, tuple[str, ErrorPlace]]:
        """Return type and place of every traceback that failures have, by hash."""
        if len(_known) > _REMEMBERED:
            _known.clear()
        hashes = [
            row[0] for row in self._rows("SELECT DISTINCT tb FROM failures WHERE tb NOT NULL")
        ]
        return {digest: _known.get(digest) or self._error(digest) for digest in hashes}

    def _error(self, digest: bytes) -> tuple[str, ErrorPlace]:
        row = self._one(
            "SELECT f.exc_type, b.data FROM failures f LEFT JOIN tracebacks b ON b.hash = f.tb "
            "WHERE f.tb = ? LIMIT 1",
            (digest,),
        )
        found = ("", ErrorPlace()) if row is None else (row[0], place_of(_structure(row[1])))
        _known[digest] = found
        return found


def _tally(
    kind: int | None,
    exc_type: str,
    run_id: int,
    tasks: int,
    of_tasks: int,
    below: int,
    of_flow: int,
    *span: int,
) -> Tally:
    """Return what counts: a flow function that lets through what a task run, or a subflow run, failed
    with does not fail once more."""
    first_us, last_us, newest = span
    attempts = of_tasks or (0 if below else of_flow)
    own = not below and of_flow > 0
    return Tally(kind, exc_type, run_id, tasks, attempts, first_us, last_us, newest, own)


def _roots(parents: dict[int, int]) -> dict[int, int]:
    """Return the outermost run for each subflow run; those above come first in ``parents``."""
    roots: dict[int, int] = {}
    for run, parent in parents.items():
        roots[run] = roots.get(parent, parent)
    return roots


def _ref(run_id: int, no: int) -> str:
    return ref(task_run_id(run_id, no)) if no else str(run_id)


def _structure(data: bytes) -> dict[str, Any]:
    try:
        found = json_text.loads(zlib.decompress(data))
    except (zlib.error, ValueError, TypeError):
        return {}  # a damaged row: the type is still known
    return found if isinstance(found, dict) else {}


def _failures_of(group: ErrorGroup) -> tuple[str, list[Any]]:
    """Return the condition for the failures ``f`` that count in a group, and its parameters."""
    counted = (
        f"(run_id {_THESE} AND {_OF_TASK} OR run_id {_THESE} AND task_no = 0)"
        if group.attempts
        else f"(run_id {_THESE} OR run_id {_THESE})"
    )
    hashes = json.dumps([digest.hex().upper() for digest in group.tracebacks])
    parameters = [json.dumps(group.members), json.dumps(group.own), hashes]
    if group.place.file:
        return f"{counted} AND hex(tb) {_THESE}", parameters
    bare = "tb IS NULL AND exc_type = ?"
    return f"{counted} AND (hex(tb) {_THESE} OR {bare})", [*parameters, group.exc_type]

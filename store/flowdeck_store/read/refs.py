"""Finding the run or task run that a user names: by number, name, uid, a unique prefix, ``@last``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import Ambiguous, NotFound
from flowdeck_store.ids import MAX_NUMBER, ref, span
from flowdeck_store.labels import escaped, meanings
from flowdeck_store.query.values import shown
from flowdeck_store.read.runs import RunReads
from flowdeck_store.read.tasks import TaskReads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.labels import Meaning
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

_HEX: Final = frozenset("0123456789abcdef")
#: How many recent names are looked through for a near match.
_RECENT: Final = 1_000
_LISTED: Final = 5
_MAX_SLASHES: Final = 8


def _number(text: str) -> int | None:
    digits = text.removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def _clean(text: str) -> str:
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _prefix(text: str) -> str:
    return f"{escaped(text)}%"


def _ways(name: str) -> Iterator[Meaning]:
    """Yield what a task run may be meant by, the most exact first: its name, its label, a prefix."""
    yield "t.name = ?", (name,)
    yield from meanings(name)
    yield "t.name LIKE ? ESCAPE '\\'", (_prefix(name),)


class ReferenceReads(RunReads, TaskReads):
    """Resolving references; part of :class:`flowdeck_store.read.reader.Reader`."""

    def resolve_run(self, ref: str) -> FlowRunRecord:
        """Return the run that ``ref`` names.

        Args:
            ref: a number (``1234`` or ``#1234``), a name (the newest run of that name), a uid, a
                prefix of a uid or name that fits only one, ``@last`` or ``@last-failed`` (subflow
                runs do not count).

        Raises:
            NotFound: nothing fits; the message names near matches.
            Ambiguous: the prefix fits several; the message lists some.
        """
        ref = _clean(ref)
        if ref.startswith("@"):
            return self._special_run(ref)
        number = _number(ref)
        run = None if number is None else self.run(number)
        run = run or self._run_named(ref) or self.run_by_uid(ref.lower())
        return run or self._run_by_prefix(ref)

    def _special_run(self, ref: str) -> FlowRunRecord:
        queries = {"@last": None, "@last-failed": "type:failed,crashed"}
        if ref not in queries:
            raise NotFound(f"There is no {shown(ref)}; there are @last and @last-failed.")
        found = self.runs(queries[ref], limit=1, roots=True)
        if not found:
            what = "failed run" if queries[ref] else "run"
            raise NotFound(f"There is no {what} in {self.paths.db} yet.")
        return found[0]

    def _run_named(self, name: str) -> FlowRunRecord | None:
        row = self._one("SELECT max(id) FROM flow_runs WHERE name = ?", (name,))
        return None if row is None or row[0] is None else self.run(row[0])

    def _run_by_prefix(self, ref: str) -> FlowRunRecord:
        if not ref:
            raise NotFound("The name of the run is missing: give its number, name or uid.")
        rows = self._rows(
            "SELECT max(id), name FROM flow_runs WHERE name LIKE ? ESCAPE '\\' GROUP BY name "
            "ORDER BY 1 DESC LIMIT ?",
            (_prefix(ref), _LISTED + 1),
        )
        uid = ref.lower()
        if len(uid) >= 4 and _HEX.issuperset(uid):
            rows += self._rows(
                "SELECT id, name FROM flow_runs WHERE uid >= ? AND uid < ? ORDER BY uid LIMIT ?",
                (uid, uid + "g", _LISTED + 1),
            )
        ids = sorted({row[0] for row in rows}, reverse=True)
        run = self.run(ids[0]) if ids else None
        if run is None:
            raise NotFound(self._no_run(ref))
        if len(ids) > 1:
            runs = self.runs_by_ids(ids[:_LISTED])
            listed = ", ".join(f"{run.name} ({run.id})" for run in runs)
            more = ", ..." if len(ids) > _LISTED else ""
            raise Ambiguous(f"{shown(ref)} fits several runs: {listed}{more}. Give more of it.")
        return run

    def _no_run(self, ref: str) -> str:
        rows = self._rows("SELECT name FROM flow_runs ORDER BY id DESC LIMIT ?", (_RECENT,))
        if not rows:
            return f"There is no run {shown(ref)}: there are no runs in {self.paths.db} yet."
        return f"There is no run {shown(ref)} in {self.paths.db}{_near(ref, rows)}"

    def resolve_task(self, ref: str) -> TaskRunRecord:
        """Return the task run that ``ref`` names.

        Args:
            ref: ``RUN.17`` or ``RUN/fetch-3`` (a name, or a prefix that fits only one), where RUN
                is anything that :meth:`resolve_run` knows.

        Raises:
            NotFound: nothing fits; the message names near matches.
            Ambiguous: a name or prefix fits several.
        """
        ref = _clean(ref)
        run_ref, dot, number = ref.rpartition(".")
        no = _number(number)
        if dot and run_ref and no is not None and "/" not in number:
            try:
                return self._task_numbered(self.resolve_run(run_ref), no)
            except NotFound:
                if "/" not in ref:  # a task may be named "load/2.5"
                    raise
        if "/" not in ref:
            raise NotFound(
                f"{shown(ref)} names no task run: say RUN.NUMBER (1234.17) or RUN/NAME "
                "(1234/fetch-3)."
            )
        return self._task_behind_slash(ref)

    def _task_behind_slash(self, ref: str) -> TaskRunRecord:
        """Try the slashes from left to right: runs and tasks may have slashes in their names."""
        parts = ref.split("/")
        first: NotFound | Ambiguous | None = None
        for cut in range(1, min(len(parts), _MAX_SLASHES + 1)):
            try:
                run = self.resolve_run("/".join(parts[:cut]))
                return self._task_named(run, "/".join(parts[cut:]))
            except (NotFound, Ambiguous) as error:
                first = first or error
        assert first is not None  # callers look for a slash
        raise first

    def _task_numbered(self, run: FlowRunRecord, no: int) -> TaskRunRecord:
        task = self.task(run.id, no)
        if task is None:
            has = f"it has {run.n_tasks}" if run.n_tasks else "it has none"
            raise NotFound(f"Run {run.id} ({run.name}) has no task run {no}: {has}.")
        return task

    def _task_named(self, run: FlowRunRecord, name: str) -> TaskRunRecord:
        number = _number(name)
        if number is not None and 0 < number <= MAX_NUMBER:
            return self._task_numbered(run, number)
        of_run = "FROM task_runs t WHERE t.id BETWEEN ? AND ?"
        low, high = span(run.id)
        for condition, values in _ways(name):
            rows = self._rows(
                f"SELECT t.id, t.name {of_run} AND {condition} ORDER BY t.id LIMIT ?",
                (low, high, *values, _LISTED + 1),
            )
            if len(rows) == 1:
                return self.tasks_by_ids([rows[0][0]])[0]
            if rows and name:
                listed = ", ".join(f"{row[1]} ({ref(row[0])})" for row in rows[:_LISTED])
                more = ", ..." if len(rows) > _LISTED else ""
                raise Ambiguous(
                    f"{shown(name)} fits several task runs: {listed}{more}. Give its number."
                )
        rows = self._rows(f"SELECT t.name {of_run} ORDER BY t.id LIMIT ?", (low, high, _RECENT))
        raise NotFound(
            f"Run {run.id} ({run.name}) has no task run {shown(name)}{_near(name, rows)}"
        )


def _near(ref: str, rows: list[tuple[str | None]]) -> str:
    names = list(dict.fromkeys(row[0] for row in rows if row[0]))
    found = difflib.get_close_matches(ref[:80], names, n=3, cutoff=0.5)
    return f"; near: {', '.join(found)}." if found else "."

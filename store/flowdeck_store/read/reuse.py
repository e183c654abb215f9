"""Reading what a run did, call by call, for a run that is to do again only what it must."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.ids import number_of, span, split, task_run_id
from flowdeck_store.labels import label_of
from flowdeck_store.read.base import ReaderBase
from flowdeck_store.read.records import ResultRecord
from flowdeck_store.read.runs import json_object
from flowdeck_store.states import COMPLETED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CALLS: Final = (
    "SELECT t.id, k.key, coalesce(t.name, k.name), coalesce(k.name, ''), t.map_index, t.state, "
    "t.state_name, t.child_run "
    "FROM task_runs t JOIN tasks k ON k.id = t.task_id WHERE t.id BETWEEN ? AND ? ORDER BY t.id"
)
_THESE: Final = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class EarlierCall:
    """One task run (or the stand-in of a subflow run), as far as it matters for matching."""

    no: int
    definition: str  # the task's key in the record
    name: str
    label: str
    code: int
    named: str | None
    child_run: int | None

    @property
    def is_completed(self) -> bool:
        """Whether it completed, from a cache or not."""
        return self.code == COMPLETED


@dataclass(frozen=True, slots=True)
class EarlierInputs:
    """What a completed task run was given, and what is known of what it returned."""

    params: dict[str, str] | None  # short texts by name; None: it had none, or they are not known
    edges: frozenset[tuple[str, int, int]]  # (parameter or "wait_for", run id, task number)
    result: ResultRecord | None  # None: it returned None


class ReuseReads(ReaderBase):
    """The reads for runs that repeat others; part of :class:`flowdeck_store.read.reader.Reader`."""

    def earlier_calls(self, run_id: int) -> list[EarlierCall]:
        """Return all task runs of a run, by number."""
        return [
            EarlierCall(number_of(id_), key, name, label_of(name, task, map_index), *state)
            for id_, key, name, task, map_index, *state in self._rows(_CALLS, span(run_id))
        ]

    def earlier_inputs(self, run_id: int, nos: Iterable[int]) -> dict[int, EarlierInputs]:
        """Return what these task runs were given and returned, by number."""
        numbers = list(nos)
        ids = json.dumps([task_run_id(run_id, no) for no in numbers])
        params: dict[int, dict[str, str]] = {}
        for no, data in self._rows(
            f"SELECT task_no, data FROM states WHERE run_id = ? AND task_no {_THESE} "
            "AND state IN (?, ?) AND data IS NOT NULL ORDER BY seq",
            (run_id, json.dumps(numbers), RUNNING, COMPLETED),
        ):
            found = json_object(data).get("params")
            if isinstance(found, dict):
                params.setdefault(no, {str(key): str(text) for key, text in found.items()})
        edges: dict[int, set[tuple[str, int, int]]] = {}
        for task, upstream, param in self._rows(
            f"SELECT task, upstream, param FROM task_inputs WHERE task {_THESE}", (ids,)
        ):
            edge = (param, *split(upstream))
            edges.setdefault(number_of(task), set()).add(edge)
        results = {
            number_of(row[0]): ResultRecord(*row)
            for row in self._rows(
                "SELECT task, us, type, size, preview, location FROM results "
                f"WHERE task {_THESE}", (ids,)
            )
        }  # fmt: skip
        return {
            no: EarlierInputs(params.get(no), frozenset(edges.get(no, ())), results.get(no))
            for no in numbers
        }

    def repaired(self, uids: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Return number and name of the run that did again, and completed, what these did; directly
        or by way of others. Runs that nothing has made good are left out."""
        rows = self._rows(
            "WITH RECURSIVE again(root, uid, id, state, name) AS ("
            " SELECT r.rerun_of, r.uid, r.id, r.state, r.name FROM flow_runs r"
            f" WHERE r.rerun_of {_THESE}"
            " UNION SELECT a.root, r.uid, r.id, r.state, r.name FROM again a"
            " JOIN flow_runs r ON r.rerun_of = a.uid)"
            f" SELECT root, id, name FROM again WHERE state = {COMPLETED} ORDER BY id DESC",
            (json.dumps(list(uids)),),
        )
        return {root: (id_, name) for root, id_, name in rows}

    def reruns(self, uid: str) -> list[int]:
        """Return the numbers of the runs that repeat the run with this uid, oldest first."""
        rows = self._rows("SELECT id FROM flow_runs WHERE rerun_of = ? ORDER BY id", (uid,))
        return [row[0] for row in rows]

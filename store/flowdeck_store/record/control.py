"""Requests to the process of a run, as rows in the store: cancel it, kill it, or an answer to a
question that it asks.

An answer has a content, which stands behind its verb: ``answer {"token": ...}``. It is taken out of
the row when the answer has arrived: what was answered is in the record of the run, where secrets are
hidden and an export knows what to leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import NotFound
from flowdeck_store.events import now_us
from flowdeck_store.file.connection import writing
from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

CANCEL: Final = "cancel"
KILL: Final = "kill"
ANSWER: Final = "answer"
VERBS: Final = (CANCEL, KILL, ANSWER)

_OPEN_REQUESTS: Final = (
    "SELECT c.id,c.run_id,r.uid,c.task_no,c.verb,c.us,c.by FROM control c "
    "JOIN flow_runs r ON r.id=c.run_id "
    "WHERE c.done_us IS NULL AND r.session_id=? AND r.ended_us IS NULL ORDER BY c.id"
)


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Somebody asks the process of a run to do something."""

    id: int
    run_id: int
    run_uid: str
    task_no: int  # 0: the flow run itself
    verb: str  # one of VERBS
    us: int
    by: str | None  # who asked, for the record
    content: str = ""  # of an answer: JSON, see flowdeck_store.record.answers


def request(
    home: Path,
    run_id: int,
    verb: str,
    task_no: int = 0,
    by: str | None = None,
    content: str = "",
) -> ControlRequest:
    """Ask the process of a flow run to cancel or kill it (or one of its task runs), or answer it.

    Args:
        home: the folder of the store.
        run_id: number of the flow run.
        verb: one of :data:`VERBS`.
        task_no: number of the task run that is meant; 0: the flow run.
        by: who asks, for the record.
        content: of an answer.

    Returns:
        The request as its process will get it.

    Raises:
        NotFound: there is no such run.
        ValueError: the verb is not one of :data:`VERBS`.
        StoreBusy, StoreCorrupt, StoreTooNew, sqlite3.Error: the store cannot be written.
    """
    if verb not in VERBS:
        raise ValueError(f"A request is one of {', '.join(VERBS)}, not {verb!r}.")
    paths = StorePaths(home)
    if not paths.db.exists():
        raise NotFound(f"There is no run {run_id}: {paths.db} does not exist.")
    us = now_us()
    with writing(paths) as conn:
        found = conn.execute("SELECT uid FROM flow_runs WHERE id=?", (run_id,)).fetchall()
        if not found:
            raise NotFound(f"There is no run {run_id} in {paths.db}.")
        ((number,),) = conn.execute(
            "INSERT INTO control(run_id,task_no,verb,us,by) VALUES(?,?,?,?,?) RETURNING id",
            (run_id, task_no, f"{verb} {content}" if content else verb, us, by),
        ).fetchall()
    return ControlRequest(number, run_id, found[0][0], task_no, verb, us, by, content)


class Inbox:
    """The requests to the runs of one session, each handed out once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def new_requests(self, conn: sqlite3.Connection, session_id: int) -> list[ControlRequest]:
        """Return the requests that were not returned before, oldest first."""
        rows = conn.execute(_OPEN_REQUESTS, (session_id,)).fetchall()
        requests = [_request(*row) for row in rows if row[0] not in self._seen]
        self._seen = {row[0] for row in rows}
        return requests


def _request(
    number: int, run_id: int, uid: str, task_no: int, text: str, us: int, by: str | None
) -> ControlRequest:
    verb, _, content = text.partition(" ")
    return ControlRequest(number, run_id, uid, task_no, verb, us, by, content)


def mark_done(conn: sqlite3.Connection, request_ids: list[int]) -> None:
    """Note that requests were carried out; the caller holds the write lock."""
    us = now_us()
    conn.executemany(
        "UPDATE control SET done_us=?, verb=substr(verb, 1, instr(verb || ' ', ' ') - 1) "
        "WHERE id=? AND done_us IS NULL",
        [(us, number) for number in request_ids],
    )

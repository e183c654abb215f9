"""A session that was taken for dead takes its place back.

That can happen to a living process whose lock file was deleted, or whose lock was dropped where the
system has no locks that survive a close. Whoever looked next then ended its runs. One decides: only
the holder of the process lock ends or reopens a session, each in one transaction, and what was
recorded twice is told by ``sessions.applied``, as after every recovery.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from flowdeck_store.ids import task_run_id
from flowdeck_store.record import crash
from flowdeck_store.states import CANCELLED, CRASHED

if TYPE_CHECKING:
    import sqlite3

#: What the log of such a run says.
TAKEN_FOR_DEAD: Final = (
    "Another process took this one for dead and ended the run in the record; it is alive, and the "
    "record goes on. Was a file in FLOWDECK_HOME/locks deleted?"
)

# The end that a recovery wrote is the last state, and no task run of ours ends with its words.
_DECLARED: Final = (
    f"SELECT s.seq,s.run_id,s.task_no FROM states s JOIN flow_runs r ON r.id=s.run_id "
    f"WHERE r.session_id=? AND r.state IN ({CRASHED},{CANCELLED}) "
    f"AND s.state IN ({CRASHED},{CANCELLED}) AND substr(s.msg,1,?)=?"
)
_BEFORE: Final = (
    "SELECT seq,state,us,name,msg,data FROM states "
    "WHERE run_id=? AND task_no=? AND seq<? ORDER BY seq DESC LIMIT 1"
)
_SAY_AGAIN: Final = (
    "INSERT INTO states(run_id,task_no,state,us,name,msg,data) VALUES(?,?,?,?,?,?,?)"
)
_SET: Final = "SET state=?,state_us=?,state_name=?,state_msg=?,ended_us=NULL WHERE id=?"


def was_declared_dead(conn: sqlite3.Connection, session_id: int) -> bool:
    """Say whether somebody ended the session in the record."""
    query = "SELECT 1 FROM sessions WHERE id=? AND how='crashed'"
    with closing(conn.execute(query, (session_id,))) as found:
        return bool(found.fetchall())


def take_back(conn: sqlite3.Connection, session_id: int) -> list[str]:
    """Open the session again, and the runs that were ended with it.

    The caller holds the session's process lock and a transaction. The last states before the end
    are moved to the end of the history, so that whoever follows it sees the runs go on.

    Returns:
        The uids of the flow runs.
    """
    who = "SELECT pid,host FROM sessions WHERE id=? AND how='crashed'"
    found = conn.execute(who, (session_id,)).fetchall()
    if not found:
        return []
    said = crash.message(*found[0])
    declared = conn.execute(_DECLARED, (session_id, len(said), said)).fetchall()
    for seq, run_id, no in declared:
        _undo(conn, seq, run_id, no)
    conn.execute("UPDATE sessions SET ended_us=NULL,how=NULL WHERE id=?", (session_id,))
    runs = sorted({run_id for _, run_id, no in declared if no == 0})
    uids: list[str] = []
    for run_id in runs:
        crash.recount(conn, run_id)
        uids += [u for (u,) in conn.execute("SELECT uid FROM flow_runs WHERE id=?", (run_id,))]
    return uids


def _undo(conn: sqlite3.Connection, seq: int, run_id: int, no: int) -> None:
    before = conn.execute(_BEFORE, (run_id, no, seq)).fetchall()
    conn.execute("DELETE FROM states WHERE seq=?", (seq,))
    if not before:
        return
    ((old, state, us, name, msg, data),) = before
    conn.execute("DELETE FROM states WHERE seq=?", (old,))
    conn.execute(_SAY_AGAIN, (run_id, no, state, us, name, msg, data))
    table, number = ("task_runs", task_run_id(run_id, no)) if no else ("flow_runs", run_id)
    conn.execute(f"UPDATE {table} {_SET}", (state, us, name, msg, number))

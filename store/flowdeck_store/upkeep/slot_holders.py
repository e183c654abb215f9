"""Who holds the slots of limits: which task run, of which flow run, in which process.

A block of code that holds slots has a row for each, see :mod:`flowdeck_store.record.blocks`.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flowdeck_store.file import identity, process_lock
from flowdeck_store.file.connection import connect_ro
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.ids import sql_id
from flowdeck_store.journal import fallback
from flowdeck_store.states import AWAITING_SLOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import TaskRunRecord

_HOLDERS: Final = (
    "SELECT s.tag, l.max, s.run_uid, s.task_no, s.us, r.id, r.name, t.name, k.name, "
    "p.pid, p.host, p.boot_id, p.uid, p.ended_us FROM slots s JOIN limits l ON l.tag = s.tag "
    "LEFT JOIN flow_runs r ON r.uid = substr(s.run_uid, 1, 32) "
    f"LEFT JOIN task_runs t ON t.id = ({sql_id('r.id', 's.task_no')}) "
    "LEFT JOIN tasks k ON k.id = t.task_id LEFT JOIN sessions p ON p.id = s.session_id "
    "WHERE s.tag IN (SELECT value FROM json_each(?)) ORDER BY s.tag, s.us LIMIT ?"
)
#: Slots that are read: more than that are told by their number anyway.
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class SlotHolder:
    """A slot that is taken.

    Attributes:
        tag: of the limit.
        limit: how many slots it has.
        run_uid: of the flow run whose task run holds it.
        no: number of the task run.
        since_us: since when.
        run_id: number of the flow run; ``None`` if it is not recorded yet.
        run_name: name of the flow run.
        task_run: name of the task run, or of its task.
        pid: of its process.
        host: the machine of that.
        is_here: on this machine.
        is_alive: the process lives; ``None``: it is another machine's, so nobody knows here.
        slots: how many it has.
        is_block: a block of code holds them, not a task run by its tag.
    """

    tag: str
    limit: int
    run_uid: str
    no: int
    since_us: int
    run_id: int | None
    run_name: str | None
    task_run: str | None
    pid: int | None
    host: str | None
    is_here: bool
    is_alive: bool | None
    slots: int = 1
    is_block: bool = False


def slot_holders(home: Path, tags: Iterable[str]) -> list[SlotHolder]:
    """Return who holds the slots of some tags, who came first before the others.

    Args:
        home: the folder of the store.
        tags: those that are asked for.

    Raises:
        sqlite3.Error, StoreError: the store cannot be read.
    """
    paths = StorePaths(home)
    conn = connect_ro(paths)
    if conn is None:
        return []
    with closing(conn):
        rows = conn.execute(_HOLDERS, (json.dumps(sorted(set(tags))), _MOST)).fetchall()
    folders = fallback.folders(paths, paths.locks)
    found: dict[tuple[str, str, int], SlotHolder] = {}
    for (
        tag,
        most,
        run_uid,
        no,
        us,
        run_id,
        run_name,
        task_run,
        task,
        pid,
        host,
        boot,
        uid,
        ended,
    ) in rows:
        of_block, _, token = run_uid.partition("/")
        holder = tag, run_uid.rpartition(".")[0] or run_uid, no
        if holder in found:
            found[holder] = replace(found[holder], slots=found[holder].slots + 1)
            continue
        is_here = uid is not None and identity.is_here(boot, host)
        is_alive: bool | None = None
        if ended is not None or uid is None:
            is_alive = False
        elif is_here:
            is_alive = process_lock.is_held_in(folders, uid)
        found[holder] = SlotHolder(
            tag, most, of_block, no, us, run_id, run_name, task_run or task, pid, host, is_here,
            is_alive, 1, bool(token),
        )  # fmt: skip
    return list(found.values())


def slot_holders_of(reader: Reader, task: TaskRunRecord) -> list[SlotHolder]:
    """Return who holds the slots that a task run waits for; of one that does not, nobody."""
    if task.named != AWAITING_SLOT:
        return []
    return slot_holders(reader.home, reader.task_tags(task.run_id, [task.no]).get(task.no, ()))

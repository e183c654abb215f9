"""Limits by tag: how many task runs with a tag may run at once, over all processes of a store."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreError
from flowdeck_store.events import now_us
from flowdeck_store.file import process_lock
from flowdeck_store.file.connection import connect_ro, make_home, writing
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.journal import fallback
from flowdeck_store.record import rates

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

_LIMITS: Final = "SELECT tag,max FROM limits WHERE tag IN (SELECT value FROM json_each(?))"
_IN_USE: Final = (
    "SELECT tag,count(*) FROM slots WHERE tag IN (SELECT value FROM json_each(?)) "
    "AND NOT (run_uid=? AND task_no=?) GROUP BY tag"
)
_HOLDERS: Final = (
    "SELECT DISTINCT s.id,s.uid FROM slots JOIN sessions s ON s.id=slots.session_id "
    "WHERE slots.tag IN (SELECT value FROM json_each(?)) AND s.id<>? AND s.boot_id IS ?"
)


class LimitZero(StoreError):
    """A tag has the limit 0: nothing with it may run."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        super().__init__(
            f"The tag {tag!r} has the limit 0, so a task run with it would wait for ever. "
            "Raise the limit or remove it."
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one tag."""

    tag: str
    max: int
    in_use: int
    #: Slots that come free in a second after :func:`flowdeck_store.record.blocks.take_at_rate` took
    #: them; ``None``: this limit is for no rate.
    decay: float | None = None


def set_limit(home: Path, tag: str, limit: int | None, decay: float | None = None) -> None:
    """Limit how many task runs with a tag (and blocks of code that name it) run at once, over all
    processes.

    Args:
        home: the folder of the store.
        tag: the tag.
        limit: how many; 0: none may run; ``None`` removes the limit.
        decay: of a rate: how many slots come free in a second; ``None``: it is none.

    Raises:
        ValueError: the limit is negative, or the decay not above 0.
        StoreError, sqlite3.Error: the store cannot be written.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"The limit of the tag {tag!r} is a number from 0 on, not {limit}.")
    if decay is not None and not 0 < decay < float("inf"):
        raise ValueError(f"The rate of the limit {tag!r} is a number above 0, not {decay}.")
    paths = StorePaths(home)
    make_home(paths)
    with writing(paths) as conn:
        if limit is None:
            conn.execute("DELETE FROM limits WHERE tag=?", (tag,))
        else:
            conn.execute("INSERT OR REPLACE INTO limits(tag,max) VALUES(?,?)", (tag, limit))
        rates.define(conn, tag, None if limit is None else decay)


def list_limits(home: Path) -> list[Limit]:
    """Return all limits and how many task runs count against each now, by tag."""
    conn = connect_ro(StorePaths(home))
    if conn is None:
        return []
    with closing(conn):
        rows = conn.execute(
            "SELECT l.tag,l.max,count(s.tag) FROM limits l LEFT JOIN slots s ON s.tag=l.tag "
            "GROUP BY l.tag ORDER BY l.tag"
        ).fetchall()
        decays = rates.decays(conn)
    return [Limit(tag, most, used, decays.get(tag)) for tag, most, used in rows]


def limited_tags(conn: sqlite3.Connection) -> frozenset[str]:
    """Return the tags that have a limit."""
    return frozenset(tag for (tag,) in conn.execute("SELECT tag FROM limits"))


def acquire(
    conn: sqlite3.Connection,
    paths: StorePaths,
    session: tuple[int, str | None],
    tags: Iterable[str],
    run: tuple[str, int],
) -> tuple[str, ...]:
    """Take one slot of every limited tag, or none of them; the caller holds a transaction.

    Args:
        conn: inside a write transaction.
        paths: of the store.
        session: number of this session and the boot id of its machine.
        tags: of the task run.
        run: uid of the flow run and number of the task run.

    Returns:
        The tags that are full; empty when all slots are taken.

    Raises:
        LimitZero: one of the tags allows nothing.
    """
    session_id, boot_id = session
    limits = dict(conn.execute(_LIMITS, (json.dumps(sorted(set(tags))),)).fetchall())
    for tag, most in limits.items():
        if most == 0:
            raise LimitZero(tag)
    full = _full(conn, limits, run)
    if full and free_dead(conn, paths, full, session_id, boot_id):
        full = _full(conn, limits, run)
    if not full:
        insist(conn, session_id, limits, run)
    return full


def insist(
    conn: sqlite3.Connection, session_id: int, tags: Iterable[str], run: tuple[str, int]
) -> None:
    """Take a slot of every limited tag, full or not; the arguments are those of :func:`acquire`."""
    conn.executemany(
        "INSERT OR IGNORE INTO slots(tag,session_id,run_uid,task_no,us) "
        "SELECT tag,?,?,?,? FROM limits WHERE tag=?",
        [(session_id, *run, now_us(), tag) for tag in tags],
    )


def release(conn: sqlite3.Connection, runs: Iterable[tuple[str, int]]) -> None:
    """Give back the slots of task runs; the caller holds a transaction."""
    conn.executemany("DELETE FROM slots WHERE run_uid=? AND task_no=?", list(runs))


def _full(
    conn: sqlite3.Connection, limits: dict[str, int], run: tuple[str, int]
) -> tuple[str, ...]:
    in_use = dict(conn.execute(_IN_USE, (json.dumps(sorted(limits)), *run)).fetchall())
    return tuple(sorted(tag for tag, most in limits.items() if in_use.get(tag, 0) >= most))


def free_dead(
    conn: sqlite3.Connection, paths: StorePaths, tags: tuple[str, ...], me: int, boot_id: str | None
) -> bool:
    """Take back what processes of this machine held when they died; say whether there was any."""
    holders = conn.execute(_HOLDERS, (json.dumps(tags), me, boot_id)).fetchall()
    folders = fallback.folders(paths, paths.locks)
    dead = [(number,) for number, uid in holders if not process_lock.is_held_in(folders, uid)]
    conn.executemany("DELETE FROM slots WHERE session_id=?", dead)
    return bool(dead)

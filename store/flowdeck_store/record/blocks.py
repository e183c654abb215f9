"""Slots for blocks of code: ``with concurrency("database"):`` in any process that reaches the store.

The process of a flow run holds the slots of its task runs by its session. A block may be in a worker
of a cluster, or in a program without any flow, which have none. So a process that takes slots for
blocks has a small session for that: a row and a process lock, no journal and no writer. When it dies,
its lock is free, and its slots go back as those of any session do.

A slot is a row of ``slots``. One of a block has, in the place of the uid of a task run, that with the
block's own token and a number behind it, because one task run may have many blocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreBusy, StoreError, StoreUnwritable
from flowdeck_store.events import now_us
from flowdeck_store.file import identity, process_lock
from flowdeck_store.file.connection import connect_ro, make_home
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.trouble import LOCKED, kind_of
from flowdeck_store.record import limits, rates
from flowdeck_store.record.side_door import SideDoor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: In the place of a flow run's uid: the block is in no run.
NO_RUN: Final = "-" * 32
#: Seconds that a call waits for a lock of the store before it is to be tried again.
_WAIT: Final = 1.0
_TROUBLE: Final = (StoreError, sqlite3.Error, OSError)
_REGISTER: Final = (
    "INSERT INTO sessions(uid,host,boot_id,pid,pid_start,started_us,beat_us,version,info) "
    "VALUES(?,?,?,?,?,?,?,?,json_object('python',?,'for','slots')) ON CONFLICT(uid) DO UPDATE SET "
    "beat_us=excluded.beat_us,ended_us=NULL,how=NULL RETURNING id"
)
_END: Final = "UPDATE sessions SET ended_us=?,beat_us=?,how='closed' WHERE id=?"
_LIMITS: Final = "SELECT tag,max FROM limits WHERE tag IN (SELECT value FROM json_each(?))"
_IN_USE: Final = "SELECT count(*), sum(run_uid=? AND task_no=?) FROM slots WHERE tag=?"
_RUN_IS_HERE: Final = (
    "SELECT s.boot_id, s.host FROM flow_runs r JOIN sessions s ON s.id=r.session_id WHERE r.uid=?"
)


class Unobtainable(StoreError):
    """There will never be such slots."""


def _no_such_limit(name: str) -> Unobtainable:
    return Unobtainable(
        f"There is no limit {name!r}. `flowdeck config limit {name} 4` sets one of 4 slots."
    )


def _never_fits(name: str, wanted: int, most: int) -> Unobtainable:
    slots = "1 slot" if wanted == 1 else f"{wanted} slots"
    return Unobtainable(
        f"{slots} of the limit {name!r} would be waited for forever, for it has {most}. Ask for "
        f"fewer, or raise it: `flowdeck config limit {name} {wanted}`."
    )


def _no_rate(name: str, most: int) -> Unobtainable:
    return Unobtainable(
        f"The limit {name!r} is for no rate: its slots do not come free by themselves. "
        f"`flowdeck config limit {name} {max(most, 1)} --per-second 1` gives back one in a second."
    )


@dataclass(frozen=True, slots=True)
class Block:
    """What a block of code asks for.

    Attributes:
        names: of the limits.
        slots: how many of each.
        run: uid of its flow run (:data:`NO_RUN`) and number of its task run, 0 if it is in none.
        token: tells it from others.
        strict: a limit that does not exist is an error, not no limit.
    """

    names: tuple[str, ...]
    slots: int
    run: tuple[str, int]
    token: str
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        full: the limits that have too few free slots; empty: all are taken.
        seconds: after which a rate has enough; 0 for other limits.
        absent: names without a limit.
    """

    full: tuple[str, ...] = ()
    seconds: float = 0.0
    absent: tuple[str, ...] = ()


class SlotSession:
    """What this process takes slots with in one store.

    Args:
        home: the folder of the store.
        version: of flowdeck.

    Raises:
        StoreError, OSError: the folder cannot be written.
    """

    def __init__(self, home: Path, version: str) -> None:
        self._paths = StorePaths(home)
        make_home(self._paths)
        self._me = identity.of_this_process(version)
        self._process_lock = process_lock.hold(self._paths.locks, self._me.uid)
        self._door = SideDoor(self._paths, _WAIT)
        self._lock = threading.Lock()
        self._held: dict[str, Block] = {}
        #: Tokens of blocks that are over, but could not be given back then.
        self._late: set[str] = set()

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing."""
        return not self._held

    def take(self, block: Block) -> Answer:
        """Take the slots that a block wants, or none.

        Raises:
            Unobtainable: it will never have them.
            StoreBusy: the store is locked now.
            StoreError: the store cannot be written.
        """
        with self._lock:
            self._held[block.token] = block  # before: whoever is interrupted gives it back
        with self._asking(block) as conn:
            me = self._number(conn)
            self._give_back_late(conn)
            most, absent = _known(conn, block)
            wanted = _wanted(conn, block, most)
            full = tuple(name for name, (_, free) in wanted.items() if free < 0)
            session = me, self._me.boot_id
            if full and limits.free_dead(conn, self._paths, full, *session):
                wanted = _wanted(conn, block, most)
                full = tuple(name for name, (_, free) in wanted.items() if free < 0)
            if not full:
                uid, no = block.run
                conn.executemany(
                    "INSERT INTO slots(tag,session_id,run_uid,task_no,us) VALUES(?,?,?,?,?)",
                    [
                        (name, me, f"{uid}/{block.token}.{i}", no, now_us())
                        for name, (slots, _) in wanted.items()
                        for i in range(slots)
                    ],
                )
        if full:
            with self._lock:
                self._held.pop(block.token, None)
        return Answer(full, 0.0, absent)

    def take_at_rate(self, block: Block) -> Answer:
        """Take slots that come free by themselves, of all limits or of none.

        Raises:
            Unobtainable: it will never have them.
            StoreBusy: the store is locked now.
            StoreError: the store cannot be written.
        """
        with self._asking(block) as conn:
            most, absent = _known(conn, block)
            now = now_us()
            conn.execute("SAVEPOINT taking")
            longest = 0.0
            for name in most:
                seconds = rates.take(conn, name, most[name], block.slots, now)
                if seconds is None:
                    raise _no_rate(name, most[name])
                longest = max(longest, seconds)
            if longest:
                conn.execute("ROLLBACK TO taking")
            conn.execute("RELEASE taking")
        return Answer(tuple(most) if longest else (), longest, absent)

    def give_back(self, token: str) -> None:
        """Give back what a block has, if it has anything; also more than once.

        If the store cannot be written now, it goes back with the next call, or with the process.
        """
        if token not in self._held or self._me.pid != os.getpid():
            return
        with self._lock:
            self._late.add(token)
        with contextlib.suppress(*_TROUBLE), self._door.writing() as conn:
            self._give_back_late(conn)

    @contextlib.contextmanager
    def _asking(self, block: Block) -> Iterator[sqlite3.Connection]:
        try:
            with self._door.writing() as conn:
                yield conn
        except Unobtainable:
            raise
        except _TROUBLE as error:
            if kind_of(error) == LOCKED:
                raise StoreBusy(str(error)) from error
            if isinstance(error, StoreError):
                raise
            raise StoreUnwritable(self._paths.home, str(error)) from error

    def _give_back_late(self, conn: sqlite3.Connection) -> None:
        # Forgotten before it is committed; if that fails, only the end of the process frees them.
        with self._lock:
            blocks = [block for token in self._late if (block := self._held.pop(token, None))]
            self._late.clear()
        for block in blocks:
            uid, no = block.run
            keys = [
                (name, f"{uid}/{block.token}.{i}", no)
                for name in block.names
                for i in range(block.slots)
            ]
            conn.executemany("DELETE FROM slots WHERE tag=? AND run_uid=? AND task_no=?", keys)

    def close(self) -> None:
        """End it: what it holds comes free."""
        with contextlib.suppress(*_TROUBLE), self._door.writing() as conn:
            me, us = self._number(conn), now_us()
            conn.execute("DELETE FROM slots WHERE session_id=?", (me,))
            conn.execute(_END, (us, us, me))
        self._door.close()
        self._process_lock.release(delete=True)

    def abandon(self) -> None:
        """In a forked child: it is the parent's."""
        self._door.abandon()
        self._lock = threading.Lock()

    def _number(self, conn: sqlite3.Connection) -> int:
        """Return the number of the session; the file may be another one than the last time."""
        me = self._me
        values = (me.uid, me.host, me.boot_id, me.pid, me.pid_start, me.started_us, now_us(),
                  me.version, me.python)  # fmt: skip
        ((number,),) = conn.execute(_REGISTER, values).fetchall()
        return int(number)


def reachable(home: Path, uid: str) -> bool:
    """Say whether the store in a folder can be read and has a flow run whose process is on this
    machine."""
    rows = []
    with contextlib.suppress(*_TROUBLE):
        conn = connect_ro(StorePaths(home), timeout=_WAIT)
        if conn is not None:
            with contextlib.closing(conn):
                rows = conn.execute(_RUN_IS_HERE, (uid,)).fetchall()
    return any(identity.is_here(boot, host) for boot, host in rows)


def _known(conn: sqlite3.Connection, block: Block) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the limits that a block has, and the names without one."""
    found = dict(conn.execute(_LIMITS, (json.dumps(block.names),)).fetchall())
    absent = tuple(name for name in block.names if name not in found)
    if absent and block.strict:
        raise _no_such_limit(absent[0])
    for name, most in found.items():
        if block.slots > most:
            raise _never_fits(name, block.slots, most)
    return found, absent


def _wanted(
    conn: sqlite3.Connection, block: Block, most: dict[str, int]
) -> dict[str, tuple[int, int]]:
    """Return by limit how many slots are to be taken, and how many stay free then (below 0: full).

    The slot that a task run has by its tag counts as one of those that its block wants: else two
    such task runs could wait for each other.
    """
    found = {}
    for name, limit in most.items():
        ((taken, own),) = conn.execute(_IN_USE, (*block.run, name)).fetchall()
        slots = max(0, block.slots - (own or 0))
        found[name] = slots, limit - taken - slots
    return found


def names_of(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of limits, each once, in the order in which they are given."""
    return tuple(dict.fromkeys([names] if isinstance(names, str) else names))

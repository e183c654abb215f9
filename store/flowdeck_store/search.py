"""Words in all log lines and failure messages of the record, found by an index.

A log of 50 million lines cannot be looked through in a second, an index can: SQLite's FTS5. It is a
file of its own, ``search.db`` beside the record: nothing is paid for it while flows record, a record
nobody searches has none, and it can be deleted at any time. Each search first brings it up from
where the last one stopped, since rows are only ever added (sequence numbers grow).

The index holds no texts (``content=''``), only which words stand in which row; the texts are read
from the record. So what was deleted there is not found any more, and when most of what it knows is
gone it is made anew; so it is when it is damaged, or when an earlier copy of the record was put in
its place. Where the record may only be read, the index is of one search.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.errors import NothingToSearchFor, StoreError
from flowdeck_store.file.connection import connect_ro
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME: Final = "search.db"
#: What this code writes; another number is made anew.
_VERSION: Final = 1
_BATCH: Final = 20_000
#: An index that knows so many more rows than the record has is made anew.
_STALE: Final = 50_000

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: Somebody uses it, or the disk is full: the index is as it should be.
_IN_ORDER: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL})

#: Rows of two tables in one index: even ids are log lines, odd ones failures.
_TABLES: Final = {
    0: ("logs", "seq", "msg"),
    1: ("failures", "id", "exc_type || ': ' || exc_msg"),
}

_LOG: Final = """SELECT r.id, r.name, f.name, l.task_no, l.us, l.level, l.msg
FROM logs l JOIN flow_runs r ON r.id = l.run_id JOIN flows f ON f.id = r.flow_id WHERE l.seq = ?"""
_FAILURE: Final = """SELECT r.id, r.name, f.name, a.task_no, a.us, 40, a.exc_type || ': ' || a.exc_msg
FROM failures a JOIN flow_runs r ON r.id = a.run_id JOIN flows f ON f.id = r.flow_id WHERE a.id = ?"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A log line or failure that was found."""

    run_id: int
    run_name: str
    flow: str
    task_no: int  # 0: the flow run itself
    us: int
    level: int
    kind: str  # log or failure
    text: str

    @property
    def ref(self) -> str:
        """The run as the command line takes it: ``12`` or ``12.3``."""
        return f"{self.run_id}.{self.task_no}" if self.task_no else str(self.run_id)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it; ``task_run`` is ``None`` for what is the flow run's."""
        return {
            "at": iso(self.us),
            "kind": self.kind,
            "level": logging.getLevelName(self.level),
            "message": self.text,
            "flow": self.flow,
            "run_name": self.run_name,
            "flow_run": self.run_id,
            "task_run": self.ref if self.task_no else None,
        }


def search(
    home: Path, text: str, *, limit: int = 50, progress: Callable[[int, int], object] | None = None
) -> list[Hit]:
    """Return the log lines and failures that have all of these words, newest first.

    Args:
        home: the folder of the store.
        text: words; ``"several words"`` in quotes stand side by side, ``conn*`` is how one begins.
            Case and accents make no difference, nor do signs between words.
        limit: how many at most; 0 means all.
        progress: called with how many rows are indexed and how many there are, while the index is
            brought up.

    Raises:
        NothingToSearchFor: ``text`` has no word.
        StoreError, sqlite3.Error: the record cannot be read, or the index not be written.
    """
    wanted = match_expression(text)
    paths = StorePaths(home)
    record = connect_ro(paths)
    if record is None:
        return []
    with closing(record):
        try:
            return _found(home, record, wanted, limit, progress)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
            _remove(home)  # the index, most likely; if it is the record, that says so now
            return _found(home, record, wanted, limit, progress)


def _found(
    home: Path,
    record: sqlite3.Connection,
    wanted: str,
    limit: int,
    progress: Callable[[int, int], object] | None,
) -> list[Hit]:
    with closing(_opened(home, record)) as index:
        _bring_up(index, record, progress)
        return list(_hits(index, record, wanted, limit))


def match_expression(text: str) -> str:
    """Return the question in FTS5's language: every part is a quoted phrase, so none is an operator.

    Raises:
        NothingToSearchFor: there is no word in it.
    """
    whole = text.encode(
        "utf-8", "replace"
    ).decode()  # bytes of a shell that are no UTF-8 are no word
    parts = [part for part in _parts(whole) if any(char.isalnum() for char in part)]
    if not parts:
        raise NothingToSearchFor(f"There is no word to search for in {text!r}.")
    quoted = []
    for part in parts:
        star = "*" if part.endswith("*") else ""
        quoted.append('"' + part.rstrip("*").replace('"', " ") + '"' + star)
    return " ".join(quoted)


def _parts(text: str) -> Iterator[str]:
    for number, piece in enumerate(text.split('"')):
        if number % 2:
            yield piece
        else:
            yield from piece.split()


def _opened(home: Path, record: sqlite3.Connection) -> sqlite3.Connection:
    """Open the index of this record; make it where there is none, or one of another record."""
    path = home / NAME
    ((uid,),) = record.execute("SELECT value FROM meta WHERE key = 'db_uid'").fetchall()
    if not os.access(home, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        index = sqlite3.connect("", isolation_level=None)  # a temporary file, of this search only
        _is_of(index, str(uid))
        return index
    reason = "it is never that of this record"
    for _ in range(2):
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        index = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            index.execute("PRAGMA journal_mode=WAL")
            index.execute("PRAGMA synchronous=OFF")  # it can be made anew
            if _is_of(index, str(uid)):
                return index
        except sqlite3.DatabaseError as error:
            reason = str(error)
            if "fts5" in str(error):
                index.close()
                raise StoreError(f"This SQLite has no full-text search (FTS5): {error}.") from error
            if error.sqlite_errorcode & 0xFF in _IN_ORDER:
                index.close()
                raise
        index.close()
        _remove(home)
    raise StoreError(f"The index {path} cannot be made anew: {reason}. Remove it, or make room.")


def _is_of(index: sqlite3.Connection, uid: str) -> bool:
    index.execute("BEGIN IMMEDIATE")
    try:
        index.execute("CREATE TABLE IF NOT EXISTS about(key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        index.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='', "
            "tokenize='unicode61 remove_diacritics 2')"
        )
        index.execute(
            "INSERT OR IGNORE INTO about VALUES('uid', ?), ('version', ?), ('at0', 0), ('at1', 0),"
            " ('rows', 0)",
            (uid, _VERSION),
        )
        about = dict(index.execute("SELECT key, value FROM about").fetchall())
        index.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            index.execute("ROLLBACK")
        raise
    return (about["uid"], about["version"]) == (uid, _VERSION)


def _remove(home: Path) -> None:
    for name in (NAME, f"{NAME}-wal", f"{NAME}-shm"):
        with contextlib.suppress(FileNotFoundError):
            (home / name).unlink()


def _bring_up(
    index: sqlite3.Connection,
    record: sqlite3.Connection,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Add the rows that came since the last time; begin anew if most of what is known is gone."""
    there = sum(
        record.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table, _, _ in _TABLES.values()
    )
    ((known,),) = index.execute("SELECT value FROM about WHERE key = 'rows'").fetchall()
    if known > 2 * there + _STALE or _is_ahead(index, record):
        index.execute("BEGIN IMMEDIATE")
        index.execute("INSERT INTO words(words) VALUES('delete-all')")
        index.execute("UPDATE about SET value = 0 WHERE key IN ('at0', 'at1', 'rows')")
        index.execute("COMMIT")
    for kind in _TABLES:
        while _add_batch(index, record, kind):
            if progress is not None:
                ((known,),) = index.execute("SELECT value FROM about WHERE key = 'rows'").fetchall()
                progress(min(known, there), there)


def _is_ahead(index: sqlite3.Connection, record: sqlite3.Connection) -> bool:
    """Say whether it knows rows that the record never had: an earlier copy of it was put back."""
    given = dict(record.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    known = dict(index.execute("SELECT key, value FROM about").fetchall())
    return any(known[f"at{kind}"] > given.get(table, 0) for kind, (table, _, _) in _TABLES.items())


def _add_batch(index: sqlite3.Connection, record: sqlite3.Connection, kind: int) -> bool:
    """Index some rows of a table; ``False``: there are none left."""
    table, key, text = _TABLES[kind]
    index.execute("BEGIN IMMEDIATE")  # two searches at once: each row once
    try:
        ((at,),) = index.execute("SELECT value FROM about WHERE key = ?", (f"at{kind}",)).fetchall()
        rows = record.execute(
            f"SELECT {key}, {text} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_BATCH}",
            (at,),
        ).fetchall()
        index.executemany(
            "INSERT INTO words(rowid, text) VALUES(?, ?)",
            ((number * 2 + kind, value) for number, value in rows),
        )
        if rows:
            index.execute("UPDATE about SET value = ? WHERE key = ?", (rows[-1][0], f"at{kind}"))
            index.execute("UPDATE about SET value = value + ? WHERE key = 'rows'", (len(rows),))
        index.execute("COMMIT")
    except BaseException:
        index.execute("ROLLBACK")
        raise
    return len(rows) == _BATCH


def _hits(
    index: sqlite3.Connection, record: sqlite3.Connection, wanted: str, limit: int
) -> Iterator[Hit]:
    """Read what was found from the record, newest first; what is gone there is left out."""
    read: list[Hit] = []
    for kind, question in ((0, _LOG), (1, _FAILURE)):
        found = index.execute(
            "SELECT rowid FROM words WHERE words MATCH ? AND rowid % 2 = ? ORDER BY rowid DESC",
            (wanted, kind),
        )
        taken = 0
        for (rowid,) in found:
            for row in record.execute(question, (rowid // 2,)).fetchall():
                read.append(_hit("failure" if kind else "log", *row))
                taken += 1
            if limit and taken >= limit:
                break
    read.sort(key=lambda hit: hit.us, reverse=True)
    yield from read[: limit or None]


def _hit(
    kind: str, run: int, name: str, flow: str, task: int, us: int, level: int, text: str
) -> Hit:
    return Hit(run, name, flow, task, us, level, kind, text)

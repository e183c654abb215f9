"""Looking an archive over before anything of it is taken in: it comes from outside.

A reader trusts what is in a store (codes of states, times, packed numbers, hashes), so whatever an
exporter would not have written is refused here.
"""

from __future__ import annotations

import re
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from flowdeck_store.archive.json_texts import check_json
from flowdeck_store.errors import BadArchive, StoreTooNew
from flowdeck_store.file import schema
from flowdeck_store.ids import MAX_NUMBER, sql_number, sql_run
from flowdeck_store.notes import NOTE
from flowdeck_store.packed import digest_of, unpacked
from flowdeck_store.states import FINAL_CODES, TYPES

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_TABLES: Final = (
    "meta", "flows", "tasks", "sessions", "flow_runs", "task_runs", "states", "logs", "log_sources",
    "task_inputs", "results", "artifacts", "tracebacks", "failures",
)  # fmt: skip
#: Those that archives of earlier versions do not have.
LATER: Final = ("task_tags", "texts", "provenance", "progress", "task_usage", "samples")
_TIMES: Final = {
    "flow_runs": ("created_us", "started_us", "ended_us", "state_us"),
    "task_runs": ("created_us", "started_us", "ended_us", "state_us"),
    "sessions": ("started_us", "beat_us", "ended_us"),
    "flows": ("first_us", "last_us"),
    "states": ("us",),
    "logs": ("us",),
    "results": ("us",),
    "artifacts": ("us",),
    "failures": ("us",),
}
#: The year 9999: what a datetime can hold.
_LAST_US: Final = 253_402_300_799_999_999
_UID: Final = re.compile(r"[0-9a-f]{32}")
#: A traceback's structure unpacks to less than this; more is an attack on our memory.
_MAX_STRUCTURE: Final = 32 << 20
_FINAL: Final = ", ".join(str(code) for code in sorted(FINAL_CODES))
#: Conditions that no row of a sound archive fulfils, and what to say of one that does.
_IMPOSSIBLE: Final = {
    f"SELECT 1 FROM a.flow_runs WHERE state NOT IN ({_FINAL}) OR ended_us IS NULL": (
        "one of its runs has not ended"
    ),
    f"SELECT 1 FROM a.task_runs WHERE state NOT BETWEEN 0 AND {len(TYPES) - 1}": (
        "a task run has an unknown state"
    ),
    f"SELECT 1 FROM a.states WHERE state NOT BETWEEN 0 AND {len(TYPES) - 1} "
    f"OR task_no NOT BETWEEN 0 AND {MAX_NUMBER}": "a state is unknown",
    f"SELECT 1 FROM a.flow_runs WHERE {sql_run('parent_task')} >= id": (
        "a run is older than the run that called it"
    ),
    f"SELECT 1 FROM a.task_runs WHERE {sql_number('id')} = 0 OR {sql_run('id')} NOT IN "
    "(SELECT id FROM a.flow_runs)": "a task run belongs to no run",
    f"SELECT 1 FROM a.logs WHERE task_no NOT BETWEEN 0 AND {MAX_NUMBER} OR src NOT IN "
    "(SELECT id FROM a.log_sources)": "a log line belongs to nothing",
    "SELECT 1 FROM a.artifacts WHERE "
    f"kind = '{NOTE}' AND (length(data) > 65536 OR typeof(data) <> 'text' OR "
    "CASE WHEN json_valid(data) THEN json_type(data, '$.text') END IS NOT 'text')": (
        "a note is no text"
    ),
    f"SELECT 1 FROM a.failures WHERE task_no NOT BETWEEN 0 AND {MAX_NUMBER}": (
        "a failure belongs to no task run"
    ),
}


def check(conn: sqlite3.Connection, path: Path) -> None:
    """Look the archive over that is attached as ``a``; ``path`` is for the messages.

    Raises:
        BadArchive: it is no archive, is damaged, or says impossible things.
        StoreTooNew: a newer flowdeck wrote it.
        sqlite3.DatabaseError: it cannot be read.
    """
    _check_header(conn, path)
    tables = {
        name
        for name, sql in conn.execute(
            "SELECT name, sql FROM a.sqlite_master WHERE type = 'table'"
        ).fetchall()
        if str(sql).upper().startswith("CREATE TABLE")
    }
    missing = [table for table in _TABLES if table not in tables]
    if missing:
        raise BadArchive(path, f"its table {missing[0]} is missing")
    for table in (*_TABLES, *(table for table in LATER if table in tables)):
        if _columns(conn, "main", table) - _columns(conn, "a", table):
            raise BadArchive(path, f"its table {table} lacks columns")
    if not conn.execute("SELECT 1 FROM a.meta WHERE key = 'archive'").fetchall():
        raise BadArchive(path, "it is a whole store, not the archive of one run")
    ((verdict,), *_) = conn.execute("PRAGMA a.quick_check(1)").fetchall()
    if verdict != "ok":
        raise BadArchive(path, str(verdict))
    if conn.execute("PRAGMA a.foreign_key_check").fetchall():
        raise BadArchive(path, "it refers to things that are not in it")
    for query, what in _IMPOSSIBLE.items():
        if conn.execute(f"{query} LIMIT 1").fetchall():
            raise BadArchive(path, what)
    _check_times(conn, path)
    _check_uids(conn, path)
    _check_tracebacks(conn, path)
    if "provenance" in tables:
        _check_provenance(conn, path)
    check_json(conn, path, tables)


def _columns(conn: sqlite3.Connection, database: str, table: str) -> set[str]:
    return {row[1] for row in conn.execute(f"PRAGMA {database}.table_info({table})").fetchall()}


def _check_header(conn: sqlite3.Connection, path: Path) -> None:
    ((app_id,),) = conn.execute("PRAGMA a.application_id").fetchall()
    ((version,),) = conn.execute("PRAGMA a.user_version").fetchall()
    if app_id != schema.APPLICATION_ID:
        raise BadArchive(path, "no flowdeck wrote it")
    if version > schema.SCHEMA_VERSION:
        rows = conn.execute("SELECT value FROM a.meta WHERE key = 'written_by'").fetchall()
        written_by = str(rows[0][0]) if rows else None
        raise StoreTooNew(path, version, schema.SCHEMA_VERSION, written_by)


def _check_times(conn: sqlite3.Connection, path: Path) -> None:
    for table, columns in _TIMES.items():
        for column in columns:
            query = f"SELECT 1 FROM a.{table} WHERE {column} NOT BETWEEN 0 AND ? LIMIT 1"
            if conn.execute(query, (_LAST_US,)).fetchall():
                raise BadArchive(path, f"a time in {table} is impossible")


def _check_uids(conn: sqlite3.Connection, path: Path) -> None:
    uids = [row[0] for row in conn.execute("SELECT uid FROM a.flow_runs ORDER BY id").fetchall()]
    if not uids:
        raise BadArchive(path, "there is no run in it")
    if len(set(uids)) < len(uids) or not all(_UID.fullmatch(str(uid)) for uid in uids):
        raise BadArchive(path, "the uid of a run is not 32 hexadecimal digits")


def _check_tracebacks(conn: sqlite3.Connection, path: Path) -> None:
    """Each must be what its hash says, or it would replace those of failures to come."""
    rows = conn.execute(
        "SELECT DISTINCT b.hash, f.exc_type FROM a.tracebacks b "
        "LEFT JOIN a.failures f ON f.tb = b.hash"
    ).fetchall()
    for digest, exc_type in rows:
        ((data,),) = conn.execute(
            "SELECT data FROM a.tracebacks WHERE hash = ?", (digest,)
        ).fetchall()
        if exc_type is None or not _is_genuine(digest, str(exc_type), data):
            raise BadArchive(path, "a traceback is not what its hash says")


def _check_provenance(conn: sqlite3.Connection, path: Path) -> None:
    """Texts must be what their hashes say, and unpack to what a reader can hold."""
    query = "SELECT 1 FROM a.provenance WHERE us NOT BETWEEN 0 AND ? LIMIT 1"
    if conn.execute(query, (_LAST_US,)).fetchall():
        raise BadArchive(path, "a time in provenance is impossible")
    for digest, data in conn.execute("SELECT hash, data FROM a.texts"):
        try:
            if digest_of(data) != digest:
                raise ValueError("it is not what its hash says")
            unpacked(data)
        except (TypeError, ValueError) as error:
            raise BadArchive(path, f"a text of its provenance cannot be used: {error}") from error


def _is_genuine(digest: bytes, exc_type: str, data: bytes) -> bool:
    try:
        unpacking = zlib.decompressobj()
        structure = unpacking.decompress(data, _MAX_STRUCTURE)
    except zlib.error:
        return False
    if unpacking.unconsumed_tail:
        return False
    name = exc_type.encode("utf-8", "backslashreplace")
    return blake2b(name + b"\0" + structure, digest_size=16).digest() == digest

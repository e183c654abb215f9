"""Tags and notes that people give to runs afterwards, also while the run goes on.

The process that asks writes them itself, in a transaction of its own: the process of the run need
not be alive, and its batches never touch what is written here. (Tags of a launched run that
nobody has taken over yet stay, too: the trigger keeps those of a run that has :data:`RAN_WITH`.)
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import NotFound, StoreError
from flowdeck_store.events import now_us
from flowdeck_store.file.connection import WAIT_S, connect_rw, transaction
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.ids import task_run_id
from flowdeck_store.notes import MAX_NOTE, MAX_NOTES, NOTE, RAN_WITH
from flowdeck_store.secrets.redaction import without_secrets

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: Characters of a tag, and tags of a run.
MAX_TAG: Final = 200
MAX_TAGS: Final = 1_000


def check_tag(tag: str) -> str:
    """Return a tag without the blanks around it.

    Raises:
        ValueError: it is empty, too long, or not printable in one line.
    """
    tag = tag.strip()
    if not tag:
        raise ValueError("a tag needs at least one character")
    if len(tag) > MAX_TAG:
        raise ValueError(f"a tag has at most {MAX_TAG} characters, not {len(tag):,}")
    if not tag.isprintable():
        raise ValueError(f"{tag!r} is no tag: it has characters that cannot be printed")
    return tag


def change_tags(
    home: Path, run_ids: Sequence[int], add: Iterable[str] = (), remove: Iterable[str] = ()
) -> dict[int, tuple[str, ...]]:
    """Add tags to runs and take tags from them, in one transaction.

    Args:
        home: the folder of the store.
        run_ids: the runs.
        add: tags; those that a run has already stay as they are.
        remove: tags; those that a run has not are no error.

    Returns:
        The tags that each run has now, sorted.

    Raises:
        ValueError: one of the tags is none, or a run would have more than 1,000.
        NotFound: there is no such run; nothing is changed.
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    added = {check_tag(tag) for tag in add}
    removed = {check_tag(tag) for tag in remove}
    both = sorted(added & removed)
    if both:
        raise ValueError(f"the tag {both[0]!r} cannot be added and removed at once")
    found: dict[int, tuple[str, ...]] = {}
    with _writing(home, run_ids) as conn:
        for run_id in run_ids:
            before = _tags(conn, run_id)
            now = tuple(sorted((set(before) | added) - removed))
            found[run_id] = now
            if len(now) > MAX_TAGS:
                raise ValueError(f"a run has at most {MAX_TAGS:,} tags; #{run_id} would have more")
            if set(now) != set(before):
                _keep_first(conn, run_id, before)
                conn.execute(
                    "UPDATE flow_runs SET tags = ? WHERE id = ?",
                    (json.dumps(now) if now else None, run_id),
                )
    return found


def add_note(home: Path, run_id: int, text: str, by: str | None = None) -> int:
    """Write a note on a run; secrets in it are hidden.

    Args:
        home: the folder of the store.
        run_id: the run.
        text: up to 4,000 characters, in any number of lines.
        by: who writes it.

    Returns:
        Its number among the notes of the run, from 1 on.

    Raises:
        ValueError: the text is blank or too long, or the run has 200 notes already.
        NotFound: there is no such run.
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    text = without_secrets(text.strip().encode("utf-8", "replace").decode())
    if not text:
        raise ValueError("a note needs a text")
    if len(text) > MAX_NOTE:
        raise ValueError(f"a note has at most {MAX_NOTE:,} characters, not {len(text):,}")
    with _writing(home, [run_id]) as conn:
        number = len(_notes(conn, run_id)) + 1
        if number > MAX_NOTES:
            raise ValueError(f"run {run_id} has {MAX_NOTES} notes already: delete some")
        _insert(conn, run_id, NOTE, {"text": text, "by": by} if by else {"text": text})
    return number


def delete_note(home: Path, run_id: int, seq: int) -> bool:
    """Delete a note by its number in the record (``Note.seq``); say whether it was there.

    Raises:
        NotFound: there is no such run.
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    with _writing(home, [run_id]) as conn:
        deleted = conn.execute(
            "DELETE FROM artifacts WHERE seq = ? AND task = ? AND kind = ?",
            (seq, task_run_id(run_id, 0), NOTE),
        ).rowcount
    return deleted > 0


@contextmanager
def _writing(home: Path, run_ids: Sequence[int]) -> Iterator[sqlite3.Connection]:
    """A transaction on a store that has all these runs."""
    paths = StorePaths(home)
    if not paths.db.exists():
        raise NotFound(f"There is no run {_named(run_ids)}: {paths.db} does not exist.")
    with closing(connect_rw(paths)) as conn, transaction(conn, paths, WAIT_S):
        rows = conn.execute(
            "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM flow_runs)",
            (json.dumps(list(run_ids)),),
        ).fetchall()
        if rows:
            raise NotFound(f"There is no run {rows[0][0]} in {paths.db}.")
        yield conn


def _named(run_ids: Sequence[int]) -> str:
    return ", ".join(map(str, run_ids[:5]))


def _tags(conn: sqlite3.Connection, run_id: int) -> list[str]:
    ((text,),) = conn.execute("SELECT tags FROM flow_runs WHERE id = ?", (run_id,)).fetchall()
    try:
        found = json.loads(text) if text else []
    except (ValueError, RecursionError) as error:
        raise StoreError(f"The tags of run {run_id} cannot be read: {error}.") from error
    return [str(tag) for tag in found] if isinstance(found, list) else []


def _notes(conn: sqlite3.Connection, run_id: int) -> list[tuple[int]]:
    return conn.execute(
        "SELECT seq FROM artifacts WHERE task = ? AND kind = ?", (task_run_id(run_id, 0), NOTE)
    ).fetchall()


def _keep_first(conn: sqlite3.Connection, run_id: int, tags: list[str]) -> None:
    there = conn.execute(
        "SELECT 1 FROM artifacts WHERE task = ? AND kind = ?", (task_run_id(run_id, 0), RAN_WITH)
    ).fetchall()
    if not there:
        _insert(conn, run_id, RAN_WITH, tags)


def _insert(conn: sqlite3.Connection, run_id: int, kind: str, data: object) -> None:
    conn.execute(
        "INSERT INTO artifacts(task, us, kind, key, data) VALUES(?, ?, ?, NULL, ?)",
        (task_run_id(run_id, 0), now_us(), kind, json.dumps(data)),
    )

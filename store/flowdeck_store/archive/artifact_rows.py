"""The files of artifacts in archives, in a table that a flowdeck which does not know it ignores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import BadArchive
from flowdeck_store.file import artifact_files

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from flowdeck_store.file.paths import StorePaths

#: Bytes of all files in one archive; what is beyond stays behind, and is then shown as gone.
MOST_BYTES: Final = 256 << 20
_MOST_FILES: Final = 10_000
_TABLE: Final = "artifact_files"
_COLUMNS: Final = ["uid", "name", "data"]


def put_in_artifacts(conn: sqlite3.Connection, paths: StorePaths) -> None:
    """Copy the files of artifacts of the runs in an archive into it.

    Args:
        conn: of the archive, which has the rows of its runs.
        paths: of the record that they come from.

    Raises:
        sqlite3.Error: the archive cannot be written.
    """
    conn.execute(
        f"CREATE TABLE {_TABLE}(uid TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL) STRICT"
    )
    left = MOST_BYTES
    for (uid,) in conn.execute("SELECT uid FROM main.flow_runs").fetchall():
        for name in artifact_files.names(paths.artifacts, uid):
            content = artifact_files.read(paths.artifacts, uid, name, left)
            if content is not None:
                left -= len(content)
                conn.execute(f"INSERT INTO {_TABLE} VALUES(?, ?, ?)", (uid, name, content))


class ArrivingArtifacts:
    """Puts the files of artifacts of an archive into the folder of a store.

    Args:
        conn: of the store, with the archive attached as ``a``.
        folder: of the store's artifacts.
        path: of the archive, for messages.
    """

    def __init__(self, conn: sqlite3.Connection, folder: Path, path: Path) -> None:
        self._conn, self._folder, self._path = conn, folder, path
        self._written: set[str] = set()

    def take_in(self) -> None:
        """Write the files.

        Raises:
            BadArchive: one of them is none, or belongs to no run of the archive.
            OSError: a file cannot be written; :meth:`undo` removes the others.
            sqlite3.Error: the archive cannot be read.
        """
        columns = [
            (row[1], row[6])
            for row in self._conn.execute(f"PRAGMA a.table_xinfo({_TABLE})").fetchall()
        ]
        if not columns:
            return
        if columns != [(name, 0) for name in _COLUMNS]:
            raise BadArchive(self._path, f"its table {_TABLE} has other columns")
        uids = {row[0] for row in self._conn.execute("SELECT uid FROM a.flow_runs").fetchall()}
        left = MOST_BYTES
        places = self._conn.execute(
            f"SELECT rowid, uid, name, length(data) FROM a.{_TABLE} LIMIT {_MOST_FILES}"
        ).fetchall()
        for row, uid, name, size in places:
            left -= int(size or 0)
            if uid not in uids or not artifact_files.is_name(name) or left < 0:
                raise BadArchive(self._path, "a file of an artifact in it is none")
            ((content,),) = self._conn.execute(
                f"SELECT data FROM a.{_TABLE} WHERE rowid = ?", (row,)
            ).fetchall()
            self._written.add(uid)
            try:
                artifact_files.write(self._folder, uid, name, bytes(content))
            except (FileExistsError, TypeError, ValueError) as error:
                raise BadArchive(self._path, "a file of an artifact in it is none") from error

    def undo(self) -> None:
        """Remove what was written: the store did not take the archive in."""
        for uid in self._written:
            artifact_files.remove(self._folder, uid)

"""A copy of the record as it was before its tables were changed.

A migration is one transaction: it happens whole or not at all. But an older flowdeck may have to go
back to the file (a roll-back of a deployment, another environment on the same machine), and it
refuses one that it does not understand. So what a newer one finds is copied first.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreError
from flowdeck_store.file.new_file import new_file

if TYPE_CHECKING:
    from pathlib import Path

#: How much of what is free the copy may take: the record needs room, too.
_SHARE: Final = 0.5


def keep_copy(conn: sqlite3.Connection, db: Path, version: int) -> Path | None:
    """Copy the file to ``flowdeck.db.v<version>`` beside it; the caller holds the write lock.

    Args:
        conn: an open connection to it.
        db: the file.
        version: its schema version, which is about to change.

    Returns:
        The copy; ``None`` if there is no room for one, or it cannot be written: that is no reason
        not to record what happens now.
    """
    target = db.with_name(f"{db.name}.v{version}")
    if target.exists():
        return target
    (pages,), (size,) = (
        conn.execute("PRAGMA page_count").fetchone(),
        conn.execute("PRAGMA page_size").fetchone(),
    )
    with contextlib.suppress(OSError, sqlite3.Error, StoreError):
        if pages * size <= shutil.disk_usage(db.parent).free * _SHARE:
            with new_file(target) as part, closing(sqlite3.connect(part)) as copy:
                conn.backup(copy)
            return target
    return None

"""Saved filters, layouts and parameters of the terminal app. Read them with ``Reader.presets``."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from flowdeck_store.connection import WAIT_S, connect_rw, make_home
from flowdeck_store.events import now_us
from flowdeck_store.paths import StorePaths
from flowdeck_store.side_door import transaction

if TYPE_CHECKING:
    from pathlib import Path


def put(home: Path, name: str, kind: str, data: dict[str, Any]) -> None:
    """Save a preset; one of the same name is replaced.

    Args:
        home: the folder of the store.
        name: unique over all kinds.
        kind: what it is for (``runs``, ``tasks``, ``parameters:<flow key>``...).
        data: anything that JSON can hold.

    Raises:
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    make_home(paths)
    with closing(connect_rw(paths)) as conn, transaction(conn, paths, WAIT_S):
        conn.execute(
            "INSERT OR REPLACE INTO ui_presets(name, kind, data, us) VALUES(?, ?, ?, ?)",
            (name, kind, json.dumps(data), now_us()),
        )


def delete(home: Path, name: str) -> bool:
    """Delete a preset; say whether there was one.

    Raises:
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    if not paths.db.exists():
        return False
    with closing(connect_rw(paths)) as conn, transaction(conn, paths, WAIT_S):
        return conn.execute("DELETE FROM ui_presets WHERE name = ?", (name,)).rowcount > 0

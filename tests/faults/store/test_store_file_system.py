"""File systems without shared memory: SQLite cannot keep a write-ahead log there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.file import connection
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep.liveness import recover
from store_writing import Recorded, numbered_lines, one, private_home, recording

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, on what SQLite takes for a file system without shared memory."""
    plain = connection._connect

    def without_shared_memory(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
        return plain(path, f"{mode}&vfs=unix-none", timeout)

    monkeypatch.setattr(connection, "_connect", without_shared_memory)
    return private_home(tmp_path, monkeypatch)


def test_recording_works_without_a_write_ahead_log_and_the_user_is_told_once(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        for number in range(2000):
            run.log(str(number))
            if number % 500 == 0:
                assert session.flush(20)
        run.end()
        assert session.flush(20)
        assert not (home / "flowdeck.db-wal").exists()
    assert len(warnings) == 1
    assert "cannot share memory" in warnings[0]
    assert numbered_lines(home) == list(range(2000))
    assert one(home, "SELECT state FROM flow_runs") == COMPLETED
    assert recover(home) == []

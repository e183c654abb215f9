"""The file is damaged, or turns into something else, while a process records into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import StoreCorrupt
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep.liveness import recover
from store_writing import (
    Recorded,
    finish,
    numbered_lines,
    one,
    private_home,
    recording,
    rows,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


# In a process of its own: opening the file here would drop SQLite's locks on it.
SCRIBBLE = (
    "import sys\n"
    "with open(sys.argv[1], 'r+b') as file:\n"
    "    file.seek(0, 2); size = file.tell()\n"
    "    for page in range(int(sys.argv[2]), size // 4096):\n"
    "        file.seek(page * 4096); file.write(b'\\xff' * 4096)"
)
SET_VERSION = (
    "import sqlite3, sys\n"
    "conn = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    "conn.execute('PRAGMA user_version=' + sys.argv[2])"
)


def test_a_damaged_file_stops_the_record_but_neither_the_flow_nor_the_journal(
    home: Path, tmp_path: Path
) -> None:
    with recording(home) as session:  # enough for the pages to be in the file, not in the log
        for _ in range(200):
            Recorded(session.emit).run().task(1).log("x" * 200).end()
    warnings: list[str] = []
    file = home / "flowdeck.db"
    with recording(home, warnings) as session:
        finish(start(SCRIBBLE, file, 1))
        run = Recorded(session.emit).run("survivor")
        for number in range(200):
            run.log(str(number))
        run.end()
        assert not session.flush(5)
        assert not session.close(1)
    assert "damaged" in warnings[0]
    for left in home.glob("flowdeck.db*"):
        left.rename(tmp_path / left.name)  # what the message tells the user to do
    with recording(home):
        wait_until(lambda: rows(home, "SELECT 1 FROM flow_runs WHERE ended_us>0"), "replayed")
    assert rows(home, "SELECT name,state FROM flow_runs") == [("survivor", COMPLETED)]
    assert numbered_lines(home) == list(range(200))


def test_a_store_whose_pages_are_damaged_is_refused_when_it_is_opened(home: Path) -> None:
    with recording(home):
        pass
    finish(start(SCRIBBLE, home / "flowdeck.db", 1))
    with pytest.raises(StoreCorrupt, match="malformed"), recording(home):
        pytest.fail("opened")


def test_a_file_that_turns_into_garbage_is_reported_and_the_next_store_gets_everything(
    home: Path, tmp_path: Path
) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        assert session.flush()
        garbage = tmp_path / "garbage"
        garbage.write_bytes(b"no database " * 1000)
        for file in home.glob("flowdeck.db*"):
            file.unlink()
        garbage.rename(home / "flowdeck.db")
        for number in range(50):
            run.log(str(number))
        run.end()
        wait_until(lambda: len(warnings) == 2, "noticed")
        assert not session.flush(0.5)
        assert "not a readable flowdeck store" in warnings[1]
        with pytest.raises(StoreCorrupt):
            recover(home)
        (home / "flowdeck.db").unlink()
        assert session.flush(20)
    assert numbered_lines(home) == list(range(50))
    assert one(home, "SELECT state FROM flow_runs") == COMPLETED


def test_a_store_that_a_newer_flowdeck_upgrades_meanwhile_is_not_written_any_more(
    home: Path,
) -> None:
    with recording(home):
        pass
    finish(start(SET_VERSION, home / "flowdeck.db", 99))
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        conn.execute("UPDATE meta SET value=99 WHERE key='min_reader'")
        conn.commit()
        before = conn.execute("SELECT count(*) FROM sessions").fetchone()
    from flowdeck_store.errors import StoreTooNew

    with pytest.raises(StoreTooNew, match="upgrade flowdeck"), recording(home):
        pytest.fail("opened")
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        assert conn.execute("SELECT count(*) FROM sessions").fetchone() == before

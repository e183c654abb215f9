"""A copy of the record, made while flows write into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import NotFound, StoreError
from flowdeck_store.read.reader import Reader
from flowdeck_store.upkeep.backup import back_up
from store_writing import (
    Recorded,
    finish,
    mounted,
    numbered_lines,
    recording,
    start,
)

if TYPE_CHECKING:
    from pathlib import Path

WRITING = """
import sys; from pathlib import Path; from store_writing import *
session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)
run = Recorded(session.emit).run(); run.log('0'); session.flush(); print('on', flush=True)
for number in range(1, 40_000): run.log(str(number))
session.flush(50); print('last', flush=True); sys.stdin.readline()
run.end(); session.close()
"""


def test_a_copy_made_while_flows_write_is_whole_and_disturbs_nobody(
    home: Path, tmp_path: Path
) -> None:
    process = start(WRITING, home)
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    made = back_up(home, tmp_path / "copy.db")
    assert process.stdout.readline() == "last\n"
    finish(process)
    assert numbered_lines(home) == list(range(40_000))
    assert (made.runs, made.bytes) == (1, (tmp_path / "copy.db").stat().st_size)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    restored = tmp_path / "restored"
    restored.mkdir()
    (tmp_path / "copy.db").rename(restored / "flowdeck.db")
    with closing(sqlite3.connect(restored / "flowdeck.db")) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    lines = numbered_lines(restored)
    assert lines == list(range(len(lines)))
    assert lines
    with recording(restored) as session:  # it can be written, too
        Recorded(session.emit).run("later").end()
        assert session.flush()
    with Reader.open(restored) as reader:
        assert len(reader.runs()) == 2


def test_a_flow_may_back_up_its_own_record(home: Path, tmp_path: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().log("0")
        assert session.flush()
        for number in range(1, 4):
            assert back_up(home, tmp_path / "copy.db", replace=number > 1).runs == 1
            run.log(str(number))
            assert session.flush()
        run.end()
    assert numbered_lines(home) == [0, 1, 2, 3]


def test_what_is_in_the_way_is_said_and_nothing_is_replaced(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing to copy"):
        back_up(home, tmp_path / "copy.db")
    with recording(home) as session:
        Recorded(session.emit).run().end()
    there = tmp_path / "there.db"
    there.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        back_up(home, there)
    assert there.read_text() == "mine"
    with pytest.raises(StoreError, match="is a folder"):
        back_up(home, tmp_path)
    with pytest.raises(StoreError, match=r"no folder .*gone: make it"):
        back_up(home, tmp_path / "gone" / "copy.db")
    with pytest.raises(StoreError, match="the record itself"):
        back_up(home, home / "flowdeck.db", replace=True)
    assert not list(tmp_path.glob("*.part-*"))


def test_a_full_disk_is_said_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        for _ in range(50):
            run.log("x" * 20_000)
        run.end()
    full = tmp_path / "full"
    full.mkdir()
    with mounted(full, "-t", "tmpfs", "-o", "size=256k", "none"):
        with pytest.raises(StoreError, match=r"no room|No space|disk is full"):
            back_up(home, full / "copy.db")
        assert list(full.iterdir()) == []

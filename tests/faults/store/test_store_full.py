"""No space left: events wait in the journal, and everything goes on once there is space."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import StoreError
from flowdeck_store.file import left_behind
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep.backup import back_up
from flowdeck_store.upkeep.retention import delete_runs
from store_writing import (
    QUICK,
    Recorded,
    finish,
    mounted,
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


def fill(folder: Path, keep: int = 0) -> Path:
    """Use up the space of a file system but for about ``keep`` bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - keep))
    return ballast


def test_a_full_disk_delays_the_record_and_loses_nothing(home: Path) -> None:
    home.mkdir()
    warnings: list[str] = []
    with (
        mounted(home, "-t", "tmpfs", "-o", "size=12m", "tmpfs"),
        recording(home, warnings) as session,
    ):
        run = Recorded(session.emit).run()
        assert session.flush()
        ballast = fill(home)
        for number in range(20_000):
            run.log(str(number))
        wait_until(lambda: warnings, "a warning")
        assert not session.flush(0.5)
        run.log("20000")
        ballast.unlink()
        assert session.flush(20)
        wait_until(lambda: len(warnings) == 2, "the end of the trouble")
        run.end()
        assert session.close()
        assert numbered_lines(home) == list(range(20_001))
        assert rows(home, "SELECT state,n_logs FROM flow_runs") == [(COMPLETED, 20_001)]
    assert "disk is full" in warnings[0]
    assert len(warnings) == 2


def test_a_disk_without_room_for_a_journal_keeps_events_in_another_place(
    home: Path, tmp_path: Path
) -> None:
    home.mkdir()
    warnings: list[str] = []
    with mounted(home, "-t", "tmpfs", "-o", "size=6m", "tmpfs"):
        with recording(home) as session:
            Recorded(session.emit).run().end()
        ballast = fill(home)
        with recording(home, warnings) as session:
            run = Recorded(session.emit).run()
            for number in range(1000):
                run.log(str(number))
            run.end()
            assert not session.flush(0.5)
            assert list((tmp_path / "tmp").rglob("*.jrn"))
            assert not session.close(0.5)
        ballast.unlink()
        with recording(home):
            wait_until(lambda: numbered_lines(home) == list(range(1000)), "replayed")
        assert rows(home, "SELECT state FROM flow_runs") == [(COMPLETED,)] * 2
        assert not list((tmp_path / "tmp").rglob("*.jrn"))
    assert len(warnings) == 1


def test_without_room_anywhere_events_are_kept_in_memory_and_the_user_knows(
    home: Path, tmp_path: Path
) -> None:
    home.mkdir()
    warnings: list[str] = []
    with (
        mounted(home, "-t", "tmpfs", "-o", "size=60m", "tmpfs"),
        mounted(tmp_path / "tmp", "-t", "tmpfs", "-o", "size=100k", "tmpfs"),
        recording(home, warnings) as session,
    ):
        ballast = fill(home)
        fill(tmp_path / "tmp")
        run = Recorded(session.emit).run()
        for number in range(200_000):
            run.log(str(number), level=30)
        assert not session.flush(5)
        wait_until(lambda: "memory only" in warnings[-1], "a warning")
        ballast.unlink()
        assert session.flush(60)
        run.end()
        assert session.close()
        assert one(home, "SELECT count(DISTINCT msg) FROM logs") == 200_000
    # The first word may come before the journal is full, too, and then says that all is safe.
    assert ["memory only" in text for text in warnings[-2:]] == [True, False]
    assert "can be written again" in warnings[-1]
    assert len(warnings) in {2, 3}


def test_a_limit_on_file_sizes_is_met_like_a_full_disk(home: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from store_writing import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "said = []; home = Path(sys.argv[1])\n"
        "with recording(home, said) as session:\n"
        "    run = Recorded(session.emit).run(); session.flush()\n"
        "    size = (home / 'flowdeck.db-wal').stat().st_size + 100_000\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "    for number in range(20_000): run.log(str(number))\n"
        "    assert not session.flush(1)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "    assert session.flush(20); run.end()\n"
        "assert 'ulimit -f' in said[0] and len(said) == 2, said"
    )
    finish(start(code, home))
    assert numbered_lines(home) == list(range(20_000))


def test_a_store_that_cannot_even_be_created_for_lack_of_space_is_created_later(
    home: Path,
) -> None:
    home.mkdir()
    warnings: list[str] = []
    with mounted(home, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        ballast = fill(home)
        with recording(home, warnings, tuning=QUICK) as session:
            run = Recorded(session.emit).run()
            for number in range(100):
                run.log(str(number))
            assert not session.flush(0.3)
            ballast.unlink()
            assert session.flush(20)
            run.end()
        assert numbered_lines(home) == list(range(100))
    assert len(warnings) == 2


def test_a_full_disk_is_met_by_merging_the_log_into_the_file(home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=40m", "tmpfs"):
        with recording(home) as session:
            run = Recorded(session.emit).run()
            for number in range(2_000):
                run.log(f"{number} " + "x" * 4_000)
            run.end()
        assert delete_runs(home, [1]).run_ids == (1,)  # the file keeps its size, half of it is free
        with recording(home) as session:
            run = Recorded(session.emit).run()
            assert session.flush()
            fill(home, keep=5_000_000)  # a segment of the journal, and a log of less than 1 MB
            for number in range(1_000):
                run.log(f"{number} " + "x" * 3_000)
                if number % 20 == 0:
                    assert session.flush(20)
            run.end()
            assert session.flush(20)
        assert one(home, "SELECT n_logs FROM flow_runs") == 1_000


def test_a_disk_without_room_to_read_is_said_to_be_full(home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=6m", "tmpfs"):
        with recording(home) as session:
            Recorded(session.emit).run().end()
        fill(home)
        with Reader(home) as reader, pytest.raises(StoreError, match="the disk is full"):
            reader.runs()
        with pytest.raises(sqlite3.OperationalError) as caught:
            back_up(home, home / "copy.db")
        assert left_behind.reason_of(caught.value).startswith("the disk is full")

"""The store cannot be written: nothing fails, nothing is lost."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import fallback
from flowdeck_store.paths import StorePaths
from flowdeck_store.states import COMPLETED
from store_writing import (
    Recorded,
    mounted,
    numbered_lines,
    private_home,
    recording,
    rows,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


def record_some(session: object, numbers: range) -> None:
    run = Recorded(session.emit).run()  # type: ignore[attr-defined]
    for number in numbers:
        run.log(str(number))
    run.end()


def test_a_read_only_home_is_recorded_once_it_can_be_written(home: Path, tmp_path: Path) -> None:
    with recording(home):
        pass
    warnings: list[str] = []
    with mounted(home, "--bind", str(home)):
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        with recording(home, warnings) as session:
            record_some(session, range(100))
            assert not session.flush(1)
            assert session.cached("key", 0) is None
            assert not session.close(1)
        assert list((tmp_path / "tmp").rglob("*.jrn"))
    assert len(warnings) == 1
    assert "cannot be written" in warnings[0]
    assert str(tmp_path / "tmp") in warnings[0]
    with recording(home):
        wait_until(lambda: numbered_lines(home) == list(range(100)), "replayed")
    assert rows(home, "SELECT state FROM flow_runs") == [(COMPLETED,)]
    assert not [f for f in (tmp_path / "tmp").rglob("*") if f.is_file()]


def test_a_write_ahead_log_that_turns_immutable_while_it_is_used(home: Path) -> None:
    warnings: list[str] = []
    wal = home / "flowdeck.db-wal"
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        session.flush()
        if subprocess.run(["chattr", "+i", wal], check=False, capture_output=True).returncode:
            pytest.skip("this file system has no immutable files")
        try:
            for number in range(50):
                run.log(str(number))
            assert not session.flush(1)
        finally:
            subprocess.run(["chattr", "-i", wal], check=True)
        assert session.flush(20)
        run.end()
    assert numbered_lines(home) == list(range(50))
    assert len(warnings) == 2
    assert "refuses to write" in warnings[0]


def test_an_immutable_file_is_read_only_even_for_root(home: Path) -> None:
    with recording(home):
        pass
    file = home / "flowdeck.db"
    if subprocess.run(["chattr", "+i", file], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    warnings: list[str] = []
    try:
        with recording(home, warnings) as session:
            record_some(session, range(50))
            assert not session.flush(1)
            subprocess.run(["chattr", "-i", file], check=True)
            assert session.flush(20)
    finally:
        subprocess.run(["chattr", "-i", file], check=True)
    assert numbered_lines(home) == list(range(50))
    assert len(warnings) == 2


def test_a_stand_in_folder_that_others_could_write_is_not_trusted(
    home: Path, tmp_path: Path
) -> None:
    paths = StorePaths(home)
    folder = fallback.make(paths)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert fallback.folders(paths, paths.journal) == [paths.journal, folder]
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="private"):
        fallback.make(paths)
    assert fallback.folders(paths, paths.journal) == [paths.journal]
    assert folder.is_relative_to(tmp_path)

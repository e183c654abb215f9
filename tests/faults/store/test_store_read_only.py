"""The store cannot be written: nothing fails, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.file.paths import StorePaths
from flowdeck_store.journal import fallback
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep.liveness import is_alive, recover
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


def test_a_home_that_cannot_be_created_is_recorded_once_it_can(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in-the-way").touch()
    home = tmp_path / "in-the-way" / "home"
    warnings: list[str] = []
    with recording(home, warnings) as session:
        record_some(session, range(100))
        assert session.acquire_slots(["db"], "a" * 32, 1) == ()
        assert session.cached("key", 0) is None
        assert not session.flush(1)
    (said,) = warnings
    assert f"cannot write in {home}" in said
    assert str(tmp_path / "tmp") in said
    assert recover(home) == []  # still not: without a word here, and without loss
    (tmp_path / "in-the-way").unlink()
    (recovered,) = recover(home)
    assert recovered.missing.events == 0
    assert numbered_lines(home) == list(range(100))
    assert rows(home, "SELECT state FROM flow_runs") == [(COMPLETED,)]
    assert not [f for f in (tmp_path / "tmp").rglob("*") if f.is_file()]


def test_a_home_that_can_be_created_after_all_gets_what_happened_meanwhile(
    tmp_path: Path,
) -> None:
    (tmp_path / "in-the-way").touch()
    home = tmp_path / "in-the-way" / "home"
    warnings: list[str] = []
    with recording(home, warnings) as session:
        record_some(session, range(10))
        assert not session.flush(1)
        (tmp_path / "in-the-way").unlink()
        wait_until(lambda: session.flush(1), "recorded")
        assert is_alive(home, session.uid)
    assert len(warnings) == 2
    assert numbered_lines(home) == list(range(10))


FLOW = """
from flowdeck import flow, task

@task(persist_result=True)
def double(n):
    return n * 2

@flow
def steps():
    return sum(future.result() for future in double.map([1, 2, 3]))

if __name__ == "__main__":
    print(steps())
"""


def test_a_flow_goes_on_and_one_line_says_why_whatever_the_console_is_set_to(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "in-the-way").touch()
    (tmp_path / "steps.py").write_text(FLOW)
    quiet = {"FLOWDECK_CONSOLE": "no", "FLOWDECK_LOG_LEVEL": "ERROR"}
    for more in (quiet, {}):
        done = subprocess.run(
            [sys.executable, "steps.py"],
            cwd=tmp_path,
            env={**os.environ, "FLOWDECK_HOME": str(tmp_path / "in-the-way" / "home"), **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr
        assert "Traceback" not in done.stderr
        said = [line for line in done.stderr.splitlines() if "cannot write in" in line]
        assert len(said) == 1, done.stderr
        if more:
            assert done.stderr.splitlines() == said


def test_a_home_whose_path_is_no_utf_8(tmp_path: Path) -> None:
    home = os.fsdecode(os.fsencode(tmp_path) + b"/h\xff me?a=1#x")
    (tmp_path / "steps.py").write_text(FLOW)
    where = {**os.environ, "FLOWDECK_HOME": home, "FLOWDECK_CONSOLE": "no"}

    def run(*args: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path, env=where, capture_output=True, text=True, errors="surrogateescape",
            check=False,
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        return done.stdout

    assert run("steps.py") == "12\n"
    run("-c", "import os\n"
        "from flowdeck import flow\n@flow\ndef dies(): os.kill(os.getpid(), 9)\ndies()", code=-9)  # fmt: skip
    assert '"state": "Crashed"' in run("-m", "flowdeck_app", "runs", "--json")
    for words in (
        "show 1", "tasks 1", "logs 1", "doctor", "backup copy.db", "export 1 one.flowdeck",
        "import one.flowdeck", "config", "config limit db 3", "prune --keep-last 0 -y", "runs",
    ):  # fmt: skip
        run("-m", "flowdeck_app", *words.split(), code=2 if words.startswith("import") else 0)
    assert (tmp_path / "copy.db").exists()
    (kept,) = [name for name in os.listdir(os.fsencode(tmp_path)) if name.startswith(b"h\xff")]
    assert os.path.exists(os.fsencode(tmp_path) + b"/" + kept + b"/flowdeck.db")

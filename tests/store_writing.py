"""Ways for tests to write a store as the engine does, to look into it, and to start processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store import events as ev
from flowdeck_store.file.connection import connect_ro
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.record.tuning import Tuning
from flowdeck_store.session import RecordingSession
from flowdeck_store.states import COMPLETED, PENDING, RUNNING, bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORE = Path(__file__).parent.parent / "store"
#: Waits less than the defaults, so that trouble shows up quickly.
QUICK = Tuning(busy=0.2, lock_patience=0.3, backoff=0.05, backoff_max=0.2, tick=0.05)
FLOW_KEY = "/flows/etl.py:etl"
TASK_KEY = "/flows/etl.py:load"


class Recorded:
    """Emits a flow run the way the engine does. All states have increasing times."""

    def __init__(self, emit: Callable[[ev.Event], None], uid: str | None = None) -> None:
        self.emit = emit
        self.uid = uid or os.urandom(16).hex()
        self._bucket: dict[int, int] = {}
        self._us = ev.now_us()

    def us(self) -> int:
        self._us += 1
        return self._us

    def run(self, name: str = "brave-otter", **more: Any) -> Recorded:
        self.emit(ev.task_def(TASK_KEY, "load", "/flows/etl.py:7", '["io"]', 3))
        self.emit(
            ev.run(self.uid, self.us(), flow_key=FLOW_KEY, flow_name="etl", name=name, **more)
        )
        self.state(0, RUNNING)
        return self

    def task(self, no: int, inputs: Any = None, key: str = TASK_KEY) -> Recorded:
        self.emit(ev.task(self.uid, no, self.us(), key, f"load-{no}", None, inputs))
        self._bucket[no] = bucket(PENDING, None)
        return self

    def state(
        self, no: int, code: int, name: str | None = None, msg: str | None = None,
        attempt: int = 1, worker: str | None = None, data: str | None = None,
    ) -> Recorded:  # fmt: skip
        previous = self._bucket.get(no, -1)
        self._bucket[no] = bucket(code, name)
        self.emit(
            ev.state(
                self.uid, no, previous, code, self.us(), name, msg, attempt, worker, data
            )
        )  # fmt: skip
        return self

    def log(self, msg: str, no: int = 0, level: int = 20, logger: str = "flow") -> Recorded:
        self.emit(ev.log(self.uid, no, self.us(), level, logger, msg))
        return self

    def end(self, code: int = COMPLETED) -> Recorded:
        return self.state(0, code)


@contextmanager
def recording(
    home: Path, warnings: list[str] | None = None, tuning: Tuning = QUICK, **more: Any
) -> Iterator[RecordingSession]:
    """Open a session; close it at the end. Warnings fail the test unless a list takes them."""
    said: list[str] = [] if warnings is None else warnings
    session = RecordingSession.open(
        home, version="test", on_warning=said.append, tuning=tuning, **more
    )
    try:
        yield session
    finally:
        session.close()
    if warnings is None:
        assert said == []


def rows(home: Path, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """Run a query on the store; no rows when there is no store."""
    conn = connect_ro(StorePaths(home))
    if conn is None:
        return []
    with closing(conn):
        return conn.execute(sql, params).fetchall()


def one(home: Path, sql: str, *params: Any) -> Any:
    """Return the only value of the only row."""
    ((value,),) = rows(home, sql, *params)
    return value


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    """Poll until the condition gives something true, and return that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.005)


def start(code: str, *args: Any, **more: Any) -> subprocess.Popen[str]:
    """Start a Python process that runs ``code`` with the store and these helpers importable."""
    path = os.pathsep.join([str(STORE), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path}, **more,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout: float = 50.0) -> str:
    """Wait for a process that must succeed; return what it printed."""
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"exit code {process.returncode}: {out}"
    return out


def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder that does not exist yet; temporary files stay inside the test, too."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    return tmp_path / "home"


def numbered_lines(home: Path) -> list[int]:
    """Return the numbers that log lines consist of, in the order in which they were stored."""
    return [int(msg) for (msg,) in rows(home, "SELECT msg FROM logs ORDER BY seq")]


@contextmanager
def locked(home: Path) -> Iterator[sqlite3.Connection]:
    """Hold the store's write lock as another program would (not through the gate)."""
    conn = sqlite3.connect(home / "flowdeck.db", isolation_level=None)
    conn.execute("BEGIN EXCLUSIVE")
    try:
        yield conn
    finally:
        conn.execute("ROLLBACK")
        conn.close()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something on a folder; skip the test where that is not allowed."""
    done = subprocess.run(["mount", *options, folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

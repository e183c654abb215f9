"""A record that is locked, damaged, newer, empty, deleted or read-only: every screen says so, the
app lives on, and it goes on by itself when the record is well again."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import come_to_snapshot, screen_text, settle
from app_walk import still
from run_screen_store import FAILED_RUN, fill

from flowdeck_app.live import Health
from flowdeck_app.screens.home.screen import HomeScreen
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.runs.screen import RunsScreen
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.widgets.lines.view import LineView

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
AppFor = Callable[..., Any]
#: What is read last on a screen: it is there before the trouble begins.
SHOWN = {"home": "", "runs": "", "run": "GET /invoices?page=3", "task": ""}
SCREENS = ("home", "runs", "run", "task")
CLASSES = {"home": HomeScreen, "runs": RunsScreen, "run": RunScreen, "task": TaskScreen}


#: Takes the locks of an open store, or has a store that nobody has open for itself.
LOCKER = """
import fcntl, os, sqlite3, sys
db, shm = sys.argv[1:]
if os.path.exists(shm):
    file = open(shm, "r+b")
    fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)
else:
    own = sqlite3.connect(db, isolation_level=None)
    own.execute("PRAGMA locking_mode = EXCLUSIVE")
    own.execute("UPDATE meta SET value = value")
print("locked", flush=True)
sys.stdin.read()
"""


# -- what can happen to a record --------------------------------------------------------------


@contextlib.contextmanager
def locked(db: Path) -> Iterator[None]:
    """Another program has the file for itself: the locks that every reader needs are taken."""
    shm = db.with_name(db.name + "-shm")
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(db), str(shm)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
        other.stdin.close()


@contextlib.contextmanager
def corrupt(db: Path) -> Iterator[None]:
    other = db.with_suffix(".corrupt")
    other.write_bytes(b"this is no database" * 1000)
    with replaced(db, other):
        yield


@contextlib.contextmanager
def newer(db: Path) -> Iterator[None]:
    changed = db.with_suffix(".newer")
    shutil.copy(db, changed)
    with contextlib.closing(sqlite3.connect(changed)) as other:
        other.execute("PRAGMA user_version = 99")
        other.execute("UPDATE meta SET value = '99' WHERE key = 'min_reader'")
        other.commit()
    with replaced(db, changed):
        yield


@contextlib.contextmanager
def deleted(db: Path) -> Iterator[None]:
    with replaced(db, None):
        yield


@contextlib.contextmanager
def empty(db: Path) -> Iterator[None]:
    other = db.with_suffix(".empty")
    other.touch()
    with replaced(db, other):
        yield


@contextlib.contextmanager
def read_only(db: Path) -> Iterator[None]:
    db.chmod(0o400)
    yield
    db.chmod(0o600)


@contextlib.contextmanager
def replaced(db: Path, other: Path | None) -> Iterator[None]:
    """Another file, or none, takes the place of the file, which comes back.

    Each in one step: a look in between would see a record that is missing for a moment.
    """
    kept = db.with_suffix(".kept")
    kept.hardlink_to(db)
    if other is None:
        db.unlink()
    else:
        other.replace(db)
    _without_logs(db)
    yield
    _without_logs(db)
    kept.replace(db)


def _without_logs(db: Path) -> None:
    for suffix in ("-wal", "-shm"):
        db.with_name(db.name + suffix).unlink(missing_ok=True)


#: What happens, and how the record then answers.
TROUBLES: dict[str, tuple[Callable[[Path], Any], Health]] = {
    "locked": (locked, Health.STALE),
    "corrupt": (corrupt, Health.CORRUPT),
    "newer": (newer, Health.NEWER),
    "deleted": (deleted, Health.MISSING),
    "empty": (empty, Health.MISSING),
    "read-only": (read_only, Health.READ_ONLY),
}


# -- the app ----------------------------------------------------------------------------------


@pytest.fixture
def db() -> Iterator[Path]:
    """A filled store, in a folder whose name is as long each time: messages tell its path."""
    with tempfile.TemporaryDirectory(prefix="flowdeck-") as folder:
        home = Path(folder) / "home"
        fill(home).close()
        yield home / "flowdeck.db"


def masked(text: str) -> str:
    """Replace what differs from machine to machine and version to version, and how long ago it was."""
    # The seconds have one digit or two, and all that stands before them moves with them.
    text = re.sub(
        r"(?m)^(.*)stale \d+s$", lambda line: re.sub(" {2,}", "  ", line[1]) + "stale #s", text
    )
    text = re.sub(r"understands v\d", "understands v#", text)
    text = re.sub(r"/\S*flowdeck-\w{8}\b", "/tmp/flowdeck-########", text)
    for place in (
        r"(flowdeck\.db +|Disk +)([\d.]+ [^│]*?)",
        r"((?:Dask|Ray) +)((?:not )?installed *)",
    ):
        text = re.sub(f"{place}(?=│)", lambda m: m[1] + "#".ljust(len(m[2])), text)
    return text


@contextlib.asynccontextmanager
async def app_on(app_for: AppFor, db: Path, screen: str) -> AsyncIterator[Pilot[Any]]:
    app = app_for(watch=True, home=db.parent, folder=db.parent.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot, lambda: isinstance(app.screen, (HomeScreen, MessageScreen)))
        if screen == "runs":
            app.show_mode("runs")
        elif screen == "run":
            app.open_run(FAILED_RUN)
        elif screen == "task":
            app.open_task(FAILED_RUN, 1)
        await settle(pilot, lambda: below(app, CLASSES[screen]) is not None)
        yield pilot


def below(app: FlowdeckApp, kind: type[Any]) -> Any:
    """Return the topmost screen, without the dialogs over it, if it is of a kind."""
    top = app.visible_screens()
    return top[0] if top and isinstance(top[0], kind) else None


def shows_rows(app: FlowdeckApp) -> bool:
    """Whether everything that can be seen has been read, and rows are there."""
    views = [view for view in app.screen.query(LineView) if view.is_on_screen and view.display]
    return (
        bool(views) and all(v.loaded and not v.error for v in views) and any(v.count for v in views)
    )


#: What a screen says when there was trouble before it was opened.
SAID = {
    "locked": {"home": "Cannot be read", "task": "does not answer"},
    "corrupt": {"home": "Cannot be read", "task": "does not answer"},
    "newer": {"home": "Cannot be read", "task": "does not answer"},
    "deleted": {"home": "No runs yet", "task": "is not in the record"},
    "empty": {"home": "No runs yet", "task": "is not in the record"},
    "read-only": {"home": "read-only", "task": "HTTPError"},
}


# -- before the app is there ------------------------------------------------------------------


@pytest.mark.parametrize("screen", ["home", "task"])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_that_was_there_before(
    app_for: AppFor, db: Path, trouble: str, screen: str
) -> None:
    happens, health = TROUBLES[trouble]
    with happens(db):
        async with app_on(app_for, db, screen) as pilot:
            app = pilot.app
            await settle(pilot, lambda: app.store_health.health is health)
            if trouble in {"corrupt", "newer"} and screen == "home":
                await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
                assert "flowdeck.db" in screen_text(app)
                await pilot.press("escape")
            await settle(pilot, lambda: SAID[trouble][screen] in screen_text(app))
            await settle(pilot, lambda: not any(w.is_running for w in app.workers))
            await still_as(pilot, f"{trouble}-before-{screen}")
            assert isinstance(app.screen, CLASSES[screen])


# -- while the app shows it -------------------------------------------------------------------


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_that_comes_and_goes(
    app_for: AppFor, db: Path, trouble: str, screen: str
) -> None:
    happens, health = TROUBLES[trouble]
    async with app_on(app_for, db, screen) as pilot:
        app = pilot.app
        await settle(pilot, lambda: shows_rows(app) and SHOWN[screen] in screen_text(app))
        await still(pilot)
        with happens(db):
            await settle(pilot, lambda: app.store_health.health is health)
            if trouble in {"corrupt", "newer"}:
                await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
                await pilot.press("escape")
                await settle(pilot, lambda: isinstance(app.screen, CLASSES[screen]))
                app.screen.reload()  # type: ignore[attr-defined] # as with any news
                await settle(pilot, lambda: not any(w.is_running for w in app.workers))
            if trouble in {"deleted", "empty"} and screen in {"run", "task"}:
                await settle(pilot, lambda: "is not in the record" in screen_text(app))
            await still_as(pilot, f"{trouble}-{screen}")
            assert isinstance(app.screen, CLASSES[screen])
        await settle(pilot, lambda: app.store_health.health is Health.LIVE)
        await settle(pilot, lambda: shows_rows(app))
        assert "cannot refresh" not in screen_text(app)


async def still_as(pilot: Pilot[Any], name: str) -> None:
    await come_to_snapshot(pilot, "record_troubles", name, masked)

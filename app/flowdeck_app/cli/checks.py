"""What ``flowdeck doctor`` looks at. Each check gives a verdict and, where it is bad, what to do."""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from collections.abc import Iterator

Verdict: TypeAlias = Literal["ok", "note", "warning", "bad"]

#: File systems on which SQLite's shared memory and locks cannot be trusted.
NETWORK: Final = ("nfs", "cifs", "smb", "9p", "fuse", "afs", "ceph", "glusterfs", "lustre", "gpfs")
SAFE_FUSE: Final = ("fuse.ext", "fuseblk", "fusectl")
#: By extra the package that it is about; `gpu` is left out, as few machines have one.
EXTRAS: Final = {
    "dask": "distributed", "ray": "ray", "serve": "textual-serve", "watch": "watchfiles",
    "images": "pillow", "mcp": "mcp", "otel": "opentelemetry-sdk",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def installation() -> Iterator[Check]:
    """Check Python, SQLite and the extras."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("flowdeck")
    except PackageNotFoundError:
        own = "not installed (run from its sources)"
    yield Check("flowdeck", "ok", own)
    yield Check("python", "ok", f"{platform.python_version()} ({platform.python_implementation()})")
    yield sqlite_check(sqlite3.sqlite_version_info)
    for extra, package in EXTRAS.items():
        try:
            yield Check(f"extra {extra}", "ok", version(package))
        except PackageNotFoundError:
            hint = f"pip install 'flowdeck[{extra}]' adds it."
            yield Check(f"extra {extra}", "note", "not installed", hint)


def sqlite_check(version: tuple[int, ...]) -> Check:
    """Check SQLite's version: older than we need, or in the range of the WAL-reset bug."""
    text = ".".join(map(str, version))
    if version < (3, 37, 0):
        return Check("sqlite", "bad", text, "flowdeck needs SQLite 3.37: use a newer Python build.")
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    if fixed:
        return Check("sqlite", "ok", text)
    return Check(
        "sqlite",
        "note",
        f"{text} has a rare bug in write-ahead logs (fixed in 3.51.3)",
        "flowdeck itself avoids it; do not write the record with other programs while flows run.",
    )


def schedules(home: Path) -> Iterator[Check]:
    """Check that what starts by the clock is in force."""
    from flowdeck_app.schedules.keeping import Schedules

    known = Schedules(home)
    found = known.files.all()
    paused = sum(schedule.paused for schedule in found)
    wrong = [(each, known.trouble(each)) for each in found if not each.paused]
    for schedule, trouble in wrong:
        if trouble is not None:
            advice = f"`flowdeck schedule resume {schedule.name}` puts it in force again."
            yield Check(f"schedule {schedule.name}", "warning", trouble, advice)
    if found and not any(trouble for _, trouble in wrong):
        yield Check("schedules", "ok", f"{len(found)}, {paused} of them paused")


def record(home: Path) -> Iterator[Check]:
    """Check the folder, the file in it, and what waits to be taken in."""
    paths = StorePaths(home)
    yield from _folder(paths)
    if not home.is_dir():
        return
    yield _file_system(home)
    yield from _database(paths)
    yield from _pending(paths)


def _folder(paths: StorePaths) -> Iterator[Check]:
    home = paths.home
    if not home.exists():
        parent = next((p for p in home.parents if p.exists()), Path("/"))
        if os.access(parent, os.W_OK | os.X_OK):
            yield Check("folder", "ok", f"{home} (not there yet, the first run makes it)")
        else:
            yield Check("folder", "bad", f"{home} cannot be made in {parent}", _ELSEWHERE)
        return
    if not home.is_dir():
        yield Check("folder", "bad", f"{home} is not a folder", _ELSEWHERE)
        return
    if not os.access(home, os.W_OK | os.X_OK):
        yield Check("folder", "bad", f"{home} is not writable", _ELSEWHERE)
    else:
        yield Check("folder", "ok", str(home))
    for path, allowed in ((home, 0o700), (paths.db, 0o600)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            found = f"{path} can be read by others ({mode:o})"
            yield Check("permissions", "warning", found, f"chmod {allowed:o} {path}")


_ELSEWHERE: Final = "set FLOWDECK_HOME to a folder that can be written."


def _file_system(home: Path) -> Check:
    kind = file_system_of(home, _mounts())
    if kind is None:
        return Check("file system", "note", "not known")
    networked = kind.startswith(NETWORK) and not kind.startswith(SAFE_FUSE)
    if not networked:
        return Check("file system", "ok", kind)
    return Check(
        "file system",
        "warning",
        f"{home} is on {kind}, where locks and shared memory may not work",
        "set FLOWDECK_HOME to a local folder.",
    )


_SPACE: Final = "\\040"  # in mountinfo


def _mounts() -> list[str]:
    try:
        return Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        from flowdeck_store.file.without_proc import mounts

        return [
            f"0 0 0:0 / {place.replace(' ', _SPACE)} rw - {kind} ? rw" for place, kind in mounts()
        ]


def file_system_of(path: Path, mounts: list[str]) -> str | None:
    """Return the type of the file system that holds ``path``, from lines of ``mountinfo``."""
    real = os.path.realpath(path)
    best, kind = "", None
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        parts = fields.split()
        if len(parts) < 5 or not rest:
            continue
        point = parts[4].replace(_SPACE, " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount on the same point hides the earlier
            best, kind = point, rest.split()[0]
    return kind


def _database(paths: StorePaths) -> Iterator[Check]:
    from flowdeck_app.drawing.amounts import size
    from flowdeck_store.errors import StoreError
    from flowdeck_store.read.reader import Reader

    if not paths.db.exists():
        yield Check("record", "ok", "no file yet")
        return
    try:
        with Reader.open(paths.home) as reader:
            info = reader.store_info()
            totals = info.totals
    except StoreError as error:
        yield Check("record", "bad", str(error))
        return
    yield Check(
        "record",
        "ok",
        f"{totals.runs} runs, {totals.task_runs} task runs, {totals.logs} log lines, "
        f"{size(info.bytes)}, schema v{info.schema}",
    )
    wrong = _quick_check(paths)
    if wrong:
        yield Check("integrity", "bad", wrong, f"keep a copy of {paths.home}, then move the file.")
    else:
        yield Check("integrity", "ok", "no damage found")


def _quick_check(paths: StorePaths) -> str:
    from contextlib import closing

    from flowdeck_store.file.connection import connect_ro

    try:
        conn = connect_ro(paths)
        if conn is None:
            return ""
        with closing(conn):
            rows = conn.execute("PRAGMA quick_check(5)").fetchall()
    except sqlite3.Error as error:
        return str(error)
    return "" if rows == [("ok",)] else "; ".join(str(row[0]) for row in rows)


def _pending(paths: StorePaths) -> Iterator[Check]:
    """Journals whose process is gone: their events are taken in at the next look."""
    from flowdeck_store.file.process_lock import uid_of
    from flowdeck_store.upkeep.recovery import Recovery

    recovery = Recovery(paths)
    names = os.listdir(paths.locks) if paths.locks.is_dir() else []
    uids = {uid for name in names if (uid := uid_of(name))}
    live = sum(recovery.is_held(uid) for uid in uids)
    yield Check("recording now", "ok", f"{live} process{'' if live == 1 else 'es'}")
    dead = recovery.left_behind()
    if dead:
        yield Check(
            "left behind",
            "warning",
            f"what {len(dead)} dead processes recorded could not be taken in yet",
            "run any reading verb, such as `flowdeck runs`; it says what is in the way.",
        )

"""What a schedule is, and what happened each time that it was due.

Both are files of the record's folder, ``schedules/NAME.json`` and ``schedules/NAME.jsonl``, which only
the user can read: parameters may be secret, and command lines, unit files and crontabs can be read by
others. So what is written for systemd or cron names the record and the schedule, and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import FlowdeckError
from flowdeck.runs.launch_spec import LaunchSpec
from flowdeck_store.file import file_locks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flowdeck_app.schedules.cron import Clockwork

#: What is done when an earlier run still goes on.
OVERLAPS: Final = ("skip", "queue", "cancel")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
#: Firings that are kept, and bytes of their file from which on it is made shorter.
_KEPT: Final = 10_000
_LONG: Final = 4 << 20


class ScheduleError(FlowdeckError):
    """A schedule cannot be made, found or written; says in a sentence why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A flow that starts by the clock.

    Attributes:
        name: unique in its record; letters, digits, ``.``, ``_`` and ``-``.
        target: what runs, as for ``flowdeck run``.
        cron: when, five fields.
        every: the interval that it was given as, for people.
        clockwork: who starts it.
        folder: the working folder of the runs.
        python: the Python that they run in.
        values, texts: parameters, as in :class:`~flowdeck.runs.launch_spec.LaunchSpec`.
        runner, runner_options: the same.
        tags: of the runs, besides :attr:`tag`.
        overlap: one of :data:`OVERLAPS`.
        environment: variables that its runs get besides those that the clock work gives.
        starter: the Python whose flowdeck starts its runs: the one that wrote it into units or crontab.
        created_us: when it was made.
        since_us: since when it is due: since it was made, changed or resumed.
        paused: whether nothing starts it now.
    """

    name: str
    target: str
    cron: str
    clockwork: Clockwork
    folder: str
    python: str
    every: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    runner: str | None = None
    runner_options: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    overlap: str = "skip"
    environment: Mapping[str, str] = field(default_factory=dict)
    starter: str = ""
    created_us: int = 0
    since_us: int = 0
    paused: bool = False

    @property
    def tag(self) -> str:
        """What marks its runs."""
        return f"schedule:{self.name}"

    @property
    def when(self) -> str:
        """When it is due, as it was given."""
        return f"every {self.every}" if self.every else self.cron

    @property
    def spec(self) -> LaunchSpec:
        """What to run and how."""
        return LaunchSpec(
            target=self.target,
            values=self.values,
            texts=self.texts,
            runner=self.runner,
            runner_options=self.runner_options,
            tags=(*self.tags, self.tag),
            python=self.python,
        )

    def means_the_same(self, other: Schedule) -> bool:
        """Say whether two are the same but for when they were made."""
        return self == dataclasses.replace(
            other, created_us=self.created_us, since_us=self.since_us, paused=self.paused
        )


@dataclass(frozen=True, slots=True)
class Firing:
    """What happened when a schedule was due, or was started by hand.

    Attributes:
        us: when, microseconds since the epoch.
        did: ``started``, ``skipped`` or ``failed``.
        by_hand: whether a person asked for it.
        run: uid of the run that was started.
        said: why nothing was started, in a sentence, or what the run waits for.
    """

    us: int
    did: str
    by_hand: bool = False
    run: str | None = None
    said: str | None = None


def check_name(name: str) -> str:
    """Return a name.

    Raises:
        ScheduleError: it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise ScheduleError(
            f"{name!r} cannot be the name of a schedule: letters, digits, '.', '_' and '-', at most "
            "60, the first a letter or digit. Give one with --name."
        )
    return name


def name_like(text: str) -> str:
    """Return a name made of any text: ``Load invoices`` -> ``Load-invoices``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or "flow"


class ScheduleFiles:
    """The schedules of one record.

    Args:
        home: the record's folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "schedules"

    @property
    def mark(self) -> str:
        """What tells this record from others of the same user, in names of units and the like."""
        return hashlib.blake2b(os.fsencode(os.path.abspath(self.home)), digest_size=4).hexdigest()

    def names(self) -> list[str]:
        """Return the names of all schedules in order."""
        try:
            found = [path.stem for path in self.folder.glob("*.json")]
        except OSError:
            return []
        return sorted(name for name in found if _NAME.fullmatch(name))

    def all(self) -> list[Schedule]:
        """Return all that can be read, by name."""
        found = []
        for name in self.names():
            with contextlib.suppress(ScheduleError):
                found.append(self.load(name))
        return found

    def load(self, name: str) -> Schedule:
        """Return a schedule.

        Raises:
            ScheduleError: there is none of that name, or its file cannot be read.
        """
        path = self._path(check_name(name))
        try:
            data = json.loads(path.read_bytes())
            known = {each.name for each in dataclasses.fields(Schedule)}
            given = {key: value for key, value in data.items() if key in known}
            return _sound(Schedule(**{**given, "tags": tuple(given.get("tags", ()))}), name)
        except FileNotFoundError:
            raise ScheduleError(f"there is no schedule {name!r}.{self._others()}") from None
        except OSError as error:
            raise ScheduleError(f"{path} cannot be read: {error.strerror or error}.") from None
        except (ValueError, TypeError, AttributeError):
            raise ScheduleError(
                f"{path} is damaged. Remove it, and make the schedule again."
            ) from None

    def save(self, schedule: Schedule) -> None:
        """Write a schedule, all of it or nothing.

        Raises:
            OSError: that is not possible.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(schedule.name)
        text = json.dumps(dataclasses.asdict(schedule), indent=1)
        _replace(path, text.encode())

    def delete(self, name: str) -> None:
        """Remove a schedule and what happened; its runs stay in the record."""
        for path in (self._path(name), self._log(name)):
            path.unlink(missing_ok=True)

    # -- what happened ---------------------------------------------------------------------

    def note(self, name: str, firing: Firing) -> None:
        """Write down what happened.

        Raises:
            OSError: that is not possible.
        """
        given = {key: value for key, value in dataclasses.asdict(firing).items() if value}
        path = self._log(name)
        with _naming(path), open(path, "ab", opener=_only_ours) as file:
            file.write(json.dumps(given).encode() + b"\n")
            is_long = file.tell() > _LONG
        if is_long:
            lines = path.read_bytes().splitlines(keepends=True)
            _replace(path, b"".join(lines[-_KEPT:]))

    def firings(self, name: str) -> list[Firing]:
        """Return what happened, oldest first."""
        try:
            lines = self._log(name).read_bytes().splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # cut by a full disk
                found.append(Firing(**json.loads(line)))
        return found

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from starting or changing a schedule of this record inside the block."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: as well as it can be
                file_locks.lock(fd, wait=True)
            yield
        finally:
            os.close(fd)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def _others(self) -> str:
        names = self.names()
        return f" There are {', '.join(names[:8])}." if names else " There are none in this record."


def _sound(schedule: Schedule, name: str) -> Schedule:
    """Return a schedule as it was read, if it is one: people write into files, and disks fail.

    Raises:
        ValueError: it is none.
    """
    from flowdeck_app.schedules.cron import BadTime, cron_of

    needed = (schedule.target, schedule.cron, schedule.folder, schedule.python, schedule.starter)
    tables = (schedule.values, schedule.texts, schedule.runner_options, schedule.environment)
    variables = schedule.environment.items()
    sound = (
        schedule.name == name
        and schedule.clockwork in {"systemd", "crontab"}
        and schedule.overlap in OVERLAPS
        and all(isinstance(each, dict) for each in tables)
        and all(isinstance(each, str) for each in (*needed, *schedule.tags))
        and all(n and "=" not in n and "\0" not in f"{n}{value}" for n, value in variables)
        and all(isinstance(value, str) for _, value in variables)
        and all(type(us) is int for us in (schedule.created_us, schedule.since_us))
    )
    with contextlib.suppress(BadTime):
        if sound and cron_of(schedule.cron) == schedule.cron:
            return schedule
    raise ValueError(name)


def _only_ours(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with _naming(path):
        try:
            with open(new, "wb", opener=_only_ours) as file:
                file.write(content)
            os.replace(new, path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have errors name the file: a write to a full disk does not say where."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None

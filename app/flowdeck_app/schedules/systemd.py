"""Systemd's user timers: two small files a schedule, which are ours, and ``systemctl --user``.

The service starts a process that decides, starts the run detached, and ends (``Type=oneshot``). So a
timer is never held up by a long run, and what is skipped is said; ``KillMode=process`` lets the run
live on. systemd splits lines into words, expands ``%`` and ``$`` and reads escapes of C, so every
word is quoted (:func:`command_line`). A line break in a word is an escape, never a line.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowdeck_app.schedules.calendar import calendar_events
from flowdeck_app.schedules.definition import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.schedules.definition import Schedule

_SECONDS: Final = 20.0
_ESCAPED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}
_UNSAFE: Final = re.compile(r"""[\x00-\x1f\x7f"'\\]""")
_FIRST: Final = "# Written by flowdeck; `flowdeck schedule` changes it, and removes it.\n"


def command_line(command: Sequence[str]) -> str:
    """Return what ``ExecStart=`` has to say for a command.

    Args:
        command: program and arguments: any texts without a null character.
    """
    program, *words = command
    if _UNSAFE.search(program):  # systemd takes no program of such a name, but words of any kind
        return command_line(["/bin/sh", "-c", 'exec "$@"', "sh", *command])
    # In the program's name no variables are replaced.
    return " ".join([_quoted(program), *(_quoted(word).replace("$", "$$") for word in words)])


def _quoted(word: str) -> str:
    return f'"{"".join(_ESCAPED.get(c) or (c if c.isprintable() else _bytes(c)) for c in word)}"'


def _bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


class SystemdTimers:
    """The user timers of one record.

    Args:
        mark: what tells the record from others of this user.
    """

    name: Final = "systemd"

    def __init__(self, mark: str) -> None:
        self._mark = mark

    @staticmethod
    def problem() -> str | None:
        """Say in a sentence why there are none; ``None``: there are."""
        if shutil.which("systemctl") is None:
            return "systemd is not here (there is no systemctl)"
        done = _systemctl("show-environment")
        if done.returncode:
            return f"systemd does not run for this user (systemctl --user: {_said(done)})"
        return None

    def places(self, schedule: Schedule) -> list[str]:
        """Return the files that were written for a schedule."""
        return [str(path) for path in self._files(schedule, [""])]

    def trouble(self, schedule: Schedule, command: Sequence[str]) -> str | None:
        """Say why a schedule that should be in force is not; ``None``: as far as its files say, it is."""
        for path, text in self._files(schedule, command).items():
            try:
                found = path.read_text()
            except OSError:
                return f"{path.name} is gone"
            if found != text:
                return f"{path.name} is not as flowdeck writes it"
        return None

    def install(self, schedule: Schedule, command: Sequence[str]) -> None:
        """Write a schedule's units, and start or stop its timer.

        Args:
            schedule: it.
            command: what the timer is to start.

        Raises:
            ScheduleError: systemd does not take it.
            OSError: the files cannot be written.
        """
        for path, text in self._files(schedule, command).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._ask("daemon-reload")
        if schedule.paused:
            self._ask("disable", "--now", self._unit(schedule, "timer"))
        else:
            self._ask("enable", self._unit(schedule, "timer"))
            self._ask("restart", self._unit(schedule, "timer"))

    def remove(self, schedule: Schedule) -> None:
        """Stop a schedule's timer and delete its units.

        Raises:
            ScheduleError: systemd does not do it.
            OSError: the files cannot be deleted.
        """
        paths = [Path(place) for place in self.places(schedule)]
        if paths[-1].exists():
            self._ask("disable", "--now", self._unit(schedule, "timer"))
        for path in paths:
            path.unlink(missing_ok=True)
        self._ask("daemon-reload")

    def advice(self) -> str | None:
        """Say what a user should know who relies on it; ``None``: nothing."""
        try:
            user = Path("/var/lib/systemd/linger", getpass.getuser())
            if user.exists():
                return None
        except (OSError, KeyError):  # no such user in the system's list
            return None
        return "timers stop when you log out; `loginctl enable-linger` lets them go on."

    def _unit(self, schedule: Schedule, kind: str) -> str:
        return f"flowdeck-{schedule.name}-{self._mark}.{kind}"

    def _files(self, schedule: Schedule, command: Sequence[str]) -> dict[Path, str]:
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        folder = Path(config, "systemd", "user")
        about = f"Description=flowdeck schedule {schedule.name}\n"
        events = "".join(f"OnCalendar={each}\n" for each in calendar_events(schedule.cron))
        service = (
            f"{_FIRST}[Unit]\n{about}\n[Service]\nType=oneshot\nKillMode=process\n"
            f"ExecStart={command_line(command)}\n"
        )
        timer = (
            f"{_FIRST}[Unit]\n{about}\n[Timer]\n{events}AccuracySec=1s\n"
            f"Unit={self._unit(schedule, 'service')}\n\n[Install]\nWantedBy=timers.target\n"
        )
        return {
            folder / self._unit(schedule, "service"): service,
            folder / self._unit(schedule, "timer"): timer,
        }

    @staticmethod
    def _ask(*words: str) -> None:
        done = _systemctl(*words)
        if done.returncode:
            raise ScheduleError(f"systemctl --user {' '.join(words)}: {_said(done)}.")


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemctl", "--user", *words]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", error.strerror or str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_SECONDS:g} s")


def _said(done: subprocess.CompletedProcess[str]) -> str:
    text = " ".join((done.stderr or done.stdout or f"exit code {done.returncode}").split())
    return text[:300].rstrip(".")

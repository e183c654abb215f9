"""Lines of the user's crontab: one a schedule, with a mark at its end by which it is found again.

All other lines stay as they are. cron makes a line break of every ``%`` that has no backslash before it
and hands the rest to a shell, so words are quoted for the shell and their ``%`` for cron. Two backslashes
in a row, and line breaks, cannot be said so that every cron understands the same: that is refused.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from flowdeck_app.schedules.definition import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.schedules.definition import Schedule

_SECONDS: Final = 20.0
_UNSAYABLE: Final = re.compile(r"[\x00-\x1f\x7f]|\\[\\%]")


def crontab_line(cron: str, command: Sequence[str], mark: str) -> str:
    """Return a line of a crontab.

    Args:
        cron: five fields.
        command: what to start.
        mark: comment at its end.

    Raises:
        ScheduleError: a word cannot be said in a crontab.
    """
    for word in command:
        if _UNSAYABLE.search(word):
            raise ScheduleError(
                f"{word!r} cannot stand in a crontab (line breaks, two backslashes): keep the record "
                "(--home) and the Python elsewhere, or use --with systemd."
            )
    words = " ".join(map(shlex.quote, command)).replace("%", "\\%")
    return f"{cron} {words} {mark}"


class CrontabLines:
    """The schedules of one record in the user's crontab.

    Args:
        mark: what tells the record from others of this user.
    """

    name: Final = "crontab"

    def __init__(self, mark: str) -> None:
        self._mark = mark

    @staticmethod
    def problem() -> str | None:
        """Say in a sentence why there is none; ``None``: there is."""
        return None if shutil.which("crontab") else "cron is not here (there is no crontab)"

    def places(self, schedule: Schedule) -> list[str]:
        """Return what was written for a schedule."""
        return [line for line in self._lines() if line.endswith(self._end(schedule))]

    def trouble(self, schedule: Schedule, command: Sequence[str]) -> str | None:
        """Say why a schedule that should be in force is not; ``None``: as far as the crontab says, it is."""
        try:
            found = self.places(schedule)
        except ScheduleError as error:
            return str(error).rstrip(".")
        wanted = [] if schedule.paused else [self._line(schedule, command)]
        if found == wanted:
            return None
        return "its line in the crontab is not as flowdeck writes it" if found else (
            "its line is not in the crontab"
        )  # fmt: skip

    def install(self, schedule: Schedule, command: Sequence[str]) -> None:
        """Write a schedule's line; take it away if it is paused.

        Args:
            schedule: it.
            command: what cron is to start.

        Raises:
            ScheduleError: the command cannot be said in a crontab, or it is not taken.
        """
        line = self._line(schedule, command)
        self._write(schedule, None if schedule.paused else line)

    def remove(self, schedule: Schedule) -> None:
        """Take a schedule's line away.

        Raises:
            ScheduleError: the crontab cannot be read, or is not taken.
        """
        self._write(schedule, None)

    def advice(self) -> str | None:
        """Say what a user should know who relies on it; ``None``: nothing."""
        return None

    def _end(self, schedule: Schedule) -> str:
        return f"# flowdeck schedule {schedule.name} {self._mark}"

    def _line(self, schedule: Schedule, command: Sequence[str]) -> str:
        return crontab_line(schedule.cron, command, self._end(schedule))

    def _write(self, schedule: Schedule, line: str | None) -> None:
        before = self._lines()
        others = [each for each in before if not each.endswith(self._end(schedule))]
        after = others if line is None else [*others, line]
        if after == before:
            return
        done = _crontab("-", given="".join(f"{each}\n" for each in after))
        if done.returncode:
            raise ScheduleError(f"the crontab was not taken: {_said(done)}.")

    @staticmethod
    def _lines() -> list[str]:
        done = _crontab("-l")
        if done.returncode == 0:
            lines = done.stdout.split("\n")
            return lines if lines[-1] else lines[:-1]
        if "no crontab" in done.stderr.lower():
            return []
        raise ScheduleError(f"the crontab cannot be read: {_said(done)}.")


def _crontab(word: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = ["crontab", word]
    try:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, errors="surrogateescape",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", error.strerror or str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_SECONDS:g} s")


def _said(done: subprocess.CompletedProcess[str]) -> str:
    text = " ".join((done.stderr or done.stdout or f"exit code {done.returncode}").split())
    return text[:300].rstrip(".")

"""Making, changing and removing schedules: the file of the schedule, and what starts it.

The two are one: what cannot be written for systemd or cron is not kept either. All of it may be said
again and means the same then.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from flowdeck.launch import interpreters
from flowdeck.launch.interpreters import Interpreter
from flowdeck_app.schedules.crontab import CrontabLines
from flowdeck_app.schedules.definition import Schedule, ScheduleError, ScheduleFiles
from flowdeck_app.schedules.systemd import SystemdTimers
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from flowdeck_app.schedules.cron import Clockwork

Timers: TypeAlias = "SystemdTimers | CrontabLines"

_KINDS: Final[dict[str, type[SystemdTimers | CrontabLines]]] = {
    "systemd": SystemdTimers,
    "crontab": CrontabLines,
}
CLOCKWORKS: Final = tuple(_KINDS)


def choose_clockwork(wanted: str | None = None) -> Clockwork:
    """Return who can start schedules here: who is wanted, else systemd, else cron.

    Raises:
        ScheduleError: nobody, or not who is wanted: says why.
    """
    if wanted == "systemd" or (wanted is None and SystemdTimers.problem() is None):
        problem, found = SystemdTimers.problem(), "systemd"
    else:
        problem, found = CrontabLines.problem(), "crontab"
    if problem is None:
        return "systemd" if found == "systemd" else "crontab"
    if wanted is None:
        problem = f"{SystemdTimers.problem()}, and {problem}"
    raise ScheduleError(
        f"nothing can start flows by the clock here: {problem}. Install cron, or have what starts "
        "jobs on this machine call `flowdeck run`."
    )


class Schedules:
    """The schedules of one record, in force.

    Args:
        home: the record's folder.
    """

    def __init__(self, home: Path) -> None:
        self.files = ScheduleFiles(home)
        self.home = Path(home)

    def timers(self, schedule: Schedule) -> Timers:
        """Return who starts a schedule."""
        return _KINDS[schedule.clockwork](self.files.mark)

    def command(self, schedule: Schedule, *, by_hand: bool = False) -> list[str]:
        """Return what starts a run of it: a flowdeck, which then takes the Python of the flow."""
        own = interpreters.own()
        starter = (
            own if by_hand or not schedule.starter else Interpreter(Path(schedule.starter), "")
        )
        verb = "run" if by_hand else "fire"
        words = ("--home", str(self.home.absolute()), "schedule", verb, schedule.name)
        return interpreters.command(starter, "flowdeck_app", *words)

    def keep(self, schedule: Schedule) -> str:
        """Put a schedule in force, new or in the place of the one of its name.

        Returns:
            ``made``, ``changed`` or ``as it was``.

        Raises:
            ScheduleError: the name is that of another flow's schedule, or it cannot be put in force.
            OSError: something cannot be written.
        """
        schedule = dataclasses.replace(schedule, starter=sys.executable)
        with self.files.locked():
            before = self._present(schedule.name)
            if before is None:
                schedule = dataclasses.replace(schedule, created_us=now_us(), since_us=now_us())
            elif (before.target, before.folder) != (schedule.target, schedule.folder):
                raise ScheduleError(
                    f"there is a schedule {schedule.name!r} of {before.target} in {before.folder}. Give "
                    f"this one another name (--name), or remove it: `flowdeck schedule remove "
                    f"{schedule.name}`."
                )
            else:
                same = before.means_the_same(schedule)
                since = before.since_us if same and not before.paused else now_us()
                schedule = dataclasses.replace(
                    schedule, created_us=before.created_us, since_us=since, paused=False
                )
                if before.clockwork != schedule.clockwork:
                    self.timers(before).remove(before)
            self._put(schedule, before)
        if before is None:
            return "made"
        return "as it was" if schedule == before else "changed"

    def pause(self, name: str) -> Schedule:
        """Stop a schedule until it is resumed.

        Raises:
            ScheduleError, OSError: that is not possible.
        """
        return self._change(name, paused=True)

    def resume(self, name: str) -> Schedule:
        """Put a schedule in force again, its units or line too if somebody has changed them.

        Raises:
            ScheduleError, OSError: that is not possible.
        """
        return self._change(name, paused=False)

    def remove(self, name: str) -> None:
        """Remove a schedule and what starts it; runs stay in the record.

        Raises:
            ScheduleError, OSError: that is not possible.
        """
        with self.files.locked():
            try:
                found = self.files.load(name)
            except ScheduleError:
                if name not in self.files.names():
                    raise
                found = None  # damaged: who started it is not known, so nobody is left to start it
            kinds = [kind(self.files.mark) for kind in _KINDS.values()]
            for timers in kinds if found is None else [self.timers(found)]:
                if timers.problem() is None:
                    timers.remove(found or _nameless(name))
            self.files.delete(name)

    def trouble(self, schedule: Schedule) -> str | None:
        """Say why a schedule is not in force as it should be; ``None``: as far as can be seen, it is."""
        if schedule.starter and not os.path.exists(schedule.starter):
            return f"the Python of the flowdeck that starts it, {schedule.starter}, is gone"
        return self.timers(schedule).trouble(schedule, self.command(schedule))

    def _change(self, name: str, *, paused: bool) -> Schedule:
        with self.files.locked():
            before = self.files.load(name)
            since = before.since_us if before.paused == paused else now_us()
            starter = before.starter if paused else sys.executable
            schedule = dataclasses.replace(before, paused=paused, since_us=since, starter=starter)
            self._put(schedule, before)
        return schedule

    def _present(self, name: str) -> Schedule | None:
        return self.files.load(name) if name in self.files.names() else None

    def _put(self, schedule: Schedule, before: Schedule | None) -> None:
        timers = self.timers(schedule)
        problem = timers.problem()
        if problem is not None:
            raise ScheduleError(f"{schedule.name!r} cannot be put in force: {problem}.")
        self.files.save(schedule)
        try:
            timers.install(schedule, self.command(schedule))
        except BaseException:
            if before is None:
                self.files.delete(schedule.name)
            else:
                self.files.save(before)
            raise


def _nameless(name: str) -> Schedule:
    return Schedule(
        name=name, target="", cron="* * * * *", clockwork="systemd", folder="", python=""
    )

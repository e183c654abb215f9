"""What happens when a schedule is due: start a run, or say why not.

Whether an earlier run of it still goes on says the record: the runs with its tag that have not ended.
What waits for an earlier run is recorded and has a process of its own, which waits (``after`` of
:class:`~flowdeck.runs.launch_spec.LaunchSpec`); so it is seen, and can be cancelled, and whoever fires
is done at once. One run waits at most, however long the earlier one takes.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from flowdeck.exceptions import FlowdeckError
from flowdeck_app.control.launch import start_detached
from flowdeck_app.schedules.definition import Firing, Schedule, ScheduleError, ScheduleFiles
from flowdeck_store.errors import StoreError
from flowdeck_store.events import now_us
from flowdeck_store.query.language import quote
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import control
from flowdeck_store.states import SCHEDULED
from flowdeck_store.upkeep import liveness

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flowdeck_store.read.records import FlowRunRecord


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What is done.

    Attributes:
        skip: why nothing is started; ``None``: a run is.
        after: runs that it waits for.
        cancel: runs that are asked to stop.
    """

    skip: str | None = None
    after: tuple[str, ...] = ()
    cancel: tuple[int, ...] = ()


def decide(overlap: str, live: Sequence[FlowRunRecord]) -> Decision:
    """Say what to do.

    Args:
        overlap: one of :data:`~flowdeck_app.schedules.definition.OVERLAPS`.
        live: the runs of the schedule that have not ended.
    """
    if not live:
        return Decision()
    first = live[-1]
    uids = tuple(run.uid for run in live)
    if overlap == "cancel":
        return Decision(after=uids, cancel=tuple(run.id for run in live))
    if overlap == "queue":
        waiting = next((run for run in live if run.code == SCHEDULED), None)
        if waiting is None or len(live) == 1:
            return Decision(after=uids)
        return Decision(skip=f"{waiting.name} (#{waiting.id}) already waits for its turn")
    return Decision(skip=f"{first.name} (#{first.id}) still goes on")


def fire(home: Path, name: str, *, by_hand: bool = False) -> Firing:
    """Start a run of a schedule, or do not, as its policy says, and write down which.

    The working folder and the environment of this process become those of the schedule.

    Args:
        home: the record's folder.
        name: of the schedule.
        by_hand: a person asked for it.

    Raises:
        ScheduleError: there is no such schedule.
        OSError: what happened cannot be written down.
    """
    files = ScheduleFiles(home)
    schedule = files.load(name)
    with files.locked():
        us = now_us()
        try:
            run, said = _start(schedule, home)
            firing = Firing(us, "started" if run else "skipped", by_hand, run, said)
        except (FlowdeckError, StoreError, OSError) as error:
            firing = Firing(us, "failed", by_hand, None, str(error))
        files.note(name, firing)
    return firing


def _start(schedule: Schedule, home: Path) -> tuple[str | None, str | None]:
    os.environ.update(schedule.environment)
    try:
        os.chdir(schedule.folder)  # a target is named from there
    except OSError as error:
        raise ScheduleError(
            f"its folder {schedule.folder} cannot be used: {error.strerror or error}."
        ) from None
    live = live_runs(home, schedule)
    decision = decide(schedule.overlap, live)
    if decision.skip is not None:
        return None, decision.skip
    for run_id in decision.cancel:
        control.request(home, run_id, control.CANCEL, by=f"schedule {schedule.name}")
    launched = start_detached(dataclasses.replace(schedule.spec, after=decision.after))
    names = ", ".join(f"{run.name} (#{run.id})" for run in live)
    verb = "asked to stop: " if decision.cancel else "waits for "
    return launched.uid, f"{verb}{names}" if names else None


def live_runs(home: Path, schedule: Schedule) -> list[FlowRunRecord]:
    """Return the runs of a schedule that have not ended, newest first."""
    if not ScheduleFiles(home).home.exists():
        return []
    liveness.recover(home)
    with Reader.open(home) as reader:
        found = reader.runs(f"tag:{quote(schedule.tag)} state:live", limit=0, roots=True)
    return [run for run in found if not run.is_final and schedule.tag in run.tags]

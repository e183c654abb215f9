"""Schedules: when flows start by themselves, how that went, and what was missed."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on, work

from flowdeck_app.access import SLOW
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.reports.schedules import schedule_lines
from flowdeck_app.schedules.keeping import Schedules
from flowdeck_app.schedules.overview import look_at, next_times
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.sources import ListSource
from flowdeck_app.views.schedules import SCHEDULE_COLUMNS
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.schedules.overview import ScheduleView
    from flowdeck_store.read.reader import Reader

_EMPTY: Final = ("No schedules", "flowdeck schedule TARGET --every 1h makes one")
_SECONDS: Final = 60.0


class SchedulesScreen(FlowdeckScreen):
    """The schedules of the record."""

    CSS_PATH = "schedules.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("go.why", "run.new", "run.pause", "run.delete", "take.copy", hide=("go.why",))
    ]

    def compose_content(self) -> ComposeResult:
        """Yield the table."""
        source = ListSource(
            self.app.access,
            self._read,
            key=lambda view: view.schedule.name,
            text=lambda view: f"{view.schedule.name} {view.schedule.target}",
            lane=SLOW,
        )
        yield TableView(SCHEDULE_COLUMNS, source, empty=_EMPTY, marks=False, id="schedules")

    def on_mount(self) -> None:
        """Put the cursor into the table."""
        self.table.focus()

    def _read(self, reader: Reader) -> list[ScheduleView]:
        schedules = Schedules(self.app.home)
        now_us, zone = self.app.clock(), self.look.zone
        return [
            look_at(schedules, schedule, reader, now_us, zone) for schedule in schedules.files.all()
        ]

    @property
    def table(self) -> TableView[ScheduleView]:
        """The schedules."""
        return self.query_one("#schedules", TableView)

    @property
    def current(self) -> ScheduleView | None:
        """The one under the cursor."""
        return self.table.current

    def trail(self) -> Sequence[str]:
        """Return the one level."""
        return ("Schedules",)

    def facts(self) -> Sequence[Piece]:
        """Return how many there are."""
        count = self.table.count if self.query("#schedules") else 0
        shown = number(count, self.look.symbols.group)
        return (Piece(f"{shown} schedule{'' if count == 1 else 's'}", "$fd-muted"),)

    def reload(self) -> None:
        """Read the rows again."""
        self.table.reload()

    def ages_pass(self) -> None:
        """Say anew what is due next, and what was missed."""
        super().ages_pass()
        self.table.reload()

    @on(LineView.Changed, "#schedules")
    def _rows_changed(self) -> None:
        self.refresh_breadcrumb()
        self.refresh_bindings()

    @on(LineView.Highlighted, "#schedules")
    def _moved(self) -> None:
        self.refresh_bindings()

    # -- the schedule under the cursor -----------------------------------------------------

    @property
    def can_open(self) -> bool | None:
        """Whether there is one."""
        return True if self.current is not None else None

    can_launch = can_pause = can_delete = can_open

    @on(Opened, "#schedules")
    def _opened(self, message: Opened) -> None:
        if message.row is not None and message.row.last is not None:
            self.app.open_run(message.row.last.id)
        else:
            self.action_go_why()

    def action_go_why(self) -> None:
        """Show everything about it."""
        if self.current is not None:
            self._show(self.current)

    @work(exclusive=True, exit_on_error=False, group="show")
    async def _show(self, view: ScheduleView) -> None:
        lines = await self.app.access.ask(lambda reader: self._lines(reader, view), SLOW)
        self.app.show_message(view.schedule.name, "\n".join(lines[2:]))

    def _lines(self, reader: Reader, view: ScheduleView) -> list[str]:
        look, schedule = self.look.plain(), view.schedule
        uids = [firing.run for firing in view.firings[:20] if firing.run]
        runs = {run.uid: run for uid in uids if (run := reader.run_by_uid(uid)) is not None}
        try:
            places = Schedules(self.app.home).timers(schedule).places(schedule)
        except Exception as error:  # the crontab cannot be read: all else can be told
            places = [str(error)]
        coming = next_times(schedule, look.now_us, 3, look.zone)
        return schedule_lines(view, coming, places, runs, look)

    def action_run_new(self) -> None:
        """Start a run of it now, after asking."""
        view = self.current
        if view is None:
            return
        name = view.schedule.name
        detail = f"With its parameters, folder and Python; overlap: {view.schedule.overlap}."
        self.app.confirm(
            f"Run schedule {name} now?", lambda: self._do(self._run, name), detail=detail, yes="Run"
        )

    def action_run_pause(self) -> None:
        """Pause it; resume it if it is paused, or should be in force and is not."""
        view = self.current
        if view is None:
            return
        schedules = Schedules(self.app.home)
        resumes = view.schedule.paused or view.trouble is not None
        change = schedules.resume if resumes else schedules.pause
        said = "is in force" if resumes else "is paused; p resumes it"
        name = view.schedule.name
        self._do(lambda given: (change(given), f"Schedule {given} {said}")[1], name)

    def action_run_delete(self) -> None:
        """Remove it, after asking."""
        view = self.current
        if view is None:
            return
        name = view.schedule.name
        self.app.confirm(
            f"Remove schedule {name}?",
            lambda: self._do(self._remove, name),
            detail="Nothing starts it any more; its runs stay in the record.",
            yes="Remove",
            danger=True,
        )

    def _remove(self, name: str) -> str:
        Schedules(self.app.home).remove(name)
        return f"Schedule {name} is removed"

    def _run(self, name: str) -> str:
        """Start it in a process of its own: the working folder becomes that of the schedule."""
        schedules = Schedules(self.app.home)
        command = schedules.command(schedules.files.load(name), by_hand=True)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
        lines = done.stderr.strip().splitlines()
        said = " ".join(lines).removeprefix("flowdeck: ") or f"exit code {done.returncode}"
        if done.returncode:
            raise RuntimeError(said)
        return said

    @work(exit_on_error=False, group="control")
    async def _do(self, act: Callable[[str], Any], name: str) -> None:
        try:
            said = await asyncio.to_thread(act, name)
        except Exception as error:  # systemd or cron do not take it: shown, never fatal
            self.app.show_message(f"Schedule {name}", str(error), error=True)
            return
        self.app.say(str(said))
        self.app.expect_change()
        self.reload()

    def copy_focused(self) -> None:
        """Copy its name."""
        if self.current is not None:
            self.app.copy(self.current.schedule.name, "the name")

"""What can be done with a task run: walk its attempts and failures, copy, edit, compare, cancel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work

from flowdeck_app.screens import run_control
from flowdeck_app.screens.from_failed import FromFailed
from flowdeck_app.screens.run_panel import PanelView
from flowdeck_app.screens.task_base import TaskBase
from flowdeck_app.screens.task_frames import TracebackPane
from flowdeck_app.views.failure import place_of
from flowdeck_app.views.failure_text import markdown, traceback_text
from flowdeck_app.views.text import clean
from flowdeck_app.widgets.line_view import LineView
from flowdeck_store.states import is_final

if TYPE_CHECKING:
    from flowdeck_app.views.failure import Captured
    from flowdeck_store.records import FlowRunRecord, TaskRunRecord


class TaskActions(TaskBase, FromFailed):
    """Actions on a task run."""

    # -- guards ----------------------------------------------------------------------------

    @property
    def frame(self) -> Captured | None:
        """The chosen frame."""
        item = self.query_one(TracebackPane).item
        return item.frame if item is not None else None

    @property
    def can_edit(self) -> bool | None:
        """Whether there is a file to open."""
        if self.known is None:
            return None
        return True if self.frame is not None or self._definition() is not None else None

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The flow run that the task run belongs to."""
        return None if self.known is None else self.known.run

    @property
    def can_cancel_task(self) -> bool | None:
        """Whether the task run goes on."""
        known = self.known
        return (
            known is not None and self.no > 0 and known.run.ended_us is None
            and not is_final(known.record.code, known.record.named)
        )  # fmt: skip

    # -- attempts and failures -------------------------------------------------------------

    def action_go_next_attempt(self) -> None:
        """Show the next attempt."""
        self._to_attempt(self.shown_attempt + 1)

    def action_go_previous_attempt(self) -> None:
        """Show the attempt before."""
        self._to_attempt(self.shown_attempt - 1)

    def _to_attempt(self, number: int) -> None:
        total = len(self.known.attempts) if self.known is not None else 0
        if not 1 <= number <= total:
            self.app.say("This was the only attempt" if total < 2 else "There are no more attempts")
            return
        self.attempt = number
        self.show_facts()

    @work(group="next-failure", exclusive=True, exit_on_error=False)
    async def action_go_next_failure(self) -> None:
        """Show the next failed task run of the run, in place."""
        found = await self.app.access.ask(lambda reader: reader.next_problem(self.run_id, self.no))
        if found is None or found.no == self.no:
            self.app.say("No other task of this run has failed")
        else:
            self.show_other(found)

    def show_other(self, task: TaskRunRecord) -> None:
        """Show another task run on this screen."""
        self.run_id, self.no = task.run_id, task.no
        self.known, self.attempt = None, 0
        self._reading.now()

    def action_view_all(self) -> None:
        """Show the frames of libraries too, or fold them."""
        pane = self.query_one(TracebackPane)
        if self.tab == "traceback":
            pane.set_every_frame(not pane.every_frame)

    def action_view_whole(self) -> None:
        """Show the whole message."""
        if self.exception is not None:
            title = str(self.exception.get("type") or "Exception")
            self.app.show_message(title, str(self.exception.get("message") or ""), error=True)

    # -- source ----------------------------------------------------------------------------

    def action_view_diff(self) -> None:
        """Show what differs between the recorded source and the file of today."""
        found = self.query_one(TracebackPane).drifted
        if self.frame is None or found is None:
            self.app.say("Choose a frame: its recorded source is compared with today's file")
        elif found.diff:
            self.app.show_message(
                f"{place_of(self.frame)}: as recorded, today", "\n".join(found.diff)
            )
        else:
            said = {"same": "The file is as it was recorded"}.get(found.state, found.sentence)
            self.app.say(said or "No source was recorded for this frame")

    def action_take_editor(self) -> None:
        """Open today's file at the line, wherever that has moved to."""
        pane = self.query_one(TracebackPane)
        if self.frame is None:
            place = self._definition()
            if place is not None:
                self.app.edit(*place)
            return
        path = pane.path_of(self.frame)
        line = self.frame.get("lineno")
        if path is None or not path.is_file():
            self.app.say(f"{place_of(self.frame)} is not a file on this machine", "warning")
            return
        found = pane.drifted
        self.app.edit(str(path), found.line if found is not None else int(line or 1))

    def _definition(self) -> tuple[str, int] | None:
        """Return file and line of the flow, for task runs without frames."""
        source = self.known.run.source if self.known is not None else None
        file, _, line = (source or "").rpartition(":")
        return (file, int(line)) if file and line.isdigit() else None

    # -- taking out ------------------------------------------------------------------------

    def copy_focused(self) -> None:
        """Copy the traceback as text, or the row under the cursor of other views."""
        view = self.focused
        if self.tab == "traceback" and self.exception is not None:
            row = view.current if isinstance(view, PanelView) else None
            if row is not None and row.text and row.title:
                self.app.copy(row.text, f"the value of {clean(row.title, 60)}")
            else:
                text = traceback_text(self.exception, self.look.now_us)
                self.app.copy(text, "the traceback")
            return
        row = view.current if isinstance(view, LineView) else None
        if row is None:
            self.app.copy(f"{self.run_id}.{self.no}", "the number of the task run")
        elif isinstance(view, PanelView):
            self.app.copy(row.text or row.content.plain.strip(), "the value")
        else:
            self.app.copy(row.message, "the log line")

    def action_take_markdown(self) -> None:
        """Copy the failure as Markdown for an issue."""
        known = self.known
        if known is not None:
            now = self.look.now_us
            text = markdown(known.record, known.run, self.failure, known.parameters, now)
            self.app.copy(text, "Markdown for an issue")

    def action_take_pager(self) -> None:
        """Read the traceback, or the value, in the pager."""
        known = self.known
        if known is None:
            return
        if self.exception is not None:
            self.app.page(traceback_text(self.exception, self.look.now_us))
        elif known.result is not None:
            self.app.page(known.result.preview or "")
        else:
            self.app.page(known.record.message or "")

    # -- stopping --------------------------------------------------------------------------

    def action_run_cancel_task(self) -> None:
        """Ask, then cancel the task run."""
        known = self.known
        if known is None or not self.can_cancel_task:
            return
        task = known.record
        self.app.confirm(
            f"Cancel task {clean(task.name, 100)} (#{task.ref}) of run {clean(task.run_name, 100)}?",
            lambda: self._cancel(task),
            detail="The run goes on; what needs its result will not run.",
            yes="Cancel task",
            danger=True,
        )

    @work(group="control", exit_on_error=False)
    async def _cancel(self, task: TaskRunRecord) -> None:
        try:
            await asyncio.to_thread(run_control.cancel, self.app.home, task.run_id, task.no)
        except Exception as error:  # a busy or damaged store is shown, never fatal
            self.app.show_error("The request could not be written", error)
        else:
            self.app.expect_change()
            self.app.say(f"Asked {task.name} (#{task.ref}) to cancel")

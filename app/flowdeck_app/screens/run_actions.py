"""What can be done with a run: cancel, re-run, copy, export."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from textual import work

from flowdeck_app.screens import run_control
from flowdeck_app.screens.from_failed import FromFailed
from flowdeck_app.screens.run_export import ExportScreen
from flowdeck_app.screens.run_panel import PanelView
from flowdeck_app.screens.run_preview import TaskPreview
from flowdeck_app.screens.run_tables import ResultTable
from flowdeck_app.screens.run_tabs import RunTabs
from flowdeck_app.views.run_markdown import run_markdown
from flowdeck_app.views.text import clean
from flowdeck_app.widgets.line_view import LineView
from flowdeck_store.states import FAILED, is_final

if TYPE_CHECKING:
    from flowdeck_app.rows import TaskRow
    from flowdeck_store.dump import Part
    from flowdeck_store.records import FlowRunRecord, TaskRunRecord

#: Seconds in which ``c`` again means kill.
AGAIN: Final = 5.0
#: What of a run the export offers first, by tab; else its tasks.
PARTS: Final[dict[str, Part]] = {"logs": "logs", "params": "run"}


class RunActions(RunTabs, FromFailed):
    """Actions on the run and on the task run under the cursor."""

    def __init__(self, run_id: int) -> None:
        super().__init__(run_id)
        self._asked_at = float("-inf")

    # -- guards ----------------------------------------------------------------------------

    @property
    def can_cancel(self) -> bool | None:
        """Whether the run goes on."""
        return self.run is not None and not self.run.is_final

    @property
    def can_cancel_task(self) -> bool | None:
        """Whether the run goes on and there is a task run under the cursor that does."""
        if not self.can_cancel or self.tab != "tasks":
            return False
        task = self.chosen
        return True if task is not None and not is_final(task.code, task.named) else None

    @property
    def can_rerun(self) -> bool | None:
        """Whether it is known what ran."""
        return self.run is not None

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run that is shown."""
        return self.run

    @property
    def can_see_error(self) -> bool | None:
        """Whether the flow itself failed."""
        return self.run is not None and self.run.code == FAILED

    @property
    def chosen(self) -> TaskRunRecord | None:
        """The task run under the cursor of the table."""
        row: TaskRow | None = self.table.current
        return None if row is None or self.has_class("-grouped") else row.record

    # -- stopping --------------------------------------------------------------------------

    def action_run_cancel(self) -> None:
        """Ask, then cancel; within five seconds of that, kill."""
        run = self.run
        if run is None or run.is_final:
            return
        if time.monotonic() - self._asked_at < AGAIN:
            self._asked_at = float("-inf")
            self._kill(run)
            return
        self.app.confirm(
            f"Cancel run {clean(run.name, 100)} (#{run.id}) of {clean(run.flow, 100)}?",
            lambda: self._cancel(run),
            detail="Queued tasks are dropped, async tasks cancelled, threads asked to stop.\n"
            "What cannot be stopped goes on until it ends; c again within 5 s kills the process.",
            yes="Cancel run",
            danger=True,
        )

    def action_run_cancel_task(self) -> None:
        """Ask, then cancel the task run under the cursor."""
        task = self.chosen
        if task is None or is_final(task.code, task.named):
            return
        self.app.confirm(
            f"Cancel task {clean(task.name, 100)} (#{task.ref}) of run {clean(task.run_name, 100)}?",
            lambda: self._cancel_task(task),
            detail="The run goes on; what needs its result will not run.",
            yes="Cancel task",
            danger=True,
        )

    @work(group="control", exit_on_error=False)
    async def _cancel(self, run: FlowRunRecord) -> None:
        if await self._tell(run_control.cancel, run.id):
            self._asked_at = time.monotonic()
            self.app.say(f"Asked {run.name} (#{run.id}) to cancel; c again within 5 s kills it")

    @work(group="control", exit_on_error=False)
    async def _cancel_task(self, task: TaskRunRecord) -> None:
        if await self._tell(run_control.cancel, task.run_id, task.no):
            self.app.say(f"Asked {task.name} (#{task.ref}) to cancel")

    @work(group="control", exit_on_error=False)
    async def _kill(self, run: FlowRunRecord) -> None:
        self.app.say(f"Killing {run.name} (#{run.id})", "warning")
        said = await self._tell(run_control.kill, run.id)
        if said:
            self.app.say(str(said))

    async def _tell(self, act: Any, *args: object) -> object:
        """Call on a thread; say what went wrong. Returns something true if nothing did."""
        try:
            said = await asyncio.to_thread(act, self.app.home, *args)
        except Exception as error:  # a busy or damaged store is shown, never fatal
            self.app.show_error("The request could not be written", error)
            return None
        self.app.expect_change()
        return said or True

    # -- running again ---------------------------------------------------------------------

    def action_run_again(self) -> None:
        """Open the launch dialog with what this run was given."""
        run = self.run
        if run is None:
            return
        self.app.open_launch(run.flow_key, rerun=run)

    # -- failures --------------------------------------------------------------------------

    def action_go_error(self) -> None:
        """Open the traceback of the flow itself."""
        self.app.open_task(self.run_id, 0)

    @work(group="next-failure", exclusive=True, exit_on_error=False)
    async def action_go_next_failure(self) -> None:
        """Put the cursor on the next failed task run; it is shown on the Tasks tab."""
        after = self.chosen.no if self.chosen is not None and self.tab == "tasks" else 0
        found = await self.app.access.ask(lambda reader: reader.next_problem(self.run_id, after))
        if found is None:
            if self.can_see_error:
                self.action_go_error()
            else:
                self.app.say("No task of this run has failed")
            return
        self.show_tasks()
        if not await self.table.select_key(found.id):
            self.clear_filters()
            self.table.show(self.task_source(), key=found.id)

    def show_tasks(self) -> None:
        """Show the table of task runs."""
        raise NotImplementedError

    def clear_filters(self) -> None:
        """Show all task runs."""
        raise NotImplementedError

    # -- taking out ------------------------------------------------------------------------

    def copy_focused(self) -> None:
        """Copy what the focus is on: a log line, a value, the number of a task run or run."""
        view = self.focused
        row = view.current if isinstance(view, LineView) else None
        run = self.run
        if isinstance(view, PanelView) and row is not None:
            self.app.copy(row.text or row.content.plain.strip(), "the value")
        elif isinstance(view, ResultTable) and row is not None:
            self.app.copy(row.record.preview or "", "the value")
        elif isinstance(view, LineView) and row is not None and hasattr(row, "message"):
            self.app.copy(row.message, "the log line")
        elif row is not None and hasattr(row, "record"):
            self.app.copy(row.record.ref, f"the number of {row.record.name}")
        elif run is not None:
            self.app.copy(str(run.id), f"the number of {run.name}")

    @work(group="copy", exit_on_error=False)
    async def action_take_markdown(self) -> None:
        """Copy the run as Markdown: state, counts, parameters, what failed."""
        run = self.run
        if run is None:
            return
        now = self.look.now_us
        text = await self.app.access.ask(lambda reader: run_markdown(reader, run, now), "slow")
        self.app.copy(text, "the run as Markdown")

    def action_take_export(self) -> None:
        """Ask for format and part, and write a file."""
        if self.run is None:
            return
        part: Part = PARTS.get(self.tab, "tasks")
        query = {"logs": self.log_query, "tasks": self.task_query}.get(self.tab, "")
        if self.tab == "timeline":
            query = self.task_query
        self.app.push_screen(ExportScreen(self.run, part, query))

    @property
    def preview(self) -> TaskPreview:
        """The pane below the tasks."""
        return self.query_one("#preview", TaskPreview)

"""The screen of one flow run: how far it is, its tasks over time, its log and what came of it.

The screen knows which run it is and reads it; the header says how far it is, the body
(:mod:`~flowdeck_app.screens.run.body`) has a widget for each tab, which reads what it shows. Keys
that act wherever the focus is are the screen's; it passes them on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on, work

from flowdeck_app.access import SLOW
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.screens.parts.annotating import AnnotatesRuns
from flowdeck_app.screens.parts.answering import AnswersRuns
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.screens.parts.stopping import Stopping
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.run.body import RunBody
from flowdeck_app.screens.run.export import ExportScreen
from flowdeck_app.screens.run.header import PICKED, RunHeader
from flowdeck_app.screens.run.logs import LogsPane
from flowdeck_app.screens.run.markdown import run_markdown
from flowdeck_app.screens.run.panes import ReadingFailed
from flowdeck_app.screens.run.reading import (
    RunFigures,
    origin_text,
    read_figures,
    read_run,
    trail_of,
)
from flowdeck_app.screens.run.replaying import Replays
from flowdeck_app.screens.run.tasks import TasksPane
from flowdeck_app.widgets.chips import StateChips
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_store.read.causes import by_tasks
from flowdeck_store.states import FAILED, is_final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.live import StoreChanged
    from flowdeck_app.screens.run.preview import TaskPreview
    from flowdeck_app.screens.run.reading import RunFacts
    from flowdeck_app.widgets.breadcrumb import Breadcrumb
    from flowdeck_app.widgets.task_table import TaskTable
    from flowdeck_store.read.dump import Part
    from flowdeck_store.read.records import FlowRunRecord
    from flowdeck_store.read.summaries import TaskGroup

#: What of a run the export offers first, by tab; else its tasks.
PARTS: Final[dict[str, Part]] = {"logs": "logs", "params": "run"}
#: Least seconds between two readings of the groups.
FIGURES_REST: Final = 1.5


class RunScreen(AnnotatesRuns, AnswersRuns, Replays, FlowdeckScreen):
    """A flow run, live while it goes on.

    Args:
        run_id: number of the flow run.
    """

    AUTO_FOCUS = ""
    CSS_PATH = "run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "go.next_tab", "go.previous_tab", "go.next_failure", "go.error", "go.why",
            "run.answer", "run.again", "run.from_failed", "run.cancel", "run.cancel_task", "run.tag",
            "run.note",
            "find.filter", "find.problems",
            "view.preview", "view.group", "view.more", "view.less", "view.times",
            "take.copy", "take.markdown", "take.export",
        )
    ]  # fmt: skip

    def __init__(self, run_id: int) -> None:
        super().__init__()
        self.run_id = run_id
        self.known: RunFacts | None = None
        self.figures = RunFigures()
        self.stopping = Stopping(self)
        self._reading = Renewal(self, self._load_run, self._unread)
        self._reading_figures = Renewal(self, self._load_figures, self._unread, rest=FIGURES_REST)

    def compose_content(self) -> ComposeResult:
        """Yield header and body."""
        yield RunHeader(id="run-header")
        yield RunBody(self.run_id, id="run-body")

    # -- its parts -------------------------------------------------------------------------

    @property
    def header(self) -> RunHeader:
        """The lines above the tabs."""
        return self.query_one(RunHeader)

    @property
    def body(self) -> RunBody:
        """Tabs, filters and panes."""
        return self.query_one(RunBody)

    @property
    def tab(self) -> str:
        """Key of the shown tab."""
        return self.body.tab

    @property
    def table(self) -> TaskTable:
        """The table of task runs."""
        return self.body.tasks.table

    @property
    def preview(self) -> TaskPreview:
        """What is known of the task run under the cursor of the table."""
        return self.body.tasks.preview

    # -- the breadcrumb --------------------------------------------------------------------

    @property
    def run(self) -> FlowRunRecord | None:
        """The run, once it is read."""
        return None if self.known is None else self.known.run

    @property
    def groups(self) -> tuple[TaskGroup, ...]:
        """The tasks of the run."""
        return self.figures.groups

    def trail(self) -> Sequence[str]:
        """Return Runs, the flow, the parents of a subflow run, and the run."""
        return trail_of(self.known, self.run_id)

    def facts(self) -> Sequence[Piece]:
        """Return the runner, the process while there is one, and when it began."""
        return () if self.run is None else (Piece(origin_text(self.run, self.look), "$fd-muted"),)

    def on_breadcrumb_picked(self, message: Breadcrumb.Picked) -> None:
        """Go back to the run that was clicked, else out of the runs."""
        message.stop()
        parents = () if self.known is None else self.known.parents
        place = message.level - 2
        stack = [getattr(screen, "run_id", None) for screen in reversed(self.app.screen_stack)]
        if 0 <= place < len(parents):
            wanted = parents[place].id
            if wanted in stack:
                self.app.back_to(stack.index(wanted))
            else:
                self.app.back_to(1)
                self.app.open_run(wanted)
        elif message.level < 2:
            self.app.back_to(stack.index(None) if None in stack else len(stack))

    # -- reading ---------------------------------------------------------------------------

    def store_changed(self, message: StoreChanged) -> None:
        """Reload when this run may have changed."""
        if message.touches(self.run_id):
            self.reload()

    def reload(self) -> None:
        """Ask for the run and for what the present tab shows."""
        self.reload_header()
        self.body.renew()

    def reload_header(self) -> None:
        """Ask for the run and its figures."""
        self._reading.ask()
        self._reading_figures.ask()

    async def _load_run(self) -> None:
        found = await self.access.ask(lambda reader: read_run(reader, self.run_id))
        before, self.known = self.known, found
        if self.app.screen is self:
            self.app.watch_closely(found is not None and not found.run.is_final)
        self.set_class(found is None, "-gone")
        if found is None:
            self.header.show_gone(self.run_id)
        else:
            self.header.show_run(found)
            self.body.show_run(found.run, subflows=found.subflows)
            if before is None:
                self._reading_figures.now()
                self.body.renew()
        self.refresh_breadcrumb()
        self.refresh_bindings()

    async def _load_figures(self) -> None:
        run = self.run
        if run is not None:
            self.figures = await self.access.ask(lambda reader: read_figures(reader, run), SLOW)
            self.header.show_figures(self.figures)
            self.body.show_groups(self.groups)

    def _unread(self, error: Exception) -> None:
        if self.is_attached:
            self.header.show_unread(error)

    @on(ReadingFailed)
    def _pane_unread(self, message: ReadingFailed) -> None:
        self._unread(message.error)

    # -- life ------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Focus the tasks, and let the estimate count down."""
        self.set_interval(1.0, self.tick)
        self.body.focus_rows()

    def on_screen_suspend(self) -> None:
        """Nobody watches the run any more."""
        self.app.watch_closely(False)

    def on_resize(self, event: events.Resize) -> None:
        """Choose which panes there is room for."""
        super().on_resize(event)
        self.set_class(event.size.height < 30, "-low")
        self.set_class(event.size.height >= 40, "-roomy")
        if self.is_mounted:
            self.call_after_refresh(self.header.say_figures)  # as many as there is room for now
        for tasks in self.query(TasksPane):
            tasks.make_room(event.size)

    def tick(self) -> None:
        """Let the estimate count down."""
        if self.app.screen is self and self.run is not None and not self.run.is_final:
            self.header.say_figures()
            self.refresh_breadcrumb()  # beside a time that grows each second stands its age

    # -- tabs and filters ------------------------------------------------------------------

    @on(StateChips.Chosen)
    def _chip_chosen(self, message: StateChips.Chosen) -> None:
        self.body.filter_by(message.bucket)

    @on(RunBody.ChoicesCleared)
    def _choices_cleared(self) -> None:
        self.header.chips.chosen = ""

    @on(Line.Picked)
    async def _picked(self, message: Line.Picked) -> None:
        action = PICKED.get(str(message.key))
        if action is not None:
            await self.run_action(action)

    def step_back(self) -> bool:
        """Clear the filter, then the groups."""
        return self.body.step_back()

    def action_go_next_tab(self) -> None:
        """Show the next tab."""
        self.body.tabs.step(1)

    def action_go_previous_tab(self) -> None:
        """Show the tab before."""
        self.body.tabs.step(-1)

    def action_find_filter(self) -> None:
        """Filter the tasks, or the log."""
        self.body.open_filter()

    def action_find_problems(self) -> None:
        """Show only what went wrong; again shows all."""
        self.body.toggle_problems()

    def action_view_group(self) -> None:
        """Group the tasks, or change what the timeline's bars are."""
        self.body.change_grouping()

    def action_view_more(self) -> None:
        """Show more levels of the log."""
        self.body.step_level(-1)

    def action_view_less(self) -> None:
        """Show fewer levels of the log."""
        self.body.step_level(1)

    def action_view_preview(self) -> None:
        """Show or hide what is known of the task under the cursor."""
        self.body.tasks.toggle_preview()

    def action_view_times(self) -> None:
        """Change how times are shown, everywhere."""
        self.app.set_times(self.look.times.following)
        self.query_one(LogsPane).say_status()

    # -- stopping and running again --------------------------------------------------------

    @property
    def can_cancel(self) -> bool | None:
        """Whether the run goes on."""
        return self.run is not None and not self.run.is_final and self.playhead is None

    @property
    def can_cancel_task(self) -> bool | None:
        """Whether the run goes on and there is a task run under the cursor that does."""
        if not self.can_cancel or self.tab != "tasks":
            return False
        task = self.body.tasks.chosen
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

    def action_run_cancel(self) -> None:
        """Ask, then cancel; within five seconds of that, kill."""
        if self.run is not None and self.can_cancel:
            self.stopping.cancel_run(self.run)

    def action_run_cancel_task(self) -> None:
        """Ask, then cancel the task run under the cursor."""
        task = self.body.tasks.chosen
        if task is not None and self.can_cancel_task:
            self.stopping.cancel_task(task)

    def action_run_again(self) -> None:
        """Open the launch dialog with what this run was given."""
        if self.run is not None:
            self.app.open_launch(self.run.flow_key, rerun=self.run)

    # -- failures --------------------------------------------------------------------------

    def action_go_error(self) -> None:
        """Open the traceback of the flow itself; of the task run that it failed of where it has
        none of its own."""
        cause = None if self.known is None else self.known.cause
        task = None if cause is None else cause.task
        if task is None or self.run is None or not by_tasks(self.run):
            self.app.open_task(self.run_id, 0)
        else:
            self.app.open_task(task.run_id, task.no)

    def action_go_why(self) -> None:
        """Say all that is known of why the run went as it did."""
        self.header.open_why()

    @work(group="next-failure", exclusive=True, exit_on_error=False)
    async def action_go_next_failure(self) -> None:
        """Put the cursor on the next failed task run; it is shown on the Tasks tab."""
        chosen = self.body.tasks.chosen
        after = chosen.no if chosen is not None and self.tab == "tasks" else 0
        found = await self.access.ask(lambda reader: reader.next_problem(self.run_id, after))
        if found is None:
            if self.can_see_error:
                self.action_go_error()
            else:
                self.app.say("No task of this run has failed")
            return
        self.body.show_tasks()
        if not await self.table.select_key(found.id):
            self.body.clear_filters()
            self.body.tasks.show_rows_at(found.id)

    # -- taking out ------------------------------------------------------------------------

    def copy_focused(self) -> None:
        """Copy what the focus is on: a log line, a value, the number of a task run or run."""
        view = self.focused
        found = view.to_copy if isinstance(view, LineView) else None
        if found is not None:
            self.app.copy(*found)
        elif self.run is not None:
            self.app.copy(str(self.run.id), f"the number of {self.run.name}")

    @work(group="copy", exit_on_error=False)
    async def action_take_markdown(self) -> None:
        """Copy the run as Markdown: state, counts, parameters, what failed."""
        run = self.run
        if run is not None:
            now = self.look.now_us
            text = await self.access.ask(lambda reader: run_markdown(reader, run, now), SLOW)
            self.app.copy(text, "the run as Markdown")

    def action_take_export(self) -> None:
        """Ask for format and part, and write a file."""
        if self.run is not None:
            part: Part = PARTS.get(self.tab, "tasks")
            self.app.push_screen(ExportScreen(self.run, part, self.body.filter_text))

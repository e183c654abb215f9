"""Runs: the history of every run, filtered, sorted, compared, exported, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on, work

from flowdeck_app.access import FACTS
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.screens.compare import CompareScreen
from flowdeck_app.screens.parts.annotating import Annotated, AnnotatesRuns
from flowdeck_app.screens.parts.answering import AnswersRuns
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.screens.runs.deletion import UNDO, PendingDeletion
from flowdeck_app.screens.runs.export import ExportsRuns
from flowdeck_app.screens.runs.grouping import GroupsRuns
from flowdeck_app.screens.runs.parts import PreviewPane, SummaryLine, ViewsStrip
from flowdeck_app.screens.runs.stopping import StoppingRuns
from flowdeck_app.views.runs import RUN_ORDERS
from flowdeck_app.widgets.history_bars import RunHistogram
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.run_table import NO_MATCH, NO_RUNS, RunTable
from flowdeck_app.widgets.table import TableView
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.sources import RunSource
    from flowdeck_app.views.rows import RunRow
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_DAYS: Final = 7
_HOUR_US: Final = 3_600_000_000


class RunsScreen(AnnotatesRuns, AnswersRuns, GroupsRuns, ExportsRuns, FlowdeckScreen):
    """The history browser."""

    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "run.answer", "run.again", "run.from_failed", "run.cancel", "run.delete", "run.tag",
            "run.note", "run.undo", "mark.compare", "find.filter", "find.problems",
            "take.export", "take.copy", "view.preview", "go.next_tab", "go.previous_tab",
            "go.next_failure", "form.save",
            "view.group", "view.fold", "view.all",
        )
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.query_text = ""
        self.deletion = PendingDeletion(self, self.renew_rows)
        self.stopping = StoppingRuns(self)
        self._total = 0

    # -- composition -----------------------------------------------------------------------

    def compose_content(self) -> ComposeResult:
        """Yield filter, views, histogram, table, preview."""
        self.query_text = self.app.state.get("runs", "query", default="")
        yield QueryBar("runs", "state:failed flow:etl* since:7d -tag:test text", id="bar")
        yield ViewsStrip(self.app.state, id="views")
        yield SummaryLine(id="summary")
        yield RunHistogram(id="histogram")
        yield RunTable(self.row_source(), self._order, id="runs")
        yield PreviewPane(classes="pane", id="preview-pane")

    @property
    def table(self) -> RunTable:
        """The runs."""
        return self.query_one("#runs", RunTable)

    @property
    def preview_pane(self) -> PreviewPane:
        """What is known of the run under the cursor."""
        return self.query_one(PreviewPane)

    @property
    def _order(self) -> str:
        order = self.app.state.get("runs", "order", default=RUN_ORDERS[0])
        return order if order in RUN_ORDERS else RUN_ORDERS[0]

    def full_query(self) -> str:
        """Return the filter without the runs whose deletion can still be undone."""
        return f"{self.query_text} {self.deletion.query}".strip()

    def row_source(self) -> RunSource:
        """Return the rows of the present filter, order and groups."""
        return self.make_source(self.full_query(), self._order)

    def on_mount(self) -> None:
        """Put the cursor into the table."""
        hidden = not self.app.state.get("runs", "preview", default=True)
        self.set_class(hidden, "-no-preview")
        self.query_one("#views", ViewsStrip).query_text = self.query_text
        if self.query_text:
            self.query_one("#bar", QueryBar).open(self.query_text)
        self.query_one("#runs").focus()

    def on_resize(self, event: events.Resize) -> None:
        """Leave out what does not fit."""
        super().on_resize(event)
        self.set_class(event.size.height < 28, "-low")

    def trail(self) -> Sequence[str]:
        """Return the one level."""
        return ("Runs",)

    def facts(self) -> Sequence[Piece]:
        """Return how many runs there are and how many match."""
        gap, table = self.look.symbols.group, self.query("#runs")
        matching = table.first(RunTable).n_runs if table else 0
        runs = f"{number(self._total, gap)} run{'' if self._total == 1 else 's'}"
        pieces = [Piece(runs, "$fd-muted")]
        if self.query_text:
            pieces.append(Piece(f"  {number(matching, gap)} match", "$fd-accent"))
        if self.grouping:
            pieces.append(Piece(f"  by {self.grouping}", "$fd-accent"))
        return pieces

    # -- news ------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read rows, figures and preview again."""
        self.table.reload()
        self._load_figures()
        self._show_preview()

    def show_query(self, text: str) -> None:
        """Filter by another text."""
        self.query_text = text
        self.app.state.remember("runs", "query", value=text)
        self.query_one("#views", ViewsStrip).query_text = text
        self.renew_rows()

    def renew_rows(self) -> None:
        """Show the rows of the present filter and order."""
        self.table.show(self.row_source())
        self._load_figures()
        self.refresh_bindings()

    @work(exclusive=True, exit_on_error=False, group="figures")
    async def _load_figures(self) -> None:
        histogram = self.query_one("#histogram", RunHistogram)
        query, now = self.full_query(), self.app.clock()
        span = _DAYS * 24 * _HOUR_US
        width = max(span // histogram.wanted, 60_000_000)

        def read(reader: Reader) -> tuple[Any, Any, int]:
            buckets = reader.run_histogram(now - span, width, query, until_us=now)
            everything = reader.run_summary(roots=True).total
            return reader.run_summary(query, roots=True), tuple(buckets), everything

        summary, buckets, self._total = await self.app.access.ask(read, FACTS)
        histogram.buckets = buckets
        self._say_why_empty()
        self.query_one("#summary", SummaryLine).summary = summary
        self.refresh_breadcrumb()

    def _say_why_empty(self) -> None:
        why = NO_MATCH if self._total else (NO_RUNS[0], "1 shows Home, where flows are started")
        if self.table.empty != why:
            self.table.empty = why
            self.table.refresh()

    def _show_preview(self) -> None:
        row = self.current_row
        self.preview_pane.show_run(None if row is None else row.record)

    @on(LineView.Changed, "#runs")
    def _rows_changed(self) -> None:
        if not self.table.count:
            self._show_preview()  # nothing is highlighted any more
        matching = number(self.table.n_runs, self.look.symbols.group)
        self.query_one("#bar", QueryBar).note = f"{matching} match" if self.query_text else ""
        self.refresh_breadcrumb()
        self.refresh_bindings()

    @on(LineView.Highlighted, "#runs")
    def _moved(self) -> None:
        self._show_preview()
        self.refresh_bindings()

    @property
    def current_row(self) -> RunRow | None:
        """The run under the cursor; ``None`` also on a heading."""
        row: RunRow | None = self.table.current
        return None if row is None or row.heading is not None else row

    # -- filter, views, order --------------------------------------------------------------

    def action_find_filter(self) -> None:
        """Open the filter."""
        self.query_one("#bar", QueryBar).open(self.query_text)

    @on(QueryBar.Changed, "#bar")
    def _filtered(self, message: QueryBar.Changed) -> None:
        self.show_query(message.text)

    @on(QueryBar.Done, "#bar")
    def _filter_done(self) -> None:
        self.query_one("#runs").focus()

    def action_find_problems(self) -> None:
        """Show failed and crashed runs only, or all again."""
        self._take_query("" if self.query_text == "state:problem" else "state:problem")

    def _take_query(self, text: str) -> None:
        bar = self.query_one("#bar", QueryBar)
        bar.open(text) if text else bar.close()
        self.show_query(text)
        self.query_one("#runs").focus()

    @on(ViewsStrip.Chosen, "#views")
    def _view_chosen(self, message: ViewsStrip.Chosen) -> None:
        self._take_query(message.text)

    def action_go_next_tab(self) -> None:
        """Show the next saved view."""
        self.query_one("#views", ViewsStrip).step(1)

    def action_go_previous_tab(self) -> None:
        """Show the saved view before."""
        self.query_one("#views", ViewsStrip).step(-1)

    def action_form_save(self) -> None:
        """Keep the filter as a view."""
        if not self.query_text:
            self.app.say("Type a filter first: / opens it.")
            return
        self.query_one("#views", ViewsStrip).save(self.query_text)
        self.app.say(f"Kept as a view: {self.query_text}")

    @on(TableView.SortWanted, "#runs")
    def _sort(self, message: TableView.SortWanted) -> None:
        self.app.state.remember("runs", "order", value=message.order)
        self.table.order = message.order
        self.renew_rows()

    @on(RunHistogram.Picked)
    def _time_picked(self, message: RunHistogram.Picked) -> None:
        self._take_query(f"since:{(iso(message.start_us) or '')[:19]}Z")

    def step_back(self) -> bool:
        """Clear the filter."""
        bar = self.query_one("#bar", QueryBar)
        if not bar.is_open and not self.query_text:
            return False
        self._take_query("")
        return True

    # -- looking ---------------------------------------------------------------------------

    @on(Opened, "#runs")
    def _open(self, message: Opened) -> None:
        self.app.open_run(message.row.record.id)

    def action_view_preview(self) -> None:
        """Show or hide the preview."""
        self.toggle_class("-no-preview")
        self.app.state.remember("runs", "preview", value=not self.has_class("-no-preview"))

    def action_go_next_failure(self) -> None:
        """Open the first failed task of the run under the cursor."""
        preview = self.preview_pane.preview
        if preview is None or preview.task is None:
            self.app.say("No task of this run failed.")
        else:
            self.app.open_task(preview.run.id, preview.task.no)

    # -- the chosen runs -------------------------------------------------------------------

    def chosen_ids(self) -> tuple[int, ...]:
        """Return the marked runs, else the one under the cursor."""
        row = self.current_row
        return self._marked() or (() if row is None else (row.record.id,))

    def _marked(self) -> tuple[int, ...]:
        return tuple(sorted(key for key in self.table.marks if isinstance(key, int)))

    def _only(self, ids: Sequence[int]) -> FlowRunRecord | None:
        run = self.failed_run
        return run if run is not None and tuple(ids) == (run.id,) else None

    def _named(self, ids: Sequence[int]) -> str:
        one = self._only(ids)
        if one is not None:
            return f"run {one.name} (#{one.id})"
        return f"run #{ids[0]}" if len(ids) == 1 else f"{len(ids)} runs"

    @property
    def annotated(self) -> Annotated | None:
        """The chosen runs."""
        ids = self.chosen_ids()
        return Annotated(ids, self._named(ids), self._only(ids)) if ids else None

    @property
    def can_open(self) -> bool | None:
        """Whether there is a run under the cursor, or the heading of a group."""
        return True if self.table.current is not None else None

    @property
    def can_rerun(self) -> bool | None:
        """Whether there is a run under the cursor."""
        return True if self.current_row is not None else None

    @property
    def can_delete(self) -> bool | None:
        """Whether there are runs to delete: marked, or under the cursor."""
        return True if self.chosen_ids() else None

    @property
    def can_cancel(self) -> bool | None:
        """Whether the run under the cursor goes on, or several are marked."""
        row = self.current_row
        marked = len(self.chosen_ids()) > 1
        return True if marked or (row is not None and not row.record.is_final) else None

    @property
    def can_compare(self) -> bool | None:
        """Whether two runs are marked."""
        return True if len(self.table.marks) == 2 else None

    @property
    def can_undo(self) -> bool | None:
        """Whether a deletion can still be undone."""
        return bool(self.deletion.hidden)

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run under the cursor."""
        return None if self.current_row is None else self.current_row.record

    def action_run_again(self) -> None:
        """Open the launch dialog with the run's values."""
        if self.failed_run is not None:
            self.app.open_launch(None, rerun=self.failed_run)

    def action_mark_compare(self) -> None:
        """Compare the two marked runs."""
        marks = self._marked()
        if len(marks) == 2:
            self.app.push_screen(CompareScreen(*marks))
        else:
            self.app.say("Mark two runs with space, then compare them.")

    def action_run_cancel(self) -> None:
        """Ask, then cancel; again within five seconds kills."""
        ids = self.chosen_ids()
        if ids:
            self.stopping.cancel_runs(ids, self._named(ids))

    def action_run_delete(self) -> None:
        """Ask, hide the runs, and delete them when the time to undo is over."""
        ids = self.chosen_ids()
        if ids:
            self.app.confirm(
                f"Delete {self._named(ids)} from the record?",
                lambda: self._delete(ids, self._named(ids)),
                detail="Their subflow runs and kept results go too. u undoes within 10 s.",
                yes="Delete",
                danger=True,
            )

    def _delete(self, ids: tuple[int, ...], named: str) -> None:
        self.table.set_marks(set())
        self.deletion.begin(ids)
        self.app.say(f"Deleted {named}; u undoes", seconds=UNDO)

    def action_run_undo(self) -> None:
        """Take the last deletion back."""
        if ids := self.deletion.undo():
            self.app.say(f"Not deleted: {len(ids)} run{'s' if len(ids) > 1 else ''} as before")

    def on_unmount(self) -> None:
        """The app ends: what was to be deleted is deleted now."""
        self.deletion.finish()

    def copy_focused(self) -> None:
        """Copy the names of the chosen runs."""
        ids = self.chosen_ids()
        if (one := self._only(ids)) is not None:
            self.app.copy(one.name, "the run's name")
        elif ids:
            self.app.copy("\n".join(map(str, ids)), f"{len(ids)} run numbers")

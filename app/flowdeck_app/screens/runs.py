"""Runs: the history of every run, filtered, sorted, compared, exported, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on, work
from textual.containers import Container

from flowdeck_app.access import FACTS
from flowdeck_app.actions import bindings
from flowdeck_app.screens.runs_acts import RunsActs
from flowdeck_app.screens.runs_parts import RunPreview, SummaryLine, ViewsStrip, read_preview
from flowdeck_app.sources import RunSource
from flowdeck_app.views.runs import RUN_ORDERS
from flowdeck_app.views.text import number
from flowdeck_app.widgets.history_bars import RunHistogram
from flowdeck_app.widgets.line_messages import Opened
from flowdeck_app.widgets.line_view import LineView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.run_table import NO_MATCH, NO_RUNS, RunTable
from flowdeck_app.widgets.strip_widget import Piece
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.live import StoreChanged
    from flowdeck_app.rows import RunRow
    from flowdeck_store.reader import Reader

_DAYS: Final = 7
_HOUR_US: Final = 3_600_000_000


class RunsScreen(RunsActs):
    """The history browser."""

    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("run.again", "run.from_failed", "run.cancel", "run.delete", "run.undo"),
        *bindings("mark.compare"),
        *bindings("find.filter", "find.problems", "take.export", "take.copy", "view.preview"),
        *bindings("go.next_tab", "go.previous_tab", "go.next_failure", "form.save"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.query_text = ""
        self._total = 0

    # -- composition -----------------------------------------------------------------------

    def compose_content(self) -> ComposeResult:
        """Yield filter, views, histogram, table, preview."""
        self.query_text = self.app.state.get("runs", "query", default="")
        yield QueryBar("runs", "state:failed flow:etl* since:7d -tag:test text", id="bar")
        yield ViewsStrip(self.app.state, id="views")
        yield SummaryLine(id="summary")
        yield RunHistogram(id="histogram")
        yield RunTable(self._source(), self._order, id="runs")
        with Container(classes="pane", id="preview-pane"):
            yield RunPreview(id="preview")

    @property
    def _order(self) -> str:
        order = self.app.state.get("runs", "order", default=RUN_ORDERS[0])
        return order if order in RUN_ORDERS else RUN_ORDERS[0]

    def full_query(self) -> str:
        """Return the filter without the runs whose deletion can still be undone."""
        return f"{self.query_text} {self.hidden_query}".strip()

    def _source(self) -> RunSource:
        return RunSource(self.app.access, self.full_query(), self._order)

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
        gap = self.look.symbols.group
        table = self.query("#runs")
        matching = table.first(RunTable).count if table else 0
        runs = f"{number(self._total, gap)} run{'' if self._total == 1 else 's'}"
        pieces = [Piece(runs, "$fd-muted")]
        if self.query_text:
            pieces.append(Piece(f"  {number(matching, gap)} match", "$fd-accent"))
        return pieces

    # -- news ------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read rows, figures and preview again."""
        self.query_one("#runs", RunTable).reload()
        self._load_figures()
        self._load_preview()

    def store_changed(self, message: StoreChanged) -> None:
        """Keep rows and figures up to date."""
        self.reload()

    def show_query(self, text: str) -> None:
        """Filter by another text."""
        self.query_text = text
        self.app.state.put("runs", "query", value=text)
        self.query_one("#views", ViewsStrip).query_text = text
        self.renew_rows()

    def renew_rows(self) -> None:
        """Show the rows of the present filter and order."""
        self.query_one("#runs", RunTable).show(self._source())
        self._load_figures()

    @work(exclusive=True, exit_on_error=False, group="figures")
    async def _load_figures(self) -> None:
        histogram = self.query_one("#histogram", RunHistogram)
        query, now = self.full_query(), self.app.clock()
        wanted = histogram.wanted
        span = _DAYS * 24 * _HOUR_US
        width = max(span // wanted, 60_000_000)

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
        table = self.query_one("#runs", RunTable)
        why = NO_MATCH if self._total else (NO_RUNS[0], "1 shows Home, where flows are started")
        if table.empty != why:
            table.empty = why
            table.refresh()

    @work(exclusive=True, exit_on_error=False, group="preview")
    async def _load_preview(self) -> None:
        row = self.current_row
        panel = self.query_one("#preview", RunPreview)
        if row is None:
            panel.preview = None
            self.query_one("#preview-pane").border_title = ""
            return
        found = await self.app.access.ask(lambda reader: read_preview(reader, row.record), FACTS)
        panel.preview = found
        pane = self.query_one("#preview-pane")
        from textual.content import Content

        from flowdeck_app.views.text import clean

        pane.border_title = Content(clean(row.record.name, 60))

    @on(LineView.Changed, "#runs")
    def _rows_changed(self) -> None:
        if not self.query_one("#runs", RunTable).count:
            self._load_preview()  # nothing is highlighted any more
        self.query_one("#bar", QueryBar).note = (
            f"{number(self.query_one('#runs', RunTable).count, self.look.symbols.group)} match"
            if self.query_text
            else ""
        )
        self.refresh_breadcrumb()
        self.refresh_bindings()

    @on(LineView.Highlighted, "#runs")
    def _moved(self) -> None:
        self._load_preview()
        self.refresh_bindings()

    @property
    def current_row(self) -> RunRow | None:
        """The run under the cursor."""
        row: RunRow | None = self.query_one("#runs", RunTable).current
        return row

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
        self.app.state.put("runs", "order", value=message.order)
        table = self.query_one("#runs", RunTable)
        table.order = message.order
        self.renew_rows()

    @on(RunHistogram.Picked)
    def _time_picked(self, message: RunHistogram.Picked) -> None:
        from flowdeck_store.records import iso

        self._take_query(f"since:{(iso(message.start_us) or '')[:19]}Z")

    def back(self) -> bool:
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
        self.app.state.put("runs", "preview", value=not self.has_class("-no-preview"))

    def action_go_next_failure(self) -> None:
        """Open the first failed task of the run under the cursor."""
        preview = self.query_one("#preview", RunPreview).preview
        if preview is None or preview.task is None:
            self.app.say("No task of this run failed.")
        else:
            self.app.open_task(preview.run.id, preview.task.no)

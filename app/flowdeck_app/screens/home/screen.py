"""Home: the flows there are, active and recent runs, the health of the record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on, work
from textual.containers import Container, Horizontal

from flowdeck.launch.discovery import FlowFinder
from flowdeck_app.access import FACTS
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.flow_list import ORDERS, FlowRow, matching, merged, ordered
from flowdeck_app.screens.home.flow_rows import FLOW_COLUMNS, is_live, problems_text
from flowdeck_app.screens.home.health import HealthPanel, free_bytes, health_pieces, read_health
from flowdeck_app.screens.home.preview import FlowPreview
from flowdeck_app.screens.home.room import share
from flowdeck_app.screens.parts.answering import AnswersRuns
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.sources import ListSource, RunSource
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_app.widgets.table import TableView
from flowdeck_app.widgets.tabs import Tab, TabStrip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck.launch.discovery import Scan
    from flowdeck_app.live import StoreChanged
    from flowdeck_app.screens.home.health_text import HomeHealth
    from flowdeck_app.views.rows import RunRow
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: Seconds between two looks at the files with flows.
_LOOK_AGAIN: Final = 5.0
#: Runs in the lower list.
_RECENT: Final = 100


class FlowTable(TableView[FlowRow]):
    """The list of flows."""

    AGES = True
    DEFAULT_CSS = """
    FlowTable { height: 1fr; }
    """

    def is_live(self, row: FlowRow) -> bool:
        """A running run's time grows."""
        return is_live(row)


class HomeScreen(AnswersRuns, FlowdeckScreen):
    """Flows, runs, health."""

    CSS_PATH = "home.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "run.answer",
            "run.new",
            "run.again",
            "run.from_failed",
            "find.filter",
            "go.next_failure",
        ),
        *bindings("go.next_tab", "go.previous_tab", "take.editor"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._finder = FlowFinder()
        self._found: Scan | None = None
        self._health: HomeHealth | None = None
        self._filter = ""

    # -- composition -----------------------------------------------------------------------

    def compose_content(self) -> ComposeResult:
        """Yield the three panels; narrow terminals show one at a time."""
        yield TabStrip([Tab("flows", "Flows"), Tab("runs", "Runs")], "flows", id="tabs")
        yield QueryBar(None, "words of a flow's name, file or description", id="bar")
        with Container(classes="pane", id="flows-pane"):
            yield FlowTable(
                FLOW_COLUMNS,
                self._flow_source(),
                order=self._order,
                orders=ORDERS,
                empty=self._no_flows(),
                marks=False,
                id="flows",
            )
        with Container(classes="pane", id="preview-pane"):
            yield FlowPreview(id="preview")
        with Horizontal(id="lower"):
            with Container(classes="pane", id="runs-pane"):
                source = RunSource(self.app.access, "", "newest", most=_RECENT)
                yield RunTable(source, recent=True, id="recent")
            with Container(classes="pane", id="health-pane"):
                yield HealthPanel(id="health")

    @property
    def _order(self) -> str:
        order = self.app.state.get("home.flows", "order", default=ORDERS[0])
        return order if order in ORDERS else ORDERS[0]

    def _flow_source(self) -> ListSource[FlowRow]:
        return ListSource(
            self.app.access,
            self._load_flows,
            key=lambda row: f"{row.key} {row.name}",
            text=lambda row: f"{row.name} {row.target or ''}",
        )

    def _load_flows(self, reader: Reader) -> list[FlowRow]:
        if self._found is None:
            self._found = self._finder.scan(self._folders())
        rows = merged(self._found.flows, reader.flows())
        return ordered(matching(rows, self._filter), self._order)

    def _folders(self) -> list[Path]:
        from flowdeck.settings import get_settings

        return [self.app.folder / path for path in get_settings().flow_paths]

    def _no_flows(self) -> tuple[str, str]:
        folders = self._folders()
        where = clean(str(folders[0]), 60) if len(folders) == 1 else f"{len(folders)} folders"
        return (
            f"No flows found in {where}",
            "Functions with @flow in its Python files appear here by themselves",
        )

    def on_mount(self) -> None:
        """Name the panels and begin to look for flows."""
        for pane, title in (("flows", "Flows"), ("runs", "Active and recent runs")):
            self.query_one(f"#{pane}-pane").border_title = title
        self.query_one("#health-pane").border_title = "Health"
        self.query_one("#flows").focus()
        self.set_interval(_LOOK_AGAIN, self._look_for_flows)

    def on_resize(self, event: events.Resize) -> None:
        """Show one panel at a time where two do not fit."""
        super().on_resize(event)
        self.set_class(event.size.height < 28 or event.size.width < 90, "-low")
        self._share_room()

    def _share_room(self) -> None:
        """Make the lists as high as their rows, and show the flow under the cursor in what is free."""
        flows, runs, low = (
            self.query_one("#flows", FlowTable),
            self.query_one("#recent", RunTable),
            self.has_class("-low"),
        )
        lines = self.size.height - (4 if low else 2)
        room = share(lines, flows.count, runs.count, low=low)
        self.query_one("#flows-pane").styles.height = room.flows
        self.query_one("#preview-pane").styles.height = room.preview
        self.set_class(room.preview > 0, "-preview")

    # -- breadcrumb ------------------------------------------------------------------------

    def trail(self) -> Sequence[str]:
        """Return the one level."""
        return ("Home",)

    def facts(self) -> Sequence[Piece]:
        """Return running and failed runs, and how many flows there are."""
        pieces = []
        if self._health is not None:
            pieces += health_pieces(self._health)
        table = self.query("#flows")
        if table:
            count = table.first(FlowTable).count
            pieces.append(Piece(f"{count} flow{'' if count == 1 else 's'}", "$fd-muted"))
        return pieces

    # -- news ------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read all three panels again."""
        self.query_one("#flows", FlowTable).reload()
        self.query_one("#recent", RunTable).reload()
        self._load_health()

    def store_changed(self, message: StoreChanged) -> None:
        """Keep rows and figures up to date."""
        self.reload()

    @work(exclusive=True, exit_on_error=False, group="health")
    async def _load_health(self) -> None:
        now = self.app.clock()
        panel = self.query_one("#health", HealthPanel)
        try:
            health = await self.app.access.ask(lambda reader: read_health(reader, now), FACTS)
        except Exception as error:  # a locked or damaged record is shown, never fatal
            panel.trouble = str(error)
            return
        panel.trouble = ""
        free = await asyncio.to_thread(free_bytes, self.app.home)
        self._health, self.asking = health.with_free(free), health.asking
        panel.health = self._health
        self.app.watch_closely(health.store.totals.live > 0)
        self.refresh_breadcrumb()
        self.refresh_bindings()

    @work(thread=True, exclusive=True, exit_on_error=False, group="discovery")
    def _look_for_flows(self) -> None:
        if not self.is_active:
            return
        found = self._finder.scan(self._folders())
        if found != self._found:
            self._found = found
            self.app.call_from_thread(self._show_found)

    def _show_found(self) -> None:
        self.query_one("#flows", FlowTable).reload()
        self._note_problems()

    def _note_problems(self) -> None:
        problems = () if self._found is None else self._found.problems
        pane = self.query_one("#flows-pane")
        if problems:
            from textual.content import Content

            pane.border_subtitle = Content(problems_text(problems))
        else:
            pane.border_subtitle = "enter its last run  r run it  / filter"

    @on(LineView.Changed, "#flows")
    def _flows_changed(self) -> None:
        self.refresh_breadcrumb()
        self._note_problems()
        self._share_room()
        self._preview()

    @on(LineView.Changed, "#recent")
    def _runs_changed(self) -> None:
        self._share_room()

    @on(LineView.Highlighted, "#flows")
    def _preview(self) -> None:
        table = self.query_one("#flows", FlowTable)
        self.query_one(FlowPreview).row = table.current

    # -- choosing --------------------------------------------------------------------------

    @property
    def current_flow(self) -> FlowRow | None:
        """The flow under the cursor, if the list of flows has the focus or is all there is."""
        if self.query_one("#recent").has_focus:
            return None
        row: FlowRow | None = self.query_one("#flows", FlowTable).current
        return row

    @property
    def current_run(self) -> RunRow | None:
        """The run under the cursor of the lower list, while that has the focus."""
        table = self.query_one("#recent", RunTable)
        row: RunRow | None = table.current if table.has_focus else None
        return row

    @on(Opened, "#flows")
    def _open_flow(self, message: Opened) -> None:
        row: FlowRow = message.row
        if row.last is None:
            self.app.open_launch(row.key if row.target is None else row.target)
        else:
            self.app.open_run(row.last.id)

    @on(Opened, "#recent")
    def _open_run(self, message: Opened) -> None:
        self.app.open_run(message.row.record.id)

    @on(TableView.SortWanted, "#flows")
    def _sort(self, message: TableView.SortWanted) -> None:
        self.app.state.remember("home.flows", "order", value=message.order)
        table = self.query_one("#flows", FlowTable)
        table.order = message.order
        table.show(self._flow_source())

    @property
    def can_launch(self) -> bool | None:
        """A flow can be started when the list has one to start."""
        row = self.current_flow
        return True if row is None or row.target is not None else None

    @property
    def can_rerun(self) -> bool | None:
        """The run under the cursor can be repeated."""
        return self.current_run is not None

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run under the cursor."""
        return None if self.current_run is None else self.current_run.record

    @property
    def can_edit(self) -> bool | None:
        """The flow under the cursor has a file."""
        row = self.current_flow
        return row is not None and row.target is not None

    def action_run_new(self) -> None:
        """Open the launch dialog for the flow under the cursor (or ask which)."""
        row = self.current_flow
        self.app.open_launch(None if row is None else row.target)

    def action_run_again(self) -> None:
        """Open the launch dialog with the values of the run under the cursor."""
        run = self.current_run
        if run is not None:
            self.app.open_launch(None, rerun=run.record)

    def action_take_editor(self) -> None:
        """Open the flow's file at its line."""
        row = self.current_flow
        if row is None or self._found is None:
            return
        for flow in self._found.flows:
            if flow.key == row.key:
                self.app.edit(str(flow.file), flow.line)
                return
        source = row.record.source if row.record is not None else None
        if source:
            file, _, line = source.rpartition(":")
            self.app.edit(file, int(line) if line.isdigit() else 1)

    def action_go_next_failure(self) -> None:
        """Open the last failure."""
        health = self._health
        if health is None or health.failed_run is None:
            self.app.say("No failure is recorded.")
        elif health.failure is not None and health.failure.task_no:
            self.app.open_task(health.failure.run_id, health.failure.task_no)
        else:
            self.app.open_run(health.failed_run.id)

    # -- filter and tabs -------------------------------------------------------------------

    def action_find_filter(self) -> None:
        """Open the filter of the flows."""
        self._choose("flows")
        self.query_one("#bar", QueryBar).open()

    @on(QueryBar.Changed, "#bar")
    def _filtered(self, message: QueryBar.Changed) -> None:
        self._filter = message.text
        table = self.query_one("#flows", FlowTable)
        table.show(self._flow_source(), top=bool(message.text))  # the best match is the first

    @on(QueryBar.Done, "#bar")
    def _filter_done(self) -> None:
        self.query_one("#flows").focus()

    def step_back(self) -> bool:
        """Close the filter."""
        bar = self.query_one("#bar", QueryBar)
        if not bar.is_open and not self._filter:
            return False
        bar.close()
        self._filter = ""
        table = self.query_one("#flows", FlowTable)
        table.show(self._flow_source())
        table.focus()
        return True

    def action_go_next_tab(self) -> None:
        """Show the other panel (narrow terminals) or focus it."""
        self.query_one("#tabs", TabStrip).step(1)

    def action_go_previous_tab(self) -> None:
        """As the next: there are two."""
        self.query_one("#tabs", TabStrip).step(-1)

    @on(TabStrip.Chosen, "#tabs")
    def _tab_chosen(self, message: TabStrip.Chosen) -> None:
        self._choose(message.key)

    def _choose(self, tab: str) -> None:
        self.set_class(tab == "runs", "-runs")
        self.query_one("#tabs", TabStrip).active = tab
        self.query_one("#recent" if tab == "runs" else "#flows").focus()

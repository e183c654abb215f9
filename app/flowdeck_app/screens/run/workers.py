"""The Workers tab of a run; there once its processes were looked at (after a second)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from textual import on
from textual.containers import Vertical
from textual.message import Message

from flowdeck_app.access import SLOW
from flowdeck_app.drawing.amounts import number, size
from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.screens.parts.renewal import Renewal, records_of
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.views.workers import RunWorker, doing, kept, read_dashboard, read_workers, trend
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord

#: Least seconds between two readings; samples come once a second.
REST: Final = 1.0
_TREND: Final = 12


def _name(row: RunWorker, look: Look) -> Cell:
    return clean(row.shown, 200, newline=" ", ascii_only=look.symbols.ascii), "$fd-strong"


def _cpu(row: RunWorker, look: Look) -> Cell:
    return (look.dash, "$fd-faint") if row.cpu is None else (f"{row.cpu:.0f}%", "")


def _cpu_trend(row: RunWorker, look: Look) -> Cell:
    return trend([one.cpu for one in row.samples], look, _TREND), "$fd-running"


def _memory(row: RunWorker, look: Look) -> Cell:
    return size(row.memory, look.dash), "$fd-faint" if row.memory is None else ""


def _memory_trend(row: RunWorker, look: Look) -> Cell:
    return trend([one.memory for one in row.samples], look, _TREND), "$fd-cached"


def _stored(row: RunWorker, look: Look) -> Cell:
    return kept(row, look), "$fd-faint" if row.stored[0] is None else ""


def _ended(row: RunWorker, look: Look) -> Cell:
    return number(row.ended, look.symbols.group), ""


def _now(row: RunWorker, look: Look) -> Cell:
    return doing(row, look), "$fd-running" if row.running else "$fd-faint"


_COLUMNS: Final[tuple[Column[RunWorker], ...]] = (
    Column("worker", "Worker", _name, 14, grow=2, most=40, align="middle", gap=0),
    Column("cpu", "CPU", _cpu, 5, align="right"),
    Column("cpus", "", _cpu_trend, _TREND, gap=1, drop=2),
    Column("memory", "Memory", _memory, 8, align="right", gap=2),
    Column("memories", "", _memory_trend, _TREND, gap=1, drop=3),
    Column(
        "stored", "Stored", _stored, 14, align="right", gap=2, drop=1, first=True, optional=True
    ),
    Column("ended", "Ended", _ended, 6, align="right"),
    Column("now", "Runs now", _now, 10, grow=3, gap=2),
)


class WorkerTable(TableView[RunWorker]):
    """One line a worker."""

    DEFAULT_CSS = """
    WorkerTable { height: 1fr; }
    """

    def copy_of(self, row: RunWorker) -> tuple[str, str]:
        """Return the name of the worker."""
        return row.shown, "the worker's name"


class WorkersPane(Living, Vertical):
    """The workers of a run and the address of their cluster's dashboard.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    WorkersPane Line { display: none; padding: 0 2; }
    WorkersPane.-dashboard Line { display: block; }
    """

    class Known(Message):
        """How many workers were looked at; the flow's own process counts where there are none."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    class Wanted(Message):
        """The task runs of a worker are to be shown; ``""``: there is no filter for these."""

        def __init__(self, worker: str) -> None:
            super().__init__()
            self.worker = worker

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self._dashboard: str | None = None
        self._cursor_on: str | None = None
        self._reading = Renewal(self, self._read, lambda error: None, rest=REST)
        self._counting = Renewal(self, self._count, lambda error: None, rest=REST)

    def compose(self) -> ComposeResult:
        """Yield table and address."""
        yield WorkerTable(
            _COLUMNS,
            MemorySource(key=lambda row: row.name, text=lambda row: f"{row.shown} {row.first}"),
            empty=("No workers yet", "They appear with the first task run"),
            marks=False,
            id="worker-table",
        )
        yield Line(id="worker-dashboard")

    @property
    def table(self) -> WorkerTable:
        """The workers."""
        return self.query_one(WorkerTable)

    def show_run(self, run: FlowRunRecord) -> None:
        """Look whether there are workers: the tab is there only where there are."""
        if not self.display:
            self._counting.ask()

    def renew(self, query: str) -> None:
        """Read them anew; there is no filter."""
        self._reading.ask()

    def focus_rows(self) -> None:
        """Put the focus on the list."""
        self.table.focus()

    def show_worker(self, worker: str) -> None:
        """Put the cursor on a worker, once the list is read."""
        self._cursor_on = worker
        self._reading.now()

    async def _count(self) -> None:
        """Count the processes that were looked at; cheaply, as nobody sees the list."""
        run_id = self.run_id
        samples = await records_of(self).ask(lambda reader: reader.last_samples(run_id), SLOW)
        self._say_count({sample.worker for sample in samples})

    def _say_count(self, names: set[str]) -> None:
        if names:
            self.post_message(self.Known(len(names - {""}) or len(names)))

    async def _read(self) -> None:
        now = self.table.look.now_us
        run_id = self.run_id
        rows, self._dashboard = await records_of(self).ask(
            lambda reader: (read_workers(reader, run_id, now), read_dashboard(reader, run_id)), SLOW
        )
        source = self.table.source
        if isinstance(source, MemorySource):
            source.rows = rows
            wanted, self._cursor_on = self._cursor_on, None
            if wanted is None:
                self.table.reload()
            else:
                self.table.show(source, key=wanted)
        self.set_class(self._dashboard is not None, "-dashboard")
        if self._dashboard is not None:
            said = Piece(clean(self._dashboard, 300), "underline $fd-accent", "dashboard")
            self.query_one(Line).say([("dashboard ", "$fd-faint"), said])
        self._say_count({row.name for row in rows if row.samples})

    @on(Line.Picked)
    def _dashboard_picked(self, message: Line.Picked) -> None:
        """Copy the address of the cluster's own pages, and open them after asking."""
        message.stop()
        url = self._dashboard
        if url is not None:
            self.app.copy(url, "the dashboard's address")
            self.app.confirm(
                f"Open {clean(url, 300)} ?", lambda: self.app.open_url(url),
                detail="In your browser; the address is copied.",
            )  # fmt: skip

    @on(Opened)
    def _worker_opened(self, message: Opened) -> None:
        message.stop()
        if message.row is not None:
            self.post_message(self.Wanted(message.row.name))

"""The Artifacts tab of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Unpack

from textual import on
from textual.message import Message

from flowdeck_app.drawing.amounts import size
from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.reports.artifacts import summary
from flowdeck_app.screens.artifacts.screen import ArtifactScreen
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.sources import ListSource
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.artifacts.reads import ShownArtifact
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """An artifact and the name of whose it is."""

    record: ShownArtifact
    name: str


def _cleaned(text: str, look: Look) -> str:
    return clean(text, 300, newline=" ", ascii_only=look.symbols.ascii)


def _name(row: ArtifactRow, look: Look) -> Cell:
    return _cleaned(row.name, look), "$fd-muted"


def _kind(row: ArtifactRow, look: Look) -> Cell:
    return row.record.kind, ""


def _key(row: ArtifactRow, look: Look) -> Cell:
    return _cleaned(row.record.key or "", look), "$fd-strong"


def _size(row: ArtifactRow, look: Look) -> Cell:
    return size(row.record.size), "$fd-muted"


def _what(row: ArtifactRow, look: Look) -> Cell:
    return _cleaned(summary(row.record, look), look), ""


_COLUMNS: Final[tuple[Column[ArtifactRow], ...]] = (
    Column("kind", "Kind", _kind, 8, gap=0),
    Column("key", "Key", _key, 10, grow=1, most=30, fits=True),
    Column("what", "What", _what, 14, grow=6, gap=2),
    Column("size", "Size", _size, 8, align="right", drop=2),
    Column("of", "Of", _name, 10, grow=1, most=24, align="middle", drop=1, gap=2),
)


class ArtifactTable(TableView[ArtifactRow]):
    """What the flow and its task runs wanted shown.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    ArtifactTable { height: 1fr; }
    """

    class Counted(Message):
        """How many artifacts the run has."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(
            _COLUMNS,
            empty=("No artifacts yet", "artifact.table(...) in a task makes one"),
            marks=False,
            **names,
        )
        self.run_id = run_id
        self._no: int | None = None  # only those of this task run
        self._own = "flow"
        self._counting = Renewal(self, self._count, lambda error: None, rest=0.5)

    def show_run(self, run: FlowRunRecord) -> None:
        """Count what there is: the tab is there only where something is in it."""
        self._own = run.flow
        self._counting.ask()

    def show_task(self, run_id: int, no: int) -> None:
        """Show only what a task run wanted shown (0: the flow function itself)."""
        if (self.run_id, self._no) != (run_id, no):
            self.run_id, self._no = run_id, no
            self._list()
        else:
            self.reload()

    async def _count(self) -> None:
        count = await self.app.access.ask(lambda reader: reader.count_artifacts(self.run_id))
        self.post_message(self.Counted(count))

    def renew(self, query: str) -> None:
        """Read the list anew; there is no filter."""
        if isinstance(self.source, ListSource):
            self.reload()
        else:
            self._list()

    def _list(self) -> None:
        self.show(
            ListSource(
                self.app.access,
                self._read,
                key=lambda row: row.record.seq,
                text=lambda row: f"{row.name} {row.record.kind} {row.record.key}",
            )
        )

    def focus_rows(self) -> None:
        """Put the focus on the list."""
        self.focus()

    def copy_of(self, row: ArtifactRow) -> tuple[str, str]:
        """Return the key, or what a link leads to."""
        inline = row.record.inline
        if row.record.kind == "link" and isinstance(inline, dict):
            return str(inline.get("url") or ""), "the link"
        return row.record.key or "", "the key"

    def _read(self, reader: Reader) -> list[ArtifactRow]:
        found = reader.shown_artifacts(self.run_id, self._no, limit=_MOST)
        nos = {one.task_no for one in found if one.task_no}
        names = {task.no: task.label for task in reader.tasks_by_nos(self.run_id, nos)}
        return [ArtifactRow(one, names.get(one.task_no, self._own)) for one in found]

    @on(Opened)
    def _artifact_opened(self, message: Opened) -> None:
        message.stop()
        if message.row is not None:
            self.app.push_screen(ArtifactScreen(message.row.record))

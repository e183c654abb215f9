"""The list of frames of a failure, and beside it source and variables of the chosen one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from textual import on
from textual.containers import Container, Vertical
from textual.content import Content
from textual.reactive import reactive

from flowdeck_app.drawing.cells import clean
from flowdeck_app.events.living import Living
from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.screens.task.drift import Drift, drift, read_lines
from flowdeck_app.screens.task.failure_rows import (
    Captured,
    FrameItem,
    cells_of,
    first_of_interest,
    item_lines,
    items,
    name_of,
    place_of,
)
from flowdeck_app.screens.task.source import detail_rows
from flowdeck_app.widgets.lines.messages import Highlighted, Opened
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.lines.view import LineView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names

#: Cells of the list besides its rows: frame, cursor, right edge, scrollbar.
_BESIDE: Final = 6
#: Cells of the list of frames, frame and cursor included: at the least, and of the pane in percent.
_LEAST: Final = 30
_MOST: Final = 45
_EMPTY: Final = ("No traceback was recorded", "")


class FrameList(LineView[FrameItem]):
    """Rows of :func:`flowdeck_app.screens.task.failure_rows.items`."""

    DEFAULT_CSS = """
    FrameList { height: 1fr; }
    """

    def lines(self, row: FrameItem, look: Look, width: int) -> Sequence[Content]:
        """Return one line, or two where there is height."""
        return item_lines(row, look, width, tall=self.wrapped)


class TracebackPane(Living, Container):
    """Frames and source, side by side or one above the other.

    Attributes:
        drifted: the chosen frame's source against the file of today.
    """

    app: HostApp  # narrower than Textual's, for the checker

    drifted: reactive[Drift | None] = reactive(None)

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.exception: Captured | None = None
        self.subject: object = None
        self.every_frame = False
        self.base: Path | None = None
        self._check = Renewal(self, self._compare, self._unreadable)
        self._chosen: FrameItem | None = None
        self._rows: list[FrameItem] = []

    def compose(self) -> ComposeResult:
        """Yield the two panels."""
        with Vertical(id="frames-panel", classes="pane"):
            yield FrameList(id="frames", empty=_EMPTY)
        with Vertical(id="source-panel", classes="pane"):
            yield PanelView(id="source", empty=("No source", ""))

    @property
    def frames(self) -> FrameList:
        """The list of frames."""
        return self.query_one("#frames", FrameList)

    @property
    def item(self) -> FrameItem | None:
        """The chosen row."""
        return self._chosen

    def show_exception(self, exception: Captured | None, subject: object, base: str | None) -> None:
        """Show a captured exception.

        Args:
            exception: as recorded; ``None``: there is none.
            subject: names the failure; another one begins at its most interesting frame.
            base: folder that relative file names are relative to.
        """
        self.base = Path(base) if base else None
        if subject == self.subject and exception is not None and self.exception is not None:
            return
        self.exception, self.subject = exception, subject
        self._fill(first=True)

    def set_every_frame(self, every: bool) -> None:
        """Show the frames of libraries too, or fold them."""
        self.every_frame = every
        self._fill(first=False)

    def _fill(self, *, first: bool) -> None:
        rows = items(self.exception, every_frame=self.every_frame) if self.exception else []
        self._rows = rows
        view = self.frames
        view.wrapped = self.size.height >= 14 and self.app.size.width >= 100
        chosen = first_of_interest(rows) if first or self._chosen is None else self._chosen
        known = {row.path for row in rows}
        if chosen is not None and chosen.path not in known:
            chosen = first_of_interest(rows)
        view.move_to(0)
        view.show(
            MemorySource(rows, key=lambda row: row.path, text=_text),
            key=chosen.path if chosen is not None else None,
        )
        self._say_titles(rows)
        self._fit_list()
        self._show(chosen)

    def on_resize(self) -> None:
        """Give frames two lines where there is height for it."""
        wanted = self.size.height >= 14 and self.app.size.width >= 100
        if self.frames.wrapped != wanted:
            self.frames.wrapped = wanted
            self.frames.redraw()
        self._fit_list()

    def _fit_list(self) -> None:
        """Make the list as wide as its frames need; the source has the rest."""
        panel = self.query_one("#frames-panel")
        if self.screen.has_class("-low"):  # the one above the other
            panel.styles.width = None
            return
        needed = cells_of(self._rows, tall=self.frames.wrapped) + _BESIDE
        panel.styles.width = max(_LEAST, min(needed, self.size.width * _MOST // 100))

    def _say_titles(self, rows: Sequence[FrameItem]) -> None:
        panel = self.query_one("#frames-panel")
        panel.border_title = Content("Frames")
        hidden = sum(row.hidden for row in rows if row.kind == "fold")
        said = f"a show {hidden} more" if hidden else "a fold libraries" if self.every_frame else ""
        panel.border_subtitle = Content(said)

    @on(Highlighted)
    def _highlighted(self, message: Highlighted) -> None:
        if message.view is self.frames:
            message.stop()
            if isinstance(message.row, FrameItem):
                self._show(message.row)

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        if message.view is not self.frames:
            return
        message.stop()
        if isinstance(message.row, FrameItem) and message.row.kind == "fold":
            self.set_every_frame(True)
        else:
            self.query_one("#source").focus()

    def _show(self, item: FrameItem | None) -> None:
        same = item is not None and self._chosen is not None and item.path == self._chosen.path
        self._chosen = item
        source = self.query_one("#source", PanelView)
        rows = detail_rows(item, self.app.look) if item is not None else []
        key = None
        if item is not None and item.frame is not None:
            key = ("line", item.frame.get("lineno"))
        source.fill(rows, subject=(self.subject, item.path if item else None), key=key)
        self._say_place(item)
        if not same:
            self.drifted = None
            self._check.now()

    def _say_place(self, item: FrameItem | None) -> None:
        panel = self.query_one("#source-panel")
        if item is None:
            panel.border_title = Content("")
        elif item.frame is None:
            panel.border_title = Content(name_of(item.exception))
        else:
            function = clean(str(item.frame.get("func") or ""), 100)
            panel.border_title = Content(f"{place_of(item.frame)} in {function}")
        recorded = item is not None and item.frame is not None
        panel.border_subtitle = Content("as recorded" if recorded else "")

    # -- the file of today -----------------------------------------------------------------

    def path_of(self, frame: Captured) -> Path | None:
        """Return where a frame's file should be, ``None`` for ``<string>`` and the like."""
        name = str(frame.get("file") or "")
        if not name or name.startswith("<") or "\0" in name:
            return None
        path = Path(name)
        return path if path.is_absolute() or self.base is None else self.base / path

    async def _compare(self) -> None:
        item = self._chosen
        if item is None or item.frame is None:
            return
        frame, path = item.frame, self.path_of(item.frame)
        found = await asyncio.to_thread(_compared, frame, path)
        if item is self._chosen:
            self.drifted = found

    def _unreadable(self, error: Exception) -> None:
        self.drifted = None


def _compared(frame: Captured, path: Path | None) -> Drift | None:
    return None if path is None else drift(frame, read_lines(path))


def _text(row: FrameItem) -> str:
    frame: Any = row.frame or {}
    message = row.exception.get("message") if row.kind == "exception" else ""
    return f"{name_of(row.exception)} {frame.get('file')} {frame.get('func')} {message}"

"""What the parts of a line view ask of it.

The view is put together of parts: loading, cursor, drawing, selection. Each of them works on the view,
and the view on each of them; so that none needs to know the view, what they ask of it is written down
here, below all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from textual.content import Content
    from textual.geometry import Region, Size
    from textual.message import Message
    from textual.selection import Selection
    from textual.timer import Timer
    from textual.worker import Worker

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.lines.source import Key, Source

R = TypeVar("R")


class LineSurface(Protocol[R]):
    """A windowed list over a source, as its parts see it; the attributes are those of
    :class:`~flowdeck_app.widgets.lines.view.LineView`."""

    FOLLOWS: ClassVar[bool]
    empty: tuple[str, str]
    wrapped: bool
    follow: bool
    marks: set[Key]
    pan: int
    searched: str
    marked: tuple[str, ...]
    new_below: int
    slow: bool
    error: Exception | None
    monotonic: Callable[[], float]

    # -- rows ------------------------------------------------------------------------------

    @property
    def drawn_source(self) -> Source[R]:
        """Where the drawn rows come from."""

    @property
    def count(self) -> int:
        """How many rows there are."""

    @property
    def loaded(self) -> bool:
        """Whether the source has answered."""

    @property
    def cursor(self) -> int:
        """Index of the row under the cursor."""

    def row_at(self, index: int) -> R | None:
        """Return a row that is at hand."""

    def key_at(self, index: int) -> Key | None:
        """Return the key of a row that is at hand."""

    def key_of(self, row: R) -> Key:
        """Return the key of a row that is drawn."""

    def want_rows(self, first: int, last: int) -> None:
        """Fetch the rows that are drawn, as far as they are not at hand."""

    # -- what rows look like ---------------------------------------------------------------

    @property
    def look(self) -> Look:
        """Clock, signs and time mode."""

    def lines(self, row: R, look: Look, width: int) -> Sequence[Content]:
        """Return the row as one line, or as several while wrapped."""

    def heading(self, look: Look, width: int) -> Content | None:
        """Return the fixed first line."""

    def is_live(self, row: R) -> bool:
        """Say whether the row looks different with every second."""

    def rows_came(self) -> None:
        """Hear that rows are at hand that were not, or others than before."""

    # -- the window ------------------------------------------------------------------------

    @property
    def size(self) -> Size:
        """Cells and lines."""

    @property
    def virtual_size(self) -> Size:
        """What can be scrolled over."""

    @property
    def top(self) -> int:
        """Index of the first visible row."""

    @property
    def line_width(self) -> int:
        """Cells of a line."""

    @property
    def body_width(self) -> int:
        """Cells for a row."""

    @property
    def body_height(self) -> int:
        """Lines for rows."""

    @property
    def text_selection(self) -> Selection | None:
        """What is selected."""

    @property
    def has_focus(self) -> bool:
        """Whether keys come here."""

    @property
    def is_attached(self) -> bool:
        """Whether it is part of a screen."""

    def fit_height(self) -> None:
        """Make what can be scrolled over as high as there are rows."""

    def scroll_to_row(self, index: int) -> None:
        """Make a row the first visible one."""

    def set_follow(self, follow: bool) -> None:
        """Enter or leave follow mode."""

    def move_to(self, index: int) -> None:
        """Put the cursor on a row."""

    def set_marks(self, keys: set[Key]) -> None:
        """Mark exactly these rows."""

    def pan_by(self, cells: int) -> None:
        """Show what lies so many cells to the right."""

    # -- what every widget can -------------------------------------------------------------

    def refresh(self, *regions: Region) -> object:
        """Have it drawn again."""

    def post_message(self, message: Message) -> bool:
        """Tell the widgets round it."""

    def call_later(self, callback: Callable[[], Any]) -> bool:
        """Call when what is in the queue is done."""

    def set_timer(self, delay: float, callback: Callable[[], Any]) -> Timer:
        """Call after some seconds."""

    def run_worker(
        self, work: Coroutine[Any, Any, None], *, group: str, exclusive: bool = False,
        exit_on_error: bool = True,
    ) -> Worker[None]:  # fmt: skip
        """Run beside the event loop's messages."""

    def notify(self, message: str, *, markup: bool = True, timeout: float | None = None) -> None:
        """Show a line for a moment."""

"""The header lines of a run: state, bar, percent and time; figures below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from textual.reactive import reactive

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.bars import progress_content
from flowdeck_app.drawing.cells import clean, width
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.drawing.signs import kind_of, word_of
from flowdeck_app.drawing.states import ended_tasks, style_of
from flowdeck_app.drawing.times import duration, seconds_of
from flowdeck_app.widgets.strip_widget import StripWidget
from flowdeck_store.states import BUCKETS, is_final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names


@dataclass(frozen=True, slots=True)
class Progress:
    """What the line shows.

    Attributes:
        code: state code of the run; ``named`` the state's own name.
        counts: task runs per bucket.
        started_us: start of the run; ``ended_us`` its end.
        expected: seconds that it will probably take in all, ``None`` if unknown.
        message: what the state says, shown when there are no tasks.
    """

    code: int = 0
    named: str | None = None
    counts: tuple[int, ...] = (0,) * len(BUCKETS)
    started_us: int | None = None
    ended_us: int | None = None
    expected: float | None = None
    message: str = ""


class ProgressLine(StripWidget):
    """``▸ RUNNING  ━━━━━━━━╺────  148/212  70%   1m 12s   eta 31s``; empty until it is known."""

    DEFAULT_CSS = """
    ProgressLine { padding: 0 2; }
    """
    progress: reactive[Progress | None] = reactive(None)

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)

    def on_mount(self) -> None:
        """Keep the time growing."""
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        shown = self.progress
        if not self.screen.is_active:
            return
        if shown is not None and shown.ended_us is None and shown.started_us is not None:
            self.refresh()

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        shown = self.progress
        if shown is None:
            return [[]]
        kind = kind_of(shown.code, shown.named)
        word = word_of(shown.code, shown.named).upper()
        style = f"bold {style_of(kind)}"
        head = [Piece(f"{look.symbols.of(kind)} {clean(word, 40)}  ", style)]
        tail = self._tail(shown, look)
        total = sum(shown.counts)
        if not total:
            message = [Piece(clean(shown.message, 300, newline=" "), "$fd-muted")]
            return [spread([*head, *message], tail, cells, look.ellipsis)]
        room = cells - sum(width(piece.text) for piece in (*head, *tail)) - 2
        bar = self._bar(shown, look, max(0, min(room, 80)))
        return [spread([*head, *bar], tail, cells, look.ellipsis)]

    def _bar(self, shown: Progress, look: Look, cells: int) -> list[Piece]:
        if cells < 6:
            return []
        final = is_final(shown.code, shown.named)
        content = progress_content(shown.counts, cells, look, final=final)
        text = content.plain
        return [Piece(text[a:b], str(style)) for a, b, style in content.spans]

    def _tail(self, shown: Progress, look: Look) -> list[Piece]:
        total, done = sum(shown.counts), ended_tasks(shown.counts)
        pieces: list[Piece] = []
        if total:
            group = look.symbols.group
            figures = f"{number(done, group)}/{number(total, group)}"
            pieces.append(Piece(f"{figures} {100 * done // total:>3}%", "$fd-strong"))
        seconds = seconds_of(shown, look.now_us)
        if seconds is not None:
            pieces.append(Piece(f"  {duration(seconds):>7}", "$fd-strong"))
            if shown.ended_us is None and shown.expected is not None:
                left = shown.expected - seconds
                eta = f"eta {duration(left)}" if left > 0 else f"usually {duration(shown.expected)}"
                pieces.append(Piece(f"   {eta}", "$fd-muted"))
        return pieces

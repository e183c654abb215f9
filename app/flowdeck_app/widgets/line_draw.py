"""How a line view draws: which row is on which line, strips of rows, overlays, empty states."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from textual.content import Content, Span
from textual.strip import Strip

from flowdeck_app.views.text import clean, fit, number, wrap_cells
from flowdeck_app.widgets.line_paint import Painter, fitted, laid_over, with_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.selection import Selection

    from flowdeck_app.widgets.line_rows import LineRows

R = TypeVar("R")

#: Lines of one wrapped row that are drawn at most; selection places are ``index * LINES + line``.
LINES: Final = 64
#: Drawn rows kept.
KEPT: Final = 1500


class _Drawn(Generic[R]):
    """The strips of one row, and what they were drawn for."""

    __slots__ = ("marked", "row", "strips", "variant")

    def __init__(self, row: R, variant: str, marked: bool, strips: list[Strip]) -> None:
        self.row, self.variant, self.marked, self.strips = row, variant, marked, strips

    def fits(self, row: R, variant: str, marked: bool) -> bool:
        """Say whether this is how the row is to be drawn now."""
        return self.row is row and self.variant == variant and self.marked == marked


class Drawing(Generic[R]):
    """The drawing half of a line view."""

    def __init__(self, view: LineRows[R]) -> None:
        self._view = view
        self.painter = Painter(view)
        self.painting = False
        self.told: tuple[Any, int] | None = None
        self.widest = 0
        self._drawn: dict[Any, _Drawn[R]] = {}
        self._frame: list[tuple[int, int]] | None = None
        self._frame_top = -1
        self._heading: Strip | None = None
        self._heading_height: int | None = None
        self._found: tuple[str, re.Pattern[str] | None] = ("", None)

    # -- caches ----------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget drawn rows."""
        self._drawn.clear()
        self._frame = self._heading = self._heading_height = None
        self.widest = 0

    def forget_styles(self) -> None:
        """Forget drawn rows and resolved colours."""
        self.painter.clear()
        self.clear()

    def forget(self, *indexes: int) -> None:
        """Forget single rows (the cursor came or went)."""
        for index in indexes:
            row = self._view.row_at(index)
            if row is not None:
                self._drawn.pop(self._view.source.key(row), None)

    def expire_live(self) -> bool:
        """Forget visible rows that change with time; say whether there were any."""
        live = [key for key, drawn in self._drawn.items() if self._view.is_live(drawn.row)]
        for key in live:
            del self._drawn[key]
        return bool(live)

    # -- geometry --------------------------------------------------------------------------

    @property
    def heading_height(self) -> int:
        """One if there is a heading."""
        if self._heading_height is None:
            view = self._view
            shown = view.heading(view.look, view.body_width)
            self._heading_height = 0 if shown is None else 1
            self._heading = None
            if shown is not None:
                line = Content.assemble("  ", shown)
                self._heading = self.painter.line(line, view.line_width)
        return self._heading_height

    def virtual_height(self) -> int:
        """Return the scrollable height; in wrapped views one row counts as one line."""
        view = self._view
        return self.last_top() + view.body_height + self.heading_height if view.count else 0

    def last_top(self) -> int:
        """Return the first visible row when the view stands at its end."""
        view = self._view
        if not view.wrapped:
            return max(0, view.count - view.body_height)
        room, index = view.body_height, view.count
        while index > 0 and room > 0:
            room -= self._height(index - 1)
            if room < 0:
                break
            index -= 1
        return min(index, max(0, view.count - 1))

    def _height(self, index: int) -> int:
        row = self._view.row_at(index)
        return 1 if row is None else max(1, len(self._strips(index, row)))

    def top_showing(self, index: int) -> int:
        """Return the first visible row nearest to the present one that shows row ``index``."""
        view = self._view
        top = view.top
        if index < top:
            return max(0, index)
        if not view.wrapped:
            return max(top, index - view.body_height + 1)
        room, first = view.body_height - self._height(index), index
        while first > top and room >= self._height(first - 1):
            room -= self._height(first - 1)
            first -= 1
        return first

    def place_on_line(self, y: int) -> tuple[int, int] | None:
        """Return row index and line of the row on line ``y`` of the widget."""
        view = self._view
        line = y - self.heading_height
        if line < 0:
            return None
        if not view.wrapped:
            index = view.top + line
            return (index, 0) if index < view.count else None
        frame = self._frame_now()
        return frame[line] if line < len(frame) else None

    def row_on_line(self, y: int) -> int | None:
        """Return the index of the row on line ``y`` of the widget."""
        place = self.place_on_line(y)
        return None if place is None else place[0]

    def _frame_now(self) -> list[tuple[int, int]]:
        view = self._view
        if self._frame is None or self._frame_top != view.top or not self.painting:
            self._frame_top, self._frame = view.top, []
            index = view.top
            while len(self._frame) < view.body_height and index < view.count:
                self._frame += [(index, line) for line in range(self._height(index))]
                index += 1
        return self._frame

    # -- lines -----------------------------------------------------------------------------

    def line(self, y: int) -> Strip:
        """Return line ``y`` of the widget."""
        view = self._view
        width = view.line_width
        if y < self.heading_height:
            return self._heading if self._heading is not None else self.painter.blank(width)
        if y == self.heading_height:
            self._frame = None
            view.want(view.top, view.top + view.body_height)
        if not view.count:
            return self._state_line(y)
        place = self.place_on_line(y)
        strip = self.painter.blank(width) if place is None else self._row_line(*place)
        if y == view.size.height - 1:
            cover = self._overlay()
            if cover is not None and cover.cell_length < width:
                strip = laid_over(strip, cover, width - cover.cell_length - 1)
        return strip

    def _row_line(self, index: int, line: int) -> Strip:
        view = self._view
        row = view.row_at(index)
        if row is None:
            dots = Content.styled(f"   {view.look.symbols.dot * 3}", "$fd-faint")
            return self.painter.line(dots, view.line_width)
        selection = view.text_selection
        if not self.painting or selection is not None:
            return self._selectable(index, line, row, selection)
        strips = self._strips(index, row)
        return strips[line] if line < len(strips) else self.painter.blank(view.line_width)

    def _variant(self, index: int) -> str:
        view = self._view
        if index != view.cursor or (view.follow and view.FOLLOWS):
            return "row"
        return "cursor" if view.has_focus else "blurred"

    def _strips(self, index: int, row: R) -> list[Strip]:
        """Return the strips of a row, drawn or as kept."""
        view = self._view
        key = view.source.key(row)
        variant, marked = self._variant(index), key in view.marks
        kept = self._drawn.get(key)
        if kept is not None and kept.fits(row, variant, marked):
            return kept.strips
        contents = self._contents(row)
        strips = [
            self._framed(content, variant, marked, line) for line, content in enumerate(contents)
        ]
        if len(self._drawn) >= KEPT:
            self._drawn.clear()
        self._drawn[key] = _Drawn(row, variant, marked, strips)
        return strips

    def _contents(self, row: R) -> list[Content]:
        view = self._view
        contents = list(view.lines(row, view.look, view.body_width))[:LINES]
        pattern = self._pattern(view.searched)
        if pattern is None:
            return contents
        style = "not dim $fd-match-text on $fd-match"
        return [
            with_spans(text, [m.span() for m in pattern.finditer(text.plain)], style)
            for text in contents
        ]

    def _pattern(self, text: str) -> re.Pattern[str] | None:
        if self._found[0] != text:
            wanted = clean(text)
            self._found = (text, re.compile(re.escape(wanted), re.IGNORECASE) if wanted else None)
        return self._found[1]

    def _framed(self, content: Content, variant: str, marked: bool, line: int) -> Strip:
        """Return cursor bar, mark, the visible part of the text, right edge."""
        view = self._view
        body = self.painter.strip(content, variant)
        self.widest = max(self.widest, body.cell_length)
        goes_on = body.cell_length - view.pan > view.body_width
        gutter = self.painter.strip(self._gutter(variant, marked, line), variant)
        edge = self.painter.strip(self._edge(variant, goes_on), variant)
        shown = fitted(body, view.pan, view.body_width, self.painter.style("", variant))
        return Strip.join([gutter, shown, edge])

    def _gutter(self, variant: str, marked: bool, line: int) -> Content:
        symbols = self._view.look.symbols
        bar = " " if variant == "row" else symbols.bar
        tone = "$fd-accent" if variant == "cursor" else "$fd-faint"
        mark = symbols.mark if marked and line == 0 else " "
        spans = [Span(0, 1, tone), Span(1, 2, "$fd-accent bold")]
        return Content(bar + mark, spans, strip_control_codes=False)

    def _edge(self, variant: str, goes_on: bool) -> Content:
        symbols = self._view.look.symbols
        if goes_on:
            return Content(symbols.more, [Span(0, 1, "$fd-faint")], strip_control_codes=False)
        if variant == "cursor":
            return Content(symbols.bar_end, [Span(0, 1, "$fd-accent")], strip_control_codes=False)
        return Content(" ")

    def _selectable(self, index: int, line: int, row: R, selection: Selection | None) -> Strip:
        """Draw one line with its selection and with text offsets, uncached."""
        view = self._view
        contents = self._contents(row)
        if line >= len(contents):
            return self.painter.blank(view.line_width)
        content = contents[line]
        place = index * LINES + line
        span = None if selection is None else selection.get_span(place)
        if span is not None:
            start, end = span
            end = len(content.plain) if end == -1 else end
            style = "on $screen-selection-background"
            content = with_spans(content, [(start, min(end, len(content.plain)))], style)
        variant = self._variant(index)
        marked = view.source.key(row) in view.marks
        body = self.painter.strip(content, variant)
        panned = len(body.crop(0, view.pan).text) if view.pan else 0
        shown = fitted(body, view.pan, view.body_width, self.painter.style("", variant))
        gutter = self.painter.strip(self._gutter(variant, marked, line), variant)
        goes_on = body.cell_length - view.pan > view.body_width
        edge = self.painter.strip(self._edge(variant, goes_on), variant)
        return Strip.join([gutter, shown.apply_offsets(panned, place), edge])

    # -- texts instead of rows -------------------------------------------------------------

    def _overlay(self) -> Strip | None:
        """Return what lies over the right end of the last line."""
        view = self._view
        symbols = view.look.symbols
        if view.error is not None:
            return self.painter.strip(Content.styled(" cannot refresh ", "bold $fd-crashed"))
        if view.FOLLOWS and not view.follow and view.new_below:
            lines = "line" if view.new_below == 1 else "lines"
            text = f" {symbols.down} +{number(view.new_below, symbols.group)} {lines}  G "
            return self.painter.strip(Content.styled(text, "bold $background on $fd-accent"))
        return None

    def _state_line(self, y: int) -> Strip:
        view = self._view
        texts = self._state_texts()
        first = max(self.heading_height, (view.size.height - len(texts)) // 3)
        if not first <= y < first + len(texts):
            return self.painter.blank(view.line_width)
        text, style = texts[y - first]
        left = max(0, (view.line_width - Content(text).cell_length) // 2)
        drawn = fit(" " * left + text, view.line_width, ellipsis="")
        return self.painter.strip(Content.styled(drawn, style))

    def _state_texts(self) -> Sequence[tuple[str, str]]:
        """Return the lines of the empty, loading or error state with their styles."""
        view = self._view
        width = max(10, view.line_width - 8)
        if view.error is not None:
            message = clean(str(view.error), 600, newline=" ")
            words = [(piece.strip(), "$fd-muted") for piece in wrap_cells(message, width)]
            return [("Cannot be read", "bold $fd-failed"), ("", ""), *words]
        if not view.loaded:
            return [(f"Loading{view.look.symbols.ellipsis}", "$fd-faint")] if view.slow else []
        title, hint = view.empty
        hints = [(piece.strip(), "$fd-muted") for piece in wrap_cells(clean(hint), width)]
        return [(clean(title), "$fd-strong"), *(hints if hint else [])]

"""How a line view draws: which row is on which line, strips of rows, selections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip

from flowdeck_app.drawing.cells import clean
from flowdeck_app.widgets.lines.paint import fitted, laid_over, with_spans
from flowdeck_app.widgets.lines.states import above_content, overlay_content, state_content

if TYPE_CHECKING:
    from textual.selection import Selection

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.lines.paint import Painter
    from flowdeck_app.widgets.lines.surface import LineSurface

R = TypeVar("R")

#: Lines of one wrapped row that are drawn at most; selection places are ``index * LINES + line``.
LINES: Final = 64
#: Drawn rows kept.
KEPT: Final = 1500


@dataclass(slots=True)
class Moment:
    """What does not change while one frame is drawn; looking it up costs more than drawing."""

    cells: int  # of a line
    body: int  # cells for a row's text
    height: int
    rows: int  # lines for rows
    top: int
    look: Look
    selection: Selection | None
    cursor: int  # -1: none is shown
    focused: bool
    frame: list[tuple[int, int]] | None = None  # wrapped: row and line of each line


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

    def __init__(self, view: LineSurface[R], painter: Painter) -> None:
        self._view, self.painter = view, painter
        self.widest = 0
        self._moment: Moment | None = None
        self._drawn: dict[Any, _Drawn[R]] = {}
        self._shown: dict[int, Strip] = {}  # what was last drawn on each line
        self._heading: Strip | None = None
        self._heading_height: int | None = None
        self._found: tuple[tuple[str, ...], re.Pattern[str] | None] = ((), None)

    # -- frames and caches -----------------------------------------------------------------

    def begin(self) -> None:
        """A frame is drawn from here to :meth:`end`; what it lacks is fetched."""
        view = self._view
        self._moment = self._now()
        view.want_rows(self._moment.top, self._moment.top + self._moment.rows)

    def end(self) -> None:
        """The frame is drawn."""
        self._moment = None

    def _now(self) -> Moment:
        if self._moment is not None:
            return self._moment
        view = self._view
        height = view.size.height
        return Moment(
            cells=view.line_width,
            body=view.body_width,
            height=height,
            rows=max(1, height - self.heading_height),
            top=view.top,
            look=view.look,
            selection=view.text_selection,
            cursor=-1 if view.follow and view.FOLLOWS else view.cursor,
            focused=view.has_focus,
        )

    def clear(self) -> None:
        """Forget drawn rows."""
        self._drawn.clear()
        self._heading = self._heading_height = None
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
                self._drawn.pop(self._view.key_of(row), None)

    def repaint_changed(self) -> None:
        """Have those lines drawn again that would look different now."""
        view = self._view
        cells = view.size.width
        self.begin()
        try:
            for y in range(view.size.height):
                if self._line(y, self._now()) is not self._shown.get(y):
                    view.refresh(Region(0, y, cells, 1))
        finally:
            self.end()

    def repaint(self, *indexes: int) -> None:
        """Have single visible rows drawn again (rows of one line)."""
        view = self._view
        for index in indexes:
            y = index - view.top + self.heading_height
            view.refresh(Region(0, y, view.size.width, 1))

    def expire_live(self) -> bool:
        """Forget rows that change with time; say whether there were any."""
        live = [key for key, drawn in self._drawn.items() if self._view.is_live(drawn.row)]
        for key in live:
            del self._drawn[key]
        if live:
            self._heading = self._heading_height = None
        return bool(live)

    # -- geometry --------------------------------------------------------------------------

    @property
    def heading_height(self) -> int:
        """One if there is a heading."""
        if self._heading_height is None:
            view = self._view
            shown = view.heading(view.look, view.body_width)
            self._heading_height = 0 if shown is None else 1
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
        moment = self._now()
        room, index = moment.rows, view.count
        while index > 0 and room > 0:
            room -= self._height(index - 1, moment)
            if room < 0:
                break
            index -= 1
        return min(index, max(0, view.count - 1))

    def _height(self, index: int, moment: Moment) -> int:
        row = self._view.row_at(index)
        return 1 if row is None else max(1, len(self._strips(index, row, moment)))

    def top_showing(self, index: int) -> int:
        """Return the first visible row nearest to the present one that shows row ``index``."""
        view, moment = self._view, self._now()
        if index < moment.top:
            return max(0, index)
        if not view.wrapped:
            return max(moment.top, index - moment.rows + 1)
        room, first = moment.rows - self._height(index, moment), index
        while first > moment.top and room >= self._height(first - 1, moment):
            room -= self._height(first - 1, moment)
            first -= 1
        return first

    def place_on_line(self, y: int, moment: Moment) -> tuple[int, int] | None:
        """Return row index and line of the row on line ``y`` of the widget."""
        line = y - self.heading_height
        if line < 0:
            return None
        view = self._view
        if not view.wrapped:
            index = moment.top + line
            return (index, 0) if index < view.count else None
        if moment.frame is None:
            moment.frame = self._frame(moment)
        return moment.frame[line] if line < len(moment.frame) else None

    def row_on_line(self, y: int) -> int | None:
        """Return the index of the row on line ``y`` of the widget."""
        place = self.place_on_line(y, self._now())
        return None if place is None else place[0]

    def _frame(self, moment: Moment) -> list[tuple[int, int]]:
        frame: list[tuple[int, int]] = []
        index = moment.top
        while len(frame) < moment.rows and index < self._view.count:
            frame += [(index, line) for line in range(self._height(index, moment))]
            index += 1
        return frame

    # -- lines -----------------------------------------------------------------------------

    def line(self, y: int) -> Strip:
        """Return line ``y`` of the widget."""
        strip = self._line(y, self._now())
        if self._moment is not None:
            self._shown[y] = strip
        return strip

    def _line(self, y: int, moment: Moment) -> Strip:
        view = self._view
        cells = moment.cells
        if y < self.heading_height and self._heading is not None:
            return self._heading
        if not view.count:
            said = state_content(view, cells, moment.height, y)
            return self.painter.blank(cells) if said is None else self.painter.strip(said)
        place = self.place_on_line(y, moment)
        strip = self.painter.blank(cells) if place is None else self._row_line(*place, moment)
        if y == self.heading_height:
            strip = self._covered(strip, above_content(view, moment.look.symbols), cells)
        if y == moment.height - 1:
            strip = self._covered(strip, overlay_content(view, moment.look.symbols), cells)
        return strip

    def _covered(self, strip: Strip, cover: Content | None, cells: int) -> Strip:
        """Lay a text over the right end of a line."""
        if cover is None or cover.cell_length >= cells:
            return strip
        covering = self.painter.strip(cover)
        return laid_over(strip, covering, cells - covering.cell_length - 1)

    def _row_line(self, index: int, line: int, moment: Moment) -> Strip:
        row = self._view.row_at(index)
        if row is None:
            dots = Content.styled(f"   {moment.look.symbols.dot * 3}", "$fd-faint")
            return self.painter.line(dots, moment.cells)
        if self._moment is None or moment.selection is not None:
            return self._selectable(index, line, row, moment)
        strips = self._strips(index, row, moment)
        return strips[line] if line < len(strips) else self.painter.blank(moment.cells)

    @staticmethod
    def _variant(index: int, moment: Moment) -> str:
        if index != moment.cursor:
            return "row"
        return "cursor" if moment.focused else "blurred"

    def _strips(self, index: int, row: R, moment: Moment) -> list[Strip]:
        """Return the strips of a row, drawn or as kept."""
        view = self._view
        key = view.key_of(row)
        variant, marked = self._variant(index, moment), key in view.marks
        kept = self._drawn.get(key)
        if kept is not None and kept.fits(row, variant, marked):
            return kept.strips
        strips = [
            self._framed(content, variant, marked and not line, moment)
            for line, content in enumerate(self._contents(row, moment))
        ]
        if len(self._drawn) >= KEPT:
            self._drawn.clear()
        self._drawn[key] = _Drawn(row, variant, marked, strips)
        return strips

    def _contents(self, row: R, moment: Moment) -> list[Content]:
        view = self._view
        contents = list(view.lines(row, moment.look, moment.body))
        most = min(LINES, max(2, moment.rows))  # what no window shows could never be read
        if len(contents) > most:
            more = f"{moment.look.ellipsis} {len(contents) - most + 1} more lines"
            contents[most - 1 :] = [Content.styled(f"{more}: enter shows all", "$fd-faint")]
        pattern = self._pattern(tuple(filter(None, (view.searched, *view.marked))))
        if pattern is None:
            return contents
        style = "not dim $fd-match-text on $fd-match"
        return [
            with_spans(text, [m.span() for m in pattern.finditer(text.plain)], style)
            for text in contents
        ]

    def _pattern(self, texts: tuple[str, ...]) -> re.Pattern[str] | None:
        if self._found[0] != texts:
            wanted = [re.escape(shown) for shown in map(clean, texts) if shown]
            pattern = re.compile("|".join(wanted), re.IGNORECASE) if wanted else None
            self._found = texts, pattern
        return self._found[1]

    def _framed(self, content: Content, variant: str, marked: bool, moment: Moment) -> Strip:
        """Return cursor bar, mark, the visible part of the text, right edge."""
        pan = self._view.pan
        pieces, length = self.painter.pieces(content, variant)
        self.widest = max(self.widest, length)
        gutter = self._gutter(variant, marked, moment)
        edge = self._edge(variant, length - pan > moment.body, moment)
        if pan or length > moment.body:
            body = fitted(Strip(pieces, length), pan, moment.body, self.painter.style("", variant))
            return Strip([*gutter, *body, edge], moment.cells)
        blank = Segment(" " * (moment.body - length), self.painter.style("", variant))
        return Strip([*gutter, *pieces, blank, edge], moment.cells)

    def _gutter(self, variant: str, marked: bool, moment: Moment) -> tuple[Segment, Segment]:
        signs, style = moment.look.symbols, self.painter.style
        bar = " " if variant == "row" else signs.bar
        tone = "$fd-accent" if variant == "cursor" else "$fd-faint"
        mark = signs.mark if marked else " "
        return Segment(bar, style(tone, variant)), Segment(mark, style("$fd-accent bold", variant))

    def _edge(self, variant: str, goes_on: bool, moment: Moment) -> Segment:
        signs, style = moment.look.symbols, self.painter.style
        if goes_on:
            return Segment(signs.more, style("$fd-faint", variant))
        if variant == "cursor":
            return Segment(signs.bar_end, style("$fd-accent", variant))
        return Segment(" ", style("", variant))

    def _selectable(self, index: int, line: int, row: R, moment: Moment) -> Strip:
        """Draw one line with its selection and with text offsets, uncached."""
        view = self._view
        contents = self._contents(row, moment)
        if line >= len(contents):
            return self.painter.blank(moment.cells)
        content = contents[line]
        place = index * LINES + line
        span = None if moment.selection is None else moment.selection.get_span(place)
        if span is not None:
            start, end = span
            end = len(content.plain) if end == -1 else min(end, len(content.plain))
            content = with_spans(content, [(start, end)], "on $screen-selection-background")
        variant = self._variant(index, moment)
        marked = not line and view.key_of(row) in view.marks
        body = self.painter.strip(content, variant)
        panned = len(body.crop(0, view.pan).text) if view.pan else 0
        shown = fitted(body, view.pan, moment.body, self.painter.style("", variant))
        edge = self._edge(variant, body.cell_length - view.pan > moment.body, moment)
        gutter = Strip(self._gutter(variant, marked, moment), 2)
        return Strip.join([gutter, shown.apply_offsets(panned, place), Strip([edge], 1)])

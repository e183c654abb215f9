"""From Content to strips: the fast way, without a markup parser and without the general renderer.

A row is a Content whose spans name styles (``"$fd-failed bold"``). Names are resolved once per
theme and variant (plain row, row under the cursor…), and rows whose spans follow each other are
cut in one pass.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content, Span
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.style import Style as RichStyle
    from textual.style import Style
    from textual.widget import Widget

#: Variant of a row -> style laid over the widget's own.
VARIANTS: Final[dict[str, str]] = {
    "row": "",
    "cursor": "on $fd-cursor",
    "blurred": "on $fd-cursor-blurred",
}


#: Resolved styles kept.
KEPT: Final = 2000


class Painter:
    """Turns Content into strips in the colours of one widget."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._rich: dict[tuple[str, str], RichStyle] = {}

    def clear(self) -> None:
        """Forget resolved styles: theme, focus or background changed."""
        self._rich.clear()

    def style(self, name: str, variant: str = "row") -> RichStyle:
        """Return the resolved style of a name on the background of a variant."""
        found = self._rich.get((variant, name))
        if found is None:
            if len(self._rich) >= KEPT:  # texts may bring any number of colours along
                self._rich.clear()
            parse = self._widget.app.stylesheet.parse_style
            style: Style = self._widget.visual_style
            if VARIANTS[variant]:
                style = style + parse(VARIANTS[variant])
            if name:
                style = style + parse(name)
            found = self._rich[variant, name] = style.rich_style
        return found

    def strip(self, content: Content, variant: str = "row") -> Strip:
        """Return a line of text as a strip of its own length."""
        return Strip(*self.pieces(content, variant))

    def pieces(self, content: Content, variant: str = "row") -> tuple[list[Segment], int]:
        """Return a line of text as styled segments, and its cells."""
        text = content.plain
        length = len(text) if text.isascii() else cell_len(text)
        spans = content.spans
        if not spans:
            return [Segment(text, self.style("", variant))], length
        pieces = self._in_order(text, spans, variant)
        return (self._mixed(text, spans, variant) if pieces is None else pieces), length

    def _in_order(self, text: str, spans: Sequence[Span], variant: str) -> list[Segment] | None:
        """Cut a text whose spans do not overlap; ``None`` if they do."""
        position = 0
        plain = self.style("", variant)
        known = self._rich
        pieces: list[Segment] = []
        for start, end, name in spans:
            if start < position:
                return None
            if start > position:
                pieces.append(Segment(text[position:start], plain))
            if end > start:
                style = known.get((variant, name)) or self.style(str(name), variant)  # type: ignore[arg-type]
                pieces.append(Segment(text[start:end], style))
            position = max(end, start)
        if position < len(text):
            pieces.append(Segment(text[position:], plain))
        return pieces

    def _mixed(self, text: str, spans: Sequence[Span], variant: str) -> list[Segment]:
        """Cut a text whose spans overlap: later ones are laid over earlier ones."""
        places = {0, len(text)}
        for start, end, _ in spans:
            places.update((min(start, len(text)), min(end, len(text))))
        cuts = sorted(places)
        pieces: list[Segment] = []
        for start, end in itertools.pairwise(cuts):
            names = [str(s.style) for s in spans if s.start <= start and s.end >= end]
            pieces.append(Segment(text[start:end], self._combined(names, variant)))
        return pieces

    def _combined(self, names: list[str], variant: str) -> RichStyle:
        if len(names) < 2:
            return self.style(names[0] if names else "", variant)
        style = self.style(names[0], variant)
        for name in names[1:]:
            style = style + self._alone(name)
        return style

    def _alone(self, name: str) -> RichStyle:
        """Return a style without the widget's colours, to lay over another."""
        found = self._rich.get(("", name))
        if found is None:
            found = self._widget.app.stylesheet.parse_style(name).rich_style
            self._rich["", name] = found
        return found

    def blank(self, width: int, variant: str = "row") -> Strip:
        """Return an empty line."""
        return Strip.blank(width, self.style("", variant))

    def line(self, content: Content, width: int, variant: str = "row", start: int = 0) -> Strip:
        """Return ``width`` cells of a line of text from cell ``start`` on, padded."""
        strip = self.strip(content, variant)
        return fitted(strip, start, width, self.style("", variant))


def fitted(strip: Strip, start: int, width: int, style: RichStyle) -> Strip:
    """Return exactly ``width`` cells of a strip from cell ``start`` on."""
    if start:
        strip = strip.crop(start)
    if strip.cell_length > width:
        return strip.crop(0, width)
    return strip.extend_cell_length(width, style)


def laid_over(strip: Strip, cover: Strip, x: int) -> Strip:
    """Return ``strip`` with ``cover`` drawn over it from cell ``x`` on."""
    return Strip.join([strip.crop(0, x), cover, strip.crop(x + cover.cell_length)])


def with_spans(content: Content, ranges: Iterable[tuple[int, int]], style: str) -> Content:
    """Return a text with a style laid over some character ranges."""
    return content.add_spans([Span(start, end, style) for start, end in ranges if end > start])

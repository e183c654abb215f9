"""What the app's views draw, as text of the command line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing.look import CODES

if TYPE_CHECKING:
    from textual.content import Content

    from flowdeck_app.drawing.look import Look


def as_text(content: Content, look: Look) -> str:
    """Return one line of the app as text, painted with the styles that :class:`Look` knows.

    Where styles lie over each other the last one counts, as in the app.
    """
    plain = content.plain.rstrip()
    if not look.color:
        return plain
    styles = [""] * len(plain)
    for span in content.spans:
        for word in str(span.style).split():
            if word in CODES:
                styles[span.start : span.end] = [word] * len(styles[span.start : span.end])
    painted, start = [], 0
    for place in range(1, len(plain) + 1):
        if place == len(plain) or styles[place] != styles[start]:
            painted.append(look.paint(plain[start:place], styles[start]))
            start = place
    return "".join(painted)

"""Pictures as half blocks of colour, by Pillow where it is installed; any terminal can show them."""

from __future__ import annotations

import importlib
import io
import warnings
from typing import Any, Final

from textual.content import Content, Span

MISSING: Final = (
    "Pictures are drawn by Pillow, which is not installed: pip install 'flowdeck[images]'. "
    "flowdeck artifacts RUN --key KEY --save FILE writes the file."
)
_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
#: Pixels of a picture that is decoded; a small file may unpack to gigabytes.
_MOST_PIXELS: Final = 60_000_000


class CannotBeDrawn(ValueError):
    """The picture is broken, too large, or there is nothing that can decode it."""


def picture_content(data: bytes, cells: int, lines: int) -> Content:
    """Return a picture that fits into so many cells and lines (a thread's work: it may take long).

    Raises:
        CannotBeDrawn: see the message.
    """
    try:
        pillow: Any = importlib.import_module("PIL.Image")
    except ImportError:
        raise CannotBeDrawn(MISSING) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = pillow.open(io.BytesIO(data), formats=_FORMATS)
            if picture.width * picture.height > _MOST_PIXELS:
                raise CannotBeDrawn(f"It has {picture.width} × {picture.height} pixels: too many.")
            scale = min(cells / picture.width, 2 * lines / picture.height)
            size = max(1, int(picture.width * scale)), max(2, int(picture.height * scale) // 2 * 2)
            pixels = picture.convert("RGBA").resize(size)
            ground = pillow.new("RGBA", size, (0, 0, 0, 255))
            ground.alpha_composite(pixels)
            raw = ground.convert("RGB").tobytes()
    except CannotBeDrawn:
        raise
    except Exception as error:  # whatever a decoder makes of a broken file
        raise CannotBeDrawn(f"The picture cannot be drawn: {error}.") from error
    return _half_blocks(raw, *size)


def _half_blocks(raw: bytes, width: int, height: int) -> Content:
    text: list[str] = []
    spans: list[Span] = []
    place = 0
    for y in range(0, height, 2):
        style, start = "", place
        for x in range(width):
            above, below = 3 * (y * width + x), 3 * ((y + 1) * width + x)
            upper, lower = raw[above : above + 3].hex(), raw[below : below + 3].hex()
            now = f"#{upper} on #{lower}"
            if now != style:
                if style:
                    spans.append(Span(start, place, style))
                style, start = now, place
            place += 1
        spans.append(Span(start, place, style))
        text.append("▀" * width)
        place += 1  # the end of the line
    return Content("\n".join(text), spans, strip_control_codes=False)

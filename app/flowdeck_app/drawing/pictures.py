"""Pictures decoded within bounds by Pillow, where it is installed, and as half blocks of colour, which
any terminal can show."""

from __future__ import annotations

import importlib
import io
import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal

from textual.content import Content, Span

Renderer = Literal["kitty", "sixel", "blocks", "none"]

MISSING: Final = (
    "Pictures are drawn by Pillow, which is not installed: pip install 'flowdeck[images]'. "
    "flowdeck artifacts RUN --key KEY --save FILE writes the file."
)
_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
#: Pixels of a picture that is decoded; a small file may unpack to gigabytes.
_MOST_PIXELS: Final = 60_000_000
#: How much a small picture is enlarged where it is drawn in pixels.
_LARGER: Final = 4.0
#: Pixels that are sent to the terminal: a photograph of so many takes some half a second to encode.
_MOST_SENT: Final = 400_000


@dataclass(frozen=True, slots=True)
class Pictures:
    """How pictures are drawn here.

    Args:
        renderer: with what.
        cell: width and height of a cell in pixels.
    """

    renderer: Renderer = "blocks"
    cell: tuple[int, int] = (10, 20)


BLOCKS: Final = Pictures()


class CannotBeDrawn(ValueError):
    """The picture is broken, too large, or there is nothing that can decode it."""


def picture_content(data: bytes, cells: int, lines: int) -> Content:
    """Return a picture that fits into so many cells and lines (a thread's work: it may take long).

    Raises:
        CannotBeDrawn: see the message.
    """
    ground = _decoded(data, (cells, 2 * lines), (1, 2), float("inf"))
    return _half_blocks(ground.tobytes(), *ground.size)


def pixels_as_blocks(picture: Any, cell: tuple[int, int]) -> Content:
    """Return what :func:`picture_pixels` returned as half blocks, in the same cells."""
    size = max(1, picture.width // cell[0]), 2 * max(1, picture.height // cell[1])
    return _half_blocks(picture.resize(size).tobytes(), *size)


def picture_pixels(data: bytes, cells: int, lines: int, cell: tuple[int, int]) -> Any:
    """Return a picture in RGB, as an image of Pillow, whose pixels fill whole cells (a thread's work).

    Args:
        data: its file.
        cells: cells that there are in a line.
        lines: lines that there are.
        cell: width and height of a cell in pixels.

    Raises:
        CannotBeDrawn: see the message.
    """
    width, height = cells * cell[0], lines * cell[1]
    less = min(1.0, (_MOST_SENT / (width * height)) ** 0.5)
    return _decoded(data, (int(width * less), int(height * less)), cell, _LARGER)


def _decoded(data: bytes, room: tuple[int, int], step: tuple[int, int], larger: float) -> Any:
    """Return a picture scaled into ``room``, with sides that are multiples of ``step``."""
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
            scale = min(room[0] / picture.width, room[1] / picture.height, larger)
            sides = zip((picture.width, picture.height), step, strict=True)
            size = tuple(max(one, int(side * scale) // one * one) for side, one in sides)
            pixels = picture.convert("RGBA").resize(size)
            ground = pillow.new("RGBA", size, (0, 0, 0, 255))
            ground.alpha_composite(pixels)
            return ground.convert("RGB")
    except CannotBeDrawn:
        raise
    except Exception as error:  # whatever a decoder makes of a broken file
        raise CannotBeDrawn(f"The picture cannot be drawn: {error}.") from error


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

"""A picture in the pixels of the terminal, by textual-image; loaded when the first one is drawn."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.widget import Widget

    from flowdeck_app.drawing.pictures import Pictures


def picture_widget(picture: Any, how: Pictures) -> Widget | None:
    """Return a widget that draws a picture, or ``None`` where the library cannot be loaded.

    Args:
        picture: an image of Pillow that was decoded within bounds and fits: nothing of what others
            wrote reaches the library but pixels.
        how: kitty or sixel, and the size of a cell.
    """
    try:
        with _unasked(how.cell):
            library: Any = importlib.import_module("textual_image.widget")
        kind = library.SixelImage if how.renderer == "sixel" else library.TGPImage
    except Exception:  # missing, of another version, or at odds with this Textual
        return None
    widget: Widget = kind(picture, id="artifact-picture")
    widget.styles.width = max(1, round(picture.width / how.cell[0]))
    widget.styles.height = max(1, round(picture.height / how.cell[1]))
    return widget


def free_picture(widget: Any) -> None:
    """Have the terminal forget a picture that is seen no more."""
    if getattr(widget, "image", None) is not None:
        widget.image = None


@contextlib.contextmanager
def _unasked(cell: tuple[int, int]) -> Iterator[None]:
    """Keep the library from asking the terminal when it is imported: the app reads the answers as
    keys by then. Without a terminal it takes the size of a cell from these variables."""
    told = dict(zip(("TEXTUAL_CELL_WIDTH", "TEXTUAL_CELL_HEIGHT"), map(str, cell), strict=True))
    before = {name: os.environ.get(name) for name in told}
    output = sys.__stdout__
    sys.__stdout__ = io.StringIO()  # type: ignore[misc, assignment]
    os.environ.update(told)
    try:
        yield
    finally:
        sys.__stdout__ = output  # type: ignore[misc]
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

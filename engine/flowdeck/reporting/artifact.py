"""What a task or flow wants shown: tables, texts, pictures, links, numbers.

    from flowdeck import artifact

    artifact.table(rows, key="scores")
    artifact.number(0.93, key="accuracy")

Outside of runs all of these do nothing. What is too long is cut, and says so; secrets are hidden as
everywhere in the record. A ``key`` makes a history: the artifacts of one key over all runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.threads import active

if TYPE_CHECKING:
    from os import PathLike

    from flowdeck.reporting.artifact_contents import Content

__all__ = ["image", "json", "link", "markdown", "number", "table"]


def table(rows: Any, key: str | None = None, description: str | None = None) -> None:
    """Show a table.

    Args:
        rows: a DataFrame (pandas, polars), dicts or sequences one a row, or a dict of columns.
        key: under which artifacts of several runs belong together.
        description: what it is, in a line.

    Raises:
        TypeError: it is nothing of that, or the key is no text.

    Example:
        >>> table([{"city": "Ulm", "score": 3}], key="scores")
    """
    _show("table", rows, key, description)


def markdown(text: str, key: str | None = None, description: str | None = None) -> None:
    """Show a text in Markdown. HTML in it is shown as text, links are opened by nobody unasked.

    Raises:
        TypeError: the text or the key is no text.
    """
    _show("markdown", text, key, description)


def link(
    url: str, text: str | None = None, key: str | None = None, description: str | None = None
) -> None:
    """Show a link.

    Args:
        url: only ``http``, ``https`` and ``mailto`` can be opened; others are shown as text.
        text: what to show for it.
        key: as of :func:`table`.
        description: as of :func:`table`.

    Raises:
        TypeError: one of them is no text.
    """
    _show("link", (url, text), key, description)


def image(
    picture: bytes | str | PathLike[str] | Any,
    key: str | None = None,
    description: str | None = None,
) -> None:
    """Show a picture.

    Args:
        picture: bytes of a PNG, JPEG, GIF, WebP or BMP, the path of such a file, a figure of
            matplotlib or an image of Pillow.
        key: as of :func:`table`.
        description: as of :func:`table`.

    Raises:
        TypeError: it is nothing of that.
        ValueError: the picture is broken, or of another format.
        OSError: the file cannot be read.
    """
    _show("image", picture, key, description)


def json(value: Any, key: str | None = None, description: str | None = None) -> None:
    """Show a value as a tree; what JSON cannot hold becomes ``<TypeName>``.

    Raises:
        TypeError: the key is no text.
    """
    _show("json", value, key, description)


def number(value: float, key: str | None = None, description: str | None = None) -> None:
    """Show a number; those of one key are drawn over runs.

    Raises:
        TypeError: it is no number.
        ValueError: it is not finite.
    """
    _show("number", value, key, description)


def _show(kind: str, value: Any, key: str | None, description: str | None) -> None:
    run = active.current_run()
    if run is None:
        return
    from flowdeck.reporting import artifact_contents

    for name, text in (("key", key), ("description", description)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"artifact.{kind}(): {name} must be a text, not {type(text).__name__}.")
    content: Content = artifact_contents.MAKERS[kind](value)
    artifact_contents.record(run, kind, key, description, content)

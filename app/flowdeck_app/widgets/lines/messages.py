"""What a line view tells the widgets and screens round it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from flowdeck_app.widgets.lines.source import Key
    from flowdeck_app.widgets.lines.surface import LineSurface


class About(Message):
    """Base of the messages about a row: the view, the row's key, and the row if it is at hand."""

    def __init__(self, view: LineSurface[Any], key: Key | None, row: Any) -> None:
        super().__init__()
        self.view, self.key, self.row = view, key, row

    @property
    def control(self) -> Any:
        """The view that sent it, for ``@on(…, "#id")``."""
        return self.view


class Highlighted(About, namespace="line_view"):
    """The cursor is on another row (or the row under it has changed)."""


class Opened(About, namespace="line_view"):
    """Enter or double click on a row."""


class Changed(Message, namespace="line_view"):
    """Rows were loaded, marks or follow mode changed: figures round the view may differ."""

    def __init__(self, view: LineSurface[Any]) -> None:
        super().__init__()
        self.view = view

    @property
    def control(self) -> Any:
        """The view that sent it."""
        return self.view

    def can_replace(self, message: Message) -> bool:
        """Only the last one of a burst is delivered."""
        return isinstance(message, Changed) and message.view is self.view


class Failed(Message, namespace="line_view"):
    """The source could not be asked; the view shows it and keeps the rows it has."""

    def __init__(self, view: LineSurface[Any], error: Exception) -> None:
        super().__init__()
        self.view, self.error = view, error

"""The graph of a run on the screen: nodes can be walked over, opened and clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView

from flowdeck_app.actions import bindings
from flowdeck_app.views.graph import Canvas, Node, draw_graph, neighbour
from flowdeck_app.widgets.guard import look_of
from flowdeck_app.widgets.line_paint import Painter, fitted, with_spans

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType
    from textual.strip import Strip

    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.summaries import TaskGraph


class GraphView(ScrollView, can_focus=True):
    """Shows a :class:`~flowdeck_store.summaries.TaskGraph`; :meth:`show` brings news.

    Attributes:
        chosen: task key of the node under the cursor.
    """

    DEFAULT_CSS = """
    GraphView {
        background: $background; color: $foreground; height: 1fr; padding: 1 2 0 2;
        scrollbar-size: 1 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move.down", "move.up", "move.left", "move.right", "move.first", "go.open")
    ]

    class Highlighted(Message):
        """The cursor is on another node."""

        def __init__(self, view: GraphView, key: str) -> None:
            super().__init__()
            self.view, self.key = view, key

    class Opened(Message):
        """Enter or double click on a node; ``key`` is the task key."""

        def __init__(self, view: GraphView, key: str) -> None:
            super().__init__()
            self.view, self.key = view, key

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._graph: TaskGraph | None = None
        self._canvas = Canvas((), (), 0)
        self._painter = Painter(self)
        self.chosen: str | None = None
        self.empty = ("No tasks yet", "The graph grows with the first task")

    def show(self, graph: TaskGraph) -> None:
        """Draw a graph; the cursor stays on its task."""
        self._graph = graph
        self._draw()

    def _draw(self) -> None:
        if self._graph is None or not self.size.width:
            return
        self._canvas = draw_graph(self._graph, look_of(self.app), self.size.width)
        keys = {node.key for node in self._canvas.nodes}
        if self.chosen not in keys:
            self.chosen = neighbour(self._canvas, None, 0, 0)
        self.virtual_size = Size(self._canvas.width, len(self._canvas.lines))
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Lay out anew for the width."""
        self._draw()

    def notify_style_update(self) -> None:
        """Forget colours when theme or focus changed."""
        super().notify_style_update()
        self._painter.clear()

    def render_line(self, y: int) -> Strip:
        """Return one line, the chosen node in reverse."""
        width = self.size.width
        lines = self._canvas.lines
        if not lines:
            return self._empty_line(y)
        line = y + int(self.scroll_offset.y)
        if line >= len(lines):
            return self._painter.blank(width)
        content = lines[line]
        node = self._node(self.chosen)
        if node is not None and node.y == line:
            style = "reverse" if self.has_focus else "underline"
            start = _index_at(content, node.x)
            end = _index_at(content, node.x + node.cells)
            content = with_spans(content, [(start, end)], style)
        strip = self._painter.strip(content)
        return fitted(strip, int(self.scroll_offset.x), width, self._painter.style(""))

    def _empty_line(self, y: int) -> Strip:
        first = max(0, self.size.height // 3)
        if self._graph is None or y - first not in {0, 1}:
            return self._painter.blank(self.size.width)
        text = self.empty[y - first].center(self.size.width)
        style = "$fd-strong" if y == first else "$fd-muted"
        return self._painter.line(Content.styled(text, style), self.size.width)

    def _node(self, key: str | None) -> Node | None:
        return next((node for node in self._canvas.nodes if node.key == key), None)

    def _choose(self, key: str | None) -> None:
        if key is None or key == self.chosen:
            return
        self.chosen = key
        node = self._node(key)
        if node is not None:
            self.scroll_to_region(Region(node.x, node.y, node.cells, 1), animate=False)
        self.refresh()
        self.post_message(self.Highlighted(self, key))

    def _go(self, dx: int, dy: int) -> None:
        self._choose(neighbour(self._canvas, self.chosen, dx, dy))

    def action_move_down(self) -> None:
        """Go to the node below."""
        self._go(0, 1)

    def action_move_up(self) -> None:
        """Go to the node above."""
        self._go(0, -1)

    def action_move_left(self) -> None:
        """Go to the node on the left."""
        self._go(-1, 0)

    def action_move_right(self) -> None:
        """Go to the node on the right."""
        self._go(1, 0)

    def action_move_first(self) -> None:
        """Go to the first node."""
        self._choose(neighbour(self._canvas, None, 0, 0))

    def action_go_open(self) -> None:
        """Open the node."""
        if self.chosen is not None:
            self.post_message(self.Opened(self, self.chosen))

    def on_click(self, event: events.Click) -> None:
        """Choose the clicked node; a double click opens it."""
        at = event.get_content_offset(self)
        if at is None:
            return
        x, y = at.x + int(self.scroll_offset.x), at.y + int(self.scroll_offset.y)
        for node in self._canvas.nodes:
            if node.y == y and node.x <= x < node.x + node.cells:
                self._choose(node.key)
                if event.chain == 2:
                    self.action_go_open()


def _index_at(content: Content, cells: int) -> int:
    """Return the character index at a cell."""
    from flowdeck_app.views.text import width

    text = content.plain
    if text.isascii():
        return cells
    used = 0
    for index, char in enumerate(text):
        if used >= cells:
            return index
        used += width(char)
    return len(text)

"""The graph of a run on the screen: nodes can be walked over, opened and clicked; it can be zoomed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from flowdeck_app.actions import bindings
from flowdeck_app.events.living import Living
from flowdeck_app.views.graph.draw import (
    INSIDE,
    ZOOMS,
    Canvas,
    Detail,
    GraphNode,
    Shown,
    draw_boxes,
    neighbour,
)
from flowdeck_app.widgets.guard import look_of
from flowdeck_app.widgets.lines.paint import Painter, fitted, with_spans

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType

    from flowdeck_app.widgets.guard import Names


class GraphView(Living, ScrollView, can_focus=True):
    """Shows a graph, in the middle of the room there is; :meth:`show` brings news.

    Attributes:
        chosen: key of the node under the cursor.
        zoom: how much is shown of each node; ``None``: as much as fits.
    """

    DEFAULT_CSS = """
    GraphView {
        background: $background; color: $foreground; height: 1fr; padding: 1 2 0 2;
        scrollbar-size: 1 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move.down", "move.up", "move.left", "move.right", "move.first", "go.open",
                  "view.more", "view.less", "view.fit")
    ]  # fmt: skip

    class Highlighted(Message):
        """The cursor is on another node."""

        def __init__(self, view: GraphView, key: str) -> None:
            super().__init__()
            self.view, self.key = view, key

    class Opened(Message):
        """Enter or double click on a node; ``key`` is the task key, behind those it lies in."""

        def __init__(self, view: GraphView, node: GraphNode) -> None:
            super().__init__()
            self.view, self.key, self.opens = view, node.key, node.opens

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._shown: Shown | None = None
        self._canvas = Canvas((), (), 0)
        self._painter = Painter(self)
        self.zoom: Detail | None = None
        self.chosen: str | None = None
        self.empty = ("No tasks yet", "The graph grows with the first task")

    def show(self, shown: Shown) -> None:
        """Draw a graph; the cursor stays on its task."""
        if shown != self._shown:
            self._shown = shown
            self._draw()

    @property
    def shown(self) -> Shown | None:
        """What is drawn."""
        return self._shown

    def _draw(self) -> None:
        if self._shown is None or not self.size.width:
            return
        self._canvas = draw_boxes(
            self._shown, look_of(self.app), self.size.width, self.size.height, self.zoom
        )
        keys = {node.key for node in self._canvas.nodes}
        while self.chosen is not None and self.chosen not in keys:  # closed: what it was inside of
            self.chosen = self.chosen.rpartition(INSIDE)[0] or None
        if self.chosen is None:
            self.chosen = neighbour(self._canvas, None, 0, 0)
        self.virtual_size = Size(self._canvas.width, len(self._canvas.lines))
        self.refresh()

    @property
    def _margin(self) -> tuple[int, int]:
        """Cells and rows before the graph: it lies in the middle."""
        free = self.size.width - self._canvas.width, self.size.height - len(self._canvas.lines)
        return max(0, free[0] // 2), max(0, free[1] // 3)

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
        left, top = self._margin
        line = y + int(self.scroll_offset.y) - top
        if not 0 <= line < len(lines):
            return self._painter.blank(width)
        content = lines[line]
        node = self._node(self.chosen)
        if node is not None and node.y == line:
            style = "reverse" if self.has_focus else "underline"
            start = _index_at(content, node.x)
            end = _index_at(content, node.x + node.cells)
            content = with_spans(content, [(start, end)], style)
        strip = self._painter.strip(content)
        if left:
            strip = Strip.join([self._painter.blank(left), strip])
        return fitted(strip, int(self.scroll_offset.x), width, self._painter.style(""))

    def _empty_line(self, y: int) -> Strip:
        first = max(0, self.size.height // 3)
        if self._shown is None or y - first not in {0, 1}:
            return self._painter.blank(self.size.width)
        text = self.empty[y - first].center(self.size.width)
        style = "$fd-strong" if y == first else "$fd-muted"
        return self._painter.line(Content.styled(text, style), self.size.width)

    def _node(self, key: str | None) -> GraphNode | None:
        return next((node for node in self._canvas.nodes if node.key == key), None)

    def _choose(self, key: str | None) -> None:
        if key is None or key == self.chosen:
            return
        self.chosen = key
        node = self._node(key)
        if node is not None:
            self._come_to(node)
        self.refresh()
        self.post_message(self.Highlighted(self, key))

    def _come_to(self, node: GraphNode) -> None:
        region = Region(node.x, node.y, node.cells, node.rows)
        self.scroll_to_region(region, animate=False)

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
        node = self._node(self.chosen)
        if node is not None:
            self.post_message(self.Opened(self, node))

    def action_view_more(self) -> None:
        """Show more of each node."""
        self._zoom(-1)

    def action_view_less(self) -> None:
        """Show less of each node."""
        self._zoom(1)

    def action_view_fit(self) -> None:
        """Show as much as fits."""
        self.zoom = None
        self._draw()
        self.scroll_to(0, 0, animate=False)

    def _zoom(self, step: int) -> None:
        if not self._canvas.nodes:
            return
        place = ZOOMS.index(self._canvas.detail) + step
        self.zoom = ZOOMS[min(len(ZOOMS) - 1, max(0, place))]
        self._draw()
        node = self._node(self.chosen)
        if node is not None:
            self._come_to(node)

    def on_click(self, event: events.Click) -> None:
        """Choose the clicked node; a double click opens it."""
        at = event.get_content_offset(self)
        if at is None:
            return
        left, top = self._margin
        x, y = at.x + int(self.scroll_offset.x) - left, at.y + int(self.scroll_offset.y) - top
        for node in reversed(self._canvas.nodes):  # what is inside another comes after it
            if node.y <= y < node.y + node.rows and node.x <= x < node.x + node.cells:
                self._choose(node.key)
                if event.chain == 2:
                    self.action_go_open()
                return


def _index_at(content: Content, cells: int) -> int:
    """Return the character index at a cell."""
    from flowdeck_app.drawing.cells import width

    text = content.plain
    if text.isascii():
        return cells
    used = 0
    for index, char in enumerate(text):
        if used >= cells:
            return index
        used += width(char)
    return len(text)

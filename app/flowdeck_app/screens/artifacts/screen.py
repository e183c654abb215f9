"""One artifact, as what it is: a table, a text, a tree, a picture, a link, a number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Markdown, Static

from flowdeck_app.access import SLOW
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pictures import (
    CannotBeDrawn,
    picture_content,
    picture_pixels,
    pixels_as_blocks,
)
from flowdeck_app.drawing.sparks import spark
from flowdeck_app.reports.artifacts import number_text, summary
from flowdeck_app.screens.artifacts.contents import JsonTree, RowTable, markdown_parser
from flowdeck_app.screens.parts.base import FlowdeckModal
from flowdeck_app.widgets.picture import free_picture, picture_widget
from flowdeck_store.safe import lines

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

    from flowdeck_store.read.artifacts.reads import ShownArtifact
    from flowdeck_store.read.reader import Reader

#: What may be opened in a browser, after asking.
_OPENED: Final = ("http://", "https://", "mailto:")
NOT_DRAWN: Final = (
    'Pictures are not drawn, as images = "none" says. '
    "flowdeck artifacts RUN --key KEY --save FILE writes the file."
)
_MARKDOWN: Final = 300_000  # characters that are laid out


@dataclass(frozen=True, slots=True)
class _Contents:
    value: Any
    picture: Content | str | None
    pixels: Any  # an image of Pillow, where the terminal draws pixels
    numbers: tuple[float, ...]


class ArtifactScreen(FlowdeckModal):
    """Shows an artifact.

    Args:
        artifact: it.
    """

    CSS_PATH = "artifact.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("take.copy")]

    def __init__(self, artifact: ShownArtifact) -> None:
        super().__init__()
        self.artifact = artifact
        self._value: Any = None
        self._drawn: Widget | None = None

    def compose(self) -> ComposeResult:
        """Yield the frame; what is in it comes when it was read."""
        panel = Vertical(classes="panel")
        title = self.artifact.key or self.artifact.kind
        panel.border_title = Content(clean(title, 200))
        panel.border_subtitle = Content(f"y copy {self.look.symbols.dot} esc close")
        with panel:
            said = summary(self.artifact, self.look)
            yield Static(Content(clean(said, 600)), id="artifact-said")
            yield Vertical(id="artifact-content")

    def on_mount(self) -> None:
        """Read the content."""
        self.run_worker(self._load(), exit_on_error=False)

    def on_unmount(self) -> None:
        """Free what the terminal keeps of a picture."""
        free_picture(self._drawn)

    async def _load(self) -> None:
        size = self.app.size
        found = await self.app.access.ask(
            lambda reader: self._read(reader, size.width - 10, size.height - 10), SLOW
        )
        self._value = found.value
        await self.query_one("#artifact-content").mount(self._widget(found))

    def _read(self, reader: Reader, cells: int, rows: int) -> _Contents:
        artifact = self.artifact
        value = reader.artifact_value(artifact)
        picture: Content | str | None = None
        pixels: Any = None
        if artifact.kind == "image":
            try:
                if value is None:
                    raise CannotBeDrawn(artifact.cut or "The file is gone.")
                how = self.app.pictures
                room = max(8, cells), max(4, rows)
                if how.renderer == "none":
                    raise CannotBeDrawn(NOT_DRAWN)
                if how.renderer != "blocks":
                    pixels = picture_pixels(value, *room, how.cell)
                else:
                    picture = picture_content(value, *room)
            except CannotBeDrawn as problem:
                picture = str(problem)
        numbers: tuple[float, ...] = ()
        if artifact.kind == "number" and artifact.key:
            past = reader.artifact_history(artifact.key)
            numbers = tuple(one.number for one in past if one.number is not None)
        return _Contents(value, picture, pixels, numbers)

    def _widget(self, found: _Contents) -> Widget:
        kind, value = self.artifact.kind, found.value
        if kind == "image":
            if found.pixels is not None:
                self._drawn = picture_widget(found.pixels, self.app.pictures)
                if self._drawn is not None:
                    return self._drawn
                return Static(
                    pixels_as_blocks(found.pixels, self.app.pictures.cell), id="artifact-picture"
                )
            shown = found.picture if isinstance(found.picture, Content) else Content(
                clean(found.picture or "", 600)
            )  # fmt: skip
            return Static(shown, id="artifact-picture")
        if value is None and self.artifact.cut:
            return Static(Content(clean(self.artifact.cut, 600)))
        if kind == "table":
            return RowTable(value, id="artifact-table")
        if kind == "markdown":
            text = "\n".join(lines(str(value)[:_MARKDOWN], _MARKDOWN))
            body = Markdown(text, parser_factory=markdown_parser, open_links=False)
            return VerticalScroll(body, id="artifact-text")
        if kind == "number":
            bars = spark(found.numbers, self.look, 60) if len(found.numbers) > 1 else ""
            return Static(Content(f"{number_text(self.artifact.number)}\n\n{bars}".strip()))
        if kind == "link":
            url = str(value.get("url") or "") if isinstance(value, dict) else ""
            if not _may_open(url):
                return Static(Content(clean(url, 2_000)))
            text = f"[{_bare(url)}](<{_bare(url)}>)"
            return Markdown(text, parser_factory=markdown_parser, open_links=False)
        return JsonTree(value, id="artifact-tree")

    @on(Markdown.LinkClicked)
    def _link_clicked(self, message: Markdown.LinkClicked) -> None:
        """Open a link after asking; what is no address of the web is shown, never opened."""
        message.stop()
        url = message.href
        if not _may_open(url):
            self.app.say(f"Not opened, as it is no address of the web: {url}", "warning")
            return
        self.app.confirm(
            f"Open {clean(url, 300)} ?", lambda: self.app.open_url(url), detail="In your browser."
        )

    def action_take_copy(self) -> None:
        """Copy the content as text, or what is selected."""
        if self.selections:
            self.app.action_app_copy_selection()
            return
        value = self._value
        if self.artifact.kind == "link" and isinstance(value, dict):
            self.app.copy(str(value.get("url") or ""), "the link")
        elif isinstance(value, str):
            self.app.copy(value, "the text")
        elif not isinstance(value, bytes):
            self.app.copy(json.dumps(value, ensure_ascii=False), "the value as JSON")


def _may_open(url: str) -> bool:
    return url.lower().startswith(_OPENED) and url.isprintable()


def _bare(url: str) -> str:
    """Return an address without what would end it in Markdown."""
    return "".join(f"%{ord(c):02X}" if c in "<>[]()\\ `*_" else c for c in url)

"""Artifacts in the app: each as what it is, and nothing in them is markup, opened or executed."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle

from flowdeck import artifact, flow
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck_app.drawing.pictures import CannotBeDrawn, picture_content
from flowdeck_app.screens.artifacts.contents import JsonTree, chosen
from flowdeck_app.screens.artifacts.pane import ArtifactTable
from flowdeck_app.screens.artifacts.screen import ArtifactScreen
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.task.body import TaskBody
from flowdeck_store.file import artifact_files
from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_app.app import FlowdeckApp

HOSTILE = "# Title\n\n<script>alert(1)</script> [bold]x[/bold] [f](file:///etc/passwd) \x1b[31m\x07"


def png(width: int = 4, height: int = 4) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + b"\x40\x80\xff" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@flow
def made() -> None:
    artifact.table([{"city": f"[b]{n}[/b]", "score": -n, "note": "\x1b[31m\x07"} for n in range(9)])
    artifact.markdown(HOSTILE)
    artifact.json({"a": [1, {"b": "[red]"}]})
    artifact.link("javascript:alert(1)")
    artifact.link("https://example.org/[b]x")
    artifact.number(3, key="n")
    artifact.image(png(), key="picture")


def fill(home: Path) -> None:
    with using(home=home, console=False):
        made()
        made()
        recording.close_all()
    folder = StorePaths(home).artifacts
    for uid in folder.iterdir():  # what an archive may bring: it begins well and is broken
        for name in artifact_files.names(folder, uid.name):
            (uid / name).write_bytes(png()[:45])


@pytest.fixture
def app(app_for: Any) -> FlowdeckApp:
    return app_for()  # type: ignore[no-any-return]


@pytest.mark.anyio
async def test_every_kind_of_artifact_opens_and_none_of_it_acts(
    app: FlowdeckApp, home: Path
) -> None:
    fill(home)
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_run(2)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        body = app.screen.query_one("#run-body")
        tabs: Any = body.tabs  # type: ignore[attr-defined]
        await settle(pilot, lambda: any(tab.key == "artifacts" for tab in tabs.tabs))
        tabs.choose("artifacts")
        table = app.screen.query_one(ArtifactTable)
        await settle(pilot, lambda: table.loaded and table.count == 7)
        wanted = (
            "[b]0[/b]", "<script>alert(1)</script> [bold]x[/bold]", "b: '[red]'",
            "javascript:alert(1)", "example.org", "3", "cannot be drawn",
        )  # fmt: skip
        for place, words in enumerate(wanted):
            row = table.row_at(place)
            assert row is not None
            app.push_screen(ArtifactScreen(row.record))
            await settle(pilot, lambda: isinstance(app.screen, ArtifactScreen))
            if "red" in words:
                await settle(pilot, lambda: bool(app.screen.query(JsonTree)))
                app.screen.query_one(JsonTree).root.expand_all()
            if "drawn" in words:
                pytest.importorskip("PIL")
            await settle(pilot, lambda words=words: words in screen_text(app))  # type: ignore[misc]
            assert "\x07" not in screen_text(app)
            await pilot.press("escape")
            await settle(pilot, lambda: isinstance(app.screen, RunScreen))


@pytest.mark.anyio
async def test_a_link_is_opened_only_after_a_yes_and_only_of_the_web(
    app: FlowdeckApp, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home)
    opened: list[str] = []
    monkeypatch.setattr(app, "open_url", opened.append)
    async with app.run_test(size=(100, 30)) as pilot:
        found = await app.access.ask(lambda reader: reader.shown_artifacts(1))
        screen = ArtifactScreen(found[4])
        app.push_screen(screen)
        await settle(pilot, lambda: bool(screen.query("Markdown")))
        from textual.widgets import Markdown

        body = screen.query_one(Markdown)
        body.post_message(Markdown.LinkClicked(body, "file:///etc/passwd"))
        body.post_message(Markdown.LinkClicked(body, "https://example.org/"))
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert opened == []
        await pilot.press("y")
        await settle(pilot, lambda: opened == ["https://example.org/"])


def test_rows_are_filtered_and_sorted_by_any_column() -> None:
    rows = list(enumerate([[2, "b"], [None, "a"], ["x", "ab"], [1, None]]))
    assert [number for number, _ in chosen(rows, "0", "")] == [3, 0, 2, 1]
    assert [number for number, _ in chosen(rows, "-1", "")] == [0, 2, 1, 3]
    assert [number for number, _ in chosen(rows, "", "A")] == [1, 2]


def test_a_picture_is_drawn_in_its_proportions() -> None:
    pytest.importorskip("PIL")
    drawn = picture_content(png(40, 20), 20, 30)
    assert drawn.plain.splitlines() == ["▀" * 20] * 5
    with pytest.raises(CannotBeDrawn):
        picture_content(png()[:45], 20, 20)


def test_without_pillow_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(CannotBeDrawn, match="pip install"):
        picture_content(png(), 10, 10)


@pytest.mark.anyio
async def test_a_task_run_lists_its_own_artifacts_and_has_no_tab_without(
    app_for: Any, home: Path
) -> None:
    from flowdeck import task

    @task
    def one() -> None:
        artifact.number(3, key="of-one")

    @task
    def none() -> None:
        """Make nothing."""

    @flow
    def both() -> None:
        artifact.number(1, key="of-the-flow")
        one()
        none()

    with using(home=home, console=False):
        both()
        recording.close_all()
    app: FlowdeckApp = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_task(1, 1)
        await settle(pilot, lambda: "Artifacts 1" in screen_text(app))
        body = app.screen.query_one(TaskBody)
        body.tabs.choose("artifacts")
        await settle(pilot, lambda: "of-one" in screen_text(app))
        assert "of-the-flow" not in screen_text(app)
        await pilot.press("enter")
        await settle(pilot, lambda: isinstance(app.screen, ArtifactScreen))
        await pilot.press("escape")
        app.open_task(1, 2)
        await settle(pilot, lambda: "States" in screen_text(app) and "none" in screen_text(app))
        assert "Artifacts" not in screen_text(app)

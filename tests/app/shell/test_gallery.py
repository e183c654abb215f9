"""docs/gallery.md: its pictures are there, small, whole, and tell of no machine."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[3] / "docs"
sys.path.insert(0, str(DOCS))

import gallery  # noqa: E402
from pictures import slim, without_place  # noqa: E402

#: Bytes of all pictures of the docs.
MOST = 3_000_000


def test_the_page_shows_every_picture_and_there_are_no_others() -> None:
    assert gallery.PAGE.read_text("utf-8") == gallery.page(), "python docs/gallery.py writes it"
    assert {path.name for path in gallery.FOLDER.iterdir()} == set(gallery.names())
    assert sum(path.stat().st_size for path in (DOCS / "images").rglob("*.svg")) < MOST


@pytest.mark.parametrize("name", gallery.names())
def test_a_picture_is_whole_and_names_no_place_of_the_machine_it_was_drawn_on(name: str) -> None:
    text = (gallery.FOLDER / name).read_text("utf-8")
    ElementTree.fromstring(text)
    shown = re.sub(r"<[^>]+>", "", text).replace("&#160;", " ")
    assert "flowdeck" in shown
    assert re.findall(r"/(?:root|work|home|tmp|Users)/\S*|\.pyenv|site-packages", shown) == []


def test_a_slim_picture_has_one_ground_and_its_other_colours() -> None:
    cell = (
        '<rect fill="{}" x="0" y="1.5" width="12.2" height="24.65" shape-rendering="crispEdges"/>'
    )
    picture = (
        '<svg><clipPath id="terminal-x-clip-terminal"><rect x="0" y="0" width="9.0" height="8.0" />'
        '</clipPath><clipPath id="terminal-x-line-0"><rect/></clipPath>'
        '<g transform="translate(9, 41)">' + cell.format("#111") * 3 + cell.format("#222")
        + '<text class="terminal-x-r1" x="0" clip-path="url(#terminal-x-line-0)">&#160;</text>'
        + '<text class="terminal-x-r2" x="0" clip-path="url(#terminal-x-line-0)">a&#160;b</text></g></svg>'
    )  # fmt: skip
    found = slim(picture)
    assert found.count('fill="#111"') == 1
    assert '<rect fill="#111" width="9.0" height="8.0"/>' in found
    assert found.count('fill="#222"') == 1
    assert "line-0" not in found
    assert found.count("<text") == 1
    assert '<text class="t-r2" x="0">a&#160;b</text>' in found


def test_where_python_is_installed_is_not_told_whole_or_cut() -> None:
    place = "/opt/tools/py/lib"
    for text, shown in (
        ("in&#160;/opt/tools/py/lib/a.py", "in&#160;/usr/lib/a.py" + "&#160;" * 9),
        ("/opt/too…", "/usr/lib…"),
        ("/other", "/other"),
    ):
        assert without_place(f'<text x="0">{text}</text>', place) == f'<text x="0">{shown}</text>'

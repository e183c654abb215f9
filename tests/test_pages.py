"""What the pages print is what happens: their files, commands and outputs are run and compared."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import pages  # noqa: E402

PAGES = pages.pages()

pytestmark = pytest.mark.slow


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_shows(page: pages.Page, tmp_path: Path) -> None:
    assert [str(wrong) for wrong in pages.check(page, tmp_path / "user")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: pages.Page) -> None:
    broken = []
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", page.text):
        target = page.path.parent / path if path else page.path
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme() -> None:
    readme = next(page.text for page in PAGES if page.name == "README.md")
    assert [p.name for p in PAGES if p.name != "README.md" and f"({p.name})" not in readme] == []


def test_every_page_is_on_the_site() -> None:
    index = (pages.ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8")
    names = {page.path.stem for page in PAGES if page.name != "README.md"}
    assert names - set(index.split()) == set()


class TestComparison:
    def test_three_dots_stand_for_any_lines(self) -> None:
        assert pages.fits(["a", "...", "d"], ["a", "b", "c", "d"])
        assert pages.fits(["a", "..."], ["a"])
        assert not pages.fits(["a", "...", "d"], ["a", "b"])

    def test_other_lines_must_be_equal(self) -> None:
        assert not pages.fits(["a"], ["b"])
        assert not pages.fits(["a"], ["a", "b"])
        assert not pages.fits([], ["a"])

    def test_times_and_random_names_are_not_compared(self) -> None:
        one = "12:00:01.250 | INFO    | Flow run 'brave-otter' - took 12ms"
        other = "23:59:59.999 | INFO    | Flow run 'shy-lynx' - took 1.5s"
        assert pages.normalised(one) == pages.normalised(other)

    def test_words_are_compared(self) -> None:
        assert pages.normalised("Completed 3 tasks") != pages.normalised("Completed 4 tasks")

"""``flowdeck artifacts``: lists, contents, history and files of what runs wanted shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flowdeck import artifact, flow, task
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck_app.cli.root import flowdeck

if TYPE_CHECKING:
    from pathlib import Path


@task
def show(number: int) -> None:
    artifact.number(number, key="n")
    artifact.table([{"a\x1b[31m": "[b]x[/b]\x07"}] * 60, key="t")
    artifact.markdown("# Title\n\x1b]0;pwned\x07<script>", key="../../evil")


@flow
def main(number: int) -> None:
    show(number)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("artifacts")
    with using(home=home, console=False):
        for number in (1, 5, 3):
            main(number)
        recording.close_all()
    return home


def said(home: Path, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(flowdeck, ["artifacts", *words, "--home", str(home)])
    assert done.exit_code == code, done.output
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
    return done.output


def test_the_last_run_is_listed(home: Path) -> None:
    text = said(home)
    assert "show-0" in text or "show" in text
    assert "60 rows, 1 column" in text
    assert "Title" in text


def test_a_key_shows_contents_of_a_run_and_history_over_runs(home: Path) -> None:
    text = said(home, "@last", "--key", "t")
    assert "[b]x[/b]" in text
    assert "10 more rows" in text
    history = said(home, "--key", "n")
    assert "1 to 5" in history
    assert "▁█▄" in history or "▁█" in history


def test_json_has_the_contents(home: Path) -> None:
    number, table, text = [json.loads(line) for line in said(home, "3.1", "--json").splitlines()]
    assert (number["kind"], number["value"], number["task_run"]) == ("number", 3, "3.1")
    assert len(table["value"]["rows"]) == 60
    assert text["value"].startswith("# Title")


def test_contents_are_written_under_names_of_ours(home: Path, tmp_path: Path) -> None:
    said(home, "@last", "--save", str(tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name.partition("-")[2] for name in names] == ["n.json", "t.json", "------evil.md"]
    said(home, "@last", "--key", "n", "--save", str(tmp_path / "n.json"))
    assert (tmp_path / "n.json").read_text() == "3"


def test_a_key_that_is_not_there_is_told_with_those_that_are(home: Path) -> None:
    assert "There are: ../../evil, n, t." in said(home, "--key", "x", code=2)

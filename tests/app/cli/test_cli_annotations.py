"""tag and note: what people say of runs afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import objects

from flowdeck_store import states as st
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from cli_builder import Record


def _tags(home: Path, name: str) -> tuple[str, ...]:
    with Reader.open(home) as reader:
        return reader.resolve_run(name).tags


def test_tags_come_and_go_by_plus_and_minus(cli: Any, home: Path, record: Record) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    result = cli("tag", "fast-fox", "+looked-at", "+y")
    assert (result.exit_code, result.stdout) == (0, "#1  fast-fox  looked-at, y\n")
    assert result.stderr == "flowdeck: changed the tags of 1 run.\n"
    assert cli("tag", "fast-fox", "-y").exit_code == 0
    assert _tags(home, "fast-fox") == ("looked-at",)


def test_only_runs_whose_tags_changed_are_counted(cli: Any, home: Path, record: Record) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    record.run("slow-owl", code=st.COMPLETED)
    for words in (("-nosuch",), ("--", "-nosuch")):
        result = cli("tag", "fast-fox", *words)
        assert (result.exit_code, result.stdout) == (0, "#1  fast-fox  no tags\n")
        assert result.stderr == "flowdeck: nothing to change: the tags are as asked for.\n"
    assert cli("tag", "fast-fox", "+x").stderr == "flowdeck: changed the tags of 1 run.\n"
    assert "nothing to change" in cli("tag", "fast-fox", "+x").stderr
    result = cli("tag", "fast-fox", "slow-owl", "+x", "--dry-run")
    assert result.stderr.endswith("would change the tags of 1 run.\n")
    result = cli("tag", "fast-fox", "slow-owl", "+x")
    assert result.stderr == "flowdeck: changed the tags of 1 run.\n"
    assert _tags(home, "slow-owl") == ("x",)


def test_a_word_with_commas_is_several_tags(cli: Any, home: Path, record: Record) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    cli("tag", "fast-fox", "+a, b,c,", "+d")
    assert _tags(home, "fast-fox") == ("a", "b", "c", "d")
    cli("tag", "fast-fox", "-a,d")
    assert _tags(home, "fast-fox") == ("b", "c")
    result = cli("tag", "fast-fox", "+,")
    assert result.exit_code == 2
    assert "a tag needs at least one character" in result.stderr


def test_a_tag_that_holds_a_comma_can_be_taken_away(cli: Any, home: Path, record: Record) -> None:
    record.run("fast-fox", code=st.COMPLETED, tags=["a,b", "a"])
    cli("tag", "fast-fox", "-a,b")
    assert _tags(home, "fast-fox") == ("a",)


def test_all_runs_that_a_query_finds_get_a_tag(cli: Any, home: Path, record: Record) -> None:
    record.run("fast-fox", code=st.FAILED)
    record.run("slow-owl", code=st.FAILED)
    record.run("calm-cat", code=st.COMPLETED)
    cli("tag", "slow-owl", "+known")
    shown = objects(cli("tag", "state:failed", "-tag:known", "+incident", "--json"))
    assert [(run["name"], run["tags"]) for run in shown] == [("fast-fox", ["incident"])]
    assert _tags(home, "slow-owl") == ("known",)
    assert _tags(home, "calm-cat") == ()
    assert [run["name"] for run in objects(cli("runs", "tag:incident", "--json"))] == ["fast-fox"]


def test_without_changes_tags_are_shown_and_a_dry_run_changes_none(
    cli: Any, home: Path, record: Record
) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    assert cli("tag", "fast-fox").stdout == "#1  fast-fox  no tags\n"
    result = cli("tag", "fast-fox", "+x", "--dry-run")
    assert "would change the tags of 1 run" in result.stderr
    assert _tags(home, "fast-fox") == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+x"], "say which runs"),
        (["fast-fox", "+"], "a tag needs at least one character"),
        (["fast-fox", "+x", "-x"], "cannot be added and removed at once"),
        (["nobody", "+x"], "There is no run"),
        (["state:crashed", "+x"], "no run matches"),
        (["fast-fox", "+two\nlines"], "cannot be printed"),
    ],
)
def test_what_cannot_be_tagged_is_said(
    cli: Any, home: Path, record: Record, words: list[str], said: str
) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    result = cli("tag", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert _tags(home, "fast-fox") == ()


def test_a_note_is_written_shown_and_deleted(cli: Any, record: Record) -> None:
    record.run("fast-fox", code=st.FAILED)
    result = cli("note", "fast-fox", "the disk", "was full")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "flowdeck: note 1 on fast-fox (#1).\n"
    cli("note", "fast-fox", "two\n[bold]lines[/bold]")
    listed = cli("note", "fast-fox").stdout.splitlines()
    assert [line.strip() for line in listed if line.startswith("   ")] == [
        "the disk was full", "two", "[bold]lines[/bold]"
    ]  # fmt: skip
    assert "the disk was full" in cli("show", "fast-fox").stdout
    (run,) = objects(cli("runs", "note:disk", "--json"))
    assert run["notes"][0]["text"] == "the disk was full"
    assert cli("note", "fast-fox", "--delete", "1").exit_code == 0
    (left,) = objects(cli("note", "fast-fox", "--list", "--json"))
    assert (left["n"], left["text"]) == (1, "two\n[bold]lines[/bold]")
    assert left["by"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delete", "1"], "has no note 1"),
        (["x", "--list"], "one of them"),
        ([" "], "a note needs a text"),
        (["x" * 4001], "at most 4,000 characters"),
    ],
)
def test_what_is_no_note_is_said(cli: Any, record: Record, words: list[str], said: str) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    result = cli("note", "fast-fox", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_control_characters_of_a_note_do_not_reach_the_terminal(cli: Any, record: Record) -> None:
    record.run("fast-fox", code=st.COMPLETED)
    cli("note", "fast-fox", "\x1b[31mred\x07")
    assert "\x1b" not in cli("note", "fast-fox").stdout + cli("show", "fast-fox").stdout


def test_a_retry_has_the_tags_that_its_run_began_with(cli: Any, home: Path) -> None:
    from cli_builder import write

    write("one.py", "from flowdeck import flow\n@flow\ndef one(): pass\n")
    assert cli("run", "one.py:one", "--tag", "prod", "--name", "first").exit_code == 0
    cli("tag", "first", "+looked-at", "-prod")
    assert cli("retry", "first", "--name", "second").exit_code == 0
    assert _tags(home, "first") == ("looked-at",)
    assert _tags(home, "second") == ("prod",)

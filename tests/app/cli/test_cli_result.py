"""What a run returned: shown, loaded, saved."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import T0, Record, objects

from flowdeck.exceptions import MissingResult
from flowdeck.record import Record as Client
from flowdeck.runs.results import ResultStore
from flowdeck_store import events

if TYPE_CHECKING:
    pass

ROWS = list(range(500))


@pytest.fixture
def kept(record: Record, home: Path) -> str:
    """A run whose first task's value is kept; of the second there is only the text."""
    location, size = ResultStore(home / "results").write(ROWS)
    run = record.run("calm-owl")
    record.task(run, 1, "fetch-0")
    record.emit(events.result(run, 1, T0, "list", size, "[0, 1, 2, …]", location))
    record.task(run, 2, "count-0")
    record.emit(events.result(run, 2, T0, "int", None, "41", None))
    record.task(run, 3, "write-0")
    return location


def test_the_text_in_the_record_is_shown(cli: Any, kept: str) -> None:
    assert cli("result", "@last/fetch-0").stdout == "[0, 1, 2, …]\n"
    (found,) = objects(cli("result", "1.2", "--json"))
    assert found == {"type": "int", "size": None, "preview": "41", "outline": None}


def test_what_a_value_looks_like_is_shown_where_the_record_knows(
    cli: Any, record: Record, kept: str
) -> None:
    root = {"key": "", "type": "list", "n": 500, "items": [{"key": "[0]", "text": "0"}]}
    outline = {"kind": "tree", "root": root}
    run = record.run("wide-elk")
    record.task(run, 1, "fetch-0")
    record.emit(events.result(run, 1, T0, "list", 9, "[0, 1, …]", kept))
    record.emit(events.artifact(run, 1, T0, events.OUTLINE, None, json.dumps(outline)))
    assert cli("result", "@last/fetch-0").stdout.splitlines() == [
        "list  500 items", "  [0]  0", "  … 499 more",
    ]  # fmt: skip
    (found,) = objects(cli("result", "@last/fetch-0", "--json"))
    assert found["outline"] == outline


def test_a_reused_result_looks_like_the_one_that_it_was_taken_from(
    cli: Any, record: Record, kept: str
) -> None:
    outline = {"kind": "tree", "root": {"key": "", "type": "list", "n": 1}}
    first, second = record.run("wide-elk"), record.run("wide-elk-2")
    record.task(first, 1, "fetch-0")
    record.emit(events.result(first, 1, T0, "list", 9, "[0, 1, …]", kept))
    record.emit(events.artifact(first, 1, T0, events.OUTLINE, None, json.dumps(outline)))
    data = json.dumps({"reused_from": f"{first}.1"})
    record.task(second, 2, "load-0")
    record.emit(events.result(second, 2, T0, "list", 9, "[0, 1, …]", kept))
    record.emit(events.task(second, 3, T0, "etl.fetch", "fetch-7", None, None))
    record.emit(events.state(second, 3, 1, 3, T0, "Cached", None, 1, None, data))
    record.emit(events.result(second, 3, T0, "list", 9, "[0, 1, …]", kept))
    assert "1 item" in cli("result", "@last/fetch-7").stdout
    assert cli("result", "@last/load-0").stdout == "[0, 1, …]\n"


def test_the_value_is_loaded_when_asked_for(cli: Any, kept: str) -> None:
    shown = cli("result", "1.1", "--load").stdout
    assert shown.startswith("[0,")
    assert "499]" in shown
    (found,) = objects(cli("result", "1.1", "--load", "--json"))
    assert found["value"] == ROWS
    assert cli("result", "1.2", "--load").stdout == "41\n"


def test_the_bytes_are_saved_without_loading_them(cli: Any, kept: str, tmp_path: Path) -> None:
    target = tmp_path / "rows.pickle"
    assert "written to" in cli("result", "1.1", "--save", str(target)).stderr
    assert pickle.loads(target.read_bytes()) == ROWS


def test_what_was_not_kept_cannot_be_saved_and_says_what_keeps_it(
    cli: Any, kept: str, tmp_path: Path
) -> None:
    result = cli("result", "1.2", "--save", str(tmp_path / "x"))
    assert result.exit_code == 2
    assert "41" in result.stderr
    assert "persist_result=True" in result.stderr
    assert not (tmp_path / "x").exists()


def test_a_damaged_file_is_neither_loaded_nor_saved(
    cli: Any, kept: str, home: Path, tmp_path: Path
) -> None:
    path = home / "results" / kept
    path.write_bytes(path.read_bytes()[:-1])
    for option in (["--load"], ["--save", str(tmp_path / "x")]):
        result = cli("result", "1.1", *option)
        assert result.exit_code == 2
        assert "is damaged" in result.stderr
    assert not (tmp_path / "x").exists()


def test_what_has_no_result_says_why_that_can_be(cli: Any, kept: str) -> None:
    result = cli("result", "1.3")
    assert result.exit_code == 2
    assert "It returned None, or did not complete." in result.stderr


def test_kept_values_go_along_by_choice_and_pickles_are_never_loaded_elsewhere(
    cli: Any, kept: str, record: Record, home: Path, tmp_path: Path
) -> None:
    location, size = ResultStore(home / "results").write([1], "json")
    record.emit(events.result("1".zfill(32), 3, T0, "list", size, "[1]", location))
    done = cli("export", "1", "owl.flowdeck", "--with-results", "--json")
    (shape,) = objects(done)
    assert (shape["results"], shape["left_out"]) == (2, {"too_big": 0, "gone": 0})
    assert "2 kept results are in it" in done.stderr
    other = ["--home", str(tmp_path / "other")]
    came = cli(*other, "import", "owl.flowdeck", "--json")
    assert objects(came) == [{"runs": [1], "results": 2}]
    assert "2 kept results came along" in came.stderr
    assert cli(*other, "result", "1.3", "--load").stdout == "[1]\n"
    refused = cli(*other, "result", "1.1", "--load")
    assert refused.exit_code == 2
    assert "came with an imported archive and is a pickle" in refused.stderr
    assert cli(*other, "result", "1.1", "--save", "rows.pickle").exit_code == 0
    assert pickle.loads(Path("rows.pickle").read_bytes()) == ROWS
    with Client(tmp_path / "other") as programs:
        assert programs.task("1.3").result() == [1]
        with pytest.raises(MissingResult, match="came with an imported archive"):
            programs.task("1.1").result()


def test_what_does_not_fit_into_an_export_is_said(cli: Any, kept: str) -> None:
    done = cli("export", "1", "owl.flowdeck", "--with-results", "--results-mb", "0.0001")
    assert "0 kept results are in it (0 B); 1 did not fit into 0.0001 MB" in done.stderr
    both = cli("export", "1", "b.flowdeck", "--with-results", "--redact")
    assert both.exit_code == 2
    assert "--redact leaves out what --with-results puts in" in both.stderr

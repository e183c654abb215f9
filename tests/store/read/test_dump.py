"""A run as text: every format can be read back, and text is data."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import NotFound
from flowdeck_store.read import dump as dump_module
from flowdeck_store.read.dump import dump
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import FAILED
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD = '=cmd|"x",\n[/b] \x1b[31m شكرا 👩‍👧'


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr(dump_module, "_PAGE", 2)
    builder = StoreBuilder(tmp_path)
    run = builder.run(ODD, tags=["a"])
    for no in range(1, 6):
        builder.task(run, no, name=f"{ODD}-{no}", state=FAILED if no == 5 else 3)
        builder.state(run, no)
        builder.state(run, no, 3)
        builder.log(run, no, f"{ODD} {no}")
    builder.state(run, 0)
    builder.log(run, 0, "last")
    builder.edge(run, 5, 4)
    builder.failure(run, 5)
    builder.result(run, 1)
    builder.run("another")
    builder.close()
    with Reader.open(tmp_path) as found:
        yield found


def test_json_lines_are_objects_of_a_kind(reader: Reader) -> None:
    lines = [json.loads(line) for line in "".join(dump(reader, 1, "jsonl")).splitlines()]
    kinds = [line.pop("kind") for line in lines]
    assert kinds == ["flow_run"] + ["task_run"] * 5 + ["state"] * 11 + ["log"] * 6
    assert lines[0]["name"] == ODD
    assert [line["name"] for line in lines[1:6]] == [f"{ODD}-{no}" for no in range(1, 6)]
    assert lines[5]["upstream"] == ["1.4"]
    assert lines[5]["failure"]["message"] == "boom"
    assert lines[1]["result"]["preview"] == "42"
    assert [line["task_run"] for line in lines[6:9]] == [None, "1.1", "1.1"]
    assert [line["message"] for line in lines[-2:]] == [f"{ODD} 5", "last"]


def test_json_is_one_document_with_the_same_content(reader: Reader) -> None:
    document = json.loads("".join(dump(reader, 1, "json")))
    lines = [json.loads(line) for line in "".join(dump(reader, 1, "jsonl")).splitlines()]
    assert list(document) == ["flow_run", "task_runs", "states", "logs"]
    flat = [document["flow_run"], *document["task_runs"], *document["states"], *document["logs"]]
    assert flat == [{key: value for key, value in line.items() if key != "kind"} for line in lines]
    assert list(json.loads("".join(dump(reader, 1, "json", "logs")))) == ["logs"]
    empty = json.loads("".join(dump(reader, 2, "json")))
    assert (empty["task_runs"], empty["states"], empty["logs"]) == ([], [], [])


@pytest.mark.parametrize(("part", "count"), [("run", 1), ("tasks", 5), ("states", 11), ("logs", 6)])
def test_csv_has_the_fields_of_the_json(reader: Reader, part: str, count: int) -> None:
    text = "".join(dump(reader, 1, "csv", part))  # type: ignore[arg-type]
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    lines = "".join(dump(reader, 1, "jsonl", part)).splitlines()  # type: ignore[arg-type]
    assert len(table) == len(lines) == count
    for row, line in zip(table, lines, strict=True):
        expected = json.loads(line)
        del expected["kind"]
        assert list(row) == list(expected)
        for key, value in expected.items():
            if isinstance(value, (dict, list)):
                assert json.loads(row[key]) == value
            else:
                assert row[key] == ("" if value is None else str(value))


def test_text_is_the_log(reader: Reader) -> None:
    pieces = list(dump(reader, 1, "text"))
    assert len(pieces) == 6
    assert pieces[-1] == "2026-11-22T10:00:00.000000Z INFO     1 flowdeck.flow_runs: last\n"
    assert pieces[0].startswith("2026-11-22T10:00:00.000000Z INFO     1.1 flowdeck.flow_runs: =cmd")
    assert list(dump(reader, 1, "text", "logs")) == pieces


def test_what_a_format_cannot_show_is_refused_at_once(reader: Reader) -> None:
    with pytest.raises(ValueError, match="one table: run, tasks, states or logs"):
        dump(reader, 1, "csv")
    with pytest.raises(ValueError, match="not its tasks"):
        dump(reader, 1, "text", "tasks")
    with pytest.raises(ValueError, match="formats are json, jsonl, csv, text"):
        dump(reader, 1, "xml")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no run 9"):
        dump(reader, 9)

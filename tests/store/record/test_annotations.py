"""Tags and notes that people give to runs afterwards."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.archive.export import export_run
from flowdeck_store.archive.intake import import_run
from flowdeck_store.errors import BadArchive, NotFound
from flowdeck_store.read import json_shape
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import annotations
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep import launches, retention
from store_writing import FLOW_KEY, Recorded, one, recording, rows

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.read.records import FlowRunRecord


def _recorded(home: Path, *tags: str) -> int:
    with recording(home) as session:
        run = Recorded(session.emit).run(tags=json.dumps(sorted(tags)) if tags else None).end()
    return int(one(home, "SELECT id FROM flow_runs WHERE uid = ?", run.uid))


def _run(home: Path, run_id: int) -> FlowRunRecord:
    with Reader.open(home) as reader:
        run = reader.run(run_id)
        assert run is not None
        return run


def _found(home: Path, query: str) -> list[int]:
    with Reader.open(home) as reader:
        return [run.id for run in reader.runs(query)]


def test_tags_are_added_and_taken_away_and_found(home: Path) -> None:
    first, other = _recorded(home, "nightly", "prod"), _recorded(home)
    changed = annotations.change_tags(home, [first, other], ["looked-at"], ["prod"])
    assert changed == {first: ("looked-at", "nightly"), other: ("looked-at",)}
    assert _run(home, first).tags == ("looked-at", "nightly")
    assert _found(home, "tag:looked-at") == [other, first]
    assert _found(home, "tag:prod") == []
    assert _found(home, "-tag:nightly") == [other]


def test_a_run_remembers_the_tags_that_it_began_with(home: Path) -> None:
    run_id = _recorded(home, "prod")
    assert _run(home, run_id).ran_with == ("prod",)
    annotations.change_tags(home, [run_id], ["bad"], ["prod"])
    annotations.change_tags(home, [run_id], ["worse"])
    assert _run(home, run_id).tags == ("bad", "worse")
    assert _run(home, run_id).ran_with == ("prod",)


def test_all_tags_may_go(home: Path) -> None:
    run_id = _recorded(home, "prod")
    assert annotations.change_tags(home, [run_id], remove=["prod", "never"]) == {run_id: ()}
    assert _run(home, run_id).tags == ()


@pytest.mark.parametrize("tag", ["", "  ", "two\nlines", "\x1b[31m", "x" * 201, "\ud800"])
def test_what_is_no_tag_is_refused(home: Path, tag: str) -> None:
    run_id = _recorded(home)
    with pytest.raises(ValueError, match="tag"):
        annotations.change_tags(home, [run_id], [tag])
    assert _run(home, run_id).tags == ()


def test_a_tag_cannot_come_and_go_at_once(home: Path) -> None:
    with pytest.raises(ValueError, match="added and removed"):
        annotations.change_tags(home, [_recorded(home)], ["x"], ["x "])


def test_nothing_changes_when_one_of_the_runs_is_not_there(home: Path) -> None:
    run_id = _recorded(home)
    with pytest.raises(NotFound, match="no run 99"):
        annotations.change_tags(home, [run_id, 99], ["x"])
    assert _run(home, run_id).tags == ()


def test_without_a_record_there_is_no_run_and_no_record_appears(home: Path) -> None:
    with pytest.raises(NotFound):
        annotations.add_note(home, 1, "hello")
    assert not (home / "flowdeck.db").exists()


def test_notes_are_kept_in_order_and_deleted_one_by_one(home: Path) -> None:
    run_id = _recorded(home)
    assert annotations.add_note(home, run_id, "the disk was full\n", "ann") == 1
    assert annotations.add_note(home, run_id, "two\nlines") == 2
    first, second = _run(home, run_id).notes
    assert (first.text, first.by) == ("the disk was full", "ann")
    assert (second.text, second.by) == ("two\nlines", None)
    assert annotations.delete_note(home, run_id, first.seq)
    assert not annotations.delete_note(home, run_id, first.seq)
    assert [note.text for note in _run(home, run_id).notes] == ["two\nlines"]


def test_a_note_is_deleted_only_from_its_own_run(home: Path) -> None:
    first, other = _recorded(home), _recorded(home)
    annotations.add_note(home, first, "mine")
    (note,) = _run(home, first).notes
    assert not annotations.delete_note(home, other, note.seq)
    assert len(_run(home, first).notes) == 1


@pytest.mark.parametrize("text", ["", " \n ", "x" * 4001])
def test_what_is_no_note_is_refused(home: Path, text: str) -> None:
    with pytest.raises(ValueError, match="a note"):
        annotations.add_note(home, _recorded(home), text)


def test_a_secret_in_a_note_is_hidden(home: Path) -> None:
    run_id = _recorded(home)
    annotations.add_note(home, run_id, "worked with password=hunter22hunter")
    assert "hunter22" not in _run(home, run_id).notes[0].text
    assert b"hunter22hunter" not in (home / "flowdeck.db").read_bytes()


def test_notes_are_found_by_their_text(home: Path) -> None:
    first, second, bare = _recorded(home), _recorded(home), _recorded(home)
    annotations.add_note(home, first, "Disk was full: 100% of it")
    annotations.add_note(home, second, "über alles \U0001f600")
    assert _found(home, "note:disk") == [first]
    assert _found(home, 'note:"100% of"') == [first]
    assert _found(home, "note:über") == [second]
    assert _found(home, "note:*") == [second, first]
    assert _found(home, "-note:*") == [bare]
    assert _found(home, 'note:"*"') == []


def test_notes_are_in_the_json_of_a_run(home: Path) -> None:
    run_id = _recorded(home)
    annotations.add_note(home, run_id, "looked at it", "ann")
    (shown,) = json_shape.flow_run(_run(home, run_id))["notes"]
    assert shown["text"] == "looked at it"
    assert shown["by"] == "ann"
    assert shown["at"].endswith("Z") or "+00:00" in shown["at"]


def test_a_run_that_goes_on_is_annotated_while_its_process_writes(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run(tags='["prod"]')
        session.flush()
        run_id = int(one(home, "SELECT id FROM flow_runs"))
        for number in range(1, 21):
            run.task(number).state(number, COMPLETED)
            annotations.change_tags(home, [run_id], [f"t{number}"])
            annotations.add_note(home, run_id, f"note {number}")
        run.end()
    found = _run(home, run_id)
    assert set(found.tags) == {"prod", *(f"t{number}" for number in range(1, 21))}
    assert [note.text for note in found.notes] == [f"note {number}" for number in range(1, 21)]
    assert found.is_final
    assert found.n_tasks == 20


def test_tags_of_a_launched_run_stay_when_its_process_takes_it_over(home: Path) -> None:
    uid = "a" * 32
    run_id = launches.create_run(
        home, uid=uid, flow_key=FLOW_KEY, flow_name="etl", name="later", tags='["prod"]'
    )
    annotations.change_tags(home, [run_id], ["watch"])
    with recording(home) as session:
        Recorded(session.emit, uid).run(tags='["prod"]').end()
    assert _run(home, run_id).tags == ("prod", "watch")


def test_notes_and_tags_go_with_the_run(home: Path, tmp_path: Path) -> None:
    run_id = _recorded(home, "prod")
    annotations.change_tags(home, [run_id], ["bad"])
    annotations.add_note(home, run_id, "the disk was full", "ann")
    export_run(home, run_id, tmp_path / "run.fdk")
    retention.delete_runs(home, [run_id])
    assert rows(home, "SELECT * FROM artifacts") == []
    import_run(home, tmp_path / "run.fdk")
    (again,) = _found(home, "note:disk tag:bad")
    found = _run(home, again)
    assert found.tags == ("bad", "prod")
    assert found.ran_with == ("prod",)
    assert [(note.text, note.by) for note in found.notes] == [("the disk was full", "ann")]


def test_redacted_archives_have_no_notes(home: Path, tmp_path: Path) -> None:
    run_id = _recorded(home)
    annotations.add_note(home, run_id, "customer 4711")
    export_run(home, run_id, tmp_path / "run.fdk", redacted=True)
    with closing(sqlite3.connect(tmp_path / "run.fdk")) as conn:
        assert conn.execute("SELECT * FROM artifacts").fetchall() == []


@pytest.mark.parametrize(
    "data", ["{", "[]", '{"text": 3}', '"x"', '{"text": "%s"}' % ("x" * 70_000)]
)
def test_an_archive_with_what_is_no_note_is_refused(home: Path, tmp_path: Path, data: str) -> None:
    run_id = _recorded(home)
    annotations.add_note(home, run_id, "good")
    export_run(home, run_id, tmp_path / "run.fdk")
    with closing(sqlite3.connect(tmp_path / "run.fdk")) as conn:
        conn.execute("UPDATE artifacts SET data = ?", (data,))
        conn.commit()
    with pytest.raises(BadArchive, match="a note is no text"):
        import_run(home / "other", tmp_path / "run.fdk")


@pytest.mark.parametrize("data", ["{", "[]", '{"text": 3}', "[" * 1000, "null"])
def test_what_is_no_note_in_a_store_is_left_out(home: Path, data: str) -> None:
    run_id = _recorded(home)
    annotations.add_note(home, run_id, "bad")
    annotations.add_note(home, run_id, "good")
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        conn.execute("UPDATE artifacts SET data = ? WHERE seq = 1", (data,))
        conn.commit()
    assert [note.text for note in _run(home, run_id).notes] == ["good"]
    assert _found(home, "note:good") == [run_id]

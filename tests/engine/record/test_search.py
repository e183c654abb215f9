"""Words in all log lines and failures: the index beside the record."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.runs import recorder
from flowdeck_store.errors import NothingToSearchFor
from flowdeck_store.search import NAME, match_expression, search
from flowdeck_store.upkeep.retention import delete_runs


@task
def say(*texts: str) -> None:
    for text in texts:
        get_run_logger().warning(text)


@task
def fail(text: str) -> None:
    raise ConnectionError(text)


@flow
def talk(*texts: str, broken: str = "") -> None:
    get_run_logger().info("begun with %d", len(texts))
    say(*texts)
    if broken:
        fail(broken)


@pytest.fixture
def record(home: Path) -> Path:
    """A home whose runs are in the file."""
    talk("The connection was RESET by peer", "page 7 of 12", "Größe: 3 <b>")
    talk("page 8 of 12", broken="connection timed out", return_state=True)  # type: ignore[call-overload]
    recorder.close_all()
    return home


def found(home: Path, text: str) -> list[tuple[str, str]]:
    return [(hit.ref, hit.text) for hit in search(home, text)]


def test_lines_and_failures_that_have_all_words_are_found_newest_first(record: Path) -> None:
    texts = [text for _, text in found(record, "connection")]
    assert texts[-1] == "The connection was RESET by peer"
    assert "ConnectionError: connection timed out" in texts
    assert "failure" in [hit.kind for hit in search(record, "ConnectionError timed")]
    assert found(record, "connection reset") == [("1.1", "The connection was RESET by peer")]
    assert found(record, "reset timed") == []


def test_a_phrase_stands_side_by_side_and_a_star_is_how_a_word_begins(record: Path) -> None:
    assert [text for _, text in found(record, '"page 7"')] == ["page 7 of 12"]
    assert found(record, '"7 page"') == []
    assert [text for _, text in found(record, "pag* 12")] == ["page 8 of 12", "page 7 of 12"]
    assert found(record, "größen") == []
    assert [text for _, text in found(record, "größe <b>")] == ["Größe: 3 <b>"]


@pytest.mark.parametrize("text", ["", "***", '""', "< >"])
def test_a_question_without_a_word_is_refused(record: Path, text: str) -> None:
    with pytest.raises(NothingToSearchFor, match="no word"):
        search(record, text)


@pytest.mark.parametrize(
    "text", ['a" OR "b', "text:page", "page NEAR 7", "-page", "a^2 (b", "x AND"]
)
def test_no_sign_of_a_question_is_an_operator(record: Path, text: str) -> None:
    search(record, text)
    assert match_expression("page OR 7") == '"page" "OR" "7"'


def test_a_later_search_finds_what_came_since_and_not_what_was_deleted(record: Path) -> None:
    assert len(found(record, "page")) == 2
    talk("page 9")
    recorder.close_all()
    assert [ref for ref, _ in found(record, "page")] == ["3.1", "2.1", "1.1"]
    delete_runs(record, [2])
    assert [ref for ref, _ in found(record, "page")] == ["3.1", "1.1"]


def test_the_index_of_another_record_or_a_damaged_one_is_made_anew(record: Path) -> None:
    found(record, "page")
    path = record / "search.db"
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as index:
        index.execute("UPDATE about SET value = 'other' WHERE key = 'uid'")
        index.commit()
    assert len(found(record, "page")) == 2
    path.write_bytes(b"no database at all" * 100)
    assert len(found(record, "page")) == 2


def test_an_index_that_knows_mostly_what_is_gone_is_made_anew(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(record, "page")
    monkeypatch.setattr("flowdeck_store.search._STALE", 0)
    delete_runs(record, [1])
    talk("page 9")
    recorder.close_all()
    delete_runs(record, [2])
    assert [ref for ref, _ in found(record, "page")] == ["3.1"]


def test_no_record_is_no_error(tmp_path: Path) -> None:
    assert search(tmp_path / "nothing", "page") == []
    assert not (tmp_path / "nothing").exists()


def test_limits_and_progress(record: Path) -> None:
    told: list[tuple[int, int]] = []
    assert len(search(record, "connection", limit=1)) == 1
    (record / "search.db").unlink()
    search(record, "page", progress=lambda known, there: told.append((known, there)))
    assert told == []  # one batch holds all of it


def test_an_index_that_is_damaged_inside_is_made_anew(record: Path) -> None:
    assert found(record, "timed")
    path = record / NAME
    with closing(sqlite3.connect(path)) as index:
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index.execute("UPDATE words_data SET block = x'ffffffffff'")
        index.commit()
    assert found(record, "connection reset") == [("1.1", "The connection was RESET by peer")]


def test_a_record_that_may_only_be_read_is_searched(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert found(record, "connection reset") == [("1.1", "The connection was RESET by peer")]
    assert not (record / NAME).exists()


def test_after_an_earlier_copy_was_put_back_what_is_new_is_found(record: Path) -> None:
    db = record / "flowdeck.db"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = db.read_bytes()
    talk("lost line")
    recorder.close_all()
    assert found(record, "lost line")
    for name in ("flowdeck.db-wal", "flowdeck.db-shm"):
        (record / name).unlink(missing_ok=True)
    db.write_bytes(copy)
    assert found(record, "lost") == []
    talk("other line")
    recorder.close_all()
    assert [text for _, text in found(record, "other")] == ["other line"]


def test_an_index_that_another_search_holds_is_not_thrown_away(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(record, "timed")
    before = (record / NAME).stat().st_ino
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **more: connect(*given, **more | {"timeout": 0})
    )  # type: ignore[call-overload]
    with closing(connect(record / NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            search(record, "timed")
    assert (record / NAME).stat().st_ino == before


def test_bytes_that_are_no_text_are_no_word() -> None:
    assert match_expression("page\udcff") == '"page?"'

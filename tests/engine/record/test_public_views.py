"""The views for people with SQL (docs/sql.md), and the copy of an earlier version's file."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowdeck import flow, tags, task
from flowdeck.runs import recorder
from flowdeck_store.file import connection, schema
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.tables import views

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[3] / "docs" / "sql.md").read_text(encoding="utf-8")


@task(log_prints=True)
def double(n: int) -> int:
    print("doubling")
    if n == 2:
        raise ValueError("not two")
    return n * 2


@flow
def work(n: int) -> int:
    with tags("fine"):
        futures = double.map(range(n))
    futures[2].wait()
    return double.submit(futures[0]).result()


@pytest.fixture
def db(home: Path) -> Iterator[sqlite3.Connection]:
    work(3, return_state=True)
    work(3, return_state=True)
    recorder.close_all()
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        conn.row_factory = sqlite3.Row
        yield conn


def test_each_view_has_the_columns_that_the_page_names(db: sqlite3.Connection) -> None:
    for name in views.PUBLIC:
        columns = [row[0] for row in db.execute(f"SELECT * FROM {name}").description]
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
        told = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row.split("|")[3]))
        assert set(told) <= set(columns), name
        unsaid = set(columns) - set(told)
        assert all(column.startswith("tasks_") for column in unsaid), (name, unsaid)


def test_names_times_and_seconds_stand_for_codes_and_microseconds(db: sqlite3.Connection) -> None:
    run = db.execute("SELECT * FROM v1_runs WHERE id = 2").fetchone()
    assert (run["flow"], run["state"], run["tasks_completed"]) == ("work", "Completed", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", run["started"])
    assert run["created"] <= run["started"] <= run["ended"]
    failed = db.execute("SELECT * FROM v1_task_runs WHERE state_type = 'FAILED'").fetchall()
    assert [(row["id"], row["task"], row["map_index"]) for row in failed] == [
        ("1.3", "double", 2),
        ("2.3", "double", 2),
    ]
    assert failed[0]["tags"] == '["fine"]'
    (one, other) = db.execute("SELECT * FROM v1_failures").fetchall()
    assert (one["task_run"], one["type"], one["message"]) == ("1.3", "ValueError", "not two")
    assert one["error_group"] == other["error_group"]
    printed = db.execute("SELECT * FROM v1_logs WHERE message = 'doubling' AND run_id = 2")
    assert {(row["level"], row["task_run"]) for row in printed} == {
        ("INFO", f"2.{n}") for n in (1, 2, 3, 4)
    }
    (link,) = db.execute("SELECT * FROM v1_task_inputs WHERE run_id = 1").fetchall()
    assert (link["task_run"], link["parameter"], link["upstream"]) == ("1.4", "n", "1.1")
    values = db.execute("SELECT task_run, preview FROM v1_results WHERE run_id = 1").fetchall()
    assert dict(map(tuple, values))["1.2"] == "2"
    states = db.execute("SELECT state FROM v1_states WHERE task_run = '1.1' ORDER BY seq")
    assert [row[0] for row in states] == ["Pending", "Running", "Completed"]


@pytest.mark.parametrize("name", ["v1_task_runs", "v1_logs", "v1_results", "v1_task_inputs"])
def test_a_question_about_one_run_reads_that_run_only(db: sqlite3.Connection, name: str) -> None:
    plan = db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {name} WHERE run_id = 1").fetchall()
    assert not [row["detail"] for row in plan if row["detail"].startswith("SCAN")]


def older(home: Path) -> StorePaths:
    """A record as an earlier version left it."""
    paths = StorePaths(home)
    connection.make_home(paths)
    connection.connect_rw(paths, written_by="test").close()
    with closing(sqlite3.connect(paths.db)) as conn:
        for name in views.PUBLIC:
            conn.execute(f"DROP VIEW {name}")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = '0006_public_views'")
        conn.execute("PRAGMA user_version = 5")
        conn.commit()
    return paths


def test_the_file_as_it_was_is_kept_when_the_tables_change(home: Path) -> None:
    paths = older(home)
    connection.connect_rw(paths, written_by="test").close()
    kept = home / "flowdeck.db.v5"
    assert kept.stat().st_mode & 0o777 == 0o600
    for path, version in ((kept, 5), (paths.db, schema.SCHEMA_VERSION)):
        with closing(sqlite3.connect(path)) as conn:
            assert conn.execute("PRAGMA user_version").fetchone() == (version,)
            assert conn.execute("PRAGMA quick_check").fetchone() == ("ok",)
    connection.connect_rw(paths, written_by="test").close()
    assert sorted(path.name for path in home.glob("flowdeck.db.v*")) == ["flowdeck.db.v5"]


def test_a_copy_that_cannot_be_made_is_no_reason_not_to_record(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = older(home)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0})())
    connection.connect_rw(paths, written_by="test").close()
    assert not (home / "flowdeck.db.v5").exists()
    with closing(sqlite3.connect(paths.db)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)

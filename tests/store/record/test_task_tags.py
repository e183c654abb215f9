"""Tags of task runs: recorded one by one, found by the filter, in archives, gone with their run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from test_flow_names import old_store

from flowdeck_store import events as ev
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED, RUNNING
from flowdeck_store.upkeep import retention
from store_writing import Recorded, recording

if TYPE_CHECKING:
    from pathlib import Path


def tagged(home: Path) -> None:
    """A run of three task runs of one definition: with a tag, with two, with none of its own (so
    with that of its definition, which earlier versions recorded)."""
    with recording(home) as session:
        run = Recorded(session.emit)
        run.run("brave-otter")
        for no, tags in ((1, '["db"]'), (2, '["db", "slow"]'), (3, None)):
            run.task(no)
            if tags:
                run.emit(ev.task_tags(run.uid, no, tags))
            run.state(no, RUNNING).state(no, COMPLETED)
        run.end(COMPLETED)
        assert session.flush()


def found(home: Path, query: str) -> list[int]:
    with Reader.open(home) as reader:
        numbers = [task.no for task in reader.tasks(1, query)]
        assert reader.count_tasks(1, query) == len(numbers)
        return numbers


def test_tags_are_those_of_the_task_run_not_of_its_definition(home: Path) -> None:
    tagged(home)
    with Reader.open(home) as reader:
        assert reader.task_tags(1, [1, 2, 3]) == {1: ("db",), 2: ("db", "slow"), 3: ("io",)}
    assert found(home, "tag:db") == [1, 2]
    assert found(home, "tag:db tag:s*") == [2]
    assert found(home, "-tag:db") == [3]
    assert found(home, "tag:d") == []
    assert found(home, "tag:io") == [3]


def test_an_archive_holds_them_and_deletion_takes_them(home: Path, tmp_path: Path) -> None:
    tagged(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    retention.delete_runs(home, [1])
    with closing(sqlite3.connect(StorePaths(home).db)) as conn:
        assert conn.execute("SELECT count(*) FROM task_tags").fetchone() == (0,)
    other = tmp_path / "other"
    import_run(other, tmp_path / "run.flowdeck")
    assert found(other, "tag:slow") == [2]


def with_static_tags(home: Path) -> StorePaths:
    """A store of the first schema, which held tags by definition only."""
    paths = old_store(home)
    with closing(sqlite3.connect(paths.db, isolation_level=None)) as conn:
        conn.execute("INSERT INTO tasks VALUES(1,'etl.py:load|load|0','load',NULL,'[\"db\"]',0)")
        conn.execute("UPDATE flow_runs SET n_completed = 1")
        conn.execute(
            "INSERT INTO task_runs(id,task_id,name,state,state_us,created_us,started_us,ended_us) "
            "SELECT id << 24 | 1, 1, 'load-0', 3, 1, 1, 1, 1 FROM flow_runs"
        )
    return paths


def test_a_store_of_the_first_schema_is_read_exported_and_imported_with_its_static_tags(
    home: Path, tmp_path: Path
) -> None:
    paths = with_static_tags(home)
    assert found(home, "tag:db") == [1]
    with Reader.open(home) as reader:
        assert reader.task_tags(1, [1]) == {1: ("db",)}
    with closing(sqlite3.connect(paths.db)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (1,)
    export_run(home, 1, tmp_path / "run.flowdeck")
    import_run(tmp_path / "other", tmp_path / "run.flowdeck")
    assert found(tmp_path / "other", "tag:db") == [1]


def test_static_tags_of_old_runs_stay_when_the_definition_runs_again(home: Path) -> None:
    with_static_tags(home)
    with recording(home) as session:
        session.emit(ev.task_def("etl.py:load|load|0", "load", None, None, 0))
        assert session.flush()
    assert found(home, "tag:db") == [1]

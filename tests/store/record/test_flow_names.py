"""A run keeps the name that its flow had when it ran; what belongs together has one name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from flowdeck_store import events as ev
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.file.connection import connect_ro, connect_rw, make_home
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.schema import APPLICATION_ID, SCHEMA_VERSION
from flowdeck_store.file.tables.ddl import INDEXES_V1, TABLES_V1
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED, RUNNING
from flowdeck_store.upkeep import launches
from flowdeck_store.upkeep.retention import prune
from store_writing import FLOW_KEY, recording, rows

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.session import RecordingSession


def run(session: RecordingSession, uid: str, name: str) -> None:
    us = ev.now_us()
    session.emit(ev.run(uid * 32, us, flow_key=FLOW_KEY, flow_name=name, name=f"run-{uid}"))
    session.emit(ev.state(uid * 32, 0, -1, RUNNING, us, None, None, 1, None, None))
    session.emit(ev.state(uid * 32, 0, -1, COMPLETED, us + 1000, None, None, 1, None, None))


def named(home: Path) -> None:
    with recording(home) as session:
        for uid, name in (("a", "etl-prod"), ("b", "etl-prod"), ("c", "etl-dev")):
            run(session, uid, name)
            assert session.flush()


def test_a_new_name_does_not_rename_old_runs(home: Path) -> None:
    named(home)
    with Reader.open(home) as reader:
        assert [r.flow for r in reader.runs()] == ["etl-dev", "etl-prod", "etl-prod"]
        assert [r.id for r in reader.runs("flow:etl-prod")] == [2, 1]
        assert [r.id for r in reader.runs("flow:etl-dev")] == [3]
        assert [(f.name, f.runs) for f in reader.flows()] == [("etl-dev", 1), ("etl-prod", 2)]
        prod = reader.flow("etl-prod")
        assert prod is not None
        assert [point.run_id for point in prod.history] == [1, 2]
        assert [reader.flow_of(r) == prod for r in reader.runs()] == [False, True, True]
        latest = reader.flow(FLOW_KEY)
        assert latest is not None
        assert latest.name == "etl-dev"


def test_two_names_in_one_batch_are_two_flows(home: Path) -> None:
    with recording(home) as session:
        run(session, "a", "etl-prod")
        run(session, "b", "etl-dev")
    with Reader.open(home) as reader:
        assert [r.flow for r in reader.runs()] == ["etl-dev", "etl-prod"]


def test_pruning_keeps_the_last_runs_of_each_name(home: Path) -> None:
    named(home)
    assert prune(home, keep_last=1).run_ids == (1,)
    with Reader.open(home) as reader:
        assert [r.flow for r in reader.runs()] == ["etl-dev", "etl-prod"]


def test_a_launched_run_has_the_name_that_it_runs_under_and_leaves_no_empty_flow(
    home: Path,
) -> None:
    launches.create_run(home, flow_key=FLOW_KEY, flow_name="etl", name="x", uid="d" * 32)
    with recording(home) as session:
        run(session, "d", "etl-prod")
    with Reader.open(home) as reader:
        assert [(f.name, f.runs) for f in reader.flows()] == [("etl-prod", 1)]


def test_an_archive_brings_its_name_along(home: Path, tmp_path: Path) -> None:
    named(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    with recording(tmp_path / "other") as session:
        run(session, "e", "etl-dev")
    import_run(tmp_path / "other", tmp_path / "run.flowdeck")
    with Reader.open(tmp_path / "other") as reader:
        assert [r.flow for r in reader.runs()] == ["etl-prod", "etl-dev"]


V1_TRIGGER = "CREATE TRIGGER ingest_ins INSTEAD OF INSERT ON ingest BEGIN SELECT 1; END"


def old_store(home: Path) -> StorePaths:
    """Make a store as the first schema was, with a run in it."""
    paths = StorePaths(home)
    make_home(paths)
    with closing(sqlite3.connect(paths.db, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.executescript(TABLES_V1 + INDEXES_V1 + "CREATE VIEW ingest(a) AS SELECT 1;")
        conn.execute(V1_TRIGGER)
        conn.execute("INSERT INTO flows VALUES(7,?,'etl',NULL,NULL,NULL,1,1)", (FLOW_KEY,))
        conn.execute(
            "INSERT INTO flow_runs(uid,flow_id,name,state,state_us,created_us,started_us,ended_us)"
            " VALUES(?,7,'old',3,1,1,1,1)",
            ("f" * 32,),
        )
        conn.execute(
            "CREATE TABLE _sqlite_migrations(id INTEGER PRIMARY KEY, migration_set TEXT, "
            "name TEXT, applied_at TEXT)"
        )
        conn.execute(
            "INSERT INTO _sqlite_migrations(migration_set,name,applied_at) "
            "VALUES('flowdeck','0001_first_schema','2026-01-01')"
        )
        conn.execute("INSERT INTO meta VALUES('written_by','flowdeck 0.1'),('min_reader',1)")
        conn.execute(f"PRAGMA application_id={APPLICATION_ID}")
        conn.execute("PRAGMA user_version=1")
    return paths


def test_a_store_of_the_first_schema_is_read_as_it_is_and_brought_up_by_the_first_writer(
    home: Path,
) -> None:
    paths = old_store(home)
    with Reader.open(home) as reader:
        assert [(r.flow, r.name) for r in reader.runs()] == [("etl", "old")]
    conn = connect_ro(paths)
    assert conn is not None
    with closing(conn):
        assert conn.execute("PRAGMA user_version").fetchone() == (1,)
    with recording(home) as session:
        run(session, "a", "etl-prod")
    with Reader.open(home) as reader:
        assert [(r.flow, r.name) for r in reader.runs()] == [("etl-prod", "run-a"), ("etl", "old")]
    with closing(connect_rw(paths)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert conn.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
    assert rows(home, "SELECT value FROM meta WHERE key='min_reader'") == [(1,)]

"""Tables and indexes, version by version (needs SQLite 3.37 or newer for STRICT).

Times are integer microseconds UTC. Ids of task runs are packed (:mod:`flowdeck_store.ids`); ``task_no``
0 means the flow run itself in states, logs, failures, artifacts, results and control.
"""

from __future__ import annotations

from typing import Final

from flowdeck_store.ids import sql_number, sql_run
from flowdeck_store.states import BUCKETS

#: The columns of ``flow_runs`` that count its task runs, in the order of the buckets.
COUNTERS: Final = tuple(f"n_{bucket}" for bucket in BUCKETS)

TABLES_V1: Final = """
-- db_uid, created_us, written_by, min_reader
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

CREATE TABLE flows(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, source TEXT, doc TEXT,
  tags TEXT, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL) STRICT;

CREATE TABLE tasks(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, source TEXT, tags TEXT,
  retries INTEGER NOT NULL DEFAULT 0) STRICT;

-- One row per recording process; applied: how many of its journal's records are in this file.
CREATE TABLE sessions(
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, host TEXT NOT NULL, boot_id TEXT,
  pid INTEGER NOT NULL, pid_start INTEGER, started_us INTEGER NOT NULL, beat_us INTEGER NOT NULL,
  ended_us INTEGER, how TEXT, applied INTEGER NOT NULL DEFAULT 0, version TEXT, info TEXT) STRICT;

-- session_id is NULL while a launched run waits for its process to take it over. The nine n_*
-- counters up to n_not_ready are states.BUCKETS in order: every task run is in exactly one.
CREATE TABLE flow_runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,
  flow_id INTEGER NOT NULL REFERENCES flows(id), session_id INTEGER REFERENCES sessions(id),
  parent_task INTEGER, name TEXT NOT NULL, runner TEXT,
  state INTEGER NOT NULL, state_name TEXT, state_us INTEGER NOT NULL, state_msg TEXT,
  created_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER,
  attempt INTEGER NOT NULL DEFAULT 1, params TEXT, tags TEXT, rerun_of TEXT, info TEXT,
  pinned INTEGER NOT NULL DEFAULT 0,
  launch_pid INTEGER, launch_start INTEGER, launch_host TEXT,
  n_scheduled INTEGER NOT NULL DEFAULT 0, n_pending INTEGER NOT NULL DEFAULT 0,
  n_running INTEGER NOT NULL DEFAULT 0, n_completed INTEGER NOT NULL DEFAULT 0,
  n_failed INTEGER NOT NULL DEFAULT 0, n_crashed INTEGER NOT NULL DEFAULT 0,
  n_cancelled INTEGER NOT NULL DEFAULT 0, n_cached INTEGER NOT NULL DEFAULT 0,
  n_not_ready INTEGER NOT NULL DEFAULT 0,
  n_logs INTEGER NOT NULL DEFAULT 0, n_warn INTEGER NOT NULL DEFAULT 0,
  n_err INTEGER NOT NULL DEFAULT 0, log_lo INTEGER, log_hi INTEGER) STRICT;

CREATE TABLE task_runs(
  id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL REFERENCES tasks(id), name TEXT,
  map_index INTEGER, state INTEGER NOT NULL, state_name TEXT, state_us INTEGER NOT NULL,
  state_msg TEXT, created_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER,
  attempt INTEGER NOT NULL DEFAULT 1, worker TEXT, cache_key TEXT, child_run INTEGER) STRICT;

-- Append-only: the full history and the change feed at once.
CREATE TABLE states(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, task_no INTEGER NOT NULL,
  state INTEGER NOT NULL, us INTEGER NOT NULL, name TEXT, msg TEXT, data TEXT) STRICT;

CREATE TABLE log_sources(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE logs(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, task_no INTEGER NOT NULL,
  us INTEGER NOT NULL, level INTEGER NOT NULL, src INTEGER NOT NULL, msg TEXT NOT NULL) STRICT;

CREATE TABLE task_inputs(
  task INTEGER NOT NULL, upstream INTEGER NOT NULL, param TEXT NOT NULL,
  PRIMARY KEY(task, upstream, param)) STRICT, WITHOUT ROWID;

CREATE TABLE results(
  task INTEGER PRIMARY KEY, us INTEGER NOT NULL, type TEXT NOT NULL, size INTEGER, preview TEXT,
  location TEXT) STRICT;

CREATE TABLE artifacts(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL, us INTEGER NOT NULL,
  kind TEXT NOT NULL, key TEXT, data TEXT NOT NULL) STRICT;

-- data: zlib of the JSON structure; hash: blake2b-16 over exception type and structure, so that a
-- hundred thousand equal failures store one.
CREATE TABLE tracebacks(hash BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE failures(
  id INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, task_no INTEGER NOT NULL,
  us INTEGER NOT NULL, attempt INTEGER NOT NULL, exc_type TEXT NOT NULL, exc_msg TEXT NOT NULL,
  tb BLOB REFERENCES tracebacks(hash), locals TEXT) STRICT;

-- The newest kept result of every cache key.
CREATE TABLE cache(
  key TEXT PRIMARY KEY, task INTEGER NOT NULL, us INTEGER NOT NULL, expires_us INTEGER,
  location TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Requests of other processes to the process of a run: verb is cancel, kill, or answer with a content.
CREATE TABLE control(
  id INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, task_no INTEGER NOT NULL DEFAULT 0,
  verb TEXT NOT NULL, us INTEGER NOT NULL, by TEXT, done_us INTEGER) STRICT;

-- How many task runs with a tag may run at once on this machine, and which do.
CREATE TABLE limits(tag TEXT PRIMARY KEY, max INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE slots(
  tag TEXT NOT NULL, session_id INTEGER NOT NULL, run_uid TEXT NOT NULL, task_no INTEGER NOT NULL,
  us INTEGER NOT NULL, PRIMARY KEY(tag, run_uid, task_no)) STRICT, WITHOUT ROWID;

CREATE TABLE ui_presets(
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, data TEXT NOT NULL, us INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
"""

INDEXES_V1: Final = f"""
CREATE INDEX ix_sessions_open ON sessions(id) WHERE ended_us IS NULL;
CREATE INDEX ix_runs_flow ON flow_runs(flow_id);
CREATE INDEX ix_runs_state ON flow_runs(state);
CREATE INDEX ix_runs_created ON flow_runs(created_us);
CREATE INDEX ix_runs_live ON flow_runs(session_id) WHERE ended_us IS NULL;
CREATE INDEX ix_runs_parent ON flow_runs(parent_task) WHERE parent_task IS NOT NULL;
CREATE INDEX ix_task_bad ON task_runs(id) WHERE state IN (4,5,7);
CREATE INDEX ix_states_subj ON states(run_id, task_no);
CREATE INDEX ix_logs_subj ON logs(run_id, task_no);
CREATE INDEX ix_logs_warn ON logs(run_id) WHERE level >= 30;
CREATE INDEX ix_fail ON failures(run_id, task_no);
CREATE INDEX ix_fail_tb ON failures(tb);
CREATE INDEX ix_art ON artifacts(task);
CREATE INDEX ix_control_open ON control(id) WHERE done_us IS NULL;
CREATE INDEX ix_slots_session ON slots(session_id);
CREATE VIEW v_task_runs AS SELECT {sql_run("id")} AS run_id, {sql_number("id")} AS task_no, t.* FROM task_runs t;
"""

#: A run keeps the name that its flow had then: one row for every name that a definition ran under.
#: (A UNIQUE that is part of a table cannot be changed in place; the references to it are by name.)
FLOWS_V2: Final = """
CREATE TABLE flows_v2(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, name TEXT NOT NULL, source TEXT, doc TEXT,
  tags TEXT, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, UNIQUE(key, name)) STRICT;
INSERT INTO flows_v2 SELECT id, key, name, source, doc, tags, first_us, last_us FROM flows;
DROP TABLE flows;
ALTER TABLE flows_v2 RENAME TO flows;
"""

#: Tags of task runs, static ones included: a JSON array of texts; no row for those without any.
#: (Task runs that version 2 recorded have those of their definition, see tasks.tags.)
TASK_TAGS_V3: Final = """
CREATE TABLE task_tags(task INTEGER PRIMARY KEY, tags TEXT NOT NULL) STRICT;
"""

#: What runs ran as. data: a JSON object; text: what is long, stored once for all runs that have it,
#: under the blake2b-16 of its packed bytes (:mod:`flowdeck_store.packed`).
PROVENANCE_V4: Final = """
CREATE TABLE texts(hash BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE provenance(
  run_id INTEGER NOT NULL, topic TEXT NOT NULL, name TEXT NOT NULL, us INTEGER NOT NULL,
  data TEXT NOT NULL, text BLOB REFERENCES texts(hash), PRIMARY KEY(run_id, topic, name)
  ) STRICT, WITHOUT ROWID;
CREATE INDEX ix_provenance_text ON provenance(text) WHERE text IS NOT NULL;
"""

#: How far runs said they are, the last of it; and artifacts of one key over all runs.
PROGRESS_V5: Final = """
CREATE TABLE progress(
  task INTEGER PRIMARY KEY, us INTEGER NOT NULL, done REAL NOT NULL, total REAL, message TEXT
  ) STRICT;
CREATE INDEX ix_art_key ON artifacts(key, task) WHERE key IS NOT NULL;
"""

#: What task runs used, of all their attempts; and what the processes of a run used over time, by
#: worker ("": the flow's own process).
USAGE_V5: Final = """
CREATE TABLE task_usage(
  task INTEGER PRIMARY KEY, cpu_us INTEGER, peak INTEGER, growth INTEGER, read INTEGER,
  written INTEGER) STRICT;
CREATE TABLE samples(
  run_id INTEGER NOT NULL, worker TEXT NOT NULL, us INTEGER NOT NULL, cpu REAL NOT NULL,
  memory INTEGER NOT NULL, read INTEGER, written INTEGER, threads INTEGER, gpu REAL,
  gpu_memory INTEGER, stored INTEGER, stored_count INTEGER,
  PRIMARY KEY(run_id, worker, us)) STRICT, WITHOUT ROWID;
"""

#: Of tables that came with a version what reads need of them (all empty) in an older store, until a
#: writer brings it up.
LATER_TABLES: Final = {
    3: "CREATE TEMP TABLE task_tags(task INTEGER PRIMARY KEY, tags TEXT NOT NULL);",
    4: "CREATE TEMP TABLE texts(hash BLOB PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TEMP TABLE provenance("
    "run_id INTEGER, topic TEXT, name TEXT, us INTEGER, data TEXT, text BLOB);",
    5: "CREATE TEMP TABLE progress("
    "task INTEGER PRIMARY KEY, us INTEGER, done REAL, total REAL, message TEXT);"
    "CREATE TEMP TABLE task_usage(task INTEGER PRIMARY KEY, cpu_us INTEGER, peak INTEGER,"
    " growth INTEGER, read INTEGER, written INTEGER);"
    "CREATE TEMP TABLE samples(run_id INTEGER, worker TEXT, us INTEGER, cpu REAL, memory INTEGER,"
    " read INTEGER, written INTEGER, threads INTEGER, gpu REAL, gpu_memory INTEGER,"
    " stored INTEGER, stored_count INTEGER);",
}

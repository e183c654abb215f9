"""The one statement that records: a view whose trigger spreads a batch over all tables.

Every call into SQLite lets go of the interpreter lock, and a flow that computes gives it back after
5 ms, each time. A flush of several statements therefore took 100 to 340 ms from event to commit
beside such a flow, ``executemany`` (one hand-off a row) being the worst. So a flush is ONE ``INSERT
INTO ingest``, one implicit transaction: each column is a JSON array of rows (or NULL), and the
trigger inserts them where they belong. That takes 36 ms, 1.5 µs of the interpreter lock an event,
and needs more of SQLite's own time (4 µs an event, was 2), which nobody waits for.

A row names its flow run by number or, before the number is known, by uid; a task definition and a
logger likewise by number or by key. The trigger resolves them, so a run and everything that
happened in it may arrive in the same batch, and no flow waits for the number of its run.

Counters of a run arrive as differences, one row a run and batch: triggers on each row cost half as
much again. The first statement of the trigger compares ``sessions.applied`` with what the writer
believes, so that two who apply the same journal cannot both succeed.

The trigger is part of the schema: a new text of it is a migration (:mod:`flowdeck_store.file.schema`).
"""

from __future__ import annotations

from typing import Final

from flowdeck_store.file.tables.ddl import COUNTERS
from flowdeck_store.ids import sql_id
from flowdeck_store.notes import RAN_WITH

#: Columns of the view, in the order in which the writer binds them. ``base``: how many records of
#: the session's journal must be applied already (NULL: these are no records of a journal), else
#: nothing happens, see APPLIED_MOVED; ``n``: how many records this batch applies; ``blob``:
#: tracebacks and texts, referred to by offset
#: and length.
INGEST_COLUMNS: Final = (
    "sess", "base", "n", "us", "flows", "runs", "defs", "tasks", "task_states", "run_states",
    "renames", "children", "states", "loggers", "logs", "counts", "inputs", "task_tags", "results",
    "tracebacks", "failures", "artifacts", "caches", "texts", "provenance", "progress",
    "usage", "samples", "widths", "blob",
)  # fmt: skip

#: Text of the error that says another writer has applied some of these records already.
APPLIED_MOVED: Final = "flowdeck: the journal of this session was applied by somebody else"


#: Text of the error that says that a state came after a final one: nothing of the batch is done.
AFTER_THE_END: Final = "the run has ended already, and no state follows a final one"


def _j(index: int) -> str:
    return f"json_extract(value,'$[{index}]')"


def _js(first: int, last: int) -> str:
    return ",".join(_j(i) for i in range(first, last + 1))


def _either(index: int, table: str, key: str) -> str:
    """Item ``index`` as a number; looked up by ``key`` if it is a text."""
    j = _j(index)
    return (
        f"CASE typeof({j}) WHEN 'text' THEN (SELECT id FROM {table} WHERE {key}={j}) ELSE {j} END"
    )


def _sum(column: str) -> str:
    """What was used before and what is used now; unknown only if both are."""
    return f"coalesce({column}+excluded.{column},{column},excluded.{column})"


_RUN: Final = _either(0, "flow_runs", "uid")
_TASK_ID: Final = f"({sql_id(f'({_RUN})', _j(1))})"
_PARENT_ID: Final = sql_id(f"({_either(1, 'flow_runs', 'uid')})", _j(2))
_RUN_2: Final = _either(2, "flow_runs", "uid")
_UPSTREAM_ID: Final = sql_id(f"({_RUN_2})", _j(3))
_DEF_2: Final = _either(2, "tasks", "key")
_SRC_4: Final = _either(4, "log_sources", "name")
_COUNTERS: Final = (*COUNTERS, "n_logs", "n_warn", "n_err")
_ADD: Final = ",".join(f"{name}=max(0,{name}+d.c{i})" for i, name in enumerate(_COUNTERS))
_DELTAS: Final = ",".join(f"{_j(i + 1)} c{i}" for i in range(len(_COUNTERS)))

#: What an adopted run keeps of its launcher's info and what its own process adds to it.
_MERGED_INFO: Final = (
    "CASE WHEN json_valid(flow_runs.info) AND json_valid(d.info)"
    " THEN json_patch(flow_runs.info,d.info) ELSE coalesce(d.info,flow_runs.info) END"
)

#: The flow of a row of ``runs``, by key and name; older writers give no name.
_FLOW: Final = (
    f"(SELECT id FROM flows WHERE key={_j(1)} AND name=coalesce({_j(9)},name) "
    "ORDER BY last_us DESC LIMIT 1)"
)
#: Launched runs that were given up (Failed, Crashed) before they reported, and report now.
_BACK: Final = (
    f"session_id IS NULL AND state IN (4,5) AND uid IN (SELECT {_j(0)} FROM json_each(new.runs))"
)

#: Tags of a run that were changed since it was launched stay (:mod:`flowdeck_store.notes`).
_TAGGED: Final = (
    f"EXISTS(SELECT 1 FROM artifacts WHERE task=({sql_id('flow_runs.id', '0')})"
    f" AND kind='{RAN_WITH}')"
)

DROP_INGEST: Final = "DROP TRIGGER IF EXISTS ingest_ins;\nDROP VIEW IF EXISTS ingest;\n"
INGEST_VIEW: Final = (
    f"CREATE VIEW ingest({','.join(INGEST_COLUMNS)}) AS SELECT "
    f"{','.join('NULL' for _ in INGEST_COLUMNS)} WHERE 0;\n"
)

# Statement order matters: definitions before what refers to them, runs before parents, task rows
# before the children that point at them. Runs that are there (launched, or sent again) are updated
# before others are inserted: an upsert would use up a run number for each. Row layouts are
# documented in batch.py.
INGEST_TRIGGER: Final = f"""
CREATE TRIGGER ingest_ins INSTEAD OF INSERT ON ingest BEGIN
  SELECT RAISE(ABORT,'{APPLIED_MOVED}')
    WHERE new.base IS NOT NULL AND
      (SELECT applied FROM sessions WHERE id=new.sess AND how IS NOT 'crashed') IS NOT new.base;
  DELETE FROM states WHERE task_no=0 AND state IN (4,5)
    AND run_id IN (SELECT id FROM flow_runs WHERE {_BACK});
  UPDATE flow_runs SET ended_us=NULL WHERE {_BACK};
  SELECT RAISE(ABORT,'{AFTER_THE_END}') WHERE
    EXISTS(SELECT 1 FROM json_each(new.run_states) JOIN flow_runs r ON r.id={_RUN}
      WHERE r.ended_us IS NOT NULL) OR
    EXISTS(SELECT 1 FROM json_each(new.task_states) JOIN task_runs t ON t.id={_TASK_ID}
      WHERE t.ended_us IS NOT NULL);
  INSERT INTO flows(key,name,source,doc,first_us,last_us)
    SELECT {_js(0, 4)},{_j(4)} FROM json_each(new.flows) WHERE true
    ON CONFLICT(key,name) DO UPDATE SET source=coalesce(excluded.source,source),
      doc=coalesce(excluded.doc,doc),last_us=max(last_us,excluded.last_us);
  UPDATE flow_runs SET flow_id=d.flow,session_id=new.sess,name=d.name,
      runner=coalesce(d.runner,flow_runs.runner),params=coalesce(d.params,flow_runs.params),
      tags=CASE WHEN {_TAGGED} THEN flow_runs.tags ELSE coalesce(d.tags,flow_runs.tags) END,rerun_of=coalesce(d.rerun,flow_runs.rerun_of),
      info={_MERGED_INFO}
    FROM (SELECT {_j(0)} uid,{_FLOW} flow,{_j(2)} name,
      {_j(3)} runner,{_j(5)} params,{_j(6)} tags,{_j(7)} rerun,{_j(8)} info
      FROM json_each(new.runs)) d
    WHERE flow_runs.uid=d.uid;
  INSERT INTO flow_runs(uid,flow_id,session_id,name,runner,state,state_us,created_us,params,tags,
      rerun_of,info)
    SELECT {_j(0)},{_FLOW},new.sess,{_js(2, 3)},1,{_j(4)},{_j(4)},
      {_js(5, 8)} FROM json_each(new.runs)
    WHERE NOT EXISTS (SELECT 1 FROM flow_runs WHERE uid={_j(0)})
    ON CONFLICT(uid) DO NOTHING;
  DELETE FROM flows WHERE key IN (SELECT {_j(1)} FROM json_each(new.runs))
    AND NOT EXISTS (SELECT 1 FROM flow_runs WHERE flow_id=flows.id);
  INSERT INTO tasks(key,name,source,tags,retries)
    SELECT {_js(0, 4)} FROM json_each(new.defs) WHERE true
    ON CONFLICT(key) DO UPDATE SET name=excluded.name,source=coalesce(excluded.source,source),
      tags=coalesce(excluded.tags,tags),retries=excluded.retries;
  INSERT INTO task_runs(id,task_id,name,map_index,created_us,state,state_name,state_us,state_msg,
      started_us,ended_us,attempt,worker)
    SELECT {_TASK_ID},{_DEF_2},{_js(3, 13)} FROM json_each(new.tasks);
  UPDATE task_runs SET state=d.state,state_name=d.name,state_us=d.us,state_msg=d.msg,
      started_us=coalesce(started_us,d.started),ended_us=d.ended,attempt=d.attempt,
      worker=coalesce(d.worker,task_runs.worker)
    FROM (SELECT {_TASK_ID} id,{_j(2)} state,{_j(3)} name,{_j(4)} us,{_j(5)} msg,{_j(6)} started,
      {_j(7)} ended,{_j(8)} attempt,{_j(9)} worker FROM json_each(new.task_states)) d
    WHERE task_runs.id=d.id;
  UPDATE flow_runs SET state=d.state,state_name=d.name,state_us=d.us,state_msg=d.msg,
      started_us=coalesce(started_us,d.started),ended_us=d.ended,attempt=d.attempt
    FROM (SELECT {_RUN} id,{_j(1)} state,{_j(2)} name,{_j(3)} us,{_j(4)} msg,{_j(5)} started,
      {_j(6)} ended,{_j(7)} attempt FROM json_each(new.run_states)) d
    WHERE flow_runs.id=d.id;
  UPDATE flow_runs SET name=d.name
    FROM (SELECT {_RUN} id,{_j(2)} name FROM json_each(new.renames) WHERE {_j(1)}=0) d
    WHERE flow_runs.id=d.id;
  UPDATE task_runs SET name=d.name
    FROM (SELECT {_TASK_ID} id,{_j(2)} name FROM json_each(new.renames) WHERE {_j(1)}>0) d
    WHERE task_runs.id=d.id;
  UPDATE flow_runs SET parent_task=d.task
    FROM (SELECT {_j(0)} uid,{_PARENT_ID} task FROM json_each(new.children)) d
    WHERE flow_runs.uid=d.uid AND d.task IS NOT NULL;
  UPDATE task_runs SET child_run=d.child
    FROM (SELECT (SELECT id FROM flow_runs WHERE uid={_j(0)}) child,{_PARENT_ID} task
      FROM json_each(new.children)) d
    WHERE task_runs.id=d.task AND d.child IS NOT NULL;
  INSERT INTO states(run_id,task_no,state,us,name,msg,data)
    SELECT {_RUN},{_js(1, 6)} FROM json_each(new.states);
  INSERT OR IGNORE INTO log_sources(name) SELECT value FROM json_each(new.loggers);
  INSERT INTO logs(run_id,task_no,us,level,src,msg)
    SELECT {_RUN},{_js(1, 3)},{_SRC_4},{_j(5)} FROM json_each(new.logs);
  UPDATE flow_runs SET {_ADD},
    log_hi=CASE WHEN d.c9>0 THEN (SELECT max(seq) FROM logs) ELSE log_hi END,
    log_lo=CASE WHEN d.c9>0 THEN coalesce(log_lo,
      (SELECT max(seq) FROM logs)-json_array_length(new.logs)+1) ELSE log_lo END
    FROM (SELECT {_RUN} id,{_DELTAS} FROM json_each(new.counts)) d WHERE flow_runs.id=d.id;
  INSERT OR IGNORE INTO task_inputs(task,upstream,param)
    SELECT {_TASK_ID},{_UPSTREAM_ID},{_j(4)}
    FROM json_each(new.inputs) WHERE ({_RUN_2}) IS NOT NULL;
  INSERT OR REPLACE INTO task_tags(task,tags)
    SELECT {_TASK_ID},{_j(2)} FROM json_each(new.task_tags);
  INSERT OR REPLACE INTO results(task,us,type,size,preview,location)
    SELECT {_TASK_ID},{_js(2, 6)} FROM json_each(new.results);
  INSERT OR IGNORE INTO tracebacks(hash,data)
    SELECT substr(new.blob,{_j(0)},16),substr(new.blob,{_j(0)}+16,{_j(1)})
    FROM json_each(new.tracebacks);
  INSERT INTO failures(run_id,task_no,us,attempt,exc_type,exc_msg,tb,locals)
    SELECT {_RUN},{_js(1, 5)},substr(new.blob,{_j(6)},16),{_j(7)} FROM json_each(new.failures);
  INSERT INTO artifacts(task,us,kind,key,data)
    SELECT {_TASK_ID},{_js(2, 5)} FROM json_each(new.artifacts);
  INSERT INTO cache(key,task,us,expires_us,location)
    SELECT {_j(2)},{_TASK_ID},{_js(3, 5)} FROM json_each(new.caches) WHERE true
    ON CONFLICT(key) DO UPDATE SET task=excluded.task,us=excluded.us,
      expires_us=excluded.expires_us,location=excluded.location WHERE excluded.us>=us;
  INSERT OR IGNORE INTO texts(hash,data)
    SELECT substr(new.blob,{_j(0)},16),substr(new.blob,{_j(0)}+16,{_j(1)})
    FROM json_each(new.texts);
  INSERT OR REPLACE INTO provenance(run_id,topic,name,us,data,text)
    SELECT {_RUN},{_js(1, 4)},substr(new.blob,{_j(5)},16) FROM json_each(new.provenance);
  INSERT INTO progress(task,us,done,total,message)
    SELECT {_TASK_ID},{_js(2, 5)} FROM json_each(new.progress) WHERE true
    ON CONFLICT(task) DO UPDATE SET us=excluded.us,done=excluded.done,total=excluded.total,
      message=excluded.message WHERE excluded.us>=us;
  INSERT INTO task_usage(task,cpu_us,peak,growth,read,written)
    SELECT {_TASK_ID},{_js(2, 6)} FROM json_each(new.usage) WHERE true
    ON CONFLICT(task) DO UPDATE SET cpu_us={_sum("cpu_us")},
      peak=max(coalesce(peak,excluded.peak),coalesce(excluded.peak,peak)),
      growth=coalesce(excluded.growth,growth),read={_sum("read")},written={_sum("written")};
  INSERT OR REPLACE INTO samples
    SELECT {_RUN},{_js(1, 11)} FROM json_each(new.samples);
  DELETE FROM samples WHERE (run_id,worker,us) IN (
    SELECT run_id,worker,us FROM (SELECT s.run_id,s.worker,s.us,
        row_number() OVER (PARTITION BY s.run_id,s.worker,s.us/w.width ORDER BY s.us) n
      FROM (SELECT {_RUN} run,{_j(1)} worker,{_j(2)} width FROM json_each(new.widths)) w
      JOIN samples s ON s.run_id=w.run AND s.worker=w.worker) WHERE n>1);
  UPDATE task_runs SET cache_key=d.key
    FROM (SELECT {_TASK_ID} id,{_j(2)} key FROM json_each(new.caches)) d WHERE task_runs.id=d.id;
  UPDATE sessions SET applied=applied+new.n,beat_us=max(beat_us,new.us) WHERE id=new.sess;
END;
"""

"""How the rows of an attached archive (``a``) become rows of the store (``main``).

``temp.runs`` translates the numbers of runs; the other numbers are translated by what is unique
about the row: a flow's and a task's key, a session's uid, a logger's name. ``cleaned`` makes names
one line without control characters.
"""

from __future__ import annotations

from typing import Final

from flowdeck_store.ids import sql_id, sql_number, sql_run


def _packed(column: str) -> str:
    """The new packed task id for an old one, with :func:`_run_of` joined."""
    return _packed_in("m", column)


def _packed_in(runs: str, column: str) -> str:
    return f"({sql_id(f'{runs}.new', f'({sql_number(column)})')})"


def _run_of(column: str) -> str:
    return f"JOIN temp.runs m ON m.old = {sql_run(column)}"


#: Step by step, in this order: what is referred to comes before what refers to it.
COPIES: Final[dict[str, str]] = {
    "flows": """
        INSERT INTO main.flows(key, name, source, doc, tags, first_us, last_us)
        SELECT cleaned(key), cleaned(name), cleaned(source), doc, tags, first_us, last_us
        FROM a.flows WHERE true
        ON CONFLICT(key, name) DO UPDATE SET first_us = min(first_us, excluded.first_us),
          last_us = max(last_us, excluded.last_us)""",
    "tasks": """
        INSERT OR IGNORE INTO main.tasks(key, name, source, tags, retries)
        SELECT cleaned(key), cleaned(name), cleaned(source), tags, retries FROM a.tasks""",
    "sessions": """
        INSERT OR IGNORE INTO main.sessions(uid, host, boot_id, pid, pid_start, started_us,
          beat_us, ended_us, how, version, info)
        SELECT uid, cleaned(host), boot_id, pid, pid_start, started_us, beat_us,
          coalesce(ended_us, beat_us), 'imported', cleaned(version), info FROM a.sessions""",
    "loggers": """
        INSERT OR IGNORE INTO main.log_sources(name) SELECT cleaned(name) FROM a.log_sources""",
    # Parents first, so that a run always has a higher number than the run that called it.
    "runs": """
        INSERT INTO main.flow_runs(uid, flow_id, session_id, name, runner, state, state_name,
          state_us, state_msg, created_us, started_us, ended_us, attempt, params, tags, rerun_of,
          info)
        SELECT r.uid, f.id, s.id, cleaned(r.name), cleaned(r.runner), r.state,
          cleaned(r.state_name), r.state_us,
          r.state_msg, r.created_us, r.started_us, r.ended_us, r.attempt, r.params, r.tags,
          r.rerun_of, r.info
        FROM a.flow_runs r
        JOIN a.flows g ON g.id = r.flow_id
        JOIN main.flows f ON f.key = cleaned(g.key) AND f.name = cleaned(g.name)
        LEFT JOIN a.sessions x ON x.id = r.session_id LEFT JOIN main.sessions s ON s.uid = x.uid
        ORDER BY r.id""",
    "numbers": """
        INSERT INTO temp.runs
        SELECT r.id, n.id FROM a.flow_runs r JOIN main.flow_runs n ON n.uid = r.uid""",
    "parents": f"""
        UPDATE main.flow_runs SET parent_task = d.parent
        FROM (SELECT c.new AS id, {_packed("r.parent_task")} AS parent FROM a.flow_runs r
          JOIN temp.runs c ON c.old = r.id {_run_of("r.parent_task")}) d
        WHERE flow_runs.id = d.id""",
    "task runs": f"""
        INSERT INTO main.task_runs(id, task_id, name, map_index, state, state_name, state_us,
          state_msg, created_us, started_us, ended_us, attempt, worker, cache_key, child_run)
        SELECT {_packed("t.id")}, k.id, cleaned(t.name), t.map_index, t.state,
          cleaned(t.state_name), t.state_us,
          t.state_msg, t.created_us, t.started_us, t.ended_us, t.attempt, cleaned(t.worker), t.cache_key,
          c.new
        FROM a.task_runs t {_run_of("t.id")}
        JOIN a.tasks g ON g.id = t.task_id JOIN main.tasks k ON k.key = cleaned(g.key)
        LEFT JOIN temp.runs c ON c.old = t.child_run""",
    "states": """
        INSERT INTO main.states(run_id, task_no, state, us, name, msg, data)
        SELECT m.new, s.task_no, s.state, s.us, cleaned(s.name), s.msg, s.data
        FROM a.states s JOIN temp.runs m ON m.old = s.run_id ORDER BY s.seq""",
    "logs": """
        INSERT INTO main.logs(run_id, task_no, us, level, src, msg)
        SELECT m.new, l.task_no, l.us, l.level, n.id, l.msg
        FROM a.logs l JOIN temp.runs m ON m.old = l.run_id
        JOIN a.log_sources o ON o.id = l.src JOIN main.log_sources n ON n.name = cleaned(o.name)
        ORDER BY l.seq""",
    "edges": f"""
        INSERT OR IGNORE INTO main.task_inputs(task, upstream, param)
        SELECT {_packed("i.task")}, {_packed_in("u", "i.upstream")}, cleaned(i.param)
        FROM a.task_inputs i {_run_of("i.task")}
        JOIN temp.runs u ON u.old = {sql_run("i.upstream")}""",
    "task_tags": f"""
        INSERT OR REPLACE INTO main.task_tags(task, tags)
        SELECT {_packed("x.task")}, x.tags FROM a.task_tags x {_run_of("x.task")}
        WHERE json_valid(x.tags) AND length(x.tags) < 65536""",
    # Without location: an archive must not name files of ours. Kept results that it brings get theirs
    # from flowdeck_store.archive.kept.
    "results": f"""
        INSERT INTO main.results(task, us, type, size, preview)
        SELECT {_packed("x.task")}, x.us, cleaned(x.type), x.size, x.preview
        FROM a.results x {_run_of("x.task")}""",
    "artifacts": f"""
        INSERT INTO main.artifacts(task, us, kind, key, data)
        SELECT {_packed("x.task")}, x.us, cleaned(x.kind), cleaned(x.key), x.data
        FROM a.artifacts x {_run_of("x.task")} ORDER BY x.seq""",
    "progress": f"""
        INSERT OR REPLACE INTO main.progress(task, us, done, total, message)
        SELECT {_packed("x.task")}, x.us, x.done, x.total, cleaned(substr(x.message, 1, 1000))
        FROM a.progress x {_run_of("x.task")}
        WHERE abs(x.done) < 1e300 AND (x.total IS NULL OR abs(x.total) < 1e300)
          AND x.us BETWEEN 0 AND 253402300799999999""",
    "task_usage": f"""
        INSERT OR REPLACE INTO main.task_usage(task, cpu_us, peak, growth, read, written)
        SELECT {_packed("x.task")}, x.cpu_us, x.peak, x.growth, x.read, x.written
        FROM a.task_usage x {_run_of("x.task")}""",
    "samples": """
        INSERT OR REPLACE INTO main.samples(run_id, worker, us, cpu, memory, read, written, threads,
          gpu, gpu_memory, stored, stored_count)
        SELECT m.new, cleaned(substr(s.worker, 1, 300)), s.us, s.cpu, s.memory, s.read, s.written,
          s.threads, s.gpu, s.gpu_memory, s.stored, s.stored_count
        FROM a.samples s JOIN temp.runs m ON m.old = s.run_id
        WHERE abs(s.cpu) < 1e12 AND s.us BETWEEN 0 AND 253402300799999999""",
    "tracebacks": """
        INSERT OR IGNORE INTO main.tracebacks(hash, data) SELECT hash, data FROM a.tracebacks""",
    "texts": """
        INSERT OR IGNORE INTO main.texts(hash, data) SELECT hash, data FROM a.texts""",
    "provenance": """
        INSERT OR REPLACE INTO main.provenance(run_id, topic, name, us, data, text)
        SELECT m.new, cleaned(p.topic), cleaned(p.name), p.us, p.data, p.text
        FROM a.provenance p JOIN temp.runs m ON m.old = p.run_id""",
    "failures": """
        INSERT INTO main.failures(run_id, task_no, us, attempt, exc_type, exc_msg, tb, locals)
        SELECT m.new, f.task_no, f.us, f.attempt, cleaned(f.exc_type), f.exc_msg, f.tb, f.locals
        FROM a.failures f JOIN temp.runs m ON m.old = f.run_id ORDER BY f.id""",
    # What the archive says of itself is not to be trusted.
    "log counters": """
        UPDATE main.flow_runs SET n_logs = d.n, n_warn = d.warnings, n_err = d.errors,
          log_lo = d.low, log_hi = d.high
        FROM (SELECT l.run_id AS id, count(*) AS n, sum(l.level BETWEEN 30 AND 39) AS warnings,
          sum(l.level >= 40) AS errors, min(l.seq) AS low, max(l.seq) AS high
          FROM main.logs l WHERE l.run_id IN (SELECT new FROM temp.runs) GROUP BY 1) d
        WHERE flow_runs.id = d.id""",
}

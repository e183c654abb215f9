"""The record as data: views for people with SQL (docs/sql.md).

The tables are ours: packed ids, codes, microseconds, texts that are stored once. These views are for
everybody: names, times in ISO 8601 (UTC, so that they sort as texts), seconds, what JSON holds as
JSON. Their names carry the version of this interface. Columns may be added to ``v1_``; what would
take one away or change what it means is a ``v2_`` beside it.
"""

from __future__ import annotations

from typing import Final

from flowdeck_store.ids import MAX_NUMBER, sql_id, sql_number, sql_run
from flowdeck_store.states import BUCKETS, DEFAULT_NAMES, TYPES

_LEVELS: Final = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


def _time(column: str) -> str:
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch') "
        f"|| printf('.%06dZ', {column} % 1000000)"
    )


def _case(column: str, named: dict[int, str], otherwise: str = "NULL") -> str:
    cases = " ".join(f"WHEN {code} THEN '{name}'" for code, name in named.items())
    return f"CASE {column} {cases} ELSE {otherwise} END"


def _state(of: str) -> str:
    name = _case(f"{of}.state", dict(enumerate(DEFAULT_NAMES)))
    kind = _case(f"{of}.state", {code: each.value for code, each in enumerate(TYPES)})
    return f"coalesce({of}.state_name, {name}) AS state, {kind} AS state_type"


def _ref(run: str, number: str) -> str:
    """The task run as the command line names it; of the flow run itself: nothing."""
    return f"CASE WHEN {number} THEN ({run}) || '.' || ({number}) END"


_COUNTS = ", ".join(f"r.n_{bucket} AS tasks_{bucket}" for bucket in BUCKETS)


def _of_runs(table: str, alias: str, column: str) -> str:
    """Tables by packed ids, run by run: so a question about one run reads that run's rows only."""
    low, high = sql_id("r.id", "0"), sql_id("r.id", str(MAX_NUMBER))
    return f"flow_runs r JOIN {table} {alias} ON {alias}.{column} BETWEEN ({low}) AND ({high})"


def _number(column: str) -> str:
    return f"({sql_number(column)})"


def _upstream() -> str:
    return _ref(sql_run("i.upstream"), sql_number("i.upstream"))


#: Each view by its name.
PUBLIC: Final[dict[str, str]] = {
    "v1_runs": f"""
SELECT r.id AS id, r.uid AS uid, r.name AS name, f.name AS flow, f.source AS source,
  {_state("r")}, r.state_msg AS message, r.runner AS runner, r.params AS parameters,
  r.tags AS tags, {_time("r.created_us")} AS created, {_time("r.started_us")} AS started,
  {_time("r.ended_us")} AS ended, (r.ended_us - r.started_us) / 1e6 AS seconds, {_COUNTS},
  r.n_logs AS log_lines, {sql_run("r.parent_task")} AS parent_run, s.host AS host, s.pid AS pid
FROM flow_runs r JOIN flows f ON f.id = r.flow_id LEFT JOIN sessions s ON s.id = r.session_id""",
    "v1_task_runs": f"""
SELECT r.id AS run_id, {_number("t.id")} AS number, r.id || '.' || {_number("t.id")} AS id,
  coalesce(t.name, k.name || '-' || t.map_index, k.name) AS name, k.name AS task,
  t.map_index AS map_index, {_state("t")}, t.state_msg AS message,
  {_time("t.created_us")} AS created, {_time("t.started_us")} AS started,
  {_time("t.ended_us")} AS ended, (t.ended_us - t.started_us) / 1e6 AS seconds,
  t.attempt AS attempt, t.worker AS worker, g.tags AS tags, u.cpu_us / 1e6 AS cpu_seconds,
  u.peak AS peak_bytes
FROM {_of_runs("task_runs", "t", "id")} JOIN tasks k ON k.id = t.task_id
  LEFT JOIN task_tags g ON g.task = t.id LEFT JOIN task_usage u ON u.task = t.id""",
    "v1_logs": f"""
SELECT l.seq AS seq, l.run_id AS run_id, {_ref("l.run_id", "l.task_no")} AS task_run,
  {_time("l.us")} AS time, l.level AS level_number,
  {_case("l.level", _LEVELS, "'Level ' || l.level")} AS level, n.name AS logger, l.msg AS message
FROM logs l LEFT JOIN log_sources n ON n.id = l.src""",
    "v1_failures": f"""
SELECT a.run_id AS run_id, {_ref("a.run_id", "a.task_no")} AS task_run, {_time("a.us")} AS time,
  a.attempt AS attempt, a.exc_type AS type, a.exc_msg AS message, lower(hex(a.tb)) AS error_group
FROM failures a""",
    "v1_states": f"""
SELECT s.seq AS seq, s.run_id AS run_id, {_ref("s.run_id", "s.task_no")} AS task_run,
  {_time("s.us")} AS time, coalesce(s.name, {_case("s.state", dict(enumerate(DEFAULT_NAMES)))})
  AS state, {_case("s.state", {code: each.value for code, each in enumerate(TYPES)})} AS state_type,
  s.msg AS message
FROM states s""",
    "v1_task_inputs": f"""
SELECT r.id AS run_id, {_ref("r.id", sql_number("i.task"))} AS task_run, i.param AS parameter,
  {_upstream()} AS upstream
FROM {_of_runs("task_inputs", "i", "task")}""",
    "v1_results": f"""
SELECT r.id AS run_id, {_ref("r.id", sql_number("x.task"))} AS task_run, {_time("x.us")} AS time,
  x.type AS type, x.size AS bytes, x.preview AS preview, x.location AS file
FROM {_of_runs("results", "x", "task")}""",
}

VIEWS_V6: Final = "".join(
    f"CREATE VIEW {name} AS {text.strip()};\n" for name, text in PUBLIC.items()
)

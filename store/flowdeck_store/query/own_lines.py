"""Which log lines are the engine's own: what it says of every run, not what a flow says.

The engine's lines come from the loggers of flow runs and task runs as those of a flow do, so they are
known by their words; a test holds the two together. Its warnings and what a task failed of are nobody's
noise: they stay with the flow's.
"""

from __future__ import annotations

from typing import Final

#: What the engine says in the name of a run: LIKE patterns, each with a beginning that is its own.
_SAID: Final = (
    "Created flow run '%",
    "Created subflow run '%' for flow '%",
    "Created task run '%' for task '%",
    "Submitted task run '%' for execution.",
    "Executing '%' immediately...",
    "Starting '%'; submitted tasks will be run %",
    "Finished in state %(%)",
    "Received non-final state '%' when proposing final state '%",
    "Reused: it completed in an earlier attempt (%",
    "Reused subflow run '%': it completed in an earlier attempt",
    "Completed in flow run '%', but runs again: %",
    "Cancelling: queued tasks are dropped, running ones are asked to stop",
    "Flow run '%' received invalid parameters and is marked as failed.",
)
_OF_RUNS: Final = (
    "SELECT id FROM log_sources WHERE name IN ('flowdeck.flow_runs', 'flowdeck.task_runs')"
)
_OF_ENGINE: Final = (
    "SELECT id FROM log_sources WHERE name LIKE 'flowdeck.%' "
    "AND name NOT IN ('flowdeck.flow_runs', 'flowdeck.task_runs')"
)


def _range(pattern: str) -> str:
    """Return a condition that is cheaper than LIKE, for most lines are none of these."""
    begin = pattern.partition("%")[0].replace("'", "''")
    return f"(l.msg BETWEEN '{begin}' AND '{begin}~' AND l.msg LIKE '{pattern.replace(chr(39), chr(39) * 2)}')"


#: Whether a line (alias ``l``) is the engine's own.
OWN_LINES_SQL: Final = (
    f"((l.level < 30 AND l.src IN ({_OF_ENGINE})) OR (l.src IN ({_OF_RUNS}) AND ("
    + " OR ".join(map(_range, _SAID))
    + ")))"
)

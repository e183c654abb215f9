"""Taking all values out of an exported run: what is left says what happened, not with what data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.packed import digest_of, packed, unpacked
from flowdeck_store.secrets.redaction import HIDDEN, without_secrets

if TYPE_CHECKING:
    import sqlite3

#: Messages stay; secrets in those of a record that an older flowdeck wrote are hidden now.
_MESSAGES: Final = {
    "logs": "msg",
    "states": "msg",
    "flow_runs": "state_msg",
    "task_runs": "state_msg",
    "failures": "exc_msg",
}


def redact(conn: sqlite3.Connection) -> None:
    """Replace the values in a store: parameters, inputs, results, variables; drop its artifacts.

    Args:
        conn: of a file that was written just now and belongs to nobody else.
    """
    conn.execute("PRAGMA secure_delete=ON")
    for function in (_params, _info, _state_data, _variables, without_secrets):
        conn.create_function(function.__name__, 1, function, deterministic=True)
    conn.execute("BEGIN")
    conn.execute("UPDATE flow_runs SET params = _params(params), info = _info(info)")
    conn.execute("UPDATE states SET data = _state_data(data) WHERE data IS NOT NULL")
    conn.execute("UPDATE results SET preview = ? WHERE preview IS NOT NULL", (HIDDEN,))
    conn.execute("UPDATE failures SET locals = _variables(locals) WHERE locals IS NOT NULL")
    conn.execute("DELETE FROM artifacts")
    conn.execute("UPDATE progress SET message = NULL")
    _redact_provenance(conn)
    for table, column in _MESSAGES.items():
        conn.execute(
            f"UPDATE {table} SET {column} = without_secrets({column}) WHERE {column} IS NOT NULL"
        )
    conn.execute("COMMIT")
    conn.execute("VACUUM")


def _hidden_in(text: str) -> str:
    """Return a text, which may be JSON, without secrets."""
    found = _object(text)
    return without_secrets(text) if not found else json.dumps(_without_reprs(found))


def _redact_provenance(conn: sqlite3.Connection) -> None:
    """Leave out what may hold values: the command line, the environment's, the changed lines of
    files; hide secrets in code that an older flowdeck wrote."""
    for run_id, topic, name, data, text in conn.execute(
        "SELECT run_id, topic, name, data, text FROM provenance"
    ).fetchall():
        found = _object(data) or {}
        found.pop("argv", None)
        if isinstance(found.get("env"), dict):
            found["env"] = dict.fromkeys(found["env"], HIDDEN)
        kept = None
        if text is not None and topic != "git":
            ((packed_text,),) = conn.execute("SELECT data FROM texts WHERE hash = ?", (text,))
            anew = packed(_hidden_in(unpacked(packed_text)))
            kept = digest_of(anew)
            conn.execute("INSERT OR IGNORE INTO texts VALUES(?, ?)", (kept, anew))
        conn.execute(
            "UPDATE provenance SET data = ?, text = ? WHERE run_id = ? AND topic = ? AND name = ?",
            (json.dumps(found), kept, run_id, topic, name),
        )
    conn.execute(
        "DELETE FROM texts WHERE hash NOT IN (SELECT text FROM provenance WHERE text IS NOT NULL)"
    )


def _object(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else None


def _params(text: str | None) -> str | None:
    found = _object(text)
    return None if found is None else json.dumps(dict.fromkeys(found, HIDDEN))


def _info(text: str | None) -> str | None:
    """Leave out the command line, which may hold parameters."""
    found = _object(text)
    if found is None:
        return None
    found.pop("argv", None)
    return json.dumps(found)


def _state_data(text: str) -> str | None:
    found = _object(text)
    if found is None:
        return None
    if isinstance(found.get("params"), dict):
        found["params"] = dict.fromkeys(found["params"], HIDDEN)
    return json.dumps(found)


def _variables(document: str) -> str:
    found = _object(document)
    return "{}" if found is None else json.dumps(_without_reprs(found))


def _without_reprs(value: Any) -> Any:
    """Hide the variables in what :func:`flowdeck_store.failures.split` gives as a failure's own."""
    if isinstance(value, list):
        return [_without_reprs(item) for item in value]
    if not isinstance(value, dict):
        return without_secrets(value) if isinstance(value, str) else value
    if "repr" in value:
        return {**value, "repr": HIDDEN, "hidden": True}
    return {key: _without_reprs(item) for key, item in value.items()}

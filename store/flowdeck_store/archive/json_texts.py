"""The JSON texts of an archive: how deep they are nested, and whether they have the shape they need.

Whoever shows a run trusts both, so an archive that would break them is refused as a whole.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import failures, json_text
from flowdeck_store.errors import StoreCorrupt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection
    from pathlib import Path

#: Column, and the type that its text has as a whole (``None``: any).
_TEXTS: Final[dict[tuple[str, str], type | None]] = {
    ("flow_runs", "params"): dict,
    ("flow_runs", "tags"): list,
    ("flow_runs", "info"): dict,
    ("flows", "tags"): list,
    ("tasks", "tags"): list,
    ("sessions", "info"): dict,
    ("states", "data"): dict,
    ("artifacts", "data"): None,
    ("provenance", "data"): dict,
}
_FAILURES: Final = "SELECT b.data, f.locals FROM a.failures f JOIN a.tracebacks b ON b.hash = f.tb"
_MAX_CAUSES: Final = 100
_TEXT_OR_NONE: Final = (str, type(None))


class _BadShape(ValueError):
    """A traceback is not one."""


def check_json(conn: sqlite3.Connection, path: Path, tables: Collection[str]) -> None:
    """Look over all JSON of the archive that is attached as ``a`` and has these tables.

    Raises:
        StoreCorrupt: one of the texts is nested too deeply, or not what it should be.
    """
    for (table, column), kind in _TEXTS.items():
        if table not in tables:
            continue
        query = f"SELECT DISTINCT {column} FROM a.{table} WHERE {column} IS NOT NULL"
        for (text,) in conn.execute(query):
            try:
                found = json_text.loads(str(text))
                if kind is not None and not isinstance(found, kind):
                    raise ValueError(f"it is no JSON {'object' if kind is dict else 'array'}")
            except (ValueError, RecursionError) as error:
                raise StoreCorrupt(path, f"{column} in {table} cannot be read: {error}") from error
    for data, variables in conn.execute(_FAILURES):
        try:
            _check_failure(failures.join(zlib.decompress(data).decode(), str(variables)), 0)
        except (ValueError, zlib.error) as error:
            raise StoreCorrupt(path, f"a traceback cannot be read: {error}") from error


def _check_failure(exception: Any, depth: int) -> None:
    if depth > _MAX_CAUSES:
        raise _BadShape(f"it has more than {_MAX_CAUSES} causes")
    _need(exception, dict)
    _need(exception.get("type"), str)
    _need(exception.get("message"), *_TEXT_OR_NONE)
    for note in _list(exception, "notes"):
        _need(note, str)
    for frame in _list(exception, "frames"):
        _check_frame(frame)
    for key in ("cause", "context"):
        if exception.get(key) is not None:
            _check_failure(exception[key], depth + 1)
    for member in _list(exception, "group"):
        _check_failure(member, depth + 1)


def _check_frame(frame: Any) -> None:
    _need(frame, dict)
    for key in ("file", "func", "module"):
        _need(frame.get(key), *_TEXT_OR_NONE)
    for key in ("lineno", "end_lineno", "col", "end_col"):
        _need(frame.get(key), int, type(None))
    if frame.get("source") is not None:
        _need(frame["source"], list)
        if len(frame["source"]) != 2:
            raise _BadShape("its source is not lines")
        _need(frame["source"][0], int)
        for line in _need(frame["source"][1], list):
            _need(line, str)
    for local in _list(frame, "locals"):
        _need(local, dict)
        for key in ("name", "type", "repr"):
            _need(local.get(key), *_TEXT_OR_NONE)


def _list(owner: dict[str, Any], key: str) -> list[Any]:
    found = owner.get(key)
    return [] if found is None else list(_need(found, list))


def _need(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise _BadShape(f"a {type(value).__name__} is where it must not be")
    return value

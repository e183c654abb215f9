"""Tables of anybody's as columns and rows of plain values."""

from __future__ import annotations

import datetime
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.previews import safe_repr
from flowdeck.values.redaction import HIDDEN, is_hidden, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_COLUMNS: Final = 200
_CELL: Final = 1_000
_TIMES: Final = (datetime.datetime, datetime.date, datetime.time)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and what of it is not kept; ``size`` in bytes, ``total`` rows (``None``: unknown)."""

    columns: list[str]
    rows: list[list[Any]]
    total: int | None
    size: int
    cut: str | None


def table_of(
    given: Any, most_rows: int, most_bytes: int, hides: Callable[[str], bool] | None
) -> Table:
    """Return the beginning of a table.

    Args:
        given: a DataFrame, dicts or sequences one a row, or a dict of columns.
        most_rows: rows that are kept.
        most_bytes: about so many bytes are kept.
        hides: says of which columns the values must not be shown.

    Raises:
        TypeError: it is nothing of that.
    """
    names, lines, total = _parts(given)
    all_names = len(names)
    names = names[:_MOST_COLUMNS]
    hidden = [hides is not None and hides(name) for name in names]
    rows: list[list[Any]] = []
    size = 0
    more = False
    for line in lines:
        if len(rows) >= most_rows:
            more = True
            break
        row = [
            HIDDEN if secret and is_hidden(name, value, hides) else plain(value, hides)
            for name, value, secret in zip(names, line, hidden, strict=False)
        ]
        row += [None] * (len(names) - len(row))
        size += sum(len(cell) + 4 if isinstance(cell, str) else 12 for cell in row)
        if size > most_bytes:
            more = True
            break
        rows.append(row)
    total = len(rows) if total is None and not more else total
    return Table(names, rows, total, size, _cut(len(rows), total, more, all_names))


def _cut(kept: int, total: int | None, more: bool, columns: int) -> str | None:
    parts = []
    if more:
        parts.append(
            f"of {'many' if total is None else format(total, ',')} rows the first {kept:,} are kept"
        )
    if columns > _MOST_COLUMNS:
        parts.append(f"of {columns:,} columns the first {_MOST_COLUMNS}")
    return ", ".join(parts) or None


def _parts(given: Any) -> tuple[list[str], Iterator[Any], int | None]:
    """Return names of columns, rows, and how many there are."""
    columns = getattr(given, "columns", None)
    if columns is not None and hasattr(given, "itertuples"):  # pandas
        named = not type(given.index).__name__.startswith("RangeIndex")
        names = [str(name) for name in columns]
        if named:
            names.insert(0, str(given.index.name or "index"))
        return names, iter(given.itertuples(index=named, name=None)), len(given)
    if columns is not None and hasattr(given, "iter_rows"):  # polars
        return [str(name) for name in columns], iter(given.iter_rows()), len(given)
    if isinstance(given, Mapping):
        return _of_columns(given)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        if not hasattr(given, "__getitem__") or isinstance(given, (str, bytes)):
            raise TypeError(
                "artifact.table() needs a DataFrame, dicts or sequences one a row, or a dict of "
                f"columns, not a {type(given).__name__}."
            )
    total = len(given) if hasattr(given, "__len__") else None
    lines = iter(given)
    first = list(itertools.islice(lines, 1_000))
    if not first:
        return [], iter(()), 0
    whole = itertools.chain(first, lines)
    if all(isinstance(row, Mapping) for row in first):
        names = list(dict.fromkeys(key for row in first for key in row))
        return [str(name) for name in names], (_values(row, names) for row in whole), total
    width = max((len(row) if _is_row(row) else 1) for row in first)
    fields = getattr(first[0], "_fields", None)  # a named tuple
    names = list(fields) if fields else [str(place + 1) for place in range(width)]
    return names, (row if _is_row(row) else (row,) for row in whole), total


def _of_columns(given: Mapping[Any, Any]) -> tuple[list[str], Iterator[Any], int | None]:
    columns = [
        list(column) if isinstance(column, Iterable) and not isinstance(column, (str, bytes)) else [column]
        for column in given.values()
    ]  # fmt: skip
    rows = itertools.zip_longest(*columns)
    return [str(name) for name in given], rows, max(map(len, columns), default=0)


def _values(row: Any, names: Sequence[Any]) -> list[Any]:
    return [row.get(name) for name in names] if isinstance(row, Mapping) else list(row)


def _is_row(row: Any) -> bool:
    return (
        not isinstance(row, (str, bytes)) and hasattr(row, "__len__") and hasattr(row, "__iter__")
    )


def plain(value: Any, hides: Callable[[str], bool] | None) -> Any:
    """Return a cell's value as JSON has it: a number, a short text, ``None``."""
    if value is None or type(value) in (bool, int):
        return value if type(value) is not int or abs(value) < 2**53 else str(value)
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        text = value[:_CELL]
        return without_secrets(text, hides) if hides else text
    if isinstance(value, _TIMES):
        return value.isoformat()
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "item"):
        item = value.item() if getattr(value, "size", 1) == 1 else None
        if isinstance(item, (bool, int, float, str)):
            return plain(item, hides)
    if isinstance(value, (list, tuple, dict)):
        try:
            return plain(json.dumps(value, ensure_ascii=False)[:_CELL], hides)
        except (TypeError, ValueError, RecursionError):
            pass
    return safe_repr(value, 200)

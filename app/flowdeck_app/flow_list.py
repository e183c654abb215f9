"""The flows that Home lists: those found in files, those seen in the record, as one list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowdeck_store.ids import run_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowdeck.launch.discovery_syntax import FoundFlow, FoundParameter
    from flowdeck_store.read.records import FlowRecord, FlowRunRecord


@dataclass(frozen=True, slots=True)
class FlowRow:
    """One flow of the list: found in a file, or recorded, or both."""

    key: str
    name: str
    target: str | None  # what `flowdeck run` takes; None: its file is not among the folders
    runner: str | None
    doc: str | None
    record: FlowRecord | None
    p50: float | None  # seconds, of the runs in the history that completed
    success: float | None  # share of the ended runs in the history that completed
    parameters: tuple[FoundParameter, ...] | None = None  # None: its file was not found
    depth: int = 0  # how many flows it stands below that ran it

    @property
    def last(self) -> FlowRunRecord | None:
        """Its newest run."""
        return None if self.record is None else self.record.last


def merged(found: Iterable[FoundFlow], recorded: Sequence[FlowRecord]) -> list[FlowRow]:
    """Return found and recorded flows, the ones that ran last first, then the others by name."""
    # A definition that ran under other names has a row for each of them.
    by_name = {(record.key, record.name): record for record in recorded}
    rows = []
    for flow in found:
        record = by_name.pop((flow.key, flow.name), None)
        rows.append(_row(flow.key, flow.name, flow, record))
    rows += [_row(record.key, record.name, None, record) for record in by_name.values()]
    return _last_first(rows)


def _last_first(rows: list[FlowRow]) -> list[FlowRow]:
    """Return the rows by their last run; a flow that was last run by another stands below that,
    also while that runs again and has not come to it yet."""
    by_run = {
        point.run_id: row for row in rows if row.record is not None for point in row.record.history
    }

    def place(row: FlowRow) -> tuple[int, str, list[int]]:
        way: list[int] = []
        seen = [row]
        while row.last is not None and row.last.parent_task is not None:
            parent = by_run.get(run_of(row.last.parent_task))
            if parent is None or any(
                parent is other for other in seen
            ):  # flows that call each other
                break
            way.insert(0, row.last.created_us)
            seen.append(parent)
            row = parent
        return -_last_us(row), row.name, way

    placed = sorted(((place(row), row) for row in rows), key=lambda found: found[0])
    return [replace(row, depth=len(way)) for (_, _, way), row in placed]


def _last_us(row: FlowRow) -> int:
    return row.last.created_us if row.last is not None else 0


def _row(key: str, name: str, found: FoundFlow | None, record: FlowRecord | None) -> FlowRow:
    last = None if record is None else record.last
    target = found.target if found is not None else _target_of(record)
    runner = (last.runner if last is not None else None) or (found.runner if found else None)
    doc = found.doc if found is not None else record.doc if record is not None else None
    p50, success = _figures(record)
    parameters = None if found is None else found.parameters
    return FlowRow(key, name, target, runner, doc, record, p50, success, parameters)


def _target_of(record: FlowRecord | None) -> str | None:
    """Return how to run a recorded flow whose file is not among the folders, if it still exists."""
    if record is None or record.last is None:
        return None
    target = record.last.info.get("target")
    if isinstance(target, str):
        return target
    file, _, name = record.key.rpartition(":")
    return f"{file}:{name}" if file.endswith(".py") and Path(file).exists() else None


def _figures(record: FlowRecord | None) -> tuple[float | None, float | None]:
    from flowdeck_store.states import COMPLETED

    ended = [] if record is None else list(record.ended)
    if not ended:
        return None, None
    good = sorted(p.seconds for p in ended if p.code == COMPLETED and p.seconds is not None)
    p50 = good[len(good) // 2] if good else None
    return p50, sum(p.code == COMPLETED for p in ended) / len(ended)


#: Sort orders of the list: name -> key of a row.
ORDERS = ("last", "name", "success", "p50")


def ordered(rows: Iterable[FlowRow], order: str) -> list[FlowRow]:
    """Return the rows in one of :data:`ORDERS`; only in the first, flows stand below others."""
    if order == ORDERS[0]:
        return list(rows)
    rows = _level(rows)
    if order == "name":
        return sorted(rows, key=lambda row: row.name.lower())
    if order == "success":
        return sorted(rows, key=lambda row: (row.success is None, row.success or 0.0, row.name))
    if order == "p50":
        return sorted(rows, key=lambda row: (-(row.p50 or 0.0), row.name))
    return rows


def _level(rows: Iterable[FlowRow]) -> list[FlowRow]:
    return [replace(row, depth=0) for row in rows]


def matching(rows: Iterable[FlowRow], text: str) -> list[FlowRow]:
    """Return the rows whose name, file or description contains all words of ``text``; those whose
    name does come first."""
    words = text.lower().split()
    if not words:
        return list(rows)
    found = [
        row
        for row in _level(rows)
        if all(word in f"{row.name} {row.key} {row.doc or ''}".lower() for word in words)
    ]
    found.sort(key=lambda row: not all(word in row.name.lower() for word in words))
    return found

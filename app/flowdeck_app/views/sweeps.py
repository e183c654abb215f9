"""A sweep as a table: parameters that differ, states, durations and the numbers that runs left."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.signs import SIGNS, kind_of
from flowdeck_store.explain.figures import figures_of
from flowdeck_store.query.language import quote
from flowdeck_store.read.runs import json_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_START: Final = "sweep:"


def sweep_tag(name: str) -> str:
    """Return what marks the runs of a sweep."""
    return f"{_START}{name}"


def sweeps_of(tags: Iterable[str]) -> list[str]:
    """Return the names of the sweeps that tags mark."""
    return [tag.removeprefix(_START) for tag in tags if tag.startswith(_START)]


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One run of a sweep.

    Attributes:
        run: as the record has it.
        parameters: values by name; parts of a parameter as ``cfg.lr``.
        figures: numbers that it left, by name.
    """

    run: FlowRunRecord
    parameters: dict[str, Any]
    figures: dict[str, float]

    def value(self, column: str) -> Any:
        """Return what stands in a column; ``None``: nothing."""
        if column == "time":
            return self.run.duration
        if column == "state":
            return self.run.state
        if column in self.parameters:
            return self.parameters[column]
        return self.figures.get(column)


@dataclass(frozen=True, slots=True)
class SweepTable:
    """The runs of a sweep.

    Attributes:
        name: of the sweep.
        parameters: names of those that differ.
        figures: names of the numbers.
        rows: a run each.
    """

    name: str
    parameters: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[SweepRow, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows can be sorted by."""
        return ("run", *self.parameters, "state", "time", *self.figures)

    def by(self, column: str) -> tuple[SweepRow, ...]:
        """Return the rows in the order of a column, those without a value last.

        Args:
            column: one of :attr:`columns`; with ``-`` before it the greatest first.
        """
        name, down = column.removeprefix("-"), column.startswith("-")
        if name == "run":
            return self.rows[::-1] if down else self.rows
        has = [row for row in self.rows if _known(row.value(name))]
        rest = [row for row in self.rows if not _known(row.value(name))]
        numbers = all(isinstance(row.value(name), (int, float)) for row in has)
        has.sort(
            key=lambda row: row.value(name) if numbers else _text(row.value(name)), reverse=down
        )
        return (*has, *rest)


def read_sweep(reader: Reader, name: str) -> SweepTable:
    """Return a sweep as the record has it, in the order of its runs; without rows: there is none."""
    tag = sweep_tag(name)
    found = reader.runs(f"tag:{quote(tag)}", order="oldest", limit=0, roots=True)
    # A run that died with its process at once may have been recorded after others that came later.
    runs = sorted((run for run in found if tag in run.tags), key=lambda run: run.created_us)
    return table_of(reader, name, runs)


def newest_sweep(reader: Reader) -> str | None:
    """Return the name of the sweep that a run was made of last; ``None``: there are none."""
    found = reader.runs(f"tag:{_START}*", limit=1, roots=True)
    names = sweeps_of(found[0].tags) if found else []
    return names[0] if names else None


def table_of(reader: Reader, name: str, runs: Sequence[FlowRunRecord]) -> SweepTable:
    """Return runs as a sweep."""
    rows = tuple(
        SweepRow(run, _flat(json_value(run.params)), figures_of(reader, run.id)) for run in runs
    )
    names = dict.fromkeys(name for row in rows for name in row.parameters)
    differ = tuple(
        n for n in names if len(rows) < 2 or len({_text(r.parameters.get(n)) for r in rows}) > 1
    )
    figures = dict.fromkeys(name for row in rows for name in row.figures if name not in differ)
    return SweepTable(name, differ, tuple(figures), rows)


def figure_text(value: float | None) -> str:
    """Return a number as a table has it: at most six digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if value == int_or_none(value) and abs(value) < 1e15 else f"{value:.6g}"


def int_or_none(value: float) -> int | None:
    """Return the whole number that a value is, if it is one."""
    return int(value) if math.isfinite(value) and value == int(value) else None


def value_text(value: Any) -> str:
    """Return a parameter's value as a table has it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def sweep_columns(sweep: SweepTable) -> tuple[Column[SweepRow], ...]:
    """Return the columns of the app's table of a sweep; what is to the right goes first where there is
    little room."""
    first: list[Column[SweepRow]] = [
        Column("run", "Run", lambda row, look: (str(row.run.id), "$fd-muted"), 5, gap=0,
               align="right", fits=True, order="run"),
        Column("glyph", "", _glyph, 1, order="state"),
    ]  # fmt: skip
    named = [
        _column(name, _parameter(name), drop=place if place > 1 else 0)
        for place, name in enumerate(sweep.parameters)
    ]
    time: Column[SweepRow] = Column(
        "time", "Time", lambda row, look: (look.duration_of(row.run), "$fd-muted"), 7, align="right",
        gap=2, order="time",
    )  # fmt: skip
    figures = [
        _column(name, _figure(name), drop=place + 1) for place, name in enumerate(sweep.figures)
    ]
    return (*first, *named, time, *figures)


def _column(
    name: str, cell: Callable[[SweepRow, Look], Cell], *, drop: int
) -> Column[SweepRow]:  # fmt: skip
    title = clean(name, 24, newline=" ")
    return Column(f"-{name}", title, cell, max(6, min(len(title), 20)), most=24, grow=1, fits=True,
                  align="right", gap=2, drop=drop, order=name)  # fmt: skip


def _glyph(row: SweepRow, look: Look) -> Cell:
    kind = kind_of(row.run.code, row.run.named)
    return look.symbols.of(kind), SIGNS[kind].style


def _parameter(name: str) -> Callable[[SweepRow, Look], Cell]:
    def cell(row: SweepRow, look: Look) -> Cell:
        text = value_text(row.parameters.get(name))
        return clean(text, 300, newline=" ", ascii_only=look.symbols.ascii), "$fd-strong"

    return cell


def _figure(name: str) -> Callable[[SweepRow, Look], Cell]:
    return lambda row, look: (figure_text(row.figures.get(name)) or look.dash, "")


def _known(value: Any) -> bool:
    return value is not None and value == value  # nan is not


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _flat(value: Any, start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict) and item:
            found |= _flat(item, f"{start}{name}.")
        else:
            found[f"{start}{name}"] = item
    return found

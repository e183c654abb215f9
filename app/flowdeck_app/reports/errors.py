"""Groups of errors as text: one line each, or everything about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing import states, times
from flowdeck_app.drawing.cells import cut
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.tables import TextColumn, facts, table
from flowdeck_app.reports.failures import traceback
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flowdeck_app.drawing.cells import Cell
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.errors.reads import ErrorDetails
    from flowdeck_store.read.records import FlowRunRecord

_COLUMNS: Final = (
    TextColumn("Group"),
    TextColumn("Error", least=20, middle=True),
    TextColumn("Tasks", right=True),
    TextColumn("Runs", right=True),
    TextColumn("Repair", least=6),
    TextColumn("First"),
    TextColumn("Last"),
    TextColumn("Flows", least=8),
    TextColumn("Example"),
)
_RUNS: Final = 10
_MESSAGES: Final = 10
_TASKS: Final = 10


def group_table(groups: Sequence[ErrorGroup], examples: Mapping[str, str], look: Look) -> list[str]:
    """Return a heading and one line a group.

    Args:
        groups: in the order to show.
        examples: where each was seen last, by its id.
        look: what the place can show.
    """
    rows: list[Row] = [
        [
            group.id,
            (group.title, "bold"),
            str(group.tasks or look.dash),
            str(len(group.runs)),
            repair_cell(group, look),
            times.calendar(group.first_us, look.now_us, dash=look.dash),
            times.calendar(group.last_us, look.now_us, dash=look.dash),
            ", ".join(group.flows),
            examples.get(group.id, look.dash),
        ]
        for group in groups
    ]
    return table(_COLUMNS, rows, look)


def repair_cell(group: ErrorGroup, look: Look) -> Cell:
    """Return how many runs wait to be repaired, that all were, or that none had to be."""
    if not group.is_open and not group.repaired_runs:  # their runs completed all the same
        return f"{look.dash} none open", SIGNS[Kind.CANCELLED].style
    kind = Kind.FAILED if group.is_open else Kind.COMPLETED
    sign = look.symbols.of(kind)
    text = f"{sign} {len(group.open_runs)} open" if group.is_open else f"{sign} repaired"
    return text, SIGNS[kind].style


def group_page(details: ErrorDetails, look: Look) -> Iterator[str]:
    """Yield everything about a group: figures, messages, runs, task runs, the newest traceback."""
    group = details.group
    place = group.place
    yield look.paint(one_line(f"{group.title}  ×{group.count}", 300), "bold")
    yield ""
    where = f"{place.file}:{place.line} in {place.function or '?'}" if place.file else ""
    yield from facts(
        [
            ("group", group.id),
            ("place", one_line(where, 500)),
            ("task runs", str(group.tasks) if group.tasks else ""),
            ("failures", str(group.attempts) if group.attempts != group.tasks else ""),
            ("runs", f"{len(group.runs)}, {len(group.open_runs)} open"),
            ("flows", one_line(", ".join(group.flows), 500)),
            ("first", times.full(group.first_us)),
            ("last", times.full(group.last_us)),
        ],
        look,
    )
    yield from _section("Messages", _messages(details, look), look)
    yield from _section("Runs", _runs(details, look), look)
    yield from _section("Task runs", _task_runs(details), look)
    if details.failure is not None and details.failure.exception is not None:
        title = f"Newest failure: {details.example}"
        yield from _section(title, traceback(details.failure.exception, look), look)


def _section(title: str, lines: Sequence[str], look: Look) -> Iterator[str]:
    if lines:
        yield from ("", look.paint(title, "bold"))
        yield from (f"  {line}" if line else "" for line in lines)


def _messages(details: ErrorDetails, look: Look) -> list[str]:
    room = max(20, (look.width or 300) - 12)
    said = [
        f"{message.count:>6}  {cut(one_line(message.text, 300), room, ellipsis=look.ellipsis)}"
        for message in details.messages[:_MESSAGES]
    ]
    more = details.n_messages - len(said)
    return [*said, f"{look.ellipsis} and {more:,} more"] if more > 0 else said


def _runs(details: ErrorDetails, look: Look) -> list[str]:
    said = [_run(run, details.made_good.get(run.id), look) for run in details.runs[:_RUNS]]
    more = len(details.group.runs) - len(said)
    return [*said, f"{look.ellipsis} and {more:,} more"] if more > 0 else said


def _run(run: FlowRunRecord, repaired_by: int | None, look: Look) -> str:
    state = states.painted_name(run.code, run.named, look)
    when = times.calendar(run.started_us or run.created_us, look.now_us, dash=look.dash)
    again = f"  repaired by #{repaired_by}" if repaired_by is not None else ""
    return f"#{run.id}  {one_line(run.name, 80)}  {one_line(run.flow, 80)}  {state}  {when}{again}"


def _task_runs(details: ErrorDetails) -> list[str]:
    refs = details.task_runs[:_TASKS]
    more = details.group.tasks - len(refs)
    return [", ".join(refs) + (f" and {more:,} more" if more > 0 else "")] if refs else []

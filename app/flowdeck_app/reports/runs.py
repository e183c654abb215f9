"""Flow runs as text: one line each, or everything about one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flowdeck_app.drawing import states, times
from flowdeck_app.drawing.cells import Cell, cut
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.tables import TextColumn, facts, table
from flowdeck_store.read.causes import plain
from flowdeck_store.read.runs import json_value
from flowdeck_store.safe import lines, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.provenance import ProvenanceRecord
    from flowdeck_store.read.records import FlowRunRecord, StateRecord
    from flowdeck_store.read.summaries import TaskGroup

_COLUMNS = (
    TextColumn("Run", right=True),
    TextColumn("Name", least=12, middle=True),
    TextColumn("Flow", least=10, middle=True),
    TextColumn("State", least=9),
    TextColumn("Started"),
    TextColumn("Time", right=True),
    TextColumn("Tasks", right=True),
    TextColumn("Runner", least=4),
    TextColumn("Message", least=8),
)


def run_table(runs: Sequence[FlowRunRecord], causes: Mapping[int, Cause], look: Look) -> list[str]:
    """Return a heading and one line a run.

    Args:
        runs: in the order to show.
        causes: what those that failed failed of, by run id; shown instead of the message.
        look: what the place can show.
    """
    rows: list[Row] = [
        [
            str(run.id),
            (run.name, "bold"),
            run.flow,
            states.name_cell(run.code, run.named, look),
            times.calendar(run.started_us or run.created_us, look.now_us, dash=look.dash),
            look.duration_of(run),
            _task_cell(run, look),
            run.runner or look.dash,
            what_ended(run, causes.get(run.id)),
        ]
        for run in runs
    ]
    return table(_COLUMNS, rows, look)


def _task_cell(run: FlowRunRecord, look: Look) -> Cell:
    """Return how many tasks have ended, and how many went wrong: a Completed run may have some."""
    if not run.n_tasks:
        return look.dash, ""
    text = f"{states.ended_tasks(run.counts)}/{run.n_tasks}"
    wrong = states.wrong_tasks(run.counts)
    if not wrong:
        return text, ""
    return f"{look.symbols.of(Kind.FAILED)} {wrong}  {text}", SIGNS[Kind.FAILED].style


def title(run: FlowRunRecord, look: Look) -> str:
    """Return a run in one line: state, name, flow, number, time."""
    name = look.paint(one_line(run.name, 80), "bold")
    time = look.duration_of(run)
    flow = one_line(run.flow, 80)
    return f"{states.painted_name(run.code, run.named, look)}  {name}  {flow}  #{run.id}  {time}"


def what_ended(run: FlowRunRecord, cause: Cause | None) -> str:
    """Return why a run ended as it did, as one text that may have several lines."""
    return plain(run.message) if cause is None else cause.headline


def ending(run: FlowRunRecord, cause: Cause | None, look: Look) -> list[str]:
    """Return what to say when a run is over: its title, why, and how its task runs ended.

    Args:
        run: the run.
        cause: what it failed of, if it did; said instead of the run's own message.
        look: what the place can show.
    """
    said = [title(run, look)]
    room = (look.width or 500) - 2
    why = what_ended(run, cause)
    message = lines(why, 2000)[:10] if why else []
    said += [f"  {cut(line, room, ellipsis=look.ellipsis)}" for line in message]
    if run.n_tasks:
        said.append(f"  {states.painted_counts(run.counts, look, words=True)}")
    return said


def reference(run: FlowRunRecord, look: Look) -> str:
    """Return a mention of another run: number, name, state."""
    return f"#{run.id} {one_line(run.name, 80)}  {states.painted_name(run.code, run.named, look)}"


def run_facts(
    run: FlowRunRecord,
    look: Look,
    *,
    cause: Cause | None = None,
    before: FlowRunRecord | None = None,
    after: Sequence[FlowRunRecord] = (),
) -> list[str]:
    """Return everything a run's own record says, one fact a line.

    Args:
        run: the run.
        look: how to write.
        cause: what it failed of, if it did.
        before: the run that it repeats, if that is still recorded.
        after: the runs that repeat it.
    """
    info = run.info
    return facts(
        [
            ("state", states.painted_name(run.code, run.named, look)),
            ("message", one_line(plain(run.message))),
            ("cause", one_line(cause.headline) if cause and cause.tasks else ""),
            ("flow", one_line(run.flow, 200)),
            ("source", one_line(run.source or "", 500)),
            ("uid", run.uid),
            ("runner", one_line(run.runner or "", 80)),
            ("tags", one_line(", ".join(run.tags), 500)),
            ("created", times.full(run.created_us)),
            ("started", times.full(run.started_us, "") if run.started_us else ""),
            ("ended", times.full(run.ended_us, "") if run.ended_us else ""),
            ("time", look.duration_of(run)),
            ("attempt", str(run.attempt) if run.attempt > 1 else ""),
            ("tasks", states.painted_counts(run.counts, look, words=True)),
            ("log lines", _log_counts(run)),
            ("process", f"{run.pid} on {one_line(run.host or '?', 80)}" if run.pid else ""),
            ("rerun of", reference(before, look) if before else one_line(run.rerun_of or "", 80)),
            *(("run again", reference(other, look)) for other in after),
            ("target", one_line(str(info.get("target") or ""), 500)),
            ("folder", one_line(str(info.get("cwd") or ""), 500)),
        ],
        look,
    )


def ran_as(record: ProvenanceRecord, look: Look) -> list[str]:
    """Return interpreter, packages, repository and so on, one fact a line."""
    found = [(name, one_line(text, 500)) for name, text, _ in record.facts() if name != "folder"]
    return facts(found, look)


def notes(run: FlowRunRecord, look: Look) -> list[str]:
    """Return the notes on a run: number, time, who, and the text below where it has lines."""
    said: list[str] = []
    for index, note in enumerate(run.notes, 1):
        by = one_line(note.by or "", 100)
        head = f"{index}  {times.calendar(note.us, look.now_us, dash=look.dash)}  {by}".rstrip()
        said.append(look.paint(head, "dim"))
        said += [f"   {line}" for line in lines(note.text, 4_000)]
    return said


def parameters(text: str | None, look: Look) -> list[str]:
    """Return a run's recorded parameters, one a line, as ``-p`` would take them."""
    values = json_value(text) if text else {}
    if not isinstance(values, dict):
        return [one_line(text or "")]
    room = (look.width or 500) - 4
    return facts(
        [
            (
                one_line(name, 80),
                cut(one_line(json.dumps(value, ensure_ascii=False)), room, ellipsis=look.ellipsis),
            )
            for name, value in values.items()
        ],
        look,
    )


def group_table(groups: Sequence[TaskGroup], look: Look) -> list[str]:
    """Return one line for each task of a run: counts per state and times."""
    columns = (
        TextColumn("Task", least=12, middle=True),
        TextColumn("Runs", right=True),
        TextColumn("States"),
        TextColumn("Median", right=True),
        TextColumn("Longest", right=True),
    )
    rows: list[Row] = [
        [
            (group.task, "bold"),
            str(group.n),
            states.painted_counts(group.counts, look.plain()),
            times.duration(group.p50, look.dash),
            times.duration(group.longest, look.dash),
        ]
        for group in groups
    ]
    return table(columns, rows, look)


def history(records: Sequence[StateRecord], look: Look) -> list[str]:
    """Return a run's states, one a line, with the time since the one before."""
    said: list[str] = []
    before: int | None = None
    for record in records:
        step = "" if before is None else f"+{times.duration((record.us - before) / 1e6)}"
        message = one_line(plain(record.message))
        head = f"{times.clock(record.us, fraction=3)}  {step:>8}  "
        room = max(20, (look.width or 500) - len(head) - 20)
        name = states.painted_name(record.code, record.named, look)
        said.append(
            f"{head}{name}  {look.paint(cut(message, room, ellipsis=look.ellipsis), 'dim')}".rstrip()
        )
        before = record.us
    return said


def _log_counts(run: FlowRunRecord) -> str:
    if not run.n_logs:
        return ""
    parts = [f"{run.n_logs}"]
    if run.n_errors:
        parts.append(f"{run.n_errors} errors")
    if run.n_warnings:
        parts.append(f"{run.n_warnings} warnings")
    return ", ".join(parts)

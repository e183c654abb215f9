"""Flow runs as text: one line each, or everything about one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flowdeck_app.glyphs import Kind
from flowdeck_app.text import states, times
from flowdeck_app.text.safe import lines, one_line
from flowdeck_app.text.tables import Cell, Column, facts, table
from flowdeck_app.views.text import cut
from flowdeck_store.states import FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.text.look import Look
    from flowdeck_app.text.tables import Row
    from flowdeck_store.records import FlowRunRecord, StateRecord, TaskRunRecord
    from flowdeck_store.summaries import TaskGroup

_COLUMNS = (
    Column("Run", right=True),
    Column("Name", least=12, middle=True),
    Column("Flow", least=10, middle=True),
    Column("State", least=9),
    Column("Started"),
    Column("Time", right=True),
    Column("Tasks", right=True),
    Column("Runner", least=4),
    Column("Message", least=8),
)


def seconds(run: FlowRunRecord | TaskRunRecord, look: Look) -> float | None:
    """Return how long a run took, or has taken so far."""
    if run.started_us is None:
        return None
    end = run.ended_us if run.ended_us is not None else look.now_us
    return (end - run.started_us) / times.SECOND_US


def run_table(
    runs: Sequence[FlowRunRecord], failed_in: Mapping[int, TaskRunRecord], look: Look
) -> list[str]:
    """Return a heading and one line a run.

    Args:
        runs: in the order to show.
        failed_in: the first failed task run by run id, shown before the message.
        look: what the place can show.
    """
    rows: list[Row] = []
    for run in runs:
        first = failed_in.get(run.id) if run.code == FAILED else None
        where = f"{first.name}: {first.message or first.state}" if first else run.message or ""
        rows.append(
            [
                str(run.id),
                Cell(run.name, "bold"),
                run.flow,
                states.state_cell(run.code, run.named, look),
                times.clock(run.started_us or run.created_us, look.now_us, look.dash),
                times.duration(seconds(run, look), look.dash),
                _task_cell(run, look),
                run.runner or look.dash,
                where,
            ]
        )
    return table(_COLUMNS, rows, look)


def _task_cell(run: FlowRunRecord, look: Look) -> Cell:
    """Return how many tasks have ended, and how many went wrong: a Completed run may have some."""
    if not run.n_tasks:
        return Cell(look.dash)
    text = f"{states.ended(run.counts)}/{run.n_tasks}"
    wrong = states.wrong(run.counts)
    if not wrong:
        return Cell(text)
    return Cell(f"{look.symbols.of(Kind.FAILED)} {wrong}  {text}", states.STYLES[Kind.FAILED])


def title(run: FlowRunRecord, look: Look) -> str:
    """Return a run in one line: state, name, flow, number, time."""
    name = look.paint(one_line(run.name, 80), "bold")
    time = times.duration(seconds(run, look), look.dash)
    flow = one_line(run.flow, 80)
    return f"{states.state(run.code, run.named, look)}  {name}  {flow}  #{run.id}  {time}"


def ending(run: FlowRunRecord, look: Look) -> list[str]:
    """Return what to say when a run is over: its title, message, and where to look next."""
    said = [title(run, look)]
    room = (look.width or 500) - 2
    message = lines(run.message, 2000)[:10] if run.message else []
    said += [f"  {cut(line, room, ellipsis=look.ellipsis)}" for line in message]
    if run.n_tasks:
        said.append(f"  {states.counts(run.counts, look, words=True)}")
    return said


def reference(run: FlowRunRecord, look: Look) -> str:
    """Return a mention of another run: number, name, state."""
    return f"#{run.id} {one_line(run.name, 80)}  {states.state(run.code, run.named, look)}"


def run_facts(
    run: FlowRunRecord,
    look: Look,
    *,
    before: FlowRunRecord | None = None,
    after: Sequence[FlowRunRecord] = (),
) -> list[str]:
    """Return everything a run's own record says, one fact a line.

    Args:
        run: the run.
        look: how to write.
        before: the run that it repeats, if that is still recorded.
        after: the runs that repeat it.
    """
    info = run.info
    return facts(
        [
            ("state", states.state(run.code, run.named, look)),
            ("message", one_line(run.message or "")),
            ("flow", one_line(run.flow, 200)),
            ("source", one_line(run.source or "", 500)),
            ("uid", run.uid),
            ("runner", one_line(run.runner or "", 80)),
            ("tags", one_line(", ".join(run.tags), 500)),
            ("created", times.full(run.created_us)),
            ("started", times.full(run.started_us, "") if run.started_us else ""),
            ("ended", times.full(run.ended_us, "") if run.ended_us else ""),
            ("time", times.duration(seconds(run, look), look.dash)),
            ("attempt", str(run.attempt) if run.attempt > 1 else ""),
            ("tasks", states.counts(run.counts, look, words=True)),
            ("log lines", _log_counts(run)),
            ("process", f"{run.pid} on {one_line(run.host or '?', 80)}" if run.pid else ""),
            ("rerun of", reference(before, look) if before else one_line(run.rerun_of or "", 80)),
            *(("run again", reference(other, look)) for other in after),
            ("target", one_line(str(info.get("target") or ""), 500)),
            ("folder", one_line(str(info.get("cwd") or ""), 500)),
        ],
        look,
    )


def parameters(text: str | None, look: Look) -> list[str]:
    """Return a run's recorded parameters, one a line, as ``-p`` would take them."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        return [one_line(text or "")]
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
        Column("Task", least=12, middle=True),
        Column("Runs", right=True),
        Column("States"),
        Column("Median", right=True),
        Column("Longest", right=True),
    )
    rows: list[Row] = [
        [
            Cell(group.task, "bold"),
            str(group.n),
            states.counts(group.counts, look.plain()),
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
        message = one_line(record.message or "")
        head = f"{times.clock_ms(record.us)}  {step:>8}  "
        room = max(20, (look.width or 500) - len(head) - 20)
        name = states.state(record.code, record.named, look)
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

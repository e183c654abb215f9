"""The single lines of the task screen: headline, attempt, history, inputs, where else it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing.cells import clean, cut
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.drawing.states import state_cell
from flowdeck_app.drawing.times import ago, duration, seconds_of
from flowdeck_app.screens.task.failure_rows import headline
from flowdeck_app.views.facts import states_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.screens.task.facts import TaskFacts
    from flowdeck_store.read.records import (
        AttemptRecord,
        FlowRunRecord,
        SameFailures,
        StateRecord,
        TaskRunRecord,
        UpstreamRecord,
    )

Pieces = list[tuple[str, str]]
_LABEL = "$fd-accent"


def headline_pieces(known: TaskFacts, attempt: int, look: Look) -> tuple[list[Piece], list[Piece]]:
    """Return what an attempt failed of, or what its state says; state and time at the right."""
    record, failure = known.record, known.failure_of(attempt)
    word, style = state_cell(record.code, record.named, look)
    ascii_only = look.symbols.ascii
    if failure is not None and failure.exception is not None:
        said = headline(failure.exception, ascii_only=ascii_only)
        left = Piece(said, "bold $fd-failed", "headline")
    elif known.failures and attempt:
        left = Piece(f"Attempt {attempt} did not fail", "$fd-muted")
    else:
        text = clean(record.message or f"task {record.task}", newline=" ", ascii_only=ascii_only)
        left = Piece(text, style if known.failures else "$fd-muted")
    right = [Piece(clean(word, 40).upper(), style)]
    if len(known.attempts) > 1:
        right.append(Piece(f"   {len(known.attempts)} attempts", "$fd-muted"))
    seconds = seconds_of(record, look.now_us)
    if seconds is not None:
        right.append(Piece(f"   {duration(seconds)}", "$fd-strong"))
    return [left], right


def history_line(
    record: TaskRunRecord, states: Sequence[StateRecord], attempts: Sequence[AttemptRecord],
    look: Look,
) -> tuple[Pieces, Pieces]:  # fmt: skip
    """Return the state history, and at the right how long it waited and ran."""
    left: Pieces = [("States  ", _LABEL), *states_line(states, look, most=9)]
    ran = sum(
        ((a.ended_us if a.ended_us is not None else look.now_us) - a.started_us) / 1e6
        for a in attempts
    )
    right: Pieces = []
    if record.started_us is not None:
        end = record.ended_us if record.ended_us is not None else look.now_us
        waited = max(0.0, (end - record.created_us) / 1e6 - ran)
        right = [("waited ", "$fd-faint"), (duration(waited), ""),
                 ("   ran ", "$fd-faint"), (duration(ran), "")]  # fmt: skip
    return left, right


def inputs_line(
    parameters: Mapping[str, str], upstreams: Sequence[UpstreamRecord], look: Look
) -> Pieces:
    """Return ``page=3   client=AsyncClient(…)   from fetch[2]``."""
    signs = look.symbols
    pieces: Pieces = [("Inputs  ", _LABEL)]
    for name, value in list(parameters.items())[:6]:
        shown = cut(clean(value, 200, ascii_only=signs.ascii), 32, ellipsis=signs.ellipsis)
        pieces += [(f"{clean(name, 60)}=", "$fd-muted"), (f"{shown}   ", "")]
    if upstreams:
        names = ", ".join(clean(edge.label or edge.ref, 60) for edge in upstreams[:3])
        more = f" +{len(upstreams) - 3}" if len(upstreams) > 3 else ""
        pieces.append((f"from {names}{more}", "$fd-muted"))
    if len(pieces) == 1:
        pieces.append(("none", "$fd-faint"))
    return pieces


def same_line(
    same: SameFailures | None, runs: Sequence[FlowRunRecord], look: Look
) -> Pieces:  # fmt: skip
    """Return ``same error in 14 tasks of this run, 2 other runs: calm-fox (1h ago)``."""
    if same is None:
        return []
    parts: list[str] = []
    if same.tasks_here > 1:
        parts.append(f"in {same.tasks_here} tasks of this run")
    if same.runs_elsewhere:
        count = same.runs_elsewhere
        named = ", ".join(
            f"{clean(run.name, 60)} ({ago(run.created_us, look.now_us)})" for run in runs
        )
        parts.append(
            f"in {count} other run{'s' if count > 1 else ''}" + (f": {named}" if named else "")
        )
    if not parts:
        return [("Also    ", _LABEL), ("nowhere else in the record", "$fd-faint")]
    return [("Also    ", _LABEL), ("same error ", "$fd-muted"), (", ".join(parts), "")]


def attempt_note(shown: int, total: int, look: Look) -> Pieces:
    """Return ``attempt 3 of 3  ‹ , . ›`` for the tabs' right end."""
    if total < 2:
        return []
    signs = look.symbols
    keys = f"  {signs.left} , . {signs.right}"
    return [(f"attempt {shown} of {total}", "$fd-muted"), (keys, "$fd-faint")]

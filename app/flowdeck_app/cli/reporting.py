"""After the flow: how it ended, as recorded; and where its prints go with ``--json``."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.errors import INTERRUPTED, OK, RUN_FAILED, STORE, exit_code
from flowdeck_app.cli.output import echo, echo_json, is_terminal, plural, say, stream_look
from flowdeck_app.cli.record import home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How the call of the flow ended, whatever the record says."""

    state: Any = None
    error: BaseException | None = None

    @property
    def code(self) -> int:
        """The exit code that says so."""
        if self.state is not None and not self.state.is_cancelled():
            return OK if self.state.is_completed() else RUN_FAILED
        interrupted = self.error is None or isinstance(self.error, KeyboardInterrupt)
        return INTERRUPTED if interrupted else RUN_FAILED


def report(uid: str, end: RunEnd, *, quiet: bool, as_json: bool) -> int:
    """Show how the run ended, as recorded, and return the exit code.

    Args:
        uid: of the run.
        end: how its call ended, for what the record does not tell.
        quiet: say nothing of a run that completed.
        as_json: write its object to stdout.
    """
    import sqlite3

    from flowdeck_store.errors import StoreError
    from flowdeck_store.read import json_shape
    from flowdeck_store.read.reader import Reader

    run, cause = None, None
    try:
        with Reader.open(home()) as reader:
            run = reader.run_by_uid(uid)
            cause = None if run is None else reader.cause(run)
            if run is not None and run.is_final:
                if quiet and exit_code(run) == OK:
                    _name_failures(reader, run)
                else:
                    _show_end(reader, run, cause)
    except (StoreError, sqlite3.Error) as error:  # the flow has run all the same
        say(f"flowdeck: the record cannot be read: {error}")
    if run is None or not run.is_final:
        say(f"flowdeck: {_where_the_end_is()}")
        if end.error is not None:
            say(f"flowdeck: {type(end.error).__name__}: {end.error}")
    if as_json:
        if run is None:
            return STORE
        echo_json([json_shape.flow_run(run, cause)])
    return exit_code(run) if run is not None and run.is_final else end.code


def _where_the_end_is() -> str:
    from flowdeck.runs.recorder import is_all_kept

    if is_all_kept():
        return "the end of this run is kept in its journal until it can be recorded."
    return (
        "the end of this run is recorded nowhere: neither the record nor a journal could be "
        "written. `flowdeck runs` will show it as Crashed, or not at all."
    )


def _name_failures(reader: Reader, run: FlowRunRecord) -> None:
    """Say in one line that a run completed although task runs failed: nothing else does."""
    from flowdeck_app.drawing.states import wrong_tasks
    from flowdeck_store.read.causes import plain
    from flowdeck_store.safe import one_line

    count, first = wrong_tasks(run.counts), reader.first_failure(run.id)
    if count and first is not None:
        what = one_line(f"{first.label} {plain(first.message)}".strip(), 300)
        many = f"{count} of {plural(run.n_tasks, 'task run')} failed"
        say(f"flowdeck: {run.name} (#{run.id}) completed, but {many}, first {what}")


def _show_end(reader: Reader, run: FlowRunRecord, cause: Cause | None) -> None:
    from flowdeck.failures.capture import render
    from flowdeck_app.reports.runs import ending
    from flowdeck_store.safe import lines
    from flowdeck_store.states import COMPLETED

    seen = stream_look(sys.stderr)
    task = cause.task if cause else reader.first_failure(run.id)
    # On a terminal the log lines with the traceback were not shown: the display had their place.
    if is_terminal(sys.stderr):
        failure = reader.last_failure(task.run_id if task else run.id, task.no if task else 0)
        if failure is not None and failure.exception is not None:
            echo(lines(render(failure.exception)), sys.stderr)
    echo(ending(run, cause, seen), sys.stderr)
    if task is not None:
        say(f"  flowdeck task {task.ref} shows the traceback with its variables")
    elif run.code != COMPLETED:
        say(f"  flowdeck show {run.id} shows more")


@contextlib.contextmanager
def prints_to_stderr(wanted: bool) -> Iterator[None]:
    """Send what the flow prints to stderr, so that stdout holds nothing but the JSON.

    Also what processes print that the flow starts, where stdout is a real file.
    """
    if not wanted:
        yield
        return
    sys.stdout.flush()
    try:
        real = sys.stdout.fileno() == 1 and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # replaced, as test runners do
        real = False
    with contextlib.redirect_stdout(sys.stderr):
        if not real:
            yield
            return
        saved = os.dup(1)
        try:
            os.dup2(2, 1)
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 1)
            os.close(saved)

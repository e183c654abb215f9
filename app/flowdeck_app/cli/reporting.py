"""After the flow: how it ended, as recorded; and where its prints go with ``--json``."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.common import echo, echo_json, exit_code, home, is_terminal, look, say
from flowdeck_app.cli.errors import INTERRUPTED, OK, RUN_FAILED, STORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the call of the flow ended, whatever the record says."""

    state: Any = None
    error: BaseException | None = None

    @property
    def code(self) -> int:
        if self.state is not None and not self.state.is_cancelled():
            return OK if self.state.is_completed() else RUN_FAILED
        interrupted = self.error is None or isinstance(self.error, KeyboardInterrupt)
        return INTERRUPTED if interrupted else RUN_FAILED


def report(uid: str, outcome: Outcome, *, quiet: bool, as_json: bool) -> int:
    """Show how the run ended, as recorded, and return the exit code."""
    import sqlite3

    from flowdeck_store import json_shape
    from flowdeck_store.errors import StoreError
    from flowdeck_store.reader import Reader

    run = None
    try:
        with Reader.open(home()) as reader:
            run = reader.run_by_uid(uid)
            if run is not None and run.is_final and not (quiet and exit_code(run) == OK):
                _show_end(reader, run)
    except (StoreError, sqlite3.Error) as error:  # the flow has run all the same
        say(f"flowdeck: the record cannot be read: {error}")
    if run is None or not run.is_final:
        say("flowdeck: the end of this run is kept in its journal until it can be recorded.")
        if outcome.error is not None:
            say(f"flowdeck: {type(outcome.error).__name__}: {outcome.error}")
    if as_json:
        if run is None:
            return STORE
        echo_json([json_shape.flow_run(run)])
    return exit_code(run) if run is not None and run.is_final else outcome.code


def _show_end(reader: Reader, run: FlowRunRecord) -> None:
    from flowdeck.failures import render
    from flowdeck_app.text.runs import ending
    from flowdeck_app.text.safe import lines
    from flowdeck_store.states import COMPLETED

    seen = look(sys.stderr)
    task = reader.first_failures([run.id]).get(run.id)
    # On a terminal the log lines with the traceback were not shown: the display had their place.
    if is_terminal(sys.stderr):
        failure = reader.last_failure(run.id, task.no if task else 0)
        if failure is not None and failure.exception is not None:
            echo(lines(render(failure.exception)), sys.stderr)
    echo(ending(run, seen), sys.stderr)
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

"""``flowdeck run --grid``: a sweep from its combinations to its table and exit code."""

from __future__ import annotations

import shlex
import sys
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from flowdeck.launch import interpreters
from flowdeck_app.cli.errors import INTERRUPTED, OK, RUN_FAILED, Trouble
from flowdeck_app.cli.output import is_terminal, say
from flowdeck_app.cli.starting.sweep_runs import SweepRuns
from flowdeck_app.views.sweeps import sweep_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck.runs.launch_spec import LaunchSpec


def sweep(spec: LaunchSpec, grid: Sequence[str], jobs: int, *, quiet: bool, as_json: bool) -> int:
    """Make one run for each combination, show the table, and return the exit code.

    Args:
        spec: what to run and how; its name is the sweep's.
        grid: texts of ``--grid``.
        jobs: how many runs at a time.
        quiet: show nothing but errors.
        as_json: show each run's JSON.

    Raises:
        TargetError, ConfigurationError, Trouble: it cannot be run.
    """
    from flowdeck.runs.names import slug
    from flowdeck_app.cli.record import home, reading
    from flowdeck_app.cli.running import check_without_import
    from flowdeck_app.cli.starting.grid import combinations, run_name
    from flowdeck_app.cli.starting.sweep_table import show_table
    from flowdeck_app.views.sweeps import table_of
    from flowdeck_store.file.paths import StorePaths

    chosen = combinations(grid, [*spec.values, *spec.texts])
    name = spec.name or slug()
    specs = [
        replace(spec, uid=uuid.uuid4().hex, name=run_name(each), tags=(*spec.tags, sweep_tag(name)),
                texts={**spec.texts, **each}, python=None)
        for each in chosen
    ]  # fmt: skip
    check_without_import(specs[0])
    python = interpreters.usable(spec.target, asked=spec.python)
    log = StorePaths(home()).launches / f"{specs[0].uid}.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not quiet:
        say(f"flowdeck: sweep {name}: {len(specs)} runs; they print to {log}.")
    runs = SweepRuns(specs, jobs, python, log, live=is_terminal(sys.stderr) and not quiet)
    runs.go()
    if as_json or not quiet:
        with reading() as reader:
            made = (reader.run_by_uid(str(each.uid)) for each in specs)
            table = table_of(reader, name, [run for run in made if run is not None])
            if table.rows:
                show_table(reader, table, limit=None, as_json=as_json)
    return _end(runs, name, len(specs), quiet=quiet)


def _end(runs: SweepRuns, name: str, total: int, *, quiet: bool) -> int:
    done = sum(runs.states.values())
    if runs.fatal is not None:
        raise Trouble(
            f"the sweep was given up after {done} of {total} runs: {runs.fatal}", code=RUN_FAILED
        )
    if not quiet:
        said = ", ".join(f"{count} {state.lower()}" for state, count in runs.states.most_common())
        rest = f", {total - done} not begun" if total > done else ""
        say(
            f"flowdeck: {said or 'nothing ended'}{rest}; `flowdeck sweep {shlex.quote(name)}` shows them again."
        )
    if runs.stopped:
        return INTERRUPTED
    return OK if runs.states["COMPLETED"] == total else RUN_FAILED

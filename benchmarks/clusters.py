"""Flows on a cluster beside the raw engine: the same tasks, on the same cluster, in the same run.

    python benchmarks/clusters.py [--engine dask|ray|ray-client|process] [--tasks 3000] [--rounds 7]

Each round runs every variant of a case once, in shuffled order; shown is the median of the rounds'
ratios to the raw engine, wall time and CPU time (of this process and of what it started), with the
range. A flowdeck variant is the whole call of the flow: connecting, all tasks, and every state of
every task committed to the record. ``raw`` is the engine with the settings that flowdeck gives it,
``raw-defaults`` with its own; ``raw-map`` knows all tasks beforehand, which a flow does not.

What an engine's cases are is in ``clusters_<engine>.py``: a context manager ``cases()`` that gives
``{case: {variant: function of the number of tasks}}``, and the budget of its wide case.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("engine", "store", "app", "benchmarks")]

if TYPE_CHECKING:
    from collections.abc import Callable

Variants = dict[str, "Callable[[int], Any]"]

ENGINES = ["dask", "ray", "ray-client", "process"]
#: How many tasks a case has, as a share of ``--tasks``.
SHARE = {
    "wide no-op": 1.0, "wide 10 ms": 0.1, "chain": 0.07, "fan-in": 0.33,
    "shared 8 MB, map": 0.07, "shared 8 MB, submit": 0.07,
}  # fmt: skip
#: Of wall and CPU time of raw, the seconds that can be told from none: CPU time comes in ticks.
LEAST = 1e-9, 0.01
#: Wall time of tasks that share a big argument, as a ratio to the engine where it is put by hand.
SHARED_BUDGET = 1.2


def cpu_seconds() -> float:
    """Return the CPU time of this process and of all its descendants that live."""
    import psutil

    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def measured(function: Callable[[int], Any], tasks: int) -> tuple[float, float]:
    """Return wall and CPU seconds of a call."""
    cpu, began = cpu_seconds(), time.perf_counter()
    function(tasks)
    return time.perf_counter() - began, cpu_seconds() - cpu


def run_case(variants: Variants, tasks: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Run a case's variants in shuffled rounds, after one that is not counted."""
    for function in variants.values():
        function(min(tasks, 50))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    rng = random.Random(1)
    for _ in range(rounds):
        for name in rng.sample(list(variants), len(variants)):
            found[name].append(measured(variants[name], tasks))
    return found


def summary(found: dict[str, list[tuple[float, float]]], tasks: int) -> dict[str, Any]:
    """Return per variant the median milliseconds a task and the ratios to ``raw``."""
    table: dict[str, Any] = {}
    for name, times in found.items():
        row: dict[str, Any] = {"wall_ms": statistics.median(t[0] for t in times) / tasks * 1000}
        for index, kind in enumerate(("wall", "cpu")):
            pairs = zip(times, found["raw"], strict=True)
            ratios = sorted(mine[index] / max(raw[index], LEAST[index]) for mine, raw in pairs)
            row[kind] = [statistics.median(ratios), ratios[0], ratios[-1]]
        table[name] = row
    return table


def show(case: str, tasks: int, table: dict[str, Any]) -> None:
    """Print one case."""
    print(f"\n{case}, {tasks} tasks")
    for name, row in table.items():
        wall, cpu = ("{:5.2f}x ({:.2f}-{:.2f})".format(*row[kind]) for kind in ("wall", "cpu"))
        print(f"  {name:14} {row['wall_ms']:8.3f} ms/task   wall {wall}   cpu {cpu}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="dask", choices=ENGINES)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as home:
        os.environ.update(FLOWDECK_HOME=home, FLOWDECK_CONSOLE="false", FLOWDECK_LOG_LEVEL="ERROR")
        engine = importlib.import_module(f"clusters_{options.engine.replace('-', '_')}")
        tables: dict[str, Any] = {}
        with engine.cases() as cases:
            for case, variants in cases.items():
                if options.case and case not in options.case:
                    continue
                tasks = max(int(options.tasks * SHARE.get(case, 1.0)), 10)
                found = run_case(variants, tasks, options.rounds)
                tables[case] = summary(found, tasks)
                if not options.json:
                    show(case, tasks, tables[case])
            tables["100 MB between two tasks"] = moved = engine.big_value()
        from flowdeck.runs import recorder as recording

        recording.close_all()
    if options.json:
        print(json.dumps(tables, indent=1))
    else:
        print(f"\n100 MB between two tasks: {moved['through_driver']:,} bytes through this process")
    wide = tables.get("wide no-op", {}).get("flowdeck")
    if wide is not None and not options.json:
        print(f"budget of the wide case: {engine.BUDGET}x, median {wide['wall'][0]:.2f}x")
    for case, table in tables.items():
        if case.startswith("shared") and not options.json:
            print(f"budget of {case}: {SHARED_BUDGET}x, median {table['flowdeck']['wall'][0]:.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())

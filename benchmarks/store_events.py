"""How fast events are recorded, what emitting one costs, and how soon another process sees it.

    python benchmarks/store_events.py [--seconds 2.5] [--json]

Each figure comes from real processes on one store in a temporary folder: one process at 50,000
events a second, the same with what it records forced to the disk every second, one whose flow thread never
rests, one that emits as fast as it can, eight
processes at 5,000 a second each. A watcher process polls the store as the terminal app does and
notes how old every row is that it sees.
The events are those of task runs: created, running, two log lines, completed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "store"))

from flowdeck_store import events as ev
from flowdeck_store.file.connection import connect_ro
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.journal.durability import LEVELS, POWER, PROCESS
from flowdeck_store.session import RecordingSession
from flowdeck_store.states import COMPLETED, PENDING, RUNNING

PER_TASK = 5
POLL_S = 0.020
BURST_S = 0.001
MESSAGE = "a line of some length, as log lines are: this one has 72 characters, too"


def task_events(uid: str, no: int) -> list[ev.Event]:
    """The events of one task run, now."""
    us = ev.now_us()
    return [
        ev.task(uid, no, us, "bench:task", f"task-{no}", None, None),
        ev.state(uid, no, PENDING, RUNNING, us, None, None, 1, None, None),
        ev.log(uid, no, us, 20, "bench", MESSAGE),
        ev.log(uid, no, us, 20, "bench", MESSAGE),
        ev.state(uid, no, RUNNING, COMPLETED, us, None, None, 1, None, None),
    ]


def produce(home: Path, rate: int, seconds: float, busy: bool, durability: str) -> dict[str, Any]:
    """Record for a while at ``rate`` events a second (0: as fast as possible).

    Between events the thread sleeps, or counts if it is to be ``busy``.
    """
    session = RecordingSession.open(
        home, version="benchmark", on_warning=print, durability=durability
    )
    uid = os.urandom(16).hex()
    session.emit(ev.task_def("bench:task", "task", None, None, 0))
    session.emit(ev.run(uid, ev.now_us(), flow_key="bench:flow", flow_name="flow", name="bench"))
    session.flush()
    _wait_for_go()
    costs: list[int] = []
    cpu = time.process_time()
    began = time.perf_counter()
    no = 0
    while (passed := time.perf_counter() - began) < seconds:
        if rate and no * PER_TASK >= passed * rate:
            if not busy:
                time.sleep(BURST_S)
            continue
        no += 1
        emit_timed(session, task_events(uid, no), no % PER_TASK, costs)
    emitted = time.perf_counter() - began
    complete = session.flush(60)
    committed = time.perf_counter() - began
    figures = session.statistics()
    session.emit(ev.state(uid, 0, -1, COMPLETED, ev.now_us(), None, None, 1, None, None))
    session.close()
    return {
        "events": no * PER_TASK,
        "complete": complete and figures.rejected == figures.dropped == 0,
        "emit_seconds": emitted,
        "commit_seconds": committed,
        "cpu_seconds": time.process_time() - cpu,
        "flushes": figures.flushes,
        "emit_ns": percentiles(costs),
    }


def emit_timed(
    session: RecordingSession, events: list[ev.Event], timed: int, costs: list[int]
) -> None:
    """Emit, and note the cost of one of the events: timing each would cost as much again."""
    emit, clock = session.emit, time.perf_counter_ns
    for event in events[:timed]:
        emit(event)
    before = clock()
    emit(events[timed])
    costs.append(clock() - before)
    for event in events[timed + 1 :]:
        emit(event)


def watch(home: Path, seconds: float) -> dict[str, Any]:
    """Poll the store; return how old rows are when they are first seen, in milliseconds."""
    conn = connect_ro(StorePaths(home))
    assert conn is not None
    ages: list[float] = []
    cursors = {"states": 0, "logs": 0}
    with closing(conn):
        for table in cursors:
            newest = conn.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()
            cursors[table] = newest[0]
        _wait_for_go()
        version, until = -1, time.monotonic() + seconds
        while time.monotonic() < until:
            (now,) = conn.execute("PRAGMA data_version").fetchone()
            if now != version:
                version = now
                for table, cursor in cursors.items():
                    query = f"SELECT seq,us FROM {table} WHERE seq>? ORDER BY seq"
                    rows = conn.execute(query, (cursor,)).fetchall()
                    seen = ev.now_us()
                    ages += [(seen - us) / 1000 for _, us in rows]
                    cursors[table] = rows[-1][0] if rows else cursor
            time.sleep(POLL_S)
    return {"rows": len(ages), "visible_ms": percentiles(ages)}


def percentiles(values: list[Any]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum."""
    if len(values) < 2:
        return {}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}


def scenario(
    processes: int,
    rate: int,
    seconds: float,
    busy: bool = False,
    durability: str = PROCESS,
) -> dict[str, Any]:
    """Run producers and a watcher on a fresh store."""
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as folder:
        home = Path(folder) / "home"
        RecordingSession.open(home, version="benchmark", on_warning=print).close()
        producers = [
            _start("produce", home, rate, seconds, busy, durability) for _ in range(processes)
        ]
        watcher = _start("watch", home, 0, seconds + 0.3)
        for process in (*producers, watcher):
            assert process.stdout is not None
            process.stdout.readline()  # it is ready
        for process in (watcher, *producers):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        parts = [json.loads(process.communicate()[0]) for process in producers]
        seen = json.loads(watcher.communicate()[0])
        with closing(connect_ro(StorePaths(home))) as conn:  # type: ignore[type-var]
            assert conn is not None
            (states,), (logs,) = conn.execute(
                "SELECT count(*) FROM states WHERE task_no>0 UNION ALL SELECT count(*) FROM logs"
            ).fetchall()
    events = sum(part["events"] for part in parts)
    slowest = max(part["commit_seconds"] for part in parts)
    return {
        "processes": processes,
        "asked_per_second": rate * processes or None,
        "busy": busy,
        "events": events,
        "events_per_second": round(events / slowest),
        "all_recorded_once": all(p["complete"] for p in parts) and states + logs == events,
        "writer_cpu_share": round(sum(p["cpu_seconds"] for p in parts) / slowest / processes, 3),
        "emit_us_p50": max(p["emit_ns"]["p50"] for p in parts) / 1000,
        "emit_us_p99": max(p["emit_ns"]["p99"] for p in parts) / 1000,
        "visible_ms": seen["visible_ms"],
    }


def report(results: dict[str, dict[str, Any]]) -> None:
    """Print the results as a table."""
    head = ("scenario", "events/s", "emit us p50/p99", "visible ms p50/p99/max", "once", "cpu")
    print("{:<26}{:>10}{:>18}{:>26}{:>6}{:>7}".format(*head))
    for name, r in results.items():
        seen = r["visible_ms"]
        print(
            f"{name:<26}{r['events_per_second']:>10,}"
            f"{r['emit_us_p50']:>11.2f} / {r['emit_us_p99']:.2f}"
            f"{seen['p50']:>13.0f} / {seen['p99']:.0f} / {seen['max']:.0f}"
            f"{'yes' if r['all_recorded_once'] else 'NO':>9}{r['writer_cpu_share']:>7.0%}"
        )


def _wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _start(
    role: str,
    home: Path,
    rate: int,
    seconds: float,
    busy: bool = False,
    durability: str = PROCESS,
) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--role", role, "--home", str(home), "--rate", str(rate)]
    command += ["--durability", durability]
    return subprocess.Popen(
        [*command, "--seconds", str(seconds), *(["--busy"] if busy else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def main() -> None:
    """Run all scenarios, or one role of one in a child process."""
    parser = argparse.ArgumentParser(description="Measure how events are recorded.")
    parser.add_argument("--seconds", type=float, default=2.5, help="of each scenario")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--role", choices=["produce", "watch"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--busy", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--durability", choices=LEVELS, default=PROCESS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "produce":
        made = produce(
            options.home, options.rate, options.seconds, options.busy, options.durability
        )
        print(json.dumps(made))
        return
    if options.role == "watch":
        print(json.dumps(watch(options.home, options.seconds)))
        return
    results = {
        "1 process, 1,000/s": scenario(1, 1_000, options.seconds),
        "1 process, 50,000/s": scenario(1, 50_000, options.seconds),
        "same, durability = power": scenario(1, 50_000, options.seconds, durability=POWER),
        "1 busy process, 10,000/s": scenario(1, 10_000, options.seconds, busy=True),
        "1 process, flat out": scenario(1, 0, options.seconds / 2),
        "8 processes, 5,000/s each": scenario(8, 5_000, options.seconds),
    }
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        report(results)


if __name__ == "__main__":
    main()

"""What a busy run costs the app that shows it: 5,000 tasks, 10,000 events a second.

    python benchmarks/app_live.py [--tasks 5000] [--rate 10000] [--seconds 10] [--budget]

Another process records a run whose tasks start, log, are retried and end, at a steady rate. The
app shows the table of its task runs, headless at 120x40, with the cursor on a task in the middle
of the table. Measured are the processor time of the app as a share of one core (budget: 30 %),
how late its event loop ran, how much of what was recorded it had shown in the end, and whether the
cursor ever left its task, or its line on the screen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("engine", "store", "app")]

from flowdeck_app.app import FlowdeckApp  # noqa: E402
from flowdeck_app.widgets.lines.view import LineView  # noqa: E402
from flowdeck_store import events as ev  # noqa: E402
from flowdeck_store.session import RecordingSession  # noqa: E402
from flowdeck_store.states import COMPLETED, PENDING, RUNNING, SCHEDULED  # noqa: E402

SIZE = (120, 40)
#: Budgets: percent of a core; moves of the cursor.
BUDGETS = {"processor, % of a core": 30.0, "cursor left its task": 0, "cursor left its line": 0}
UID = "c" * 32


def events_of(no: int, us: int) -> list[ev.Event]:
    """Return what one task records after it was created: 16 events."""

    def state(old: int, new: int, attempt: int, name: str | None = None) -> ev.Event:
        return ev.state(UID, no, old, new, us, name, None, attempt, None, "w-1")

    lines = [ev.log(UID, no, us, 20, "bench", f"line {n} of task {no}") for n in range(12)]
    return [
        state(PENDING, RUNNING, 1), *lines[:6], state(RUNNING, SCHEDULED, 1, "AwaitingRetry"),
        state(SCHEDULED, RUNNING, 2), *lines[6:], state(RUNNING, COMPLETED, 2),
    ]  # fmt: skip


def produce(home: Path, tasks: int, rate: int, seconds: float) -> None:
    """Record the run: all tasks are created, then their events come at the rate."""
    session = RecordingSession.open(home, version="benchmark", on_warning=print)
    us = ev.now_us()
    session.emit(ev.task_def("bench:task", "task", None, None, 1))
    session.emit(ev.run(UID, us, flow_key="bench:flow", flow_name="flow", name="busy"))
    session.emit(ev.state(UID, 0, PENDING, RUNNING, us, None, None, 1, None, None))
    for no in range(1, tasks + 1):
        session.emit(ev.task(UID, no, us, "bench:task", f"task-{no}", None, None))
    session.flush()
    print(session.run_number(UID), flush=True)
    sys.stdin.readline()  # the app shows the run now
    began, sent = time.perf_counter(), 0
    # Two hundred tasks are at work at a time, as with a pool of workers.
    waves = (range(first, min(first + 200, tasks + 1)) for first in range(1, tasks + 1, 200))
    for wave in waves:
        for step in zip(*(events_of(no, ev.now_us()) for no in wave), strict=True):
            for event in step:
                session.emit(event)
                sent += 1
            ahead = sent / rate - (time.perf_counter() - began)
            if ahead > 0:
                time.sleep(ahead)
        if time.perf_counter() - began > seconds:
            break
    session.flush()
    taken = time.perf_counter() - began
    print(json.dumps({"events": sent, "seconds": taken, "ended": wave[-1]}), flush=True)
    sys.stdin.readline()
    session.emit(ev.state(UID, 0, RUNNING, COMPLETED, ev.now_us(), None, None, 1, None, None))
    session.close()


async def until(condition: Any, seconds: float = 120.0) -> None:
    """Wait for a condition without holding the loop."""
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError("the app did not come to what was expected")
        await asyncio.sleep(0.005)


async def watch(home: Path, words: list[str], tasks: int) -> dict[str, float]:
    """Show the run while it is recorded and return all figures."""
    command = [sys.executable, __file__, "--produce", str(home), *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as producer:
        assert producer.stdin is not None
        assert producer.stdout is not None
        number = int(await asyncio.to_thread(producer.stdout.readline))
        app = FlowdeckApp(home, folder=home, remember=False, first_run=number)
        async with app.run_test(size=SIZE):
            await until(lambda: app.screen.query("#task-table"))
            table = app.screen.query_one("#task-table", LineView)
            await until(lambda: table.count == tasks)
            table.focus()
            table.move_to(tasks // 2)
            await until(lambda: table.current_key is not None)
            key, line = table.current_key, table.cursor - table.top
            cpu, wall = time.process_time(), time.perf_counter()
            producer.stdin.write("go\n")
            producer.stdin.flush()
            said = asyncio.create_task(asyncio.to_thread(producer.stdout.readline))
            late, left_task, left_line = [], 0, 0
            while not said.done():
                slept = time.perf_counter()
                await asyncio.sleep(0.02)
                late.append((time.perf_counter() - slept - 0.02) * 1e3)
                left_task += table.current_key != key
                left_line += table.cursor - table.top != line
            used = (time.process_time() - cpu) / (time.perf_counter() - wall)
            end = time.perf_counter()
            done = json.loads(said.result())
            chips = app.screen.query_one("#run-chips")
            await until(lambda: chips.counts[COMPLETED] == done["ended"])  # type: ignore[attr-defined]
            behind = (time.perf_counter() - end) * 1e3
        producer.stdin.write("end\n")
    return {
        "events a second": done["events"] / done["seconds"],
        "events": done["events"],
        "processor, % of a core": used * 100,
        "loop late, p99 ms": quantiles(late, n=100)[-1],
        "all shown after, ms": behind,
        "cursor left its task": left_task,
        "cursor left its line": left_line,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="stop recording after these")
    parser.add_argument("--budget", action="store_true", help="exit with 1 beyond a budget")
    parser.add_argument("--produce", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.produce is not None:
        produce(given.produce, given.tasks, given.rate, given.seconds)
        return 0
    words = ["--tasks", given.tasks, "--rate", given.rate, "--seconds", given.seconds]
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as folder:
        seen = asyncio.run(watch(Path(folder), [str(word) for word in words], given.tasks))
    beyond = [name for name, most in BUDGETS.items() if seen[name] > most]
    for name, value in seen.items():
        print(f"{name:<26}{value:>10.1f}{'  BEYOND' if name in beyond else ''}")
    return 1 if given.budget and beyond else 0


if __name__ == "__main__":
    sys.exit(main())

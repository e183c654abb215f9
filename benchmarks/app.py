"""How fast the terminal app is on a store of a size that years of use make.

    python benchmarks/app.py [--tasks 20000] [--biggest 5000] [--logs 20000] [--json]
    python benchmarks/app.py --tasks 1000000 --biggest 100000 --logs 1000000    the full size
    python benchmarks/app.py ... --store DIR    make the store there once, use it again later

A store with that many task runs over many runs, one of which has ``--biggest`` task runs and all
log lines, is made in a temporary folder (app_store.py). The app runs headless at 120x40 with
everything that a user's has: the thread that watches the store, the real screens. Measured are:

- first paint: from calling ``flowdeck`` in a terminal to Home's frame and to its rows
  (app_start.py)
- key to paint: from a key to the frame that shows what it did, in the tables of tasks, runs, logs
- filter to paint: from the last typed letter, with the 150 ms that are waited for more letters
- state change to screen: another process records the end of a task; the run's header shows it
- idle: processor time of the app while nothing happens; memory at the end

What a run of 5,000 tasks with 10,000 events a second costs the app is measured by app_live.py.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("engine", "store", "app")]

from app_start import starts  # noqa: E402
from app_store import fill, made  # noqa: E402
from textual import events as textual_events  # noqa: E402

from flowdeck_app.app import FlowdeckApp  # noqa: E402
from flowdeck_app.widgets.lines.view import LineView  # noqa: E402
from flowdeck_store import events as ev  # noqa: E402
from flowdeck_store.session import RecordingSession  # noqa: E402
from flowdeck_store.states import COMPLETED, PENDING, RUNNING  # noqa: E402

#: Figure -> budget in ms (or percent for the processor), from the project's architecture.
BUDGETS = {
    "first paint, from the call": 500.0,
    "key to paint, tasks": 50.0,
    "key to paint, runs": 50.0,
    "key to paint, logs": 50.0,
    "state change to screen, p95": 150.0,
    "idle CPU %": 1.0,
}
SIZE = (120, 40)
CHANGES = 40
KEYS = ("j", "pagedown", "k", "G", "pageup", "g", "pagedown", "j")


def produce(home: Path) -> None:
    """Record a live run whose tasks end one by one, and print when each was recorded to end."""
    session = RecordingSession.open(home, version="benchmark", on_warning=print)
    uid = uuid.uuid4().hex  # a kept store has the runs of earlier measurements
    us = ev.now_us()
    session.emit(ev.task_def("bench:task", "task", None, None, 0))
    session.emit(ev.run(uid, us, flow_key="bench:flow", flow_name="flow", name="bench"))
    session.emit(ev.state(uid, 0, PENDING, RUNNING, us, None, None, 1, None, None))
    for no in range(1, CHANGES + 1):
        session.emit(ev.task(uid, no, us, "bench:task", f"task-{no}", None, None))
        session.emit(ev.state(uid, no, PENDING, RUNNING, us, None, None, 1, None, None))
    session.flush()
    print(session.run_number(uid), flush=True)
    sys.stdin.readline()  # the app shows the run now
    at = []
    for no in range(1, CHANGES + 1):
        time.sleep(0.13 + no % 7 * 0.03)  # apart, and not in step with the app's polling
        at.append(time.time())
        session.emit(ev.state(uid, no, RUNNING, COMPLETED, ev.now_us(), None, None, 1, None, None))
    session.flush()
    print(json.dumps(at), flush=True)
    sys.stdin.readline()
    session.emit(ev.state(uid, 0, RUNNING, COMPLETED, ev.now_us(), None, None, 1, None, None))
    session.close()


# -- the app -------------------------------------------------------------------------------------


class WatchedApp(FlowdeckApp):
    """The app, which tells when it paints."""

    painted = 0.0
    on_paint: Any = None

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        self.painted = time.perf_counter()
        if self.on_paint is not None:
            self.on_paint()


async def until(condition: Any, seconds: float = 120.0) -> None:
    """Wait for a condition without holding the loop."""
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError("the app did not come to what was expected")
        await asyncio.sleep(0.001)


async def press(app: WatchedApp, view: LineView[Any], key: str) -> float:
    """Press a key that moves the cursor; return the ms until that is painted."""
    before = (view.cursor, view.scroll_offset.y)
    began = time.perf_counter()
    app.post_message(textual_events.Key(key, key if len(key) == 1 else None))
    await until(
        lambda: (
            (view.cursor, view.scroll_offset.y) != before
            and app.painted > began
            and view.current is not None
        )
    )
    return (app.painted - began) * 1e3


async def keys(app: WatchedApp, view: LineView[Any], settle: float = 0.15) -> float:
    """Return the median ms from key to paint over some moves through the view."""
    await until(lambda: view.loaded and view.count > 100)
    view.focus()
    view.move_to(view.count // 2)  # so that every key moves the cursor, also where logs follow
    await asyncio.sleep(settle)
    taken = []
    for key in KEYS * 3:
        taken.append(await press(app, view, key))
        await asyncio.sleep(0.05)  # a user's rhythm; the sleep is not measured
    return median(taken)


async def filtered(app: WatchedApp, view: LineView[Any], text: str) -> float:
    """Return the ms from the last letter of a filter to the rows that it lets through."""
    before = view.count
    app.post_message(textual_events.Key("slash", "/"))
    await asyncio.sleep(0.2)
    for letter in text:
        began = time.perf_counter()
        app.post_message(textual_events.Key(letter, letter))
        await asyncio.sleep(0)
    await until(lambda: view.loaded and view.count != before and app.painted > began)
    return (app.painted - began) * 1e3


async def moves(home: Path, big: int) -> dict[str, float]:
    """Measure keys and filters in the three big tables."""
    seen = {}
    app = WatchedApp(home, folder=home, remember=False)
    async with app.run_test(size=SIZE):
        await until(lambda: app.painted)
        app.show_mode("runs")
        await until(lambda: app.screen.query("#runs"))
        runs = app.screen.query_one("#runs", LineView)
        seen["key to paint, runs"] = await keys(app, runs)
        seen["filter to paint, runs"] = await filtered(app, runs, "state:failed")
        began = time.perf_counter()
        app.open_run(big)
        await until(lambda: app.screen.query("#task-table"))
        tasks = app.screen.query_one("#task-table", LineView)
        await until(lambda: tasks.loaded and tasks.count > 100)
        seen["open the big run"] = (time.perf_counter() - began) * 1e3
        seen["key to paint, tasks"] = await keys(app, tasks)
        seen["filter to paint, tasks"] = await filtered(app, tasks, "state:failed")
        app.post_message(textual_events.Key("escape", None))
        await asyncio.sleep(0.3)
        app.screen.query_one("#run-tabs").choose("logs")  # type: ignore[attr-defined]
        await until(lambda: app.screen.query("#run-log"))
        logs = app.screen.query_one("#run-log", LineView)
        seen["key to paint, logs"] = await keys(app, logs)
    return seen


async def changes(home: Path) -> dict[str, float]:
    """Measure how long after another process recorded a change the header shows it."""
    with subprocess.Popen(
        [sys.executable, __file__, "--produce", str(home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as producer:  # fmt: skip
        assert producer.stdin is not None
        assert producer.stdout is not None
        number = int(await asyncio.to_thread(producer.stdout.readline))
        app = WatchedApp(home, folder=home, remember=False, first_run=number)
        shown: dict[int, float] = {}

        def look() -> None:
            lines = app.screen.query("#run-progress")
            if lines:
                progress = lines.first().progress  # type: ignore[attr-defined]
                done = progress.counts[3] if progress is not None else 0
                for k in range(len(shown) + 1, done + 1):
                    shown[k] = time.time()

        async with app.run_test(size=SIZE):
            await until(lambda: app.screen.query("#task-table"))
            table = app.screen.query_one("#task-table", LineView)
            await until(lambda: table.count == CHANGES)
            app.on_paint = look
            producer.stdin.write("go\n")
            producer.stdin.flush()
            at = json.loads(await asyncio.to_thread(producer.stdout.readline))
            await until(lambda: len(shown) == CHANGES)
        producer.stdin.write("end\n")
    ages = [(shown[k] - at[k - 1]) * 1e3 for k in range(1, CHANGES + 1)]
    return {
        "state change to screen, median": median(ages),
        "state change to screen, p95": quantiles(ages, n=20)[-1],
    }


async def idle(home: Path, seconds: float) -> dict[str, float]:
    """Measure the processor time of an app in which nothing happens."""
    app = WatchedApp(home, folder=home, remember=False)
    async with app.run_test(size=SIZE):
        await until(lambda: app.screen.query("#recent"))
        recent = app.screen.query_one("#recent", LineView)
        await until(lambda: recent.loaded)
        await asyncio.sleep(1.0)
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        used = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return {"idle CPU %": used * 100}


def measure(home: Path, big: int, seconds: float) -> dict[str, float]:
    """Return all figures: ms, percent, MB."""
    seen = starts(home)
    seen |= asyncio.run(moves(home, big))
    seen |= asyncio.run(changes(home))
    seen |= asyncio.run(idle(home, seconds))
    seen["memory MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=20_000, help="task runs in the store")
    parser.add_argument("--biggest", type=int, default=5_000, help="task runs of the big run")
    parser.add_argument("--logs", type=int, default=20_000, help="log lines of the big run")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds in which nothing happens")
    parser.add_argument("--store", type=Path, help="folder that keeps the store for other times")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--budget", action="store_true", help="exit with 1 beyond a budget")
    parser.add_argument("--produce", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.produce is not None:
        produce(given.produce)
        return 0
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as folder:
        home = given.store or Path(folder) / "home"
        big = made(home) or fill(home, given.tasks, given.biggest, given.logs)
        seen = measure(home, big, given.idle)
    beyond = [name for name, most in BUDGETS.items() if seen[name] > most]
    if given.json:
        sizes = {"tasks": given.tasks, "biggest": given.biggest, "logs": given.logs}
        print(json.dumps({"size": sizes, "figures": seen, "beyond budget": beyond}))
    else:
        for name, value in seen.items():
            unit = "%" if "%" in name else "MB" if "MB" in name else "ms"
            most = BUDGETS.get(name)
            note = f"  budget {most:g} {unit}" if most else ""
            print(f"{name:<34}{value:>9.1f} {unit}{note}{'  BEYOND' if name in beyond else ''}")
    return 1 if given.budget and beyond else 0


if __name__ == "__main__":
    sys.exit(main())

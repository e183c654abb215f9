"""How long the app's views take to draw and to move, over a million made-up rows.

    python benchmarks/app_views.py [--rows 1000000] [--budget]

Everything is measured headless at 120x42: a *frame* is forty rows drawn from nothing (cold: no
row was drawn before) or as kept (warm); a *move* is a key with the redraw it causes, of which the
harness itself takes some 40 ms. ``--budget`` ends with 1 if a frame takes longer than its budget.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("engine", "store", "app", "tests/app")]

from app_data import NOW, SECOND, ZONE, log, run_row, task_row, upstream  # noqa: E402
from app_harness import Bench  # noqa: E402

from flowdeck_app.app import FlowdeckApp  # noqa: E402
from flowdeck_app.views.rows import TaskRow  # noqa: E402
from flowdeck_app.views.timeline import Bar  # noqa: E402
from flowdeck_app.widgets.lines.source import FakeSource  # noqa: E402
from flowdeck_app.widgets.log_view import LogView  # noqa: E402
from flowdeck_app.widgets.run_table import RunTable  # noqa: E402
from flowdeck_app.widgets.task_table import TaskTable  # noqa: E402
from flowdeck_app.widgets.timeline import Timeline  # noqa: E402
from flowdeck_store.read.summaries import TimelineSegment  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_app.widgets.lines.view import LineView

#: Milliseconds for a cold frame of forty rows; generous, the target is 3.
BUDGET = 12.0
KEYS = ("j", "pagedown", "pageup", "G", "g")


def _task(index: int) -> TaskRow:
    row = task_row(index % 16_777_216, code=(3, 3, 3, 4, 2, 1)[index % 6], message="40 000 rows")
    return TaskRow(row.record, (upstream(1, "fetch[1]"),))


def _bar(index: int) -> Bar:
    begin = NOW - 70 * SECOND + index * 60 % (60 * SECOND)
    parts = (
        TimelineSegment(begin, begin + SECOND, "wait", 1),
        TimelineSegment(begin + SECOND, begin + 4 * SECOND, "run", 1),
    )
    return Bar(index, f"fetch[{index}]", 3, None, parts)


def views(rows: int) -> dict[str, LineView[Any]]:
    """Return the four views over ``rows`` made-up rows."""
    wrapped = LogView(FakeSource(log, rows, key=lambda row: row.seq, stable=True))
    wrapped.wrapped = True
    timeline = Timeline(FakeSource(_bar, rows, key=lambda row: row.key))
    timeline.set_span(NOW - 72 * SECOND, None)
    return {
        "task table": TaskTable(
            FakeSource(_task, rows, key=lambda row: row.record.id, position=lambda key: None)
        ),
        "run table": RunTable(FakeSource(run_row, rows, key=lambda row: row.record.id)),
        "log": LogView(FakeSource(log, rows, key=lambda row: row.seq, stable=True)),
        "log, wrapped": wrapped,
        "timeline": timeline,
    }


def _median_ms(call: Callable[[], object], times: int = 60) -> float:
    """Return the median processor time of a call: other programs do not count."""
    taken = []
    for _ in range(times):
        began = time.thread_time()
        call()
        taken.append((time.thread_time() - began) * 1e3)
    return statistics.median(taken)


def _frame(view: LineView[Any]) -> None:
    view.drawing.begin()
    for y in range(40):
        view.render_line(y)
    view.drawing.end()


def _cold(view: LineView[Any]) -> None:
    view.drawing.clear()
    _frame(view)


async def measure(name: str, view: LineView[Any]) -> tuple[float, float, dict[str, float]]:
    """Return milliseconds of a cold frame, a warm frame, and each key."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        app = FlowdeckApp(
            folder, folder=folder, clock=lambda: NOW, zone=ZONE, remember=False, watch=False
        )
        async with app.run_test(size=(120, 42)) as pilot:
            await app.push_screen(Bench(view))
            view.focus()
            while not view.loaded:
                await pilot.pause()
            cold, warm = _median_ms(lambda: _cold(view)), _median_ms(lambda: _frame(view))
            keys: dict[str, float] = {}
            for key in KEYS:
                began = time.perf_counter()
                for _ in range(5):
                    await pilot.press(key)
                keys[key] = (time.perf_counter() - began) / 5 * 1e3
    return cold, warm, keys


async def main(rows: int, budget: bool) -> int:
    """Measure all views and print a table."""
    print(f"{'view over ' + format(rows, ',') + ' rows':<28}{'cold':>9}{'warm':>9}   ", end="")
    print("".join(f"{key:>10}" for key in KEYS), "  (ms)")
    worst = 0.0
    for name, view in views(rows).items():
        cold, warm, keys = await measure(name, view)
        worst = max(worst, cold)
        print(f"{name:<28}{cold:>9.2f}{warm:>9.2f}   ", end="")
        print("".join(f"{keys[key]:>10.1f}" for key in KEYS))
    if budget and worst > BUDGET:
        print(f"the slowest frame takes {worst:.1f} ms, the budget is {BUDGET} ms")
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--budget", action="store_true")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.rows, given.budget)))

"""Engine time per task, everything recorded, beside the raw call and a raw thread pool.

    python benchmarks/overhead.py [--tasks 5000] [--rounds 5] [--json]

Each round runs every variant once, in shuffled order, on one store; the medians are shown. The
raw baselines do the same work in the same run, so what counts is the difference, not the machine.
The budgets are those of the design: 100 µs a task on the sequential, 150 µs on the concurrent
runner, less than 1.5 KB of memory a finished task.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

BUDGET_US = {"sequential": 100.0, "concurrent": 150.0}
BUDGET_BYTES = 1500


def nop(x: Any) -> Any:
    return x


def gather(xs: list[Any]) -> int:
    return len(xs)


def raw_call(n: int) -> None:
    for i in range(n):
        nop(i)


def raw_pool(n: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(nop, i) for i in range(n)]:
            future.result()


def raw_pool_chain(n: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        x: Any = 0
        for _ in range(n):
            x = pool.submit(nop, x).result()


def flows() -> dict[str, dict[str, Callable[[int], Any]]]:
    from flowdeck import flow, task
    from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

    nop_task, gather_task = task(nop), task(gather)

    def wide(n: int) -> None:
        for i in range(n):
            nop_task.submit(i)

    def chain(n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = nop_task.submit(x)

    def fan_in(n: int) -> None:
        gather_task.submit([nop_task.submit(i) for i in range(n)])

    found: dict[str, dict[str, Callable[[int], Any]]] = {}
    for runner in (SequentialTaskRunner(), ConcurrentTaskRunner()):
        found[runner.name] = {
            fn.__name__: flow(name=f"{runner.name}-{fn.__name__}", task_runner=runner)(fn)
            for fn in (wide, chain, fan_in)
        }
    return found


def timed(fn: Callable[[int], Any], n: int) -> float:
    gc.collect()
    started = time.perf_counter()
    fn(n)
    return (time.perf_counter() - started) / n * 1e6


def measure(n: int, rounds: int) -> dict[str, list[float]]:
    variants: dict[str, Callable[[int], Any]] = {
        "raw call": raw_call,
        "raw pool wide": raw_pool,
        "raw pool chain": raw_pool_chain,
    }
    for runner, shapes in flows().items():
        for shape, fn in shapes.items():
            variants[f"{runner} {shape}"] = fn
    for fn in variants.values():
        fn(200)  # imports, threads, store
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        order = list(variants)
        random.shuffle(order)
        for name in order:
            figures[name].append(timed(variants[name], n))
    return figures


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_per_task(n: int) -> float:
    """Bytes the driver holds for each finished task, at the end of a run that is still open."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import overhead as o;"
        "from flowdeck import flow, task\n"
        "t = task(o.nop); held = []\n"
        "@flow\n"
        "def f(n):\n"
        "    from flowdeck.runs import recorder as recording\n"
        "    fs = t.map(range(n))\n"
        "    [x.wait() for x in fs]; del fs\n"
        "    recording.recorder().flush(60)\n"
        "    held.append(o.resident())\n"
        "f(2000); f(int(sys.argv[2])); print(held[1] - held[0])"
    )
    here = os.path.dirname(os.path.abspath(__file__))
    out = subprocess.run(
        [sys.executable, "-c", code, here, str(n)], capture_output=True, text=True, check=True
    )
    return int(out.stdout) / (n - 2000)


def report(figures: dict[str, list[float]], bytes_per_task: float) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in figures.items()}
    base = medians["raw call"]
    rows = []
    for name, median in medians.items():
        budget = BUDGET_US.get(name.split()[0])
        beyond = median - base
        rows.append(
            {
                "variant": name,
                "us_per_task": round(median, 2),
                "min": round(min(figures[name]), 2),
                "max": round(max(figures[name]), 2),
                "beyond_raw_us": round(beyond, 2),
                "budget_us": budget,
                "met": None if budget is None else beyond <= budget,
            }
        )
    memory = {
        "bytes_per_finished_task": round(bytes_per_task),
        "budget": BUDGET_BYTES,
        "met": bytes_per_task < BUDGET_BYTES,
    }
    return {"rows": rows, "memory": memory}


def show(found: dict[str, Any]) -> None:
    print(f"{'variant':24}{'µs/task':>10}{'min':>9}{'max':>9}{'beyond raw':>12}{'budget':>9}")
    for row in found["rows"]:
        mark = "" if row["met"] is None else ("  met" if row["met"] else "  OVER")
        budget = "" if row["budget_us"] is None else f"{row['budget_us']:.0f}"
        print(
            f"{row['variant']:24}{row['us_per_task']:>10}{row['min']:>9}{row['max']:>9}"
            f"{row['beyond_raw_us']:>12}{budget:>9}{mark}"
        )
    memory = found["memory"]
    print(
        f"memory: {memory['bytes_per_finished_task']} bytes a finished task, budget "
        f"{memory['budget']}  {'met' if memory['met'] else 'OVER'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-tasks", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["FLOWDECK_HOME"] = home
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what the console would get costs too
        figures = measure(given.tasks, given.rounds)
        found = report(figures, memory_per_task(given.memory_tasks))
        from flowdeck.runs import recorder as recording

        recording.close_all()
    if given.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()

"""Flow runs again and again in one process: threads, file descriptors, memory must stay flat.

    python benchmarks/long_process.py [--runs 2000] [--tasks 8] [--runner NAME] [--json]

For each local runner, with sync and async tasks, a process of its own runs a flow of quick tasks in
a loop, everything recorded, and looks at itself after each tenth of the runs. Shown are the figures
after the first third, when everything is warm, and at the end.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

VARIANTS = [
    (runner, kind) for runner in ("sequential", "concurrent", "two") for kind in ("sync", "async")
]


def flow_of(runner: str, kind: str) -> Any:
    from flowdeck import flow, task
    from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

    chosen = {
        "sequential": SequentialTaskRunner(),
        "concurrent": ConcurrentTaskRunner(),
        "two": ConcurrentTaskRunner(max_workers=2),
    }[runner]

    @task
    def quick(i: int) -> int:
        return i

    @task
    async def quick_async(i: int) -> int:
        return i

    @flow(task_runner=chosen)
    def many(n: int) -> int:
        return sum(future.result() for future in [quick.submit(i) for i in range(n)])

    @flow(task_runner=chosen)
    async def many_async(n: int) -> int:
        return sum([await future.result() for future in [await quick_async.submit(i) for i in range(n)]])  # fmt: skip

    return many if kind == "sync" else many_async


def look() -> dict[str, int]:
    gc.collect()
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return {
        "threads": threading.active_count(),
        "fds": len(os.listdir("/proc/self/fd")),
        "mb": pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000,
        "objects": len(gc.get_objects()),
    }


def run_here(runner: str, kind: str, runs: int, tasks: int) -> None:
    """Run the loop in this process and print what was seen, a JSON object a line."""
    import asyncio

    many = flow_of(runner, kind)
    began = time.perf_counter()

    async def loop() -> None:
        for i in range(1, runs + 1):
            result = many(tasks)
            assert (await result if kind == "async" else result) == tasks * (tasks - 1) // 2
            if i % (runs // 10) == 0:
                seconds = round(time.perf_counter() - began, 3)
                print(json.dumps({"runs": i, "seconds": seconds, **look()}), flush=True)

    if kind == "async":
        asyncio.run(loop())
    else:
        try:
            loop().send(None)  # a sync flow needs no event loop
        except StopIteration:
            pass


def measure(runner: str, kind: str, runs: int, tasks: int) -> list[dict[str, Any]]:
    """Return what a process of its own saw."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "FLOWDECK_HOME": home, "FLOWDECK_CONSOLE": "false"}
        command = [sys.executable, __file__, "--here", f"{runner}/{kind}"]
        command += ["--runs", str(runs), "--tasks", str(tasks)]
        done = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
    return [json.loads(text) for text in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--runner", choices=[f"{r}/{k}" for r, k in VARIANTS])
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.here:
        return run_here(*given.here.split("/"), given.runs, given.tasks)
    found = {}
    for runner, kind in VARIANTS:
        name = f"{runner}/{kind}"
        if given.runner in (None, name):
            found[name] = measure(runner, kind, given.runs, given.tasks)
    if given.json:
        print(json.dumps(found))
        return None
    print(f"{'variant':20}{'threads':>14}{'fds':>12}{'MB':>14}{'objects':>20}{'ms a run':>10}")
    for name, looks in found.items():
        early, late = looks[len(looks) // 3], looks[-1]
        pairs = [f"{early[key]:,} → {late[key]:,}" for key in ("threads", "fds", "mb", "objects")]
        ms = 1000 * late["seconds"] / given.runs
        print(f"{name:20}{pairs[0]:>14}{pairs[1]:>12}{pairs[2]:>14}{pairs[3]:>20}{ms:>10.1f}")
    return None


if __name__ == "__main__":
    main()

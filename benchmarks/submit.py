"""What `.submit` costs by the kind of its argument, and what of it is taking the argument as it is.

    python benchmarks/submit.py [--submits 2000] [--rounds 7] [--json]

Processor time of the flow's thread, the best of the rounds. The runner keeps what it gets until the
clock has stopped, so only the submission is measured: binding, the copy of containers (a list that
is appended to later is what it was), the look for futures, the record. The budget is that of
arguments without containers: less than 2 µs for the copy.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from typing import Any

BUDGET_US = 2.0


def shapes(future: Any) -> dict[str, Any]:
    return {
        "a number": 5,
        "an object": object(),
        "an empty list": [],
        "a list of 5": [1, 2, 3, 4, 5],
        "a dict of 5": {name: name for name in "abcde"},
        "a future": future,
        "a list of 10 futures": [future] * 10,
        "20 rows of 5 fields": [dict.fromkeys("abcde", i) for i in range(20)],
        "a list of 1,000": list(range(1000)),
        "a list of 100,000": list(range(100_000)),
    }


def parking() -> Any:
    from flowdeck.lifecycle.execution import execute_here
    from flowdeck.task_runners import BaseTaskRunner
    from flowdeck.task_runners.base import TaskConcurrencyType

    class Parking(BaseTaskRunner):
        def __init__(self) -> None:
            super().__init__()
            self.held: list[Any] = []

        @property
        def concurrency_type(self) -> TaskConcurrencyType:
            return TaskConcurrencyType.CONCURRENT

        def _submit(self, run: Any) -> None:
            self.held.append(run)

        def release(self) -> None:
            held, self.held = self.held, []
            for run in held:
                execute_here(run)

    return Parking()


def measure(submits: int, rounds: int) -> dict[str, dict[str, float]]:
    from flowdeck import flow, task
    from flowdeck.threads import active

    @task
    def nop(x: Any) -> None: ...

    submitted: dict[str, list[float]] = {}
    taken: dict[str, list[float]] = {}

    @flow(task_runner=parking())
    def f() -> None:
        run: Any = active.current_flow_run.get()
        start = nop.submit(0)
        run.runner.release()
        given = getattr(run.submissions, "given", None)  # before, there was none
        for _ in range(rounds):
            for name, value in shapes(start).items():
                n = max(submits // 20, 1) if "1" in name and "," in name else submits
                gc.collect()
                began = time.thread_time()
                for _ in range(n):
                    nop.submit(value)
                submitted.setdefault(name, []).append((time.thread_time() - began) / n * 1e6)
                began = time.thread_time()
                for _ in range(n if given is not None else 0):
                    given.as_they_are({"x": value})
                taken.setdefault(name, []).append((time.thread_time() - began) / n * 1e6)
                run.runner.release()

    f()
    return {
        name: {
            "submit_us": round(min(times), 2),
            "of_it_taking_us": round(min(taken[name]), 2),
        }
        for name, times in submitted.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--submits", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["FLOWDECK_HOME"] = home
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what the console would get costs too
        found = measure(given.submits, given.rounds)
        from flowdeck.runs import recorder as recording

        recording.close_all()
    if given.json:
        print(json.dumps(found))
        return
    print(f"{'argument':24}{'µs/submit':>12}{'of it taking':>15}")
    for name, row in found.items():
        met = ""
        if name in ("a number", "an object"):
            met = "  met" if row["of_it_taking_us"] < BUDGET_US else "  OVER"
        print(f"{name:24}{row['submit_us']:>12}{row['of_it_taking_us']:>15}{met}")


if __name__ == "__main__":
    main()

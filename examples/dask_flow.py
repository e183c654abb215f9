"""Dask: the same flow on worker processes.

Needs the extra: ``pip install "flowdeck[dask]"``. A cluster of two processes starts with the run
and ends with it. The futures are handed to Dask as they are, so the values stay on the workers
until the flow asks for one; states, logs and prints come back while the tasks run.

    python examples/dask_flow.py
    flowdeck run examples/dask_flow.py:word_lengths --runner concurrent
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections import Counter
from pathlib import Path

from flowdeck import flow, task
from flowdeck.task_runners import DaskTaskRunner

LIBRARY = Path(sysconfig.get_paths()["stdlib"])


@task
def lengths(path: str) -> Counter[int]:
    """Return how often words of each length are in a file."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    return Counter(len(word) for word in re.findall(r"[a-z]+", text))


@task(log_prints=True)
def merge(counts: list[Counter[int]]) -> Counter[int]:
    """Add the counts up, on a worker."""
    print(f"merging {len(counts)} counts in process {os.getpid()}")
    return sum(counts, Counter())


@flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1}))
def word_lengths(package: str = "email") -> dict[int, int]:
    """Count the lengths of the words in a package."""
    paths = [str(path) for path in sorted((LIBRARY / package).glob("*.py"))]
    merged = merge.submit(lengths.map(paths)).result()
    return dict(sorted(merged.items()))


if __name__ == "__main__":
    for length, times in word_lengths().items():
        print(f"{length:3} {times:6} {'#' * (times // 400)}")

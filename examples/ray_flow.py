"""Ray: the same flow on Ray's workers.

Needs the extra: ``pip install "flowdeck[ray]"``. A local instance starts with the run (a few
seconds) and ends with it. ``remote_options`` gives what is submitted inside it resources, as
``ray.remote`` takes them.

    python examples/ray_flow.py
    flowdeck run examples/ray_flow.py:primes --runner sequential
"""

from __future__ import annotations

import os

from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner


@task
def count_primes(start: int, stop: int) -> int:
    """Return how many primes there are in a range."""
    return sum(
        all(n % divisor for divisor in range(2, int(n**0.5) + 1))
        for n in range(max(start, 2), stop)
    )


@task(log_prints=True)
def total(counts: list[int]) -> int:
    """Add the counts up, on a worker."""
    print(f"adding {len(counts)} counts in process {os.getpid()}")
    return sum(counts)


@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 2}))
def primes(below: int = 200_000, parts: int = 8) -> int:
    """Count the primes below a number, in parts."""
    edges = [below * i // parts for i in range(parts + 1)]
    counts = count_primes.map(edges[:-1], edges[1:])
    found: int = total.submit(counts).result()
    return found


if __name__ == "__main__":
    print(f"{primes()} primes")

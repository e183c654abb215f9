"""The flows of docs/gallery.py; both wait in the middle while there is a file called ``hold``."""

from __future__ import annotations

SWEEP = '''
"""Choose the penalty of a ridge regression by cross-validation, on the workers of a Dask cluster."""

import time
from pathlib import Path

import numpy as np

from flowdeck import artifact, flow, get_run_logger, task, track
from flowdeck.task_runners import DaskTaskRunner


@task
def measurements(rows: int, columns: int = 40, seed: int = 7) -> np.ndarray:
    """Return made-up measurements, what is to be explained in the last column."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, columns))
    answer = values @ random.normal(size=columns) + random.normal(scale=5, size=rows)
    return np.column_stack([values, answer])


@task(task_run_name="fit {penalty:g} fold {fold}")
def fit(data: np.ndarray, penalty: float, fold: int, folds: int) -> float:
    """Return the mean error on one fold, of what was learned from the others."""
    held_out = np.arange(len(data)) % folds == fold
    learn, test = data[~held_out], data[held_out]
    errors = []
    for part in track(range(20), message="samples"):
        while part == 4 + fold * 4 and penalty > 1 and Path("hold").exists():
            time.sleep(0.05)
        some = learn[part::20]
        values, answer = some[:, :-1], some[:, -1]
        square = values.T @ values + penalty * np.eye(values.shape[1])
        weights = np.linalg.solve(square, values.T @ answer)
        errors.append(np.mean((test[:, :-1] @ weights - test[:, -1]) ** 2))
        time.sleep(0.03)
    get_run_logger().info("penalty %g, fold %d: error %.3f", penalty, fold, np.mean(errors))
    return float(np.mean(errors))


@task
def choose(penalties: list[float], errors: list[list[float]]) -> float:
    """Return the penalty with the least error, and show all of them."""
    means = [float(np.mean(some)) for some in errors]
    best = penalties[int(np.argmin(means))]
    rows = [
        {"penalty": penalty, "mean error": round(mean, 4), "worst fold": round(max(some), 4)}
        for penalty, mean, some in zip(penalties, means, errors)
    ]
    artifact.table(rows, key="errors", description="mean squared error by penalty")
    artifact.number(best, key="penalty", description="the one with the least error")
    artifact.markdown(f"# Ridge regression\\n\\nThe best penalty is **{best:g}**.", key="summary")
    return best


@flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 3, "threads_per_worker": 1}))
def sweep(
    penalties: list[float] = [0.01, 0.1, 1.0, 10.0, 100.0], folds: int = 4, rows: int = 20_000
) -> float:
    """Fit every penalty on every fold and choose the best.

    Args:
        penalties: what to try
        folds: parts that the data are divided into
        rows: how many measurements
    """
    data = measurements.submit(rows)
    errors = [[fit.submit(data, p, fold, folds) for fold in range(folds)] for p in penalties]
    return choose.submit(penalties, errors).result()
'''

MANY = '''
"""5,000 task runs: parts that are read, and sums over a hundred of them."""

import time
from pathlib import Path

from flowdeck import artifact, flow, progress, task
from flowdeck.task_runners import ProcessTaskRunner


class NoRows(Exception):
    """A part is empty."""


@task
def part(number: int) -> int:
    """Return how many rows a part has."""
    while number >= 3200 and Path("hold").exists():
        time.sleep(0.05)
    if number % 997 == 996:
        raise NoRows(f"part {number} has no rows")
    return number * 7919 % 1000


@task
def add(rows: list[int]) -> int:
    """Return the sum over some parts."""
    return sum(rows)


@task
def report(sums: list[int]) -> int:
    """Show the sums."""
    artifact.table([{"group": n, "rows": rows} for n, rows in enumerate(sums)], key="rows")
    artifact.number(sum(sums), key="all rows")
    return sum(sums)


@flow(task_runner=ProcessTaskRunner(max_workers=4))
def many(parts: int = 4950, group: int = 100) -> int:
    """Count the rows of thousands of parts; empty ones are left out, with their group.

    Args:
        parts: how many parts there are
        group: how many are added up at a time
    """
    found = part.map(range(parts))
    sums = [add.submit(found[n : n + group]) for n in range(0, parts, group)]
    done = 0
    for one in sums:
        one.wait()
        done += 1
        progress(done, len(sums), "groups")
    good = [one.result() for one in sums if one.state.is_completed()]
    return report(good)
'''

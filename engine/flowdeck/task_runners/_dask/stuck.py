"""Why Dask does not start tasks: no workers, or none that has what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.remote.stuck import counted, shown
from flowdeck.task_runners._dask import worker

if TYPE_CHECKING:
    from flowdeck.remote.remote_run import RemoteRun


def find(client: Any, remote_runs: list[RemoteRun]) -> dict[int, str]:
    """Say of runs, by their numbers, why Dask cannot start them."""
    found = client.run_on_scheduler(worker.unrunnable, client.id)
    if not found.workers:
        text = (
            f"Waits for a worker: the Dask cluster at {found.address} has no workers, or none yet."
        )
        return {
            remote_run.run.no: text
            for remote_run in remote_runs
            if remote_run.handle.status == "pending"
        }
    reasons = {}
    for remote_run in remote_runs:
        wanted = found.tasks.get(remote_run.handle.key)
        if wanted is not None:
            reasons[remote_run.run.no] = _why(wanted, found.workers)
    return reasons


def _why(wanted: tuple[dict[str, float], list[str]], workers: dict[str, dict[str, float]]) -> str:
    resources, places = wanted
    asked = []
    if resources:
        asked.append(f"resources {shown(resources)}")
    if places:
        asked.append(f"workers {', '.join(places)}")
    has = sorted({shown(has) or "no resources" for has in workers.values()})
    there = f"{counted(len(workers), 'worker')} with {' or '.join(has[:5])}"
    if places:
        there += f": {', '.join(sorted(workers)[:5])}{', ...' * (len(workers) > 5)}"
    return (
        f"Waits for what no worker of the Dask cluster has: it asks for {' and '.join(asked)}; "
        f"there {'is' if len(workers) == 1 else 'are'} {there}."
    )

"""What tasks with ``resources=`` ask of Dask: the resources that its workers were started with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ConfigurationError
from flowdeck.logging import WARNING, line
from flowdeck.task_runners._dask import worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.runs.task_run import TaskRun

#: As they are called in Dask's manual.
_NAMES: Final = {"cpu": "CPU", "gpu": "GPU", "memory": "MEMORY"}
#: Those that workers have, whether or not they were told to count them.
_ALWAYS_THERE: Final = ("CPU", "MEMORY")


class WorkerResources:
    """Annotations for the tasks of one flow run.

    Args:
        client: of the cluster.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._declared: frozenset[str] | None = None
        self._said: set[str] = set()

    def annotated(self, run: TaskRun, annotations: dict[str, Any]) -> dict[str, Any]:
        """Return the annotations of a task run with what it needs.

        Args:
            run: the task run.
            annotations: in force where it was submitted.

        Raises:
            ConfigurationError: they ask for another amount of the same.
        """
        own: Mapping[str, float] = annotations.get("resources") or {}
        wanted = {_NAMES.get(name, name): amount for name, amount in run.task.resources.items()}
        for name, amount in wanted.items():
            if own.get(name, amount) != amount:
                raise ConfigurationError(
                    f"Task {run.task.name!r} asks for {name}={amount:g} by its `resources`, and for "
                    f"{name}={own[name]:g} by `dask.annotate`: say it in one place."
                )
        counted = {n: v for n, v in wanted.items() if n in own or self._counts(run, n)}
        return {**annotations, "resources": {**own, **counted}} if counted else annotations

    def _counts(self, run: TaskRun, name: str) -> bool:
        """Say whether to ask for a resource. Every worker has memory and processors; if none counts
        them, a task that asks would wait for ever for what is there."""
        if name not in _ALWAYS_THERE:
            return True
        if self._declared is None:
            self._declared = frozenset(self._client.run_on_scheduler(worker.declared))
        if name in self._declared:
            return True
        if name not in self._said:
            self._said.add(name)
            line(
                run,
                WARNING,
                f"No worker of the Dask cluster counts {name}, so tasks that need it do not wait for "
                f"it: start workers with resources, `--resources {name}=...` or cluster_kwargs="
                f"{{'resources': {{'{name}': ...}}}}.",
            )
        return False

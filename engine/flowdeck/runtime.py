"""Facts about the active runs, read when asked for: ``runtime.flow_run.name`` and so on.

Outside of runs ids and names are ``None``, collections empty, counts 0.
"""

from __future__ import annotations

from typing import Any

from flowdeck.threads import active
from flowdeck_store.times import at


class _FlowRun:
    """The flow run that the code belongs to; on workers too."""

    _FIELDS = (
        "id", "name", "flow_name", "flow_version", "parameters", "tags", "run_count",
        "scheduled_start_time", "parent_flow_run_id",
    )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        if name not in self._FIELDS:
            raise AttributeError(
                f"runtime.flow_run has no attribute {name!r}; it has: " + ", ".join(self._FIELDS)
            )
        task_run = active.current_task_run.get()
        flow_run = active.current_flow_run.get()
        info = flow_run.info if flow_run is not None else None
        if info is None and task_run is not None:
            info = task_run.info
        if info is None or not info.uid:
            return {"parameters": {}, "tags": [], "run_count": 0}.get(name)
        if name == "id":
            return info.uid
        if name == "tags":
            return sorted(info.tags)
        if name == "parent_flow_run_id":
            return info.parent_uid
        if name == "scheduled_start_time":
            return at(info.created_us)
        if name == "parameters":
            return dict(info.parameters)
        return getattr(info, name)

    def __dir__(self) -> list[str]:
        return list(self._FIELDS)


class _TaskRun:
    """The task run that the code belongs to."""

    _FIELDS = ("id", "name", "task_name", "tags", "parameters", "run_count")

    def __getattr__(self, name: str) -> Any:
        if name not in self._FIELDS:
            raise AttributeError(
                f"runtime.task_run has no attribute {name!r}; it has: " + ", ".join(self._FIELDS)
            )
        run = active.current_task_run.get()
        if run is None:
            return {"parameters": {}, "tags": [], "run_count": 0}.get(name)
        if name == "tags":
            return sorted(run.tags)
        if name == "parameters":
            return dict(run.parameters or {})
        return getattr(run, name)

    def __dir__(self) -> list[str]:
        return list(self._FIELDS)


flow_run = _FlowRun()
task_run = _TaskRun()

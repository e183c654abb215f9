"""Helpers for tests of flows: no store, no server, nothing on the console.

>>> from flowdeck.testing import run_in_memory
>>> with run_in_memory() as record:  # doctest: +SKIP
...     my_flow()
>>> record.state_names("hello-0")  # doctest: +SKIP
['Pending', 'Running', 'Completed']
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flowdeck.questions.asking import answering
from flowdeck.runs.recorder import MemoryRecorder, recorded_by
from flowdeck.settings import using
from flowdeck_store import events
from flowdeck_store.read.records import state_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MemoryRecord", "Record", "answering", "run_in_memory"]


class MemoryRecord:
    """What the flows inside a :func:`run_in_memory` block did, in order."""

    def __init__(self, recorder: MemoryRecorder) -> None:
        self._recorder = recorder

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events by field name, see :mod:`flowdeck_store.events`."""
        return [events.describe(event) for event in list(self._recorder.events)]

    def of_kind(self, kind: int) -> list[dict[str, Any]]:
        """Return the events of one kind, e.g. ``flowdeck_store.events.LOG``."""
        return [event for event in self.events if event["kind"] == kind]

    @property
    def logs(self) -> list[str]:
        """The texts of all log lines."""
        return [event["msg"] for event in self.of_kind(events.LOG)]

    @property
    def task_runs(self) -> dict[str, tuple[str, int]]:
        """uid of the flow run and number of each task run, by its name (the last one's)."""
        names = {(e["uid"], e["no"]): e["name"] for e in self.of_kind(events.TASK)}
        for event in self.of_kind(events.RENAME):
            if event["no"]:
                names[event["uid"], event["no"]] = event["name"]
        return {name: key for key, name in names.items()}

    def state_names(self, run: str) -> list[str]:
        """Return the states that a run went through.

        Args:
            run: a task run's name, or the beginning of one; or a flow's name for its flow run.

        Raises:
            KeyError: there is no such run.
        """
        uid, no = self._find(run)
        names = ["Pending"]  # recorded by the event that creates the run
        names += [
            state_name(event["code"], event["name"])
            for event in self.of_kind(events.STATE)
            if (event["uid"], event["no"]) == (uid, no)
        ]
        return names

    def _find(self, run: str) -> tuple[str, int]:
        for name, key in self.task_runs.items():
            if name == run or name.startswith(run + "-"):
                return key
        for event in self.of_kind(events.RUN):
            if run in (event["flow_name"], event["name"]):
                return event["uid"], 0
        raise KeyError(f"There is no run {run!r}; there are: {sorted(self.task_runs)}")


#: As it was called before :class:`flowdeck.record.Record` was there.
Record = MemoryRecord


@contextlib.contextmanager
def run_in_memory(**settings: Any) -> Iterator[MemoryRecord]:
    """Run flows inside the block without a store; the record is in memory.

    Args:
        **settings: overrides of :class:`flowdeck.settings.Settings`; the console is off unless
            ``console=True`` is among them.
    """
    recorder = MemoryRecorder()
    with using(**{"console": False, **settings}), recorded_by(recorder):
        yield MemoryRecord(recorder)

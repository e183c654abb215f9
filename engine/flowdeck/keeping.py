"""Keeping, when a flow run does not complete, what its tasks have returned so far.

Most results are in memory only: writing each to disk would cost every run time that only those
need which are run again. So the price is paid when a run ends badly: what completed is written then,
within bounds, and ``flowdeck retry RUN --failed`` finds it. A process that is killed keeps nothing.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck import earlier
from flowdeck.logging import INFO, line
from flowdeck.previews import preview, type_name
from flowdeck.settings import get_settings
from flowdeck.states import LazyValue
from flowdeck.transport_values import Carried
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import CACHED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun

#: Seconds after which no more results are written: the flow's caller waits.
PATIENCE: Final = 5.0


class _Full(Exception):
    """There is no room for a value."""


class _Room(io.BytesIO):
    """Takes so many bytes and no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any, /) -> int:
        """Append.

        Raises:
            _Full: that would be too much.
        """
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise _Full
        return super().write(data)


def keep_completed(run: FlowRun) -> None:
    """Write the results that a run which repeats this one can use and could not have otherwise."""
    room = get_settings().keep_on_failure * 1_000_000
    if not room or getattr(run.recorder, "home", None) is None:
        return
    end = time.monotonic() + PATIENCE
    kept = left = written = 0
    for task_run in _completed(run):
        if time.monotonic() > end:
            left += 1
            continue
        size = _keep(task_run, room - written)
        kept += size is not None
        left += size is None
        written += size or 0
    if kept or left:
        rest = f"; {left:,} do not fit, or cannot be" if left else ""
        line(run, INFO, f"Kept {kept:,} results ({written / 1e6:,.1f} MB) for a re-run{rest}")


def _completed(run: FlowRun) -> Iterator[TaskRun]:
    """Yield the task runs whose results are in memory and may be written, of subflow runs too."""
    if run.flow.persist_result is not False:
        for task_run in run.submissions.counted:
            task, state = task_run.task, task_run.state
            if not state.is_completed() or task.persist_result is False:
                continue
            if task.keeps_result(run.info) or state.state_details.cache_key is not None:
                continue
            if state.name == CACHED:  # its file is that of the run it was taken from
                continue
            if not earlier.is_in_preview(state.data):
                yield task_run
    for child in run.children:
        yield from _completed(child)


def _keep(run: TaskRun, room: int) -> int | None:
    """Write one result; return its size, ``None`` if it does not fit or cannot be pickled."""
    import cloudpickle

    try:
        value = run.state.data
        if isinstance(value, Carried):
            value = value.load()
        elif isinstance(value, LazyValue):  # on a cluster, and nobody knows how large
            return None
        data = _Room(room)
        cloudpickle.dump(value, data, protocol=5)
        location = run.recorder.results.write_data(data.getbuffer(), "pickle")
        size = data.tell()
        kind, text = type_name(value), preview(value)
    except Exception:  # pickling may raise anything; the disk may be full
        return None
    run.emit(events.result(run.info.uid, run.no, now_us(), kind, size, text, location))
    return size

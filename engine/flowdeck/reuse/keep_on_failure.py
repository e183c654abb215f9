"""Keeping, when a flow run does not complete, what its tasks have returned so far.

Most results are in memory only: writing each to disk would cost every run time that only those
need which are run again. So the price is paid when a run ends badly: what completed is written then,
within bounds, and ``flowdeck retry RUN --failed`` finds it. A process that is killed keeps nothing.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import INFO, line
from flowdeck.reuse import earlier_run
from flowdeck.runs.input_digests import mark_for
from flowdeck.runs.results import ROLLED_BACK
from flowdeck.settings import get_settings
from flowdeck.states import LazyValue
from flowdeck.states.lazy_values import ClusterValue
from flowdeck.values.previews import preview, type_name
from flowdeck.values.statics import is_a
from flowdeck_store import clock, events
from flowdeck_store.events import now_us
from flowdeck_store.states import CACHED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun

#: Seconds after which no more results are written: the flow's caller waits.
PATIENCE: Final = 5.0
#: Values that are moved here from a cluster at the same time.
_AT_ONCE: Final = 4


class _NoRoom(Exception):
    """There is no room for a value."""


class _Room(io.BytesIO):
    """Takes so many bytes and no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any, /) -> int:
        """Append.

        Raises:
            _NoRoom: that would be too much.
        """
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise _NoRoom
        return super().write(data)


def keep_completed(run: FlowRun) -> None:
    """Write the results that a run which repeats this one can use and could not have otherwise.

    A subflow run only writes those that go away with its cluster: the others are still there when
    the run that called it, which may complete, has ended.
    """
    root = run
    while root.parent is not None:
        root = root.parent
    room = get_settings().keep_on_failure * 1_000_000 - root.kept_bytes
    if room <= 0 or getattr(run.recorder, "home", None) is None:
        return
    writer = _ResultWriter(room)
    for task_run in _completed(run, deep=run is root):
        data = task_run.state.data
        if is_a(data, ClusterValue) and (data.is_remote or run is not root):
            writer.on_cluster.append(task_run)
        elif run is root:
            writer.keep(task_run, task_run.state.data)
    writer.keep_remote()
    root.kept_bytes += writer.written
    if writer.kept or writer.left:
        rest = f"; {writer.left:,} do not fit, or cannot be" if writer.left else ""
        size = f"{writer.written / 1e6:,.1f} MB"
        line(run, INFO, f"Kept {writer.kept:,} results ({size}) for a re-run{rest}")


def _completed(run: FlowRun, *, deep: bool) -> Iterator[TaskRun]:
    """Yield the task runs whose results are not kept yet and may be written.

    Args:
        run: whose.
        deep: of subflow runs too.
    """
    if run.flow.persist_result is not False:
        for task_run in run.submissions.counted:
            task, state = task_run.task, task_run.state
            if not state.is_completed() or task.persist_result is False:
                continue
            if task.keeps_result(run.info) or state.state_details.cache_key is not None:
                continue
            if state.name == ROLLED_BACK:
                continue
            if state.name == CACHED:  # its file is that of the run it was taken from
                continue
            if is_a(state.data, ClusterValue) and state.data.is_written:
                continue
            if not earlier_run.is_in_preview(state.data):
                yield task_run
    for child in run.children if deep else ():
        yield from _completed(child, deep=True)


class _ResultWriter:
    """Writes results, so many bytes in so much time.

    Args:
        room: bytes.
    """

    def __init__(self, room: int) -> None:
        self.kept = self.left = self.written = 0
        #: Of which the results must come from a cluster first.
        self.on_cluster: list[TaskRun] = []
        self._room = room
        self._end = clock.monotonic() + PATIENCE

    @property
    def _seconds(self) -> float:
        return self._end - clock.monotonic()

    def keep(self, run: TaskRun, data: Any) -> None:
        """Write one result, or count it as one that is not."""
        size = None if self._seconds <= 0 else self._write(run, data)
        self.kept += size is not None
        self.left += size is None
        self.written += size or 0

    def _write(self, run: TaskRun, data: Any) -> int | None:
        import cloudpickle

        try:
            value = data.load() if is_a(data, LazyValue) else data
            if run.returned is None or run.returned != mark_for(run.owner.flow, run.state.data):
                return None  # code has changed it in place since
            pickled = _Room(self._room - self.written)
            cloudpickle.dump(value, pickled, protocol=5)
            location = run.recorder.results.write_data(pickled.getbuffer(), "pickle")
            size = pickled.tell()
            kind, text = type_name(value), preview(value)
        except Exception:  # pickling may raise anything; the disk may be full
            return None
        run.emit(events.result(run.info.uid, run.no, now_us(), kind, size, text, location))
        if is_a(run.state.data, ClusterValue):
            run.state.data.is_written = True
        return size

    def keep_remote(self) -> None:
        """Write the results that are on a cluster: those that fit, of which the size is known."""
        if not self.on_cluster:
            return
        from concurrent.futures import ThreadPoolExecutor

        self._weigh([run.state.data for run in self.on_cluster])
        room, fitting = self._room - self.written, []
        for run in self.on_cluster:
            size = run.state.data.size
            if size is None or size > room:
                self.left += 1
            else:
                room -= size
                fitting.append(run)
        # Whoever waits for a cluster that does not answer is left behind.
        pool = ThreadPoolExecutor(_AT_ONCE, "flowdeck-keeping")
        for start in range(0, len(fitting), _AT_ONCE):
            some = fitting[start : start + _AT_ONCE]
            moved = [pool.submit(run.state.data.load) for run in some]
            for run, value in zip(some, moved, strict=True):
                self._keep_moved(run, value)
        pool.shutdown(wait=False, cancel_futures=True)

    def _keep_moved(self, run: TaskRun, value: Future[Any]) -> None:
        try:
            found = value.result(timeout=max(self._seconds, 0))
        except Exception:  # gone, too late, or of a class that cannot be read here
            self.left += 1
        else:
            self.keep(run, found)

    def _weigh(self, values: list[Any]) -> None:
        unknown: dict[Any, list[Any]] = {}
        for value in values:
            if value.size is None:
                unknown.setdefault(value.runs, []).append(value)
        for runs, some in unknown.items():
            try:
                runs.weigh(some, self._room - self.written, self._seconds)
            except Exception:
                pass  # a cluster that is gone

"""One flow run on a Dask cluster, from its first task to the end.

Each task run is one Dask task. What happens on the workers comes back, while it happens, under a
topic of Dask's own event log; the futures are looked at for what no worker can tell: that it died.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from dask.base import get_annotations
from distributed.scheduler import KilledWorker

from flowdeck.exceptions import MissingResult
from flowdeck.stopping import end_stopped
from flowdeck.task_runners import dask_local, dask_values, dask_worker
from flowdeck.task_runners.dask_batches import Call, Graphs
from flowdeck.task_runners.dask_idle import Idle
from flowdeck.transitions import crash_message
from flowdeck.transport_batches import Batches
from flowdeck.transport_book import Book
from flowdeck.transport_gate import Gate
from flowdeck.transport_payload import BlockedError, Packer
from flowdeck.transport_values import pickling_of

if TYPE_CHECKING:
    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import Stop, TaskRun
    from flowdeck.task_runners.dask_cluster import Link
    from flowdeck.transport_entry import Entry
    from flowdeck.transport_payload import Payload
    from flowdeck.transport_values import Reply

#: Bytes of one task run's part that become data of its own: Dask warns of graphs beyond 10 MB.
_LARGE: Final = 8 * 1024 * 1024
#: Bytes of a task's code from which on it is sent to the workers once and not with every run.
_LARGE_CODE: Final = 256 * 1024
#: Seconds for a request to all workers; one that executes something without letting go of the
#: interpreter does not answer.
_ASKING: Final = 5.0
#: Times a future is looked at before an error that should have been explained is taken as it is.
_PATIENCE: Final = 4
#: Times an ended task is looked at before its last events are believed to be lost.
_SILENCE: Final = 40
_GONE: Final = "The connection to the Dask scheduler was lost: the cluster is gone, or unreachable."


class Session:
    """What a started :class:`~flowdeck.task_runners.dask.DaskTaskRunner` has.

    Args:
        flow_run: whose tasks.
        link: to the cluster; closed by :meth:`close`.
    """

    def __init__(self, flow_run: FlowRun, link: Link) -> None:
        self._flow_run = flow_run
        self._link = link
        self._client: Any = link.client
        self._uid = flow_run.info.uid
        pickling = pickling_of(dask_worker.DaskPort.pickling)
        self.book = Book(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=self._tick,
            name="dask",
            weigh=functools.partial(dask_values.weights, self._client),
        )
        self._packer = Packer(pickling, self.book.handle_of)
        self._gate = Gate(self.book, self._send)
        graphs = Graphs(self._client, self.book.submitting, self._refused)
        self._batches: Batches[Call] = Batches(graphs.send, soon=self.book.call)
        self._codes: dict[int, tuple[bytes, Any]] = {}
        self._to_stop: deque[TaskRun] = deque()
        self._closing = False
        self._idle = Idle(flow_run, self._client, self.book.help)
        #: Some function went on after its run was ended.
        self._left_behind = False
        self._topic = dask_worker.topic_of(self._uid)
        if link.scheduler is not None:
            dask_local.Watcher(link.scheduler, self._topic, self.book.put, self._key_of)
        else:
            self._client.subscribe_topic(self._topic, self._on_event)
        self.book.start()

    # -- submitting -----------------------------------------------------------------------------------

    def submit(self, run: TaskRun) -> None:
        """Hand a run to Dask, or to what must happen before."""
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # so that what the flow printed stands before what the task prints
        self._gate.submit(run)

    def _send(self, run: TaskRun, cache_key: str | None) -> None:
        submissions = run.owner.submissions
        context = run.context
        if context is None or run.is_final:
            return
        if run.cancel_requested:
            end_stopped(run, "before it started")
            return
        keeps = cache_key is not None or run.task.keeps_result(run.info)
        try:
            annotations = context.run(get_annotations)
            payload = self._packer.pack(
                run,
                retries=_retries(annotations),
                keeps=keeps,
                named=run.task.cache_key_fn is not None,
            )
            args = self._args(payload)
        except BlockedError as blocked:
            submissions.block(run, blocked.uid)
        except Exception as problem:
            self._crash(run, problem)
        else:
            entry = self.book.add(run, payload.waits, keeps=keeps, cache_key=cache_key)
            key = f"{run.name}-{uuid.uuid4().hex}-{run.info.run_count}"
            self._batches.add(Call(entry, key, args, annotations))

    def _args(self, payload: Payload) -> tuple[Any, ...]:
        head = payload.head
        return (
            self._uid,
            self._code(payload.code),
            head if len(head) <= _LARGE else self._scattered(head),
            *payload.inputs,
        )

    def _refused(self, entry: Entry, problem: Exception) -> None:
        self.book.drop(entry)
        self._crash(entry.run, problem)

    def _crash(self, run: TaskRun, problem: Exception) -> None:
        """This run's trouble (an argument that cannot be pickled), or the cluster is gone: the
        flow's body goes on either way."""
        error = problem if self._link.is_open else ConnectionError(_GONE)
        run.owner.submissions.crash(run, crash_message(error), error)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Dask can be told to wait for this run."""
        entry = self.book.entries.get(run.no)
        if entry is not None and entry.run is run and entry.handle is None:
            self._batches.flush()
        return self.book.tracks(run)

    def _code(self, code: bytes) -> Any:
        """Return what stands for a task's code: large code goes to the workers once."""
        if len(code) <= _LARGE_CODE:
            return code
        known = self._codes.get(id(code))
        if known is None:  # the bytes are kept: their id must not be given to others
            known = self._codes[id(code)] = code, self._scattered(code, broadcast=True)
        return known[1]

    def _scattered(self, data: bytes, *, broadcast: bool = False) -> Any:
        """Put data on workers, and return what stands for it; the data, if there are none yet."""
        try:
            return self._client.scatter([data], hash=False, broadcast=broadcast, timeout=_ASKING)[0]
        except TimeoutError:  # a cluster that scales has none before there is work
            return data

    def _fetch(self, future: Any) -> Reply:
        if not self._link.is_open:
            raise MissingResult(_GONE)
        reply: Reply = future.result()
        return reply

    # -- what comes back --------------------------------------------------------------------------------

    def _on_event(self, event: tuple[float, Any]) -> None:
        """On the loop of Dask's client: nothing may take time here."""
        if type(event[1]) is bytes:
            self.book.put(event[1])

    def _key_of(self, no: int) -> str | None:
        entry = self.book.entries.get(no)
        if entry is None or entry.handle is None:
            return None
        key: str = entry.handle.key
        return key

    def _tick(self) -> None:
        self._gate.tick()
        if self._closing:
            return
        is_open = self._link.is_open
        waits = False
        for entry in list(self.book.entries.copy().values()):
            if entry.handle is None:
                continue
            waits = True
            if entry.run.is_final:
                self._abandoned(entry)
            elif not is_open:
                error = ConnectionError(_GONE)
                self.book.crash(entry, error)
            elif (status := entry.handle.status) == "finished":
                self._silent(entry)
            elif status != "pending":
                self._lost(entry)
        self._idle.tick(waits=is_open and waits)

    def _silent(self, entry: Entry) -> None:
        """A task that has ended while its last events, which left before, have not come."""
        entry.data = (entry.data or 0) + 1
        if entry.data == _SILENCE and not entry.keeps:
            self.book.help(self._recover, entry)

    def _recover(self, entry: Entry) -> None:
        with contextlib.suppress(MissingResult):  # then its future tells of an error soon
            self.book.call(self.book.recover, entry, self.book.fetch(entry.handle))

    def _lost(self, entry: Entry) -> None:
        """A future that Dask gave up."""
        future = entry.handle
        error: Any = None
        if future.status == "error":
            with contextlib.suppress(Exception):
                error = future.exception(timeout=5)
        if isinstance(error, KilledWorker):
            own = str(error.task) == str(future.key)
            if not own and not self._explained(entry):
                return
            self.book.crash(entry, dask_values.KilledWorker(error))
            return
        if error is None:
            if not self._explained(entry):
                return
            error = ConnectionError(dask_values.why_lost(future))
        self.book.crash(entry, error)

    def _explained(self, entry: Entry) -> bool:
        """Say whether the upstreams of a run have all ended, one of which must be why it is lost;
        or whether it is no use to wait for that any longer."""
        entry.data = (entry.data or 0) + 1
        return entry.data > _PATIENCE or all(run.is_final for run, _ in entry.waits)

    # -- stopping ---------------------------------------------------------------------------------------

    def cancel(self, run: TaskRun) -> None:
        """Stop a run, from any thread; ``run.cancel_requested`` says why."""
        entry = self._batches.remove(run)
        if entry is not None:
            self.book.drop(entry)
        if entry is not None or self._gate.remove(run):
            end_stopped(run, "before it started")
            return
        self._to_stop.append(run)
        self.book.call(self._stop_some)

    def take_back(self) -> list[TaskRun]:
        """Return the runs that Dask has not got."""
        held = self._gate.take_back()
        for entry in self._batches.take_back():
            self.book.drop(entry)
            held.append(entry.run)
        return held

    def _stop_some(self) -> None:
        """On the book's thread: many are cancelled at a time, and asked for together."""
        asked: dict[Stop, list[Entry]] = {}
        while self._to_stop:
            run = self._to_stop.popleft()
            entry = self.book.entries.get(run.no)
            if entry is not None and entry.run is run and not run.is_final:
                asked.setdefault(run.cancel_requested, []).append(entry)
        for why, entries in asked.items():
            numbers = [entry.run.no for entry in entries]
            self.book.help(self._ask_workers, dask_worker.stop, self._uid, numbers, int(why))
            queued = [entry for entry in entries if not entry.started and entry.handle is not None]
            with contextlib.suppress(Exception):
                self._client.cancel([entry.handle for entry in queued])
            for entry in queued:
                self.book.drop(entry)
                end_stopped(entry.run, "before it started")

    def _ask_workers(self, function: Any, *args: Any) -> None:
        with contextlib.suppress(Exception):  # a cluster that is gone does nothing to be stopped
            self._client.run(function, *args, wait=False, callback_timeout=_ASKING)

    def _abandoned(self, entry: Entry) -> None:
        """The run was ended from outside while its function went on in a worker."""
        self.book.drop(entry)
        self._left_behind = True
        if self._link.cluster is None or entry.worker is None or self._flow_run.cancel_requested:
            return  # not ours to restart, or about to end anyway
        others = [e for e in self.book.entries.copy().values() if e.worker == entry.worker]
        if not others:
            self.book.help(self._restart, entry.worker)

    def _restart(self, worker: str) -> None:
        """Restart a worker whose thread cannot be stopped, if nothing else would be lost."""
        if not self._client.has_what([worker]).get(worker):
            self._client.restart_workers([worker], timeout=10, raise_for_error=False)

    # -- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Bring home what the flow returned, leave the cluster, close it if it is ours."""
        self._closing = True
        self.book.rescue(self._flow_run.state)
        if self._link.cluster is None and self._link.is_open:
            self._forget()
        self._link.close(at_once=self._left_behind or bool(self.book.entries))
        self.book.close()

    def _forget(self) -> None:
        """Leave nothing of this flow run behind on a cluster that goes on.

        Its tasks and their values go with the client that wanted them.
        """
        self._ask_workers(dask_worker.forget, self._uid)
        with contextlib.suppress(Exception):
            self._client.run_on_scheduler(dask_worker.forget_topic, self._topic)


def _retries(annotations: dict[str, Any]) -> int | None:
    """Return what `dask.annotate(retries=...)` asks for: Dask's own retries do not see failures of
    tasks here, so the task's are raised."""
    wanted = annotations.get("retries")
    return int(wanted) if isinstance(wanted, int) and wanted > 0 else None

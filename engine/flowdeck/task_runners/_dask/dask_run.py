"""One flow run on a Dask cluster, from its first task to the end.

Each task run is one Dask task. What happens on the workers comes back, while it happens, under a
topic of Dask's own event log; the futures are looked at for what no worker can tell: that it died.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from dask.base import get_annotations
from distributed.scheduler import KilledWorker

from flowdeck.exceptions import MissingResult
from flowdeck.remote.admission import BEFORE, Admissions
from flowdeck.remote.batches import Batches, Gathering, goes_with_others
from flowdeck.remote.payload import BlockedError, Packer
from flowdeck.remote.remote_runs import RemoteRuns
from flowdeck.remote.stuck import StuckRuns
from flowdeck.remote.values import pickling_of
from flowdeck.runs.stopping import end_stopped
from flowdeck.states.transitions import crash_message
from flowdeck.task_runners._dask import local, stuck, values, worker
from flowdeck.task_runners._dask.batches import DaskCall, Graphs, retries_in
from flowdeck.task_runners._dask.resources import WorkerResources
from flowdeck.task_runners._dask.together import BatchItem, GatheredCall, futures, unwanted
from flowdeck_store.kills import KillCount, memory_limit, said

if TYPE_CHECKING:
    from flowdeck.remote.parts import Part
    from flowdeck.remote.payload import Payload
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.remote.values import Reply
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import Stop, TaskRun
    from flowdeck.task_runners._dask.cluster import Link

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


class DaskRun:
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
        pickling = pickling_of(worker.DaskPort.pickling)
        self.runs = RemoteRuns(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=self._tick,
            name="dask",
            weigh=self._weigh,
            lets_go_later=True,
        )
        self._packer = Packer(pickling, self.runs.handle_of, self._put_part)
        self._admissions = Admissions(self.runs, self._send)
        graphs = Graphs(self._client, self.runs.submitting, self._refused)
        self._batches: Batches[DaskCall] = Batches(graphs.send, soon=self.runs.call_soon)
        self._graphs, self._resources = graphs, WorkerResources(self._client)
        self._gathering: Gathering[GatheredCall] = Gathering(
            self._send_together, self.runs.call_soon
        )
        self.flush = self._gathering.flush
        self._codes: dict[int, tuple[bytes, Any]] = {}
        self._to_stop: deque[TaskRun] = deque()
        self._closing = False
        self._kills = KillCount()
        find = functools.partial(stuck.find, self._client)
        self.stuck = StuckRuns(flow_run, self.runs, find)
        #: Some function went on after its run was ended.
        self._left_behind = False
        self._topic = worker.topic_of(self._uid)
        # Dask leaves 32 digits away where it shows keys. Not a UUID for each: random bytes are a
        # system call, and a thread that comes back from one waits for all others.
        self._stem = uuid.uuid4().hex[:16]
        self._keys = itertools.count()
        self._watcher: local.SchedulerWatcher | None = None
        if link.scheduler is not None:
            self._watcher = local.SchedulerWatcher(
                link.scheduler, self._topic, self.runs.receive, self._key_of
            )
        else:
            self._client.subscribe_topic(self._topic, self._on_event)
        self.runs.start()

    # -- submitting -----------------------------------------------------------------------------------

    def submit(self, run: TaskRun) -> None:
        """Hand a run to Dask, or to what must happen before."""
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # so that what the flow printed stands before what the task prints
        self._admissions.submit(run)

    def _send(self, run: TaskRun) -> None:
        assert run.context is not None
        try:
            annotations = run.context.run(get_annotations)
            if run.task.resources:
                annotations = self._resources.annotated(run, annotations)
            together = goes_with_others(run)
            retries = retries_in(annotations)
            payload = self._packer.pack(run, retries=retries, hands_back=together)
            args = () if together else self._args(payload)
        except BlockedError:
            raise
        except Exception as problem:
            raise self._named(problem) from problem.__cause__
        remote_run = self.runs.add(run, payload)
        if together:
            alike = id(payload.code), repr(sorted(annotations.items()))
            self._gathering.add(alike, GatheredCall(remote_run, payload, annotations))
            return
        key = f"{run.name}-{self._stem}{next(self._keys):016x}-{run.info.run_count}"
        self._batches.add(DaskCall(remote_run, key, args, annotations))

    def _args(self, payload: Payload) -> tuple[Any, ...]:
        head = payload.head
        return (
            self._uid,
            self._code(payload.code),
            head if len(head) <= _LARGE else self._scattered(head),
            *futures(payload.inputs),
        )

    def _send_together(self, calls: list[GatheredCall]) -> None:
        """Hand task runs to Dask as one Dask task."""
        first = calls[0]
        run = first.remote_run.run
        try:
            heads: Any = [(call.payload.head, len(call.payload.inputs)) for call in calls]
            if sum(call.size for call in calls) > _LARGE:
                heads = self._scattered(heads)
            inputs = [each for call in calls for each in futures(call.payload.inputs)]
            args = (self._uid, self._code(first.payload.code), heads, *inputs)
        except Exception as problem:
            for call in calls:
                self._refused(call.remote_run, problem)
            return
        key = f"{run.name}-{self._stem}{next(self._keys):016x}-{run.info.run_count}"
        together = tuple(call.remote_run for call in calls)
        self._graphs.send([DaskCall(first.remote_run, key, args, first.annotations, together)])

    def _weigh(self, handles: list[Any], limit: int, seconds: float) -> list[int | None]:
        return values.weights(self._client, futures(handles), limit, seconds)

    def _refused(self, remote_run: RemoteRun, problem: Exception) -> None:
        self.runs.drop(remote_run)
        error = self._named(problem)
        remote_run.run.owner.submissions.crash(remote_run.run, crash_message(error), error)

    def _named(self, problem: Exception) -> Exception:
        """Return what a run failed of that was not sent: its own trouble, or the cluster is gone."""
        return problem if self._link.is_open else ConnectionError(_GONE)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Dask can be told to wait for this run."""
        remote_run = self.runs.open.get(run.no)
        if remote_run is not None and remote_run.run is run and remote_run.handle is None:
            self._batches.flush()
        is_alone = remote_run is not None and type(remote_run.handle) is not BatchItem
        return is_alone and self.runs.tracks(run)

    def _code(self, code: bytes) -> Any:
        """Return what stands for a task's code: large code goes to the workers once."""
        if len(code) <= _LARGE_CODE:
            return code
        known = self._codes.get(id(code))
        if known is None:  # the bytes are kept: their id must not be given to others
            known = self._codes[id(code)] = code, self._scattered(code, broadcast=True)
        return known[1]

    def _scattered(self, data: Any, *, broadcast: bool = False) -> Any:
        """Put data on workers, and return what stands for it; the data, if there are none yet."""
        try:
            return self._client.scatter([data], hash=False, broadcast=broadcast, timeout=_ASKING)[0]
        except TimeoutError:  # a cluster that scales has none before there is work
            return data

    def _put_part(self, part: Part) -> Any:
        """Put an argument on the cluster that several task runs have in common."""
        if part.size > values.MOST_BY_TASK:
            return self._scattered(part)
        return values.put_part(self._client, part)

    def _fetch(self, future: Any) -> Reply:
        if not self._link.is_open:
            raise MissingResult(_GONE)
        reply: Reply = future.result()
        return reply

    # -- what comes back --------------------------------------------------------------------------------

    def _on_event(self, event: tuple[float, Any]) -> None:
        """On the loop of Dask's client: nothing may take time here."""
        _, message = event
        for batch in message if isinstance(message, (list, tuple)) else (message,):
            if type(batch) is bytes:
                self.runs.receive(batch)

    def _key_of(self, no: int, is_over: bool) -> str | None:
        remote_run = self.runs.open.get(no)
        if remote_run is None or remote_run.handle is None:
            return None
        if is_over and type(remote_run.handle) is BatchItem:
            return None
        key: str = remote_run.handle.key
        return key

    def _tick(self) -> None:
        self._packer.shares.tick()
        if self._closing:
            return
        is_open = self._link.is_open
        for remote_run in list(self.runs.open.copy().values()):
            if remote_run.handle is None:
                continue
            if remote_run.run.is_final:
                self._abandoned(remote_run)
            elif not is_open:
                error = ConnectionError(_GONE)
                self.runs.crash(remote_run, error)
            elif (status := remote_run.handle.status) == "finished":
                self._silent(remote_run)
            elif status != "pending":
                self._lost(remote_run)
        if is_open:
            self.stuck.tick()

    def _silent(self, remote_run: RemoteRun) -> None:
        """A task that has ended while its last events, which left before, have not come."""
        remote_run.data = (remote_run.data or 0) + 1
        if remote_run.data == _SILENCE and not remote_run.keeps:
            self.runs.call_on_helper(self._recover, remote_run)

    def _recover(self, remote_run: RemoteRun) -> None:
        with contextlib.suppress(MissingResult):  # then its future tells of an error soon
            self.runs.call_soon(self.runs.recover, remote_run, self.runs.fetch(remote_run.handle))

    def _lost(self, remote_run: RemoteRun) -> None:
        """A future that Dask gave up."""
        future = remote_run.handle
        error: Any = None
        if future.status == "error":
            with contextlib.suppress(Exception):
                error = future.exception(timeout=5)
        if isinstance(error, KilledWorker):
            own = str(error.task) == str(future.key)
            if not own and not self._explained(remote_run):
                return
            self.runs.crash(remote_run, values.KilledWorker(error, self._memory(remote_run, error)))
            return
        if error is None:
            if not self._explained(remote_run):
                return
            error = ConnectionError(values.why_lost(future))
        self.runs.crash(remote_run, error)

    def _memory(self, remote_run: RemoteRun, error: KilledWorker) -> str:
        """Return what is known of the memory of a worker that died."""
        of_worker: Any = error.last_worker  # as the scheduler knows it
        memory = self.runs.memory_of(remote_run)
        if memory is None:
            memory = (getattr(of_worker, "metrics", None) or {}).get("memory")
        limit = getattr(of_worker, "memory_limit", None) or None
        is_here = self._watcher is not None
        if limit is None and is_here:
            limit = memory_limit()
        return said(memory, limit, certain=is_here and self._kills.take())

    def _explained(self, remote_run: RemoteRun) -> bool:
        """Say whether the upstreams of a run have all ended, one of which must be why it is lost;
        or whether it is no use to wait for that any longer."""
        remote_run.data = (remote_run.data or 0) + 1
        return remote_run.data > _PATIENCE or all(run.is_final for run, _ in remote_run.waits)

    # -- stopping ---------------------------------------------------------------------------------------

    def cancel(self, run: TaskRun) -> None:
        """Stop a run, from any thread; ``run.cancel_requested`` says why."""
        remote_run = self._gathering.remove(run) or self._batches.remove(run)
        if remote_run is not None:
            self.runs.drop(remote_run)
            end_stopped(run, BEFORE)
            return
        if self._admissions.stop(run):
            return
        self._to_stop.append(run)
        self.runs.call_soon(self._stop_some)

    def take_back(self) -> list[TaskRun]:
        """Return the runs that Dask has not got."""
        held = self._admissions.take_back()
        for remote_run in [*self._gathering.take_back(), *self._batches.take_back()]:
            self.runs.drop(remote_run)
            held.append(remote_run.run)
        return held

    def _stop_some(self) -> None:
        """On the thread of the remote runs: many are cancelled at a time, and asked for together."""
        asked: dict[Stop, list[RemoteRun]] = {}
        while self._to_stop:
            run = self._to_stop.popleft()
            remote_run = self.runs.open.get(run.no)
            if remote_run is not None and remote_run.run is run and not run.is_final:
                asked.setdefault(run.cancel_requested, []).append(remote_run)
        for why, remote_runs in asked.items():
            numbers = [remote_run.run.no for remote_run in remote_runs]
            self.runs.call_on_helper(
                self._ask_workers, worker.stop_task_runs, self._uid, numbers, int(why)
            )
            queued = [
                remote_run
                for remote_run in remote_runs
                if not remote_run.started and remote_run.handle is not None
            ]
            for remote_run in queued:
                self.runs.drop(remote_run)
            with contextlib.suppress(Exception):
                self._client.cancel(unwanted(queued, self.runs.open))
            for remote_run in queued:
                end_stopped(remote_run.run, BEFORE)

    def pass_answer(self, answer: bytes) -> None:
        """Pass an answer on to all workers: one of them asks."""
        self.runs.call_on_helper(self._ask_workers, worker.take_answer, answer)

    def _ask_workers(self, function: Any, *args: Any) -> None:
        with contextlib.suppress(Exception):  # a cluster that is gone does nothing to be stopped
            self._client.run(function, *args, wait=False, callback_timeout=_ASKING)

    def _abandoned(self, remote_run: RemoteRun) -> None:
        """The run was ended from outside while its function went on in a worker."""
        self.runs.drop(remote_run)
        self._left_behind = True
        if (
            self._link.cluster is None
            or remote_run.worker is None
            or self._flow_run.cancel_requested
        ):
            return  # not ours to restart, or about to end anyway
        others = [e for e in self.runs.open.copy().values() if e.worker == remote_run.worker]
        if not others:
            self.runs.call_on_helper(self._restart, remote_run.worker)

    def _restart(self, worker: str) -> None:
        """Restart a worker whose thread cannot be stopped, if nothing else would be lost."""
        if not self._client.has_what([worker]).get(worker):
            self._client.restart_workers([worker], timeout=10, raise_for_error=False)

    # -- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Bring home what the flow returned, leave the cluster, close it if it is ours."""
        self._closing = True
        self.runs.rescue(self._flow_run.state)
        if self._link.cluster is None and self._link.is_open:
            self._forget()
        self._link.close(at_once=self._left_behind or bool(self.runs.open))
        self.runs.close()

    def _forget(self) -> None:
        """Leave nothing of this flow run behind on a cluster that goes on.

        Its tasks and their values go with the client that wanted them.
        """
        self._ask_workers(worker.forget_flow_run, self._uid)
        if self._watcher is not None:
            self._watcher.leave()
            return
        with contextlib.suppress(Exception):
            self._client.run_on_scheduler(worker.forget_topic, self._topic)

"""One flow run on worker processes, from its first task to the end."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import MissingResult
from flowdeck.logging import WARNING, line
from flowdeck.remote import prints
from flowdeck.remote.admission import BEFORE, Admissions
from flowdeck.remote.batches import Gathering, goes_with_others
from flowdeck.remote.events import AFTERWARDS, Item, encode
from flowdeck.remote.payload import Packer
from flowdeck.remote.remote_runs import RemoteRuns
from flowdeck.remote.values import pickling_of
from flowdeck.runs.stopping import end_stopped
from flowdeck.task_runners._process.load import (
    GRACE,
    Held,
    Load,
    ProcessCall,
    overdue,
    take_out,
    where_is,
)
from flowdeck.task_runners._process.pool import WorkerDied, pool
from flowdeck.task_runners._process.wire import ANSWER, DONE, EVENTS, MANY, STOP, TASK, TEXTS
from flowdeck_store import clock
from flowdeck_store.kills import KillCount, kernel_names, memory_limit, said

if TYPE_CHECKING:
    from flowdeck.remote.parts import Part
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.remote.values import Reply
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._process.pool import Worker

#: Workers in a row that ended before they could execute anything, after which no more are started.
_FAILED_STARTS: Final = 3
_numbers: Final = itertools.count(1)


class ProcessRun:
    """What a started :class:`~flowdeck.task_runners.process.ProcessTaskRunner` has.

    Args:
        flow_run: whose tasks.
        most: workers at a time.
    """

    def __init__(self, flow_run: FlowRun, most: int) -> None:
        self._flow_run = flow_run
        self._uid = flow_run.info.uid
        self._most = most
        self._place = dict(os.environ), os.getcwd(), [entry or os.getcwd() for entry in sys.path]
        #: Guards all that follows.
        self._lock = threading.Lock()
        self._queue: deque[Load] = deque()
        self._workers: set[Worker] = set()
        self._free: list[Worker] = []
        self._running: dict[Worker, Load] = {}
        self._stopping: dict[ProcessCall, tuple[float, bool]] = {}
        #: Of those in which a function goes on, the last events of its run: it ends, and is tried
        #: again, when they have.
        self._leaving: dict[Worker, bytes] = {}
        self._failed_starts = 0
        self._kills = KillCount()
        self._closed = False
        self._codes: dict[int, tuple[int, bytes]] = {}
        pickling = pickling_of("cloudpickle")
        self.runs = RemoteRuns(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=self._tick,
            name="process",
            weigh=self._weigh,
        )
        self._packer = Packer(pickling, self.runs.handle_of, self._put_part)
        self._admissions = Admissions(self.runs, self._send)
        self._gathering: Gathering[ProcessCall] = Gathering(self._enqueue, self.runs.call_soon)
        self.flush = self._gathering.flush
        self.runs.start()

    # -- values -----------------------------------------------------------------------------------------

    def _put_part(self, part: Part) -> Held:
        return Held(pickle.dumps(part, 5), next(_numbers))

    def _fetch(self, held: Held) -> Reply:
        if held.data is None:
            raise MissingResult("The value was lost with the process that made it.")
        reply: Reply = pickle.loads(held.data)
        return reply

    def _weigh(self, handles: list[Held], limit: int, seconds: float) -> list[int | None]:
        sizes = [len(held.data or b"") for held in handles]
        return [size if size <= limit else None for size in sizes]

    # -- submitting -------------------------------------------------------------------------------------

    def submit(self, run: TaskRun) -> None:
        """Have a run executed when a worker is free, or after what must happen before."""
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # so that what the flow printed stands before what the task prints
        self._admissions.submit(run)

    def _send(self, run: TaskRun) -> None:
        payload = self._packer.pack(run)
        remote_run = self.runs.add(run, payload)
        remote_run.handle = Held()
        call = ProcessCall(remote_run, payload)
        if goes_with_others(run):
            self._gathering.add(id(payload.code), call)
        else:
            self._enqueue([call])
        if run.cancel_requested:  # by somebody who did not find it yet
            self.cancel(run)

    def _enqueue(self, calls: list[ProcessCall]) -> None:
        with self._lock:
            self._queue.append(Load(calls))
        self._dispatch()

    def _dispatch(self) -> None:
        """Give free workers something to do, and get more of them while there is more to do."""
        while True:
            with self._lock:
                if not self._queue or self._closed:
                    return
                if self._free:
                    worker = self._free.pop()
                    if worker.has_ended:  # which its thread has yet to notice
                        continue
                    load = self._queue.popleft()
                    self._running[worker] = load
                    worker.begun_before = worker.begun
                else:
                    starting = len(self._workers) - len(self._running)
                    if len(self._workers) >= self._most or starting >= len(self._queue):
                        return
                    try:
                        worker = pool.take(self)
                    except OSError as error:
                        self._give_up(error)
                        return
                    self._workers.add(worker)
                    if worker.is_ready:
                        self._free.append(worker)
                    continue
            self._hand_over(worker, load)

    def _give_up(self, error: BaseException) -> None:
        """With the lock: there are no workers, and will not be any."""
        if not self._workers:
            for call in self._queued():
                self.runs.call_soon(self.runs.crash, call.remote_run, error)
            self._queue.clear()

    def _queued(self) -> list[ProcessCall]:
        return [call for load in self._queue for call in load.calls]

    def _hand_over(self, worker: Worker, load: Load) -> None:
        runs = [
            (
                call.remote_run.run.no,
                call.payload.head,
                [held.for_worker(worker) for held in call.payload.inputs],
            )
            for call in load.calls
        ]
        stale = [worker.stale.popleft() for _ in range(len(worker.stale))]
        worker.parts.difference_update(stale)
        place = None if worker.place == self._place else self._place
        worker.place = self._place
        code = self._code(worker, load.calls[0].payload.code)
        try:
            worker.send((TASK, self._uid, code, runs, place, stale))
        except OSError:  # it died while it had nothing to do: another one gets the task
            with self._lock:
                if self._running.pop(worker, None) is not None:
                    self._queue.appendleft(load)

    def _code(self, worker: Worker, code: bytes) -> tuple[int, bytes | None]:
        """Return what tells a worker of a task: its code goes there once."""
        known = self._codes.get(id(code))
        if known is None:  # the bytes are kept: their id must not be given to others
            known = self._codes.setdefault(id(code), (next(_numbers), code))
        number, _ = known
        if number in worker.codes:
            return number, None
        worker.codes.add(number)
        return number, code

    # -- what comes back, on the thread of the worker -----------------------------------------------------

    def on_ready(self, worker: Worker) -> None:
        """A new worker can begin."""
        with self._lock:
            self._failed_starts = 0
            is_known = worker in self._free or worker in self._running
            if self._closed or is_known or worker not in self._workers:
                return
            self._free.append(worker)
        self._dispatch()

    def on_message(self, worker: Worker, message: tuple[Any, ...]) -> None:
        """Take what a worker sends."""
        kind, *content = message
        if kind == EVENTS:
            uid, batch = content
            if uid == self._uid:
                self.runs.receive(batch)
        elif kind == TEXTS:
            for text, to_stderr in content[0]:
                prints.write(text, to_stderr=to_stderr)
        elif kind == DONE:
            self._on_done(worker, *content)
        elif kind == MANY:
            for one in content[0]:
                self.on_message(worker, one)

    def _on_done(self, worker: Worker, data: bytes | None, tail: bytes, is_left: bool) -> None:
        with self._lock:
            call, is_free = self._note_end(worker, is_left)
            if is_left:  # a function goes on in it that was given up
                self._workers.discard(worker)
                self._leaving[worker] = tail
            elif is_free and not self._closed:
                self._free.append(worker)
        if call is not None:
            call.remote_run.handle.data = data
        if is_free:
            self._dispatch()
        if not is_left:
            self.runs.receive(tail)
            return
        if call is not None:
            text = f"Its worker process {worker.pid} is ended, for its function goes on there."
            line(call.remote_run.run, WARNING, text)
        worker.kill(signal.SIGTERM)
        timer = threading.Timer(GRACE, worker.kill, [signal.SIGKILL])
        timer.daemon = True
        timer.start()

    def _note_end(self, worker: Worker, is_left: bool) -> tuple[ProcessCall | None, bool]:
        """With the lock: return the call that has ended on a worker, and whether it has no others."""
        load = self._running.get(worker)
        if load is None:
            return None, True
        call = load.calls[load.done]
        load.done += 1
        self._stopping.pop(call, None)
        rest = load.rest
        if rest and not is_left:
            if rest[0] in self._stopping:  # it has only just begun, and stops by itself
                self._stopping[rest[0]] = clock.monotonic() + GRACE, False
            return call, False
        del self._running[worker]
        if rest:
            self._queue.appendleft(Load(rest))
        return call, True

    def _tell_that_it_left(self, run: TaskRun) -> None:
        self.runs.receive(encode([Item(run.no, 0, AFTERWARDS, [])]))

    def on_death(self, worker: Worker) -> None:
        """A worker is gone: what it executed has ended, and another one takes its place."""
        why = worker.why_it_ended()
        with self._lock:
            self._workers.discard(worker)
            if worker in self._free:
                self._free.remove(worker)
            lost = self._lose(worker)
            tail = self._leaving.pop(worker, None)
            if not worker.is_ready:
                self._failed_starts += 1
                if self._failed_starts >= _FAILED_STARTS:
                    self._give_up(WorkerDied(f"Worker processes do not start: the last one {why}."))
        for call in lost:
            self.runs.call_soon(self._lost, call.remote_run, worker, call.why_lost(worker.pid, why))
        if tail is not None:
            self.runs.receive(tail)
        self._dispatch()

    def _lose(self, worker: Worker) -> list[ProcessCall]:
        """With the lock: return the calls that are lost with a worker: the one that it executed, and
        those before it whose ends it has not told. It has not begun the others: they wait again."""
        load = self._running.pop(worker, None)
        if load is None:
            return []
        begun = max(worker.begun - worker.begun_before, load.done + 1)
        for call in load.calls:
            self._stopping.pop(call, None)
        again = load.calls[begun:]
        kept = [call for call in again if not call.remote_run.run.cancel_requested]
        if kept:
            self._queue.appendleft(Load(kept))
        return [call for call in load.rest if call not in kept]

    def _lost(self, remote_run: RemoteRun, worker: Worker, text: str) -> None:
        """On the thread of the remote runs, when all that the worker had sent is recorded."""
        run = remote_run.run
        if run.cancel_requested or run.is_final:
            remote_run.abandon()
            end_stopped(run, "while it was running" if remote_run.started else BEFORE)
            self.runs.drop(remote_run)
        else:
            if worker.was_killed:
                certain = self._kills.take() or kernel_names(worker.pid, worker.since)
                memory = self.runs.memory_of(remote_run)
                text += said(memory, memory_limit(), certain=certain)
            self.runs.crash(remote_run, WorkerDied(text))
        self._tell_that_it_left(run)

    # -- stopping -------------------------------------------------------------------------------------------

    def cancel(self, run: TaskRun) -> None:
        """Stop a run, from any thread: by an exception in its function, then by signals to its
        process."""
        waiting = self._gathering.remove(run)
        if waiting is None:
            with self._lock:
                waiting = take_out(run, self._queue)
        if waiting is not None:
            self.runs.drop(waiting)
            end_stopped(run, BEFORE)
            return
        if self._admissions.stop(run):
            return
        with self._lock:
            worker, place, call = where_is(run, self._running)
            if worker is None or call is None:
                return
            is_refused = place > 0 and worker.refuse(place, int(run.cancel_requested))
            self._stopping.setdefault(call, (clock.monotonic() + GRACE, False))
        with contextlib.suppress(OSError):  # it is dead already
            worker.send((STOP, self._uid, [run.no], int(run.cancel_requested)))
        if is_refused:  # behind others in its worker
            self.runs.drop(call.remote_run)
            end_stopped(run, BEFORE)

    def pass_answer(self, answer: bytes) -> None:
        """Pass an answer on to the workers that execute something: one of them asks."""
        with self._lock:
            workers = list(self._running)
        for worker in workers:
            with contextlib.suppress(OSError):  # it is dead
                worker.send((ANSWER, answer))

    def drop_queued(self) -> list[TaskRun]:
        """Take back what waits for a worker."""
        held = self._admissions.take_back()
        waiting = self._gathering.take_back()
        with self._lock:
            waiting += [call.remote_run for call in self._queued()]
            self._queue.clear()
        for remote_run in waiting:
            self.runs.drop(remote_run)
            held.append(remote_run.run)
        return held

    def _tick(self) -> None:
        self._packer.shares.tick()
        with self._lock:
            workers = [*self._running, *self._leaving]
            found = overdue(self._running, self._stopping)
        for worker in workers:
            worker.look()
        for worker, number in found:
            worker.kill(number)

    # -- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Move the values here that the flow returned, end what was given up, give the workers back."""
        self.runs.rescue(self._flow_run.state)
        with self._lock:
            self._closed = True
            going = list(self._running)
            kept = [worker for worker in self._workers if worker not in self._running]
            self._workers.clear()
            self._free.clear()
        for worker in going:
            worker.kill(signal.SIGKILL)
        for worker in going:
            worker.join(GRACE)
        pool.give_back(kept, self._uid, max(self._most, os.cpu_count() or 1))
        self.runs.close()

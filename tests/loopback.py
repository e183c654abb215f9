"""A task runner that sends everything through the transport and executes it in this process: what
cluster runners have in common, without a cluster."""

from __future__ import annotations

import pickle
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.lifecycle.steps import wait_unless_cancelled
from flowdeck.remote.admission import Admissions
from flowdeck.remote.payload import Packer
from flowdeck.remote.remote_runs import RemoteRuns
from flowdeck.remote.values import pickling_of
from flowdeck.remote.worker import execute, stop_here
from flowdeck.remote.worker_process import this_process
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun


class LoopbackPort:
    """Hands batches to a channel."""

    pickling = "cloudpickle"
    worker = "loopback"
    linger = 0.001
    patience = 0.0
    is_for_one = False

    def __init__(self, channel: Any) -> None:
        self.send = channel

    def sleep(self, run: Any, seconds: float) -> None:
        wait_unless_cancelled(run, seconds)

    def stored(self) -> None:
        return None


class LoopbackRunner(BaseTaskRunner):
    """Executes on four threads.

    Args:
        shuffle: delays batches so that they arrive in any order, some twice.
    """

    tracks_dependencies: ClassVar[bool] = True

    def __init__(self, shuffle: bool = False) -> None:
        super().__init__()
        self.shuffle = shuffle

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.CONCURRENT

    def _start(self, flow_run: FlowRun) -> None:
        self.flow_run = flow_run
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="loopback")
        self.timers: list[threading.Timer] = []
        self.random = random.Random(1)
        self.fetched = 0
        pickling = pickling_of("cloudpickle")
        self.runs = RemoteRuns(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=self._tick,
            name="loopback",
        )
        self.admissions = Admissions(self.runs, self._send)
        self.packer = Packer(pickling, self.runs.handle_of, self._put)
        self.port = LoopbackPort(self._deliver)
        self.runs.start()

    def _stop(self) -> None:
        for timer in self.timers:
            timer.join()
        self.runs.rescue(self.flow_run.state)
        self.pool.shutdown()
        assert self.runs.close()
        this_process.forget(self.flow_run.info.uid)

    def _submit(self, run: TaskRun) -> None:
        self.admissions.submit(run)

    def tracks(self, run: TaskRun) -> bool:
        return run.owner is not None and run.owner.runner is self and self.runs.tracks(run)

    def cancel(self, run: TaskRun) -> None:
        if not self.admissions.stop(run):
            stop_here(run.info.uid, [run.no], int(run.cancel_requested))

    def drop_queued(self) -> list[TaskRun]:
        return self.admissions.take_back()

    def _send(self, run: TaskRun) -> None:
        payload = self.packer.pack(run)
        remote_run = self.runs.add(run, payload)
        with self.runs.submitting():
            remote_run.handle = self._later(payload)

    def _put(self, part: Any) -> Future[bytes]:
        done: Future[bytes] = Future()
        done.set_result(pickle.dumps(part, 5))
        return done

    def _tick(self) -> None:
        self.packer.shares.tick()

    def _later(self, payload: Any) -> Future[bytes]:
        """Execute when all inputs are there."""
        done: Future[bytes] = Future()
        open_inputs = {id(f): f for f in payload.inputs}
        missing = len(open_inputs)
        lock = threading.Lock()

        def work() -> None:
            replies = [pickle.loads(f.result()) for f in payload.inputs]
            reply, tail = execute(payload.code, payload.head, replies, self.port)
            done.set_result(pickle.dumps(reply, 5))
            self._deliver(tail)

        def one_is_there(_: Any) -> None:
            nonlocal missing
            with lock:
                missing -= 1
                go = missing == 0
            if go:
                self.pool.submit(work)

        for upstream in open_inputs.values():
            upstream.add_done_callback(one_is_there)
        if not open_inputs:
            self.pool.submit(work)
        return done

    def _fetch(self, handle: Future[bytes]) -> Any:
        self.fetched += 1
        return pickle.loads(handle.result())

    def _deliver(self, batch: bytes) -> None:
        if not self.shuffle:
            self.runs.receive(batch)
            return
        for _ in range(2 if self.random.random() < 0.2 else 1):
            timer = threading.Timer(self.random.random() * 0.03, self.runs.receive, [batch])
            timer.start()
            self.timers.append(timer)

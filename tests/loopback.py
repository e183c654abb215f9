"""A task runner that sends everything through the transport and executes it in this process: what
cluster runners have in common, without a cluster."""

from __future__ import annotations

import pickle
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.execution import wait_unless_cancelled
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.transitions import crash_message
from flowdeck.transport_book import Book
from flowdeck.transport_gate import Gate
from flowdeck.transport_payload import BlockedError, Packer
from flowdeck.transport_values import pickling_of
from flowdeck.transport_worker import execute, leave, stop_here

if TYPE_CHECKING:
    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun


class LoopbackPort:
    """Hands batches to a channel."""

    pickling = "cloudpickle"
    worker = "loopback"
    linger = 0.001
    patience = 0.0

    def __init__(self, channel: Any) -> None:
        self.send = channel

    def sleep(self, run: Any, seconds: float) -> None:
        wait_unless_cancelled(run, seconds)


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
        self.book = Book(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=lambda: self.gate.tick(),
            name="loopback",
        )
        self.gate = Gate(self.book, self._send)
        self.packer = Packer(pickling, self.book.handle_of)
        self.port = LoopbackPort(self._deliver)
        self.book.start()

    def _stop(self) -> None:
        for timer in self.timers:
            timer.join()
        self.book.rescue(self.flow_run.state)
        self.pool.shutdown()
        assert self.book.close()
        leave(self.flow_run.info.uid)

    def _submit(self, run: TaskRun) -> None:
        self.gate.submit(run)

    def tracks(self, run: TaskRun) -> bool:
        return run.owner is not None and run.owner.runner is self and self.book.tracks(run)

    def cancel(self, run: TaskRun) -> None:
        stop_here(run.info.uid, [run.no], int(run.cancel_requested))

    def drop_queued(self) -> list[TaskRun]:
        return self.gate.take_back()

    def _send(self, run: TaskRun, key: str | None) -> None:
        keeps = key is not None or run.task.keeps_result(run.info)
        named = run.task.cache_key_fn is not None
        try:
            payload = self.packer.pack(run, keeps=keeps, named=named)
        except BlockedError as blocked:
            run.owner.submissions.block(run, blocked.uid)
            return
        except Exception as error:
            run.owner.submissions.crash(run, crash_message(error), error)
            return
        entry = self.book.add(run, payload.waits, keeps=keeps, cache_key=key)
        with self.book.submitting():
            entry.handle = self._later(payload)

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
            self.book.put(batch)
            return
        for _ in range(2 if self.random.random() < 0.2 else 1):
            timer = threading.Timer(self.random.random() * 0.03, self.book.put, [batch])
            self.timers.append(timer)
            timer.start()

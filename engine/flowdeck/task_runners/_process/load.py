"""What travels between the flow's process and its workers: values as bytes, and task runs."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store import clock

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping

    from flowdeck.remote.payload import Payload
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._process.pool import Worker


#: Seconds that a function gets to stop, and then its process to end after SIGTERM.
GRACE: Final = 1.0
#: Seconds after which a worker that should have stopped a function by itself has not: code of C that
#: keeps the interpreter's lock lets none of its threads run.
STUCK: Final = 5.0


class Held:
    """A value as bytes, for whoever needs it.

    Attributes:
        data: the bytes, once they are there.
        number: by which workers keep it; 0 if they do not.
        workers: those that do.
    """

    __slots__ = ("data", "number", "workers")

    def __init__(self, data: bytes | None = None, number: int = 0) -> None:
        self.data = data
        self.number = number
        self.workers: list[Worker] = []

    def __del__(self) -> None:
        for worker in self.workers:
            worker.stale.append(self.number)

    def for_worker(self, worker: Worker) -> tuple[int, bytes | None]:
        """Return what a worker has to be told."""
        if not self.number:
            return 0, self.data
        if self.number in worker.parts:
            return self.number, None
        worker.parts.add(self.number)
        self.workers.append(worker)
        return self.number, self.data


@dataclass(eq=False, slots=True)
class ProcessCall:
    """A task run on its way to a worker, or there."""

    remote_run: RemoteRun
    payload: Payload
    #: When its worker was seen to have begun it, and whether it did not stop when its time was up.
    began: float | None = None
    is_stuck: bool = False

    def is_over_time(self, now: float) -> bool:
        """Say whether its time has been up for so long that nothing in its process stops it."""
        task = self.remote_run.run.task
        if task.timeout_seconds is None:
            return False
        if self.began is None:
            self.began = now
        return now > self.began + task.timeout_seconds * (task.retries + 1) + STUCK

    def why_lost(self, pid: int, why: str) -> str:
        """Return what the run's state says when its worker is gone."""
        if self.is_stuck:
            limit = self.remote_run.run.task.timeout_seconds
            return (
                f"Its time of {limit:g} seconds was up, and its function let nothing in its worker "
                f"process {pid} run that could stop it: the process was ended."
            )
        return f"The worker process {pid} that executed the task {why}."

    @property
    def size(self) -> int:
        """Bytes, about."""
        inputs = sum(len(held.data or b"") for held in self.payload.inputs)
        return len(self.payload.head) + inputs


@dataclass(eq=False, slots=True)
class Load:
    """What a worker gets in one message: nearly always a single task run.

    Attributes:
        calls: in the order in which they are executed.
        done: how many of them have ended, as far as the worker has told.
    """

    calls: list[ProcessCall]
    done: int = 0

    @property
    def rest(self) -> list[ProcessCall]:
        """Those that have not."""
        return self.calls[self.done :]


def where_is(
    run: TaskRun, loads: Mapping[Worker, Load]
) -> tuple[Worker | None, int, ProcessCall | None]:
    """Return the worker that has a run which has not ended, its place in the load, and its call."""
    for worker, load in loads.items():
        for place, call in enumerate(load.rest, load.done):
            if call.remote_run.run is run:
                return worker, place, call
    return None, 0, None


def take_out(run: TaskRun, queue: deque[Load]) -> RemoteRun | None:
    """Take a run back that waits for a worker."""
    for load in queue:
        for call in load.calls:
            if call.remote_run.run is run:
                load.calls.remove(call)
                if not load.calls:
                    queue.remove(load)
                return call.remote_run
    return None


def overdue(
    loads: Mapping[Worker, Load], stopping: dict[ProcessCall, tuple[float, bool]]
) -> list[tuple[Worker, signal.Signals]]:
    """Return the workers that are to be sent a signal, and note it.

    Args:
        loads: what workers have.
        stopping: until when calls may take to stop, and whether their process was asked to end.
    """
    now, found = clock.monotonic(), []
    for worker, load in loads.items():
        call = load.calls[load.done]
        has_begun = worker.begun - worker.begun_before > load.done
        if has_begun and call not in stopping and call.is_over_time(now):
            call.is_stuck = True
            stopping[call] = now, False
        deadline, is_asked = stopping.get(call, (now + 1, False))
        if now >= deadline:
            found.append((worker, signal.SIGKILL if is_asked else signal.SIGTERM))
            stopping[call] = now + GRACE, True
    return found

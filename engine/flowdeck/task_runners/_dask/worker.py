"""What runs inside Dask's workers and scheduler. Imported there by name, so it needs flowdeck to be
installed, and nothing of the user's."""

from __future__ import annotations

import contextlib
import platform
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import distributed
from dask.sizeof import sizeof as _dask_sizeof

from flowdeck.lifecycle.steps import wait_unless_cancelled
from flowdeck.remote.parts import Part
from flowdeck.remote.values import Reply
from flowdeck.remote.worker import execute, stop_here
from flowdeck.remote.worker_process import this_process
from flowdeck.stopping import answers
from flowdeck.task_runners._dask.tails import tails_of
from flowdeck.version import __version__
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

# Dask has types, but not for these.
dask: Any = distributed
sizeof: Any = _dask_sizeof

#: Of the bytes that travel between a flow and its workers; workers with another one are refused.
PROTOCOL: Final = 5
#: Waits for a retry that are longer than this (seconds) give the worker's thread to other tasks.
_SECEDE: Final = 0.2
#: Seconds between two batches of events while tasks run; each wakes the scheduler and the flow.
_LINGER: Final = 0.03


def topic_of(uid: str) -> str:
    """Return the topic that the events of a flow run are sent under."""
    return f"flowdeck-{uid}"


def run_task(uid: str, code: bytes, head: bytes, *replies: Reply) -> Reply:
    """Execute a task run; the function of every Dask task that flowdeck submits.

    Args:
        uid: of the flow run.
        code: see :func:`flowdeck.remote.worker.execute`.
        head: likewise.
        *replies: of the upstreams.
    """
    port = DaskPort(distributed.get_worker(), uid)
    reply, tail = execute(code, head, replies, port)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # prints of a process that is killed would be lost
            stream.flush()
    port.leave(tail)
    return reply


def run_tasks(
    uid: str, code: bytes, heads: Sequence[tuple[bytes, int]], *replies: Reply
) -> list[Reply]:
    """Execute task runs of a ``.map()`` one after the other, for one Dask task.

    Args:
        uid: of the flow run.
        code: see :func:`flowdeck.remote.worker.execute`.
        heads: likewise, each with how many of the replies belong to it.
        *replies: of the upstreams.
    """
    port = DaskPort(distributed.get_worker(), uid)
    found: list[Reply] = []
    tails: list[bytes] = []
    first, sent = 0, clock.monotonic()
    for head, count in heads:
        reply, tail = execute(code, head, replies[first : first + count], port)
        first += count
        found.append(reply)
        tails.append(tail)
        if clock.monotonic() - sent > _LINGER:
            port.send_all(tails)
            tails, sent = [], clock.monotonic()
    port.send_all(tails)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return found


def item_of(replies: Sequence[Reply], index: int) -> Reply:
    """Return one of the replies of :func:`run_tasks`."""
    return replies[index]


class DaskPort:
    """How events leave a Dask worker: under a topic, on the worker's stream to the scheduler.

    Args:
        worker: Dask's.
        uid: of the flow run.
    """

    pickling = "cloudpickle"
    linger = _LINGER
    patience = 0.0
    is_for_one = False

    def __init__(self, worker: Any, uid: str) -> None:
        self._worker = worker
        self._topic = topic_of(uid)
        self.worker: str = worker.address

    def send(self, batch: bytes) -> None:
        """Send a batch; does not wait for it to arrive."""
        self._worker.log_event(self._topic, batch)

    def send_all(self, tails: list[bytes]) -> None:
        """Send what executions had left at their ends."""
        if tails:
            self._worker.log_event(self._topic, tails)

    def leave(self, tail: bytes) -> None:
        """Send the tail of the task run that this thread executes, which then has to return."""
        held = tails_of(self._worker)
        if held is None:
            self.send(tail)  # on the stream that also tells of the task's end: it arrives first
        else:
            held.hold(self._topic, tail)

    def sleep(self, run: Any, seconds: float) -> None:
        """Wait for a retry; during a long wait the thread belongs to other tasks."""
        if seconds <= _SECEDE:
            wait_unless_cancelled(run, seconds)
            return
        dask.secede()
        wait_unless_cancelled(run, seconds)
        dask.rejoin()

    def stored(self) -> tuple[int, int] | None:
        """Return what all values that Dask keeps on this worker come to, of whichever run: what is
        on disk counts too. Dask has both numbers at hand; only its loop could go through the keys."""
        try:
            return int(self._worker.state.nbytes), len(self._worker.data)
        except Exception:  # an inside of Dask's: another version may have it elsewhere
            return None


def _size_of_reply(reply: Reply) -> int:
    """Dask moves, spills and schedules by the size of values."""
    size: int = sizeof(reply.content)
    return size + sys.getsizeof(reply)


sizeof.register(Reply, _size_of_reply)
sizeof.register(Part, lambda part: part.size)


def hold(part: Part) -> Part:
    """Return what it gets: a Dask task whose value is an argument of many others."""
    return part


async def stop_task_runs(uid: str, numbers: Sequence[int], why: int) -> None:
    """Ask task runs on this worker to stop, see :func:`flowdeck.remote.worker.stop_here`."""
    stop_here(uid, numbers, why)


async def take_answer(answer: bytes) -> None:
    """Take the answer to a question; on most workers nobody waits for it."""
    answers.arrive(answer)


async def forget_flow_run(uid: str) -> None:
    """Forget a flow run that is over, on a worker."""
    this_process.forget(uid)


def forget_topic(topic: str, dask_scheduler: Any = None) -> None:
    """Forget a topic and its last events, on the scheduler, which would keep them for ever."""
    topics = getattr(getattr(dask_scheduler, "_broker", None), "_topics", None)
    if topics is not None:
        topics.pop(topic, None)


class Unrunnable(NamedTuple):
    """What a scheduler cannot start, and what there is.

    Attributes:
        address: of the scheduler.
        workers: the resources of each, by address.
        tasks: what each asks for, by key: resources, workers or hosts.
    """

    address: str
    workers: dict[str, dict[str, float]]
    tasks: dict[str, tuple[dict[str, float], list[str]]]


def unrunnable(client: str, dask_scheduler: Any = None) -> Unrunnable:
    """Return the tasks of a client that no worker can execute, on the scheduler."""
    found = {}
    for task in dask_scheduler.unrunnable:
        if any(wanting.client_key == client for wanting in task.who_wants or ()):
            places = [*(task.worker_restrictions or ()), *(task.host_restrictions or ())]
            found[str(task.key)] = dict(task.resource_restrictions or {}), sorted(places)
    workers = {address: dict(ws.resources) for address, ws in dask_scheduler.workers.items()}
    return Unrunnable(dask_scheduler.address, workers, found)


def declared(dask_scheduler: Any = None) -> list[str]:
    """Return the names of the resources that workers were started with, on the scheduler."""
    return sorted({name for ws in dask_scheduler.workers.values() for name in ws.resources})


class WorkerVersions(NamedTuple):
    """What must fit on both sides."""

    flowdeck: str
    protocol: int
    python: str


def versions() -> WorkerVersions:
    """Return what this process runs (and, as a side effect, import what executing needs)."""
    return WorkerVersions(__version__, PROTOCOL, platform.python_version())

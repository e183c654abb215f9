"""What runs in Ray's worker processes: one function for all task runs, and how events leave."""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck import transport_worker
from flowdeck.execution import wait_unless_cancelled
from flowdeck.runs import Stop
from flowdeck.task_runners import ray_mailbox, ray_prints
from flowdeck.transport_values import Reply

if TYPE_CHECKING:
    from flowdeck.task_runners.ray_mailbox import Letter

PICKLING: Final = "ray.cloudpickle"
#: Seconds between two pushes of events while tasks run.
_LINGER: Final = 0.1
_WAIT: Final = 0.05
#: Waits between retries that are longer than this give the CPU back to Ray.
_LONG_WAIT: Final = 1.0
_SLICE: Final = 0.5
_WRITE_TIMEOUT: Final = 10.0

#: In front of a tail that texts came with; no batch of events begins so.
_TEXTS: Final = b"\0texts"

#: Flow runs that a process remembers; of one driver's few overlap.
_MOST_PORTS: Final = 16

_ports: dict[str, RayPort] = {}


class RayPort:
    """How the executions of one flow run in this process reach the flow's process."""

    pickling = PICKLING
    linger = _LINGER - _WAIT
    patience = _WAIT

    def __init__(self, uid: str, mailbox: str) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.mailbox = mailbox
        self._uid = uid
        self._actor: Any = None
        self._texts: list[tuple[str, bool]] = []

    @property
    def _box(self) -> Any:
        if self._actor is None:
            self._actor = ray_mailbox.find(self.mailbox)
        return self._actor

    def _push(self, letters: list[Letter]) -> None:
        self._box.put.remote(letters)

    def send(self, batch: bytes) -> None:
        """Push a batch; does not wait for it to arrive.

        Raises:
            ValueError: the mailbox is not there.
        """
        self._push([(self._uid, ray_mailbox.EVENTS, batch, None)])

    def write(self, text: str, to_stderr: bool) -> None:
        """Push text that a task wrote, and wait until it has arrived; if there is no mailbox yet,
        it goes home with the tail."""
        import ray

        self._texts.append((text, to_stderr))
        letters = [(self._uid, ray_mailbox.TEXT, *text) for text in self._texts]
        try:
            ray.get(self._box.put.remote(letters), timeout=_WRITE_TIMEOUT)
        except ValueError:
            return
        del self._texts[: len(letters)]

    def with_texts(self, tail: bytes) -> bytes:
        """Return a tail with what could not be pushed; :func:`unpacked` takes them apart."""
        texts, self._texts = self._texts, []
        return _TEXTS + pickle.dumps((texts, tail)) if texts else tail

    def sleep(self, run: Any, seconds: float) -> None:
        """Wait between attempts, unless the run is asked to stop; Ray may use the CPU meanwhile."""
        if seconds < _LONG_WAIT:
            wait_unless_cancelled(run, seconds)
            return
        import ray

        until = time.monotonic() + seconds
        nap = self._box.nap.remote(seconds)
        while not run.cancel_requested and (left := until - time.monotonic()) > 0:
            ray.wait([nap], timeout=min(left, _SLICE))


def run_task(call: bytes, *replies: Any) -> Any:
    """Execute a task run.

    Args:
        call: what :func:`packed` made.
        *replies: the task and the run, if they are not in ``call``, and the replies of the
            upstreams.

    Returns:
        Its reply, and the tail of its events.
    """
    where, code, head = pickle.loads(call)
    if code is None:
        code, *replies = replies  # type: ignore[assignment]
    if head is None:
        head, *replies = replies  # type: ignore[assignment]
    known = [Reply.of(reply) for reply in replies]
    _ear.listen()
    port = _port(where)
    with ray_prints.forwarded(port.write):
        reply, tail = transport_worker.execute(code, head, known, port)
    return reply.brief(), port.with_texts(tail)


def unpacked(tail: bytes) -> tuple[list[tuple[str, bool]], bytes]:
    """Return the texts, each with whether it is for stderr, that came with a tail, and the tail."""
    if not tail.startswith(_TEXTS):
        return [], tail
    texts, bare = pickle.loads(tail[len(_TEXTS) :])
    return texts, bare


def packed(where: str, code: bytes | None, head: bytes | None) -> bytes:
    """Return the parts of a call as one argument: each of Ray's costs as much as a small task.

    Args:
        where: what :func:`address` made.
        code: the task, see :mod:`flowdeck.transport_payload`; ``None`` if it comes by itself.
        head: the run; ``None`` likewise.
    """
    return pickle.dumps((where, code, head), 5)


def address(uid: str, mailbox: str) -> str:
    """Return where the events of a flow run go.

    Args:
        uid: of the flow run.
        mailbox: the name of the actor that takes them in.
    """
    return f"{uid} {mailbox}"


def _port(where: str) -> RayPort:
    uid, mailbox = where.split(" ")
    port = _ports.get(uid)
    if port is None or port.mailbox != mailbox:
        for old in list(_ports)[: len(_ports) - _MOST_PORTS + 1]:
            del _ports[old]
            transport_worker.leave(old)
        port = _ports[uid] = RayPort(uid, mailbox)
    return port


# -- cancellation -----------------------------------------------------------------------------------


class _Ear:
    """Hears ``ray.cancel``, which pretends that this process got SIGINT.

    The KeyboardInterrupt that Ray means to cause may land in lines of ours, and does not land at
    all while the main thread waits for an async function. So a thread is told by the interpreter's
    own wake-up call, and interrupts what the user wrote, and nothing else.
    """

    def __init__(self) -> None:
        self._listens = False

    def listen(self) -> None:
        """Begin, once in a process."""
        if self._listens:
            return
        self._listens = True
        if threading.current_thread() is not threading.main_thread():
            return  # a Ray that calls tasks elsewhere: its cancelling then works by force alone
        reads, writes = socket.socketpair()
        writes.setblocking(False)
        self._writes = writes  # must stay open
        signal.signal(signal.SIGINT, self._on_signal)
        signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
        _thread.start_new_thread(self._main, (reads,))

    def _main(self, reads: socket.socket) -> None:
        while signals := reads.recv(64):
            if signal.SIGINT in signals:
                _stop_what_executes()

    @staticmethod
    def _on_signal(signum: int, frame: Any) -> None:
        if not transport_worker._process.executing:  # no lock: the main thread may hold it
            signal.default_int_handler(signum, frame)
        # User code may have taken the wake-up call away (asyncio does). No locks in a handler.
        _thread.start_new_thread(_stop_what_executes, ())


_ear = _Ear()


def _stop_what_executes() -> None:
    for uid in list(_ports):
        transport_worker.stop_here(uid, transport_worker.executing_here(uid), Stop.CANCEL)

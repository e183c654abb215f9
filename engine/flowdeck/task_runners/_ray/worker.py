"""What runs in Ray's worker processes: one function for all task runs, and how events leave."""

from __future__ import annotations

import _thread
import contextlib
import os
import pickle
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.lifecycle.steps import wait_unless_cancelled
from flowdeck.remote import prints
from flowdeck.remote.values import Reply
from flowdeck.remote.worker import execute, stop_here
from flowdeck.remote.worker_process import this_process
from flowdeck.runs.task_run import Stop
from flowdeck.task_runners._ray import event_channel
from flowdeck_store import clock

if TYPE_CHECKING:
    from flowdeck.task_runners._ray.event_channel import Message

PICKLING: Final = "ray.cloudpickle"
#: Seconds between two pushes of events while tasks run.
_LINGER: Final = 0.1
_WAIT: Final = 0.05
#: Waits between retries that are longer than this give the CPU back to Ray.
_LONG_WAIT: Final = 1.0
_SLICE: Final = 0.5
#: Seconds for which the answer to a wait may be late.
_LATE: Final = 5.0
_WRITE_TIMEOUT: Final = 10.0

#: In front of a tail that texts came with; no batch of events begins so.
_TEXTS: Final = b"\0texts"

#: Flow runs that a process remembers; of one driver's few overlap.
_MOST_PORTS: Final = 16

_ports: dict[str, RayPort] = {}


class RayPort:
    """How the executions of one flow run in this process reach the flow's process.

    Args:
        uid: of the flow run.
        channel: the name of the actor that takes events in.
    """

    pickling = PICKLING
    linger = _LINGER - _WAIT
    patience = _WAIT
    is_for_one = False

    def __init__(self, uid: str, channel: str) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.channel = channel
        self._uid = uid
        self._actor: Any = None
        self._texts: list[tuple[str, bool]] = []

    @property
    def _queue(self) -> Any:
        if self._actor is None:
            self._actor = event_channel.find_actor(self.channel)
        return self._actor

    def _push(self, messages: list[Message]) -> None:
        self._queue.push.remote(messages)

    def send(self, batch: bytes) -> None:
        """Push a batch; does not wait for it to arrive.

        Raises:
            ValueError: the actor is not there.
        """
        self._push([(self._uid, event_channel.EVENTS, batch, None)])

    def write(self, texts: list[prints.Text]) -> bool:
        """Push what a task wrote, and wait until it has arrived; say whether it is on its way. If
        there is no channel yet, it is kept for the next call, or goes home with the tail."""
        import ray

        self._texts += texts
        sent = self._texts[:]
        try:
            answer = self._queue.push.remote(
                [(self._uid, event_channel.TEXT, *text) for text in sent]
            )
        except ValueError:
            return False
        self._texts.clear()  # what is on its way must not arrive twice
        try:
            ray.get(answer, timeout=_WRITE_TIMEOUT)
        except ray.exceptions.GetTimeoutError:
            pass  # the actor only begins, or is busy
        except Exception:
            self._texts[:0] = sent
            return False
        return True

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

        until = clock.monotonic() + seconds
        answers: list[Any] = []
        while not run.cancel_requested and (left := until - clock.monotonic()) > 0:
            answers = answers or self._ask_for_answer(left - _WAIT)
            if not answers:  # there is an actor soon if a task takes long
                wait_unless_cancelled(run, min(left, _WAIT))
            elif ray.wait(answers, timeout=_SLICE)[0]:
                wait_unless_cancelled(run, until - clock.monotonic())
                return
        # Nothing that was asked for may be under way when the run has ended, and the actor goes.
        if answers and not run.cancel_requested:
            ray.wait(answers, timeout=_LATE)

    def stored(self) -> None:
        """Return ``None``: values are in the store of the node, which only a call to Ray's own
        processes could tell of, and none of them belongs to a worker."""

    def answer_to(self, token: str) -> bytes | None:
        """Look at the actor for the answer to a question; ``None``: there is none, or no actor."""
        import ray

        with contextlib.suppress(Exception):  # it is only made, or busy: the next look is soon
            asked = self._queue.take_answer.remote(token)
            found: bytes | None = ray.get(asked, timeout=_SLICE)
            return found
        return None

    def _ask_for_answer(self, seconds: float) -> list[Any]:
        """Return, in a list, what Ray can be asked to wait for; nothing if there is no actor."""
        try:
            return [self._queue.answer_after.remote(seconds)]
        except ValueError:
            return []


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
    _cancel_listener.listen()
    port = _port(where)
    with prints.forwarded(port.write):
        reply, tail = execute(code, head, known, port)
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
        code: the task, see :mod:`flowdeck.remote.payload`; ``None`` if it comes by itself.
        head: the run; ``None`` likewise.
    """
    return pickle.dumps((where, code, head), 5)


def address(uid: str, channel: str) -> str:
    """Return where the events of a flow run go.

    Args:
        uid: of the flow run.
        channel: the name of the actor that takes them in.
    """
    return f"{uid} {channel}"


def _port(where: str) -> RayPort:
    uid, channel = where.split(" ")
    port = _ports.get(uid)
    if port is None or port.channel != channel:
        for old in list(_ports)[: len(_ports) - _MOST_PORTS + 1]:
            del _ports[old]
            this_process.forget(old)
        port = _ports[uid] = RayPort(uid, channel)
    return port


# -- cancellation -----------------------------------------------------------------------------------


class _CancelListener:
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
        if not this_process.is_executing():
            signal.default_int_handler(signum, frame)
        # User code may have taken the wake-up call away (asyncio does). No locks in a handler.
        _thread.start_new_thread(_stop_what_executes, ())


_cancel_listener = _CancelListener()


def _stop_what_executes() -> None:
    for uid in list(_ports):
        stop_here(uid, this_process.executing(uid), Stop.CANCEL)

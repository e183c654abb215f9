"""What runs in a worker process: task runs on its main thread, one at a time.

Two more threads serve the connection. What goes home goes through a queue to one that writes, so an
interruption that lands in a task's own ``print`` cannot cut a message in two. The one that reads ends
the process when the flow's process is gone, whatever the task does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any, Final

from flowdeck import settings
from flowdeck.lifecycle.steps import wait_unless_cancelled
from flowdeck.remote import prints
from flowdeck.remote.events import REMOTE, End, decode
from flowdeck.remote.values import is_atom
from flowdeck.remote.worker import execute, stop_here
from flowdeck.remote.worker_process import this_process
from flowdeck.stopping import answers
from flowdeck.task_runners._process.wire import (
    ANSWER,
    DONE,
    EVENTS,
    MANY,
    READY,
    STOP,
    TASK,
    TEXTS,
    Begun,
    Wire,
)
from flowdeck.threads.deadlines import is_any_left_behind
from flowdeck_store import clock

PICKLING: Final = "cloudpickle"
#: Seconds between two batches of events while tasks run.
_LINGER: Final = 0.02
#: Seconds that a function gets to stop whose time is up, before its process is ended.
_GRACE: Final = 1.0
_LOOK: Final = 0.02
#: Messages that go in one.
_TOGETHER: Final = 100
#: Seconds that exit handlers get when the flow's process has ended.
_LAST: Final = 2.0


class ProcessPort:
    """How events leave a worker.

    Args:
        uid: of the flow run.
        outbox: of the process.
    """

    pickling = PICKLING
    linger = _LINGER
    patience = 0.0
    is_for_one = True

    def __init__(self, uid: str, outbox: SimpleQueue[Any]) -> None:
        self.worker = f"process {os.getpid()}"
        self._uid = uid
        self._outbox = outbox

    def send(self, batch: bytes) -> None:
        """Send a batch; does not wait for it to arrive."""
        self._outbox.put((EVENTS, self._uid, batch))

    def sleep(self, run: Any, seconds: float) -> None:
        """Wait, for a moment: attempts that are to be tried again go home."""
        wait_unless_cancelled(run, seconds)

    def stored(self) -> None:
        """Return ``None``: values go home, nothing is kept here."""


class _Service:
    """The worker's end of the connection."""

    def __init__(self, wire: Wire, begun: Begun) -> None:
        self._wire = wire
        self._begun = begun
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._busy = False
        self._ports: dict[str, ProcessPort] = {}
        self._codes: dict[str, dict[int, bytes]] = {}
        self._parts: dict[int, Any] = {}
        os.register_at_fork(after_in_child=self._after_fork_in_child)

    def serve(self) -> None:
        """Execute what comes, until the flow's process goes."""
        for main in (self._read, self._write):
            threading.Thread(target=main, name="flowdeck-wire", daemon=True).start()
        self._outbox.put((READY,))
        while (message := self._inbox.get()) is not None:
            self._busy = True
            kind, *content = message
            if kind == TASK:
                self._execute(*content)
            else:
                self._forget(*content)
            self._busy = False

    # -- the connection ---------------------------------------------------------------------------------

    def _read(self) -> None:
        while (message := self._wire.receive()) is not None:
            if message[0] == STOP:
                stop_here(*message[1:])
            elif message[0] == ANSWER:
                answers.arrive(message[1])
            else:
                self._inbox.put(message)
        # The flow's process is gone, or does not want this one any more.
        self._inbox.put(None)
        if not self._busy:
            time.sleep(_LAST)
        os._exit(1)

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # nobody is there; the other thread notices too
            while True:
                messages = [self._outbox.get()]
                while not self._outbox.empty() and len(messages) < _TOGETHER:
                    messages.append(self._outbox.get())
                self._wire.send(messages[0] if len(messages) == 1 else (MANY, messages))

    def _after_fork_in_child(self) -> None:
        """As long as a child has it the connection would seem to be there."""
        self._wire.leave()
        prints.stay_here()

    # -- task runs ----------------------------------------------------------------------------------------

    def _execute(
        self,
        uid: str,
        code: tuple[int, bytes | None],
        runs: list[tuple[int, bytes, list[tuple[int, bytes | None]]]],
        place: Any,
        stale: list[int],
    ) -> None:
        for number in stale:
            self._parts.pop(number, None)
        if place is not None:
            _go_to(*place)
        number, body = code
        codes = self._codes.setdefault(uid, {})
        if body is not None:
            codes[number] = body
        port = self._ports.get(uid)
        if port is None:
            port = self._ports[uid] = ProcessPort(uid, self._outbox)
        for no, head, inputs in runs:
            why = self._begun.begin()
            if why:  # while it waited behind others
                stop_here(uid, [no], why)
            replies = [self._reply(*each) for each in inputs]
            with prints.forwarded(self._send_texts, is_doubled=False):
                reply, tail = execute(codes[number], head, replies, port)
            del replies
            until = clock.monotonic() + _GRACE
            while is_any_left_behind() and clock.monotonic() < until:
                time.sleep(_LOOK)
            is_left = is_any_left_behind()
            self._outbox.put((DONE, _packed(reply, tail), tail, is_left))
            if is_left:  # this process is about to be ended: the others go to another one
                break

    def _reply(self, number: int, data: bytes | None) -> Any:
        """Return an input; one with a number is kept for other task runs."""
        if data is None:
            return self._parts[number]
        found = pickle.loads(data)
        if number:
            self._parts[number] = found
        return found

    def _send_texts(self, texts: list[prints.Text]) -> bool:
        if texts:
            self._outbox.put((TEXTS, texts))
        return True

    def _forget(self, uid: str) -> None:
        self._codes.pop(uid, None)
        self._ports.pop(uid, None)
        self._parts.clear()
        this_process.forget(uid)


def _packed(reply: Any, tail: bytes) -> bytes | None:
    """Return a reply as bytes if its value has not gone home with the tail."""
    if is_atom(reply.content):
        return None
    _, items = decode(tail)
    end = End(*items[-1].events[-1])
    return pickle.dumps(reply, 5) if end.data_kind == REMOTE else None


def _go_to(environment: dict[str, str], folder: str, path: list[str]) -> None:
    """Be where the flow's process is, as a thread of that would be."""
    if dict(os.environ) != environment:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        settings.reload()
    with contextlib.suppress(OSError):  # it was removed meanwhile
        os.chdir(folder)
    sys.path[:] = path


def main(descriptor: int, begun: int) -> None:
    """Serve the connection that this process was started with.

    Args:
        descriptor: of its socket.
        begun: of the file where it counts what it has begun.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with contextlib.suppress(KeyboardInterrupt):
        _Service(Wire(socket.socket(fileno=descriptor)), Begun(begun)).serve()

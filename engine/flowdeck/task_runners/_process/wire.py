"""Messages between the flow's process and a worker: pickled tuples, each behind its length.

Both ends belong to the same user on the same machine, and the socket has no name that others could
connect to, so what comes out of it can be unpickled.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import socket
import struct
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: To a worker: execute task runs, ask some to stop, forget a flow run, the answer to a question.
TASK, STOP, FORGET, ANSWER = range(4)
#: From a worker: it is there, events, prints, the end of a task run, several of these.
READY, EVENTS, TEXTS, DONE, MANY = range(10, 15)

_LENGTH: Final = struct.Struct("!Q")
#: Bytes up to which a message is one write with its length.
_SMALL: Final = 64 * 1024


class Begun:
    """How many task runs a worker has begun, and which it is not to begin: in memory that both
    processes see.

    So it is known of a worker that was killed. And of a task run that waits there behind others nobody
    has to ask: who refuses it writes that first and then looks whether it has begun, while the worker
    first counts it and then looks whether it was refused. So one of them sees the other.

    Args:
        descriptor: of the file behind it.
    """

    _HEAD: Final = 8
    #: Task runs that can be told apart.
    _RING: Final = 1 << 16
    SIZE: Final = _HEAD + _RING

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, self.SIZE)
        self._count = memoryview(self._memory)[: self._HEAD].cast("Q")

    @property
    def count(self) -> int:
        """How many."""
        return self._count[0]

    def refuse(self, place: int, why: int) -> bool:
        """Have a task run not begun; say whether that was in time.

        Args:
            place: how many are begun before it.
            why: not 0.
        """
        mark = self._HEAD + place % self._RING
        self._memory[mark] = why
        if place >= self._count[0]:
            return True
        self._memory[mark] = 0  # not for the one that comes there next time round
        return False

    def begin(self) -> int:
        """Count one more, in the worker; return why it was refused, 0 if it was not."""
        place = self._HEAD + self._count[0] % self._RING
        self._count[0] += 1
        why = self._memory[place]
        self._memory[place] = 0
        return why

    @staticmethod
    @contextlib.contextmanager
    def file() -> Iterator[int]:
        """Give the descriptor of a file for a new worker; it has no name."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.truncate(Begun.SIZE)
            yield file.fileno()


class Wire:
    """One end of a connection. Any thread may send, one receives.

    Args:
        end: of a pair of sockets.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rb")
        self._lock = threading.Lock()

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message; waits until the other side has taken in most of it.

        Raises:
            OSError: the other side is gone.
        """
        body = pickle.dumps(message, 5)
        length = _LENGTH.pack(len(body))
        with self._lock:
            if len(body) <= _SMALL:
                self._socket.sendall(length + body)
            else:
                self._socket.sendall(length)
                self._socket.sendall(body)

    def receive(self) -> tuple[Any, ...] | None:
        """Wait for the next message; ``None`` when there will be none any more."""
        try:
            length = self._file.read(_LENGTH.size)
            if len(length) < _LENGTH.size:
                return None
            (size,) = _LENGTH.unpack(length)
            body = self._file.read(size)
        except (OSError, ValueError):  # broken, or closed meanwhile
            return None
        if len(body) < size:  # killed while it sent
            return None
        message: tuple[Any, ...] = pickle.loads(body)
        return message

    def close(self) -> None:
        """Close this end: whoever waits at either of them is told that nothing comes any more."""
        with contextlib.suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def discard(self) -> None:
        """Give the file descriptor back. Nobody may be receiving any more."""
        self._file.close()
        self._socket.close()

    def leave(self) -> None:
        """In a forked child: let go of the parent's end, and leave the connection as it is."""
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())

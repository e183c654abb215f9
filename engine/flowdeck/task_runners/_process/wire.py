"""Messages between the flow's process and a worker: pickled tuples, each behind its length.

Both ends belong to the same user on the same machine, and the socket has no name that others could
connect to, so what comes out of it can be unpickled.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import struct
import threading
from typing import Any, Final

#: To a worker: execute a task run, ask some to stop, forget a flow run, the answer to a question.
TASK, STOP, FORGET, ANSWER = range(4)
#: From a worker: it is there, events, prints, the end of a task run.
READY, EVENTS, TEXTS, DONE = range(10, 14)

_LENGTH: Final = struct.Struct("!Q")
#: Bytes up to which a message is one write with its length.
_SMALL: Final = 64 * 1024


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

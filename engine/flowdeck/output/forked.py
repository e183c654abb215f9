"""Log lines of forked children (``multiprocessing.Pool`` in a task) reach the record of their run.

A child has its parent's context, so it knows the run that it works for, but not its recorder: that
belongs to the parent. So a socket leads back. It is made at the first fork inside of a run, a
datagram is one event, and before a run ends everything that its children sent is recorded.
"""

from __future__ import annotations

import contextlib
import itertools
import marshal
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck.output.console import console
from flowdeck.threads import active
from flowdeck_store.events import KIND, LOG, NO, UID
from flowdeck_store.text import bounded_event, plain_event

if TYPE_CHECKING:
    from flowdeck_store.events import Event

#: Seconds that a child waits for its parent, and a parent for what is on its way.
_PATIENCE: Final = 1.0
_LARGEST: Final = 1 << 18


class Recording(Protocol):
    """Where the lines of a run go."""

    def emit(self, event: Event) -> None: ...


class _Channel:
    """The way from children to this process."""

    def __init__(self) -> None:
        import socket  # most processes never fork inside of a run

        self.here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        if sys.platform == "darwin":  # where a datagram has 2 kB unless one asks for more
            for end in (self.here, self.there):
                for size in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    end.setsockopt(socket.SOL_SOCKET, size, _LARGEST)
        self.there.settimeout(_PATIENCE)
        #: By uid of the flow run and number of the task run that forked.
        self.recorders: dict[tuple[str, int], Recording] = {}
        self._marks: dict[bytes, threading.Event] = {}
        self._numbers = itertools.count()
        threading.Thread(target=self._receive, name="flowdeck-forked", daemon=True).start()

    def send(self, event: Event) -> None:
        """In a child: send a log line; other events are its parent's to tell."""
        if event[KIND] != LOG:
            return
        with contextlib.suppress(OSError, ValueError):  # the run is over, or the parent hangs
            self.there.send(marshal.dumps(bounded_event(plain_event(event))))

    def _receive(self) -> None:
        while True:
            try:
                data = self.here.recv(_LARGEST)
            except OSError:
                return
            if data.startswith(b"mark"):
                mark = self._marks.pop(data, None)
                if mark is not None:
                    mark.set()
            elif data == b"end":
                self.here.close()
                self.there.close()
                return
            else:
                with contextlib.suppress(Exception):  # half of a line of a killed child
                    event = marshal.loads(data)
                    self._recorder_of(event[UID], event[NO]).emit(event)

    def _recorder_of(self, uid: str, no: int) -> Recording:
        # With the logger of another run a child may log for that one.
        found = self.recorders.get((uid, no))
        return found or next(rec for key, rec in list(self.recorders.items()) if key[0] == uid)

    def forget(self, uid: str, no: int) -> None:
        """Expect nothing more for a task run, or for a flow run (0) and all that belongs to it."""
        for key in [
            key for key in self.recorders if key == (uid, no) or (not no and key[0] == uid)
        ]:
            del self.recorders[key]

    def drain(self) -> None:
        """Wait until everything is recorded that was sent before."""
        name = b"mark %d" % next(self._numbers)
        mark = self._marks[name] = threading.Event()
        with contextlib.suppress(OSError):
            self.there.send(name)
            mark.wait(_PATIENCE)

    def end(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self.there.send(b"end")


_channel: _Channel | None = None
_lock = threading.Lock()
_in_child = False


def ended(uid: str, no: int) -> None:
    """Record what the children of a run have logged so far, before it ends.

    Args:
        uid: of the flow run.
        no: number of the task run; 0: the flow run itself.
    """
    global _channel
    channel = _channel
    if channel is None or _in_child:
        return
    with _lock:  # marks arrive in the order they are made
        channel.drain()
        channel.forget(uid, no)
        if not channel.recorders and _channel is channel:
            _channel = None
            channel.end()


def _run() -> Any:
    return active.current_run()


def _before_fork() -> None:
    global _channel
    run = _run()
    if run is None or _in_child:
        return
    with _lock, contextlib.suppress(OSError):  # no descriptor is left: then without
        if _channel is None:
            _channel = _Channel()
        _channel.recorders[run.info.uid, run.no] = run.recorder


def _after_fork_in_child() -> None:
    global _in_child, _lock, _channel
    _lock = threading.Lock()
    console.start_anew()
    if _in_child:
        return
    run = _run()
    if run is None or _channel is None:
        _channel = None  # the way of others, who are waited for at its other end
        return
    _in_child = True
    with contextlib.suppress(AttributeError):
        run.recorder.emit = _channel.send


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)

"""Prints of many threads arrive as whole lines wherever something of ours takes them in.

``print`` hands its stream the values, the separators and the end one by one. A stream of Python's own
that buffers takes them without letting another thread in between; one written in Python, or one that
writes each piece at once (``PYTHONUNBUFFERED``, which containers like to set), does not.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, TextIO

from flowdeck.threads import active
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds after which a line without an end is written all the same: ``print(..., end="")`` shows
#: where it stands. Its last piece is the empty end, so it is known to be complete ...
_COMPLETE: Final = 0.1
#: ... while any other may be half of a print whose thread waits for its turn.
_ANY: Final = 0.5
_LOOK: Final = 0.05
#: Characters of one line that are kept.
_LONGEST: Final = 64 * 1024

#: A thread, and the task run that it executes (0: none).
_Key = tuple[int, int]


class _Half:
    """What there is of a line."""

    __slots__ = ("at", "is_complete", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.is_complete = False  # a print that wanted no end has come to its end
        self.at = 0.0

    def add(self, text: str) -> None:
        if text:
            self.parts.append(text)
            self.size += len(text)
        self.is_complete = not text
        self.at = clock.monotonic()

    def is_old(self, now: float) -> bool:
        return now - self.at >= (_COMPLETE if self.is_complete else _ANY)


class Lines:
    """Puts pieces together, those of each thread and task run by themselves.

    Args:
        put: called with whole lines, from the thread that ended them, and with what is written
            although its line has no end. Never by two threads at once.
    """

    def __init__(self, put: Callable[[str], Any]) -> None:
        self._put = put
        self._halves: dict[_Key, _Half] = {}
        # Reentrant, as a signal handler may print while its thread does.
        self._lock = threading.RLock()
        self._is_inside = False

    def __bool__(self) -> bool:
        """Whether a line waits for its end."""
        return bool(self._halves)

    def write(self, text: str) -> None:
        """Take a piece.

        Raises:
            Exception: whatever ``put`` raises.
        """
        run = active.current_task_run.get()
        key = threading.get_ident(), 0 if run is None else id(run)
        with self._lock:
            if self._is_inside:  # in a signal handler, or in ``put``: it waits for nothing
                self._put(text)
                return
            self._is_inside = True
            try:
                self._take(key, text)
            finally:
                self._is_inside = False

    def _take(self, key: _Key, text: str) -> None:
        half = self._halves.get(key)
        if half is None:
            if text.endswith("\n"):
                self._put(text)
                return
            if not text:
                return
            half = self._halves[key] = _Half()
        half.add(text)
        if half.size > _LONGEST or text.endswith("\n"):
            self._give(key)
        elif "\n" in text:
            whole, end, rest = "".join(half.parts).rpartition("\n")
            half.parts, half.size = [rest], len(rest)
            self._put(whole + end)

    def _give(self, key: _Key) -> None:
        text = "".join(self._halves[key].parts)
        # Between these two no exception from outside (Ctrl-C, a time limit) can strike.
        del self._halves[key]
        self._put(text)

    def flush(self) -> None:
        """Put what this thread has of a line."""
        own = threading.get_ident()
        self._give_if(lambda key, half: key[0] == own)

    def age(self) -> None:
        """Put what has waited long enough."""
        now = clock.monotonic()
        self._give_if(lambda key, half: half.is_old(now))

    def end(self) -> None:
        """Put everything."""
        self._give_if(lambda key, half: True)

    def _give_if(self, wanted: Callable[[_Key, _Half], bool]) -> None:
        with self._lock:
            if self._is_inside:
                return
            self._is_inside = True
            try:
                for key, half in list(self._halves.items()):
                    if wanted(key, half):
                        self._give(key)
            finally:
                self._is_inside = False

    def halves(self) -> list[str]:
        """Return what there is of lines that wait for their ends."""
        with self._lock:
            return ["".join(half.parts) for half in self._halves.values()]


class WholeLines(io.TextIOBase):
    """Stands for a stream, and passes on whole lines.

    Args:
        stream: what it stands for.
        lines: where pieces go; others may have the same.
    """

    #: For whoever asks whether this stream takes pieces.
    write_through = False

    def __init__(self, stream: TextIO, lines: Lines) -> None:
        self._stream, self._lines = stream, lines
        _all.add(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._lines.write(text)
        return len(text)

    def flush(self) -> None:
        self._lines.flush()
        self._stream.flush()

    def close(self) -> None:
        """Nothing to do: the stream is not ours."""

    def start_anew(self) -> None:
        """In a forked child: what waits is its parent's, and so are its threads and locks."""
        self._lines = Lines(self._stream.write)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    @property
    def buffer(self) -> Any:
        """Who writes bytes writes them at once, behind what was written before."""
        self.flush()
        return self._stream.buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Aged(WholeLines):
    """A stream whose lines are written after a while even if they have no end."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream, Lines(stream.write))
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        count = super().write(text)
        if not self._wanted.is_set() and self._lines:
            self._wanted.set()
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(
                    target=self._main, name="flowdeck-lines", daemon=True
                )
                self._thread.start()
        elif self._over.is_set():
            self._lines.end()
        return count

    def _main(self) -> None:
        while not self._over.wait(_LOOK):
            if not self._lines:
                self._wanted.clear()
                if not self._lines:  # none came before it was cleared
                    self._wanted.wait()
            with contextlib.suppress(OSError, ValueError):  # who prints next is told
                self._lines.age()

    def stop(self) -> None:
        """Write everything; pieces that still come are written at once."""
        self._over.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(1.0)
        with contextlib.suppress(OSError, ValueError):
            self._lines.end()

    def start_anew(self) -> None:
        super().start_anew()
        self._wanted, self._over, self._thread = threading.Event(), threading.Event(), None


_all: weakref.WeakSet[WholeLines] = weakref.WeakSet()
_lock = threading.Lock()
_blocks = 0
_standing: dict[str, tuple[TextIO, _Aged]] = {}


@contextlib.contextmanager
def kept_whole() -> Iterator[None]:
    """Keep lines whole inside the block on stdout and stderr, as far as they take pieces.

    Blocks of threads may overlap: the last one puts the streams back.
    """
    global _blocks
    with _lock:
        _blocks += 1
        if _blocks == 1:
            _stand_in()
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0:
                _step_back()


def _stand_in() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if getattr(stream, "write_through", False):
            known = [aged for real, aged in _standing.values() if real is stream]
            aged = known[0] if known else _Aged(stream)
            _standing[name] = stream, aged
            setattr(sys, name, aged)


def _step_back() -> None:
    for name, (stream, aged) in _standing.items():
        if getattr(sys, name) is aged:
            setattr(sys, name, stream)
        aged.stop()
    _standing.clear()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for stream in list(_all):
        stream.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

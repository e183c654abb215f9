"""What tasks print without ``log_prints`` appears where the flow runs, as with other runners.

Ray can show it too, but with the process in front of each line, half a second late, and not at all
when the instance ends before that. Worker processes of our own could write to the flow's streams
themselves, but only as far as those are files: a notebook's or a test's are not.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.output.whole_lines import Lines
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Characters after which, and seconds, text is sent while the task goes on.
_MANY: Final = 32 * 1024
_LINGER: Final = 0.1

#: What a task wrote, and whether to stderr.
Text = tuple[str, bool]


class _Buffer:
    """Lines of the task that executes in this process, on their way.

    Those of its threads, and of other workers, arrive whole.
    """

    def __init__(self, send: Callable[[list[Text]], bool]) -> None:
        self._send = send
        self._texts: list[Text] = []
        self._size = 0
        self._missed = False
        self._is_over = False
        self._lock = threading.Lock()
        self._sending = threading.Lock()  # texts leave in the order they were written in
        self._timer: threading.Timer | None = None
        self._lines: tuple[Lines, ...] = ()  # most tasks print nothing

    def write(self, text: str, to_stderr: bool) -> None:
        if not self._lines:
            with _begins:
                self._lines = self._lines or (
                    Lines(functools.partial(self._add, False)),
                    Lines(functools.partial(self._add, True)),
                )
        self._lines[to_stderr].write(text)
        self._remind()
        if self._size > _MANY:
            self._send_all()

    def _add(self, to_stderr: bool, text: str) -> None:
        with self._lock:
            self._texts.append((text, to_stderr))
            self._size += len(text)

    def _remind(self) -> None:
        with self._lock:
            if self._timer is None and not self._is_over:
                self._timer = threading.Timer(_LINGER, self._late)
                self._timer.daemon = True
                self._timer.start()

    def _late(self) -> None:
        with self._lock:
            self._timer = None
        for lines in self._lines:
            lines.age()
        self._send_all()
        if self._missed or any(self._lines):
            self._remind()

    def end(self) -> None:
        """Send everything."""
        with self._lock:
            self._is_over = True
            if self._timer is not None:
                self._timer.cancel()
        for lines in self._lines:
            lines.end()
        self._send_all()

    def _send_all(self) -> None:
        with self._sending:
            with self._lock:
                texts, self._texts, self._size = self._texts, [], 0
            if texts or self._missed:
                with contextlib.suppress(Exception):  # on Ray it is in its own log file too
                    self._missed = not self._send(_together(texts))


def _together(texts: list[Text]) -> list[Text]:
    """Join what goes to the same stream one after another."""
    joined: list[Text] = []
    for text, to_stderr in texts:
        if joined and joined[-1][1] == to_stderr:
            joined[-1] = joined[-1][0] + text, to_stderr
        else:
            joined.append((text, to_stderr))
    return joined


class _Tee(io.TextIOBase):
    """Standard output of a worker: home if a task wrote it, and to where it went."""

    def __init__(self, original: Any, to_stderr: bool, is_doubled: bool) -> None:
        self._original = original
        self._to_stderr = to_stderr
        self._is_doubled = is_doubled

    def write(self, text: str) -> int:
        buffer = _buffer
        is_of_task = buffer is not None and active.current_task_run.get() is not None
        if self._is_doubled or not is_of_task:
            self._original.write(text)
        if buffer is not None and is_of_task:
            buffer.write(text, self._to_stderr)
        return len(text)

    def flush(self) -> None:
        self._original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def is_of(self, original: Any, is_doubled: bool) -> bool:
        """Say whether it would do for a task."""
        return self._original is original and self._is_doubled == is_doubled and not self.closed


_buffer: _Buffer | None = None
_tees: list[_Tee] = []
#: Reentrant, as a signal handler may print while its thread does.
_begins: Final = threading.RLock()


@contextlib.contextmanager
def forwarded(send: Callable[[list[Text]], bool], *, is_doubled: bool = True) -> Iterator[None]:
    """Send home what the task run inside the block writes to stdout and stderr.

    All of it is home, or with ``send``, when the block ends. One block at a time.

    Args:
        send: takes texts; says whether they are on their way. If not it keeps them, and is called
            again soon.
        is_doubled: it is also written to this process's own streams.
    """
    global _buffer
    out, err = sys.stdout, sys.stderr
    _buffer = buffer = _Buffer(send)
    sys.stdout, sys.stderr = _tees_of(out, err, is_doubled)
    try:
        yield
    finally:
        # Only around the task: Ray itself writes to them before and after each.
        sys.stdout, sys.stderr = out, err
        _buffer = None
        buffer.end()


def _tees_of(out: Any, err: Any, is_doubled: bool) -> list[_Tee]:
    """Return what stands before two streams: for most tasks of a process they are the same."""
    global _tees
    if not (_tees and _tees[0].is_of(out, is_doubled) and _tees[1].is_of(err, is_doubled)):
        _tees = [_Tee(out, False, is_doubled), _Tee(err, True, is_doubled)]
    return _tees


def stay_here() -> None:
    """In a forked child: what it prints goes to this process's own streams, for nothing that is sent
    from here gets home."""
    global _buffer
    _buffer = None


def write(text: str, *, to_stderr: bool) -> None:
    """Write text of a task where the flow runs."""
    stream = sys.stderr if to_stderr else sys.stdout
    with contextlib.suppress(Exception):  # a closed terminal must not end the run
        stream.write(text)
        stream.flush()

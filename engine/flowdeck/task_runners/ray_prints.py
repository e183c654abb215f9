"""What tasks print without ``log_prints`` appears where the flow runs, as with other runners.

Ray can show it too, but with the process in front of each line, half a second late, and not at all
when the instance ends before that.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Characters after which, and seconds, text is sent while the task goes on.
_MANY: Final = 32 * 1024
_LINGER: Final = 0.1


class _Buffer:
    """Text of the task that executes in this process, on its way."""

    def __init__(self, send: Callable[[str, bool], None]) -> None:
        self._send = send
        self._parts: list[tuple[str, bool]] = []
        self._size = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()  # texts leave in the order they were written in
        self._timer: threading.Timer | None = None

    def add(self, text: str, to_stderr: bool) -> None:
        with self._lock:
            self._parts.append((text, to_stderr))
            self._size += len(text)
            if self._timer is None:
                self._timer = threading.Timer(_LINGER, self.flush)
                self._timer.daemon = True
                self._timer.start()
            full = self._size > _MANY
        if full:
            self.flush()

    def flush(self) -> None:
        """Send what is there."""
        if not self._parts:
            return
        with self._sending:
            with self._lock:
                parts, self._parts, self._size = self._parts, [], 0
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            texts: list[tuple[str, bool]] = []
            for text, to_stderr in parts:
                if texts and texts[-1][1] == to_stderr:
                    texts[-1] = texts[-1][0] + text, to_stderr
                else:
                    texts.append((text, to_stderr))
            for text, to_stderr in texts:
                with contextlib.suppress(Exception):  # it is in Ray's own log file too
                    self._send(text, to_stderr)


class _Tee(io.TextIOBase):
    """Standard output of a worker: to where it went, and home if a task wrote it."""

    def __init__(self, original: Any, to_stderr: bool) -> None:
        self._original = original
        self._to_stderr = to_stderr

    def write(self, text: str) -> int:
        self._original.write(text)
        buffer = _buffer
        if buffer is not None and context.current_task_run.get() is not None:
            buffer.add(text, self._to_stderr)
        return len(text)

    def flush(self) -> None:
        self._original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


_buffer: _Buffer | None = None


@contextlib.contextmanager
def forwarded(send: Callable[[str, bool], None]) -> Iterator[None]:
    """Send home what the task run inside the block writes to stdout and stderr.

    All of it is home when the block ends. One block at a time.
    """
    global _buffer
    out, err = sys.stdout, sys.stderr
    _buffer = buffer = _Buffer(send)
    sys.stdout, sys.stderr = _Tee(out, False), _Tee(err, True)
    try:
        yield
    finally:
        # Only around the task: Ray itself writes to them before and after each.
        sys.stdout, sys.stderr = out, err
        _buffer = None
        buffer.flush()


def write(text: str, *, to_stderr: bool) -> None:
    """Write text of a task where the flow runs."""
    stream = sys.stderr if to_stderr else sys.stdout
    with contextlib.suppress(Exception):  # a closed terminal must not end the run
        stream.write(text)
        stream.flush()

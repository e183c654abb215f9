"""The console: log lines of runs on stderr, in flowdeck's own format, with nothing a terminal obeys."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from flowdeck_store import clock
from flowdeck_store.events import now_us
from flowdeck_store.safe import several

if TYPE_CHECKING:
    from collections.abc import Iterator

INFO, WARNING = logging.INFO, logging.WARNING


class Console:
    """Writes ``HH:MM:SS.mmm | LEVEL   | NAME - message`` to stderr; never raises.

    On a terminal each line is written at once, so that it stands where it belongs between what
    the flow prints. Into a file or pipe, where writing gives up the interpreter lock for every
    line, lines of :data:`_LINGER` seconds are written together; from WARNING on, at once.
    """

    def __init__(self) -> None:
        self.level = INFO
        #: The least level of the engine's own lines: in a notebook something else stands for them.
        self.engine_level = INFO
        self.on = False
        #: Somebody draws on the terminal: nobody else is to write lines of runs there.
        self.taken = 0
        #: µs, level, name, message: made text when they are written, not by whoever logs.
        self._lines: deque[tuple[int, int, str, str]] = deque()
        self._written_at = 0.0
        self._timer: threading.Timer | None = None
        self._stream: Any = None
        self._terminal = False
        self._at_once = False

    def write(self, us: int, level: int, name: str, message: str) -> None:
        """Write one line (or several, if the message has them)."""
        if self.on and level >= self.level:
            self.show(us, level, name, message)

    def insist(self, level: int, name: str, message: str) -> None:
        """Write one line now, even if the console is off or shows other levels only."""
        self.show(now_us(), level, name, message)
        self.flush()

    def show(self, us: int, level: int, name: str, message: str) -> None:
        """As :meth:`write`, when it is known that the line is to be seen."""
        self._lines.append((us, level, name, message))
        now = clock.monotonic()
        if (
            level >= WARNING
            or now - self._written_at >= _LINGER
            or self._at_once
            or (self._terminal if sys.stderr is self._stream else self._on_terminal())
        ):
            self._written_at = now
            self.flush()
        elif self._timer is None:
            self._timer = threading.Timer(_LINGER, self._late)
            self._timer.daemon = True
            self._timer.start()

    def start_anew(self) -> None:
        """In a forked child: what lingers is its parent's, and no timer of that runs here."""
        self._lines.clear()
        self._timer = None
        self._at_once = True

    def prints(self, level: int) -> bool:
        """Say whether a line of this level is written here."""
        return self.on and level >= self.level

    def _on_terminal(self) -> bool:
        stream = sys.stderr
        if stream is not self._stream:  # isatty is a system call: ask once for each stream
            self._stream = stream
            self._terminal = is_terminal(stream)
        return self._terminal

    def _late(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Write what lingers."""
        lines = self._lines
        text = []
        while lines:
            try:
                text.append(_text_of(*lines.popleft()))
            except IndexError:  # another thread took it
                break
        if text:
            _write("".join(text))


#: Seconds for which lines into a file or pipe may linger.
_LINGER = 0.05
_LEVEL_NAMES = {level: f"{logging.getLevelName(level):<7}" for level in (10, 20, 30, 40, 50)}


def _text_of(us: int, level: int, name: str, message: str) -> str:
    second, rest = divmod(us, 1_000_000)
    level_name = _LEVEL_NAMES.get(level) or f"{logging.getLevelName(level):<7}"
    said = several(f"{name} - {message}")
    return f"{_clock_at(second)}.{rest // 1000:03d} | {level_name} | {said}\n"


@functools.lru_cache(maxsize=1)
def _clock_at(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except Exception:
        return False


def _write(text: str) -> None:
    stream = sys.stderr
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        with contextlib.suppress(Exception):
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except Exception:
        # A closed or broken stderr must not fail a run; the record has the line.
        pass


console = Console()
atexit.register(console.flush)


@contextlib.contextmanager
def taken() -> Iterator[None]:
    """Keep lines of runs off the terminal inside the block, also those that handlers of the root
    logger would write there."""
    console.taken += 1
    try:
        yield
    finally:
        console.taken -= 1


def is_on_console(handler: logging.Handler) -> bool:
    """Say whether a handler of the application writes to stdout or stderr, or to a terminal."""
    if isinstance(handler, logging.FileHandler):
        return False
    # rich's handler has a console, which has a file
    stream = getattr(handler, "stream", None) or getattr(
        getattr(handler, "console", None), "file", None
    )
    if stream is None:
        return False
    standard = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    return any(stream is one for one in standard) or is_terminal(stream)

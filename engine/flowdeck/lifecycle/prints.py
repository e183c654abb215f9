"""`log_prints`: prints of a run become its log lines.

``builtins.print`` is replaced only while such a run is active in this process; what a thread
outside of these runs prints goes where it always went, and so does what is printed to any other
stream than those that were stdout and stderr when the run began: inside ``redirect_stdout`` or with
another ``sys.stdout`` a print is no log line, but what the code around it waits for.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flowdeck.logging import INFO, line
from flowdeck.runs.recorder import DROPPING
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
_active = 0
_original = builtins.print
#: What stdout and stderr were when the outermost run began.
_streams: ContextVar[tuple[Any, Any] | None] = ContextVar("flowdeck_streams", default=None)


def _print(*values: Any, **options: Any) -> None:
    """What ``print`` is while some run logs its prints."""
    run: Any = active.current_run()
    if run is None or not wants_prints(run) or not _is_ours(options.get("file")):
        _original(*values, **options)
        return
    buffer = io.StringIO()
    options["file"] = buffer
    options.pop("flush", None)
    _original(*values, **options)
    line(run, INFO, buffer.getvalue().rstrip())


def wants_prints(run: Any) -> bool:
    """Say whether the run's prints are to be logged: it wants it, and somebody records it."""
    return bool(getattr(run, "log_prints", False)) and run.recorder is not DROPPING


def _is_ours(file: Any) -> bool:
    streams = _streams.get() or (sys.stdout, sys.stderr)
    if file is None:
        return any(sys.stdout is stream for stream in streams)
    if file is streams[1] and _reports_a_bad_log_call():
        return False
    return any(file is stream for stream in streams)


def _reports_a_bad_log_call() -> bool:
    """Say whether :mod:`logging` prints its own traceback, of a call that it could not format."""
    frame = sys._getframe(2)
    for _ in range(8):
        if frame is None:
            return False
        if frame.f_code is logging.Handler.handleError.__code__:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


@contextlib.contextmanager
def captured(enabled: bool) -> Iterator[None]:
    """Log prints inside the block, in runs that want it.

    Also around runs that do not: the streams are those that stood when the outermost began.
    """
    global _active, _original
    token = _streams.set((sys.stdout, sys.stderr)) if _streams.get() is None else None
    try:
        if not enabled:
            yield
            return
        with _lock:
            _active += 1
            if _active == 1:
                _original = builtins.print
                builtins.print = _print
        try:
            yield
        finally:
            with _lock:
                _active -= 1
                if _active == 0 and builtins.print is _print:
                    builtins.print = _original
    finally:
        if token is not None:
            _streams.reset(token)

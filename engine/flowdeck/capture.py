"""`log_prints`: prints of a run become its log lines.

``builtins.print`` is replaced only while such a run is active in this process; what a thread
outside of these runs prints goes where it always went.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
import threading
from typing import TYPE_CHECKING, Any

from flowdeck import context
from flowdeck.logging import INFO, line

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
_active = 0
_original = builtins.print


def _print(*values: Any, **options: Any) -> None:
    """What ``print`` is while some run logs its prints."""
    run: Any = context.current_task_run.get() or context.current_flow_run.get()
    file = options.get("file")
    ours = file is None or file is sys.stdout or file is sys.stderr
    if run is None or not ours or not wants_prints(run):
        _original(*values, **options)
        return
    buffer = io.StringIO()
    options["file"] = buffer
    options.pop("flush", None)
    _original(*values, **options)
    line(run, INFO, buffer.getvalue().rstrip())


def wants_prints(run: Any) -> bool:
    """Say whether the run's prints are to be logged."""
    return bool(getattr(run, "log_prints", False))


@contextlib.contextmanager
def prints(enabled: bool) -> Iterator[None]:
    """Log prints inside the block, in runs that want it."""
    global _active, _original
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

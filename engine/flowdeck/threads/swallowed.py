"""Stops that Python swallowed.

What strikes between two bytecodes (a time limit's alarm, a request to cancel) is raised wherever the
thread happens to be, and that may be a function which C code calls on the side: a ``__del__``, the
callback of a weak reference, of the garbage collector, of SQLite. What is raised there reaches
nobody: Python prints "Exception ignored in ..." and goes on, and the run would never end. Python
tells one function of it, though, :data:`sys.unraisablehook`. Whoever raises a stop says here what is
to be done if it comes to that: to raise it anew, a moment later.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

#: Seconds: the time in which a callback or a finalizer mostly is over.
_MOMENT: Final = 0.01

_LOGGING: Final = logging.getLogger.__code__.co_filename

_expected: list[tuple[BaseException | type[BaseException], Callable[[], Any]]] = []
_before: Any = None


def expect(error: BaseException | type[BaseException], again: Callable[[], Any]) -> None:
    """Call ``again`` instead of printing, if ``error`` (this one, or one of that class) is swallowed.

    It is called where that happened; what it does must take effect later.
    """
    global _before
    _expected.append((error, again))
    if sys.unraisablehook is not _hook:
        _before = sys.unraisablehook
        sys.unraisablehook = _hook


def forget(again: Callable[[], Any] | None) -> None:
    """Take back what was said of ``again``, if anything; the hook of before is back when nothing is expected."""
    global _before
    for one in tuple(_expected):
        if one[1] == again:
            with contextlib.suppress(ValueError):
                _expected.remove(one)
    if not _expected and sys.unraisablehook is _hook:
        sys.unraisablehook = _before
        _before = None


def soon(function: Callable[[], Any]) -> None:
    """Call it on another thread in a moment; for handlers of signals, and where stops are swallowed.

    It returns when that thread is there, see :func:`flowdeck.threads.deadlines.interrupt_thread`.
    """
    there = _thread.allocate_lock()
    there.acquire()

    def call() -> None:
        there.release()
        time.sleep(_MOMENT)
        function()

    with contextlib.suppress(RuntimeError):  # there are too many threads
        _thread.start_new_thread(call, ())
        there.acquire()


def reaches_nobody(frame: FrameType | None) -> bool:
    """Say whether what is raised in ``frame`` would be lost with the finalizer, or this hook, that it
    is in: a stop waits, so that the finalizer is not left half done.

    So it does in :mod:`logging`'s own functions: they take locks, one of them that of the whole
    module, and one that is struck between ``acquire()`` and ``try`` leaves it taken for good. Every
    thread that logs would wait for ever.
    """
    if frame is not None and frame.f_code.co_filename == _LOGGING:
        return True
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code in _OURS:
            return True
        frame = frame.f_back
    return False


def _hook(told: Any) -> None:
    for error, again in tuple(_expected):
        if told.exc_value is error or told.exc_type is error:
            _surely(again)
            return
    (_before or sys.__unraisablehook__)(told)


def _surely(function: Callable[[], Any]) -> None:
    """Call it, though what it raises anew may strike already, in here: which Python would swallow."""
    for _ in range(10):
        try:
            function()
        except BaseException as struck:
            if not any(struck is error or type(struck) is error for error, _ in tuple(_expected)):
                raise
        else:
            return


_OURS: Final = (_hook.__code__, _surely.__code__)

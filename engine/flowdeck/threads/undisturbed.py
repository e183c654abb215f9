"""Calls of the engine's own code that no stop may strike.

What stops a function (a time limit, a request to cancel) lands between two bytecodes of its thread,
wherever that is. Much of what users' functions call is written for that. What uses the store is not:
``threading.Condition`` and context managers of generators enter in Python, so a lock of them may be
taken and never given back, and with it stands the whole process. So such code executes on a thread of
the engine's, where nothing lands, and the function waits for it.
"""

from __future__ import annotations

import contextvars
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from flowdeck.threads import active
from flowdeck.threads.engine_threads import engine_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Seconds after which a thread that waits hears of a stop: less than it has to stop in.
HEARD: Final = 0.03

_lock = threading.Lock()
_calls: SimpleQueue[_UndisturbedCall] | None = None
_here: Final = threading.local()


class _UndisturbedCall:
    __slots__ = ("_args", "_context", "_function", "error", "gate", "value")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args
        self._context = contextvars.copy_context()
        self.value: Any = None
        self.error: BaseException | None = None
        self.gate = threading.Lock()  # no Event: whoever waits for that may be struck in it
        self.gate.acquire()

    def execute(self) -> None:
        try:
            self.value = self._context.run(self._function, *self._args)
        except BaseException as error:
            self.error = error
        finally:
            self.gate.release()


def undisturbed(function: Callable[..., T], *args: Any) -> T:
    """Call a function where no stop strikes it, and wait for it.

    Who is stopped meanwhile leaves it to its end, and what is called next begins behind it.

    Args:
        function: a quick one; those of all threads are called one after the other.
        args: for it.

    Raises:
        BaseException: what it raised.
    """
    if active.current_run() is None or getattr(_here, "is_it", False):
        return function(*args)  # nobody stops a program's own code
    call = _UndisturbedCall(function, args)
    try:
        _hand_over(call)
    except RuntimeError:  # there are too many threads
        return function(*args)
    while not call.gate.acquire(timeout=HEARD):
        pass
    if call.error is not None:
        try:
            raise call.error
        finally:
            del call  # its traceback has this frame
    return cast("T", call.value)


def _hand_over(call: _UndisturbedCall) -> None:
    global _calls
    with _lock:
        calls = _calls
        if calls is None:
            calls = SimpleQueue()
            engine_thread("flowdeck-undisturbed", _serve, calls).start()
            _calls = calls
    calls.put(call)


def _serve(calls: SimpleQueue[_UndisturbedCall]) -> None:
    _here.is_it = True
    while True:
        calls.get().execute()


def _forget_after_fork() -> None:
    global _calls, _lock
    _calls, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)

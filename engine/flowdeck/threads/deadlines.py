"""Call a function and stop waiting for it when its time is up, also when it cannot be stopped.

Python cannot stop a thread. What can be done: an exception is injected, which lands at the
thread's next bytecode, and a thread that is stuck in a C call is left behind (a daemon thread, so
it cannot keep the process alive). Callers are told which of the two happened.

The hard part is the race at the deadline. One lock decides it: whoever takes it first says whether
the call is DONE or EXPIRED, an interruption is only ever injected under that lock while the call is
RUNNING, and the thread itself takes back, under the lock, one that has not landed yet. So no
interruption can land in the engine's own lines and no finished value is lost.
"""

from __future__ import annotations

import _thread
import contextvars
import functools
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from flowdeck.exceptions import FlowdeckError
from flowdeck.threads import patience, swallowed
from flowdeck.threads.child_processes import wait_until_started
from flowdeck.threads.engine_threads import engine_thread
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

#: Seconds that an interrupted thread gets to clean up before it is left behind.
GRACE: Final = 0.05

#: Seconds in which a thread that starts another one is surely done with it.
_BEGINS: Final = 1.0

_RUNNING, _DONE, _EXPIRED = range(3)


class LeftBehind(Protocol):
    """A function that goes on in the background, in a thread that nobody waits for."""

    def has_left(self) -> bool:
        """Say whether it is over."""

    def when_left(self, callback: Callable[[], object]) -> None:
        """Have a quick function called once when it is over, now if it is; on any thread."""


class DeadlineExceeded(FlowdeckError):
    """The time of a :func:`call_with_deadline` was up.

    Never raised for a :class:`TimeoutError` of the called function: that one passes as it is.

    Attributes:
        seconds: the time the function had.
        left_behind: the function that did not stop and goes on in the background, if so.
        thread_name: name of the thread the function ran (or still runs) in.
        interrupted_at: where the function was when its time was up, from its own first frame on;
            ``None`` if it had returned just then. Fit for ``error.with_traceback(...)``.
    """

    def __init__(
        self,
        seconds: float,
        *,
        left_behind: LeftBehind | None = None,
        thread_name: str,
        interrupted_at: TracebackType | None = None,
    ) -> None:
        self.seconds = seconds
        self.left_behind = left_behind
        self.thread_name = thread_name
        self.interrupted_at = interrupted_at
        tail = f"; it goes on in the background in thread {thread_name!r}" if left_behind else ""
        super().__init__(f"The call did not end within {seconds:g} seconds{tail}.")


class Interrupted(BaseException):
    """Lands in the function whose time is up; ``except Exception`` in it does not swallow it."""


class _Call:
    """One call in its own thread, and the state that decides the race at the deadline."""

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        context: contextvars.Context,
    ) -> None:
        self.fn, self.args, self.kwargs, self.context = fn, args, kwargs, context
        self.lock = threading.Lock()
        self.finished = threading.Event()
        self.stage = _RUNNING
        self.injected = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.callbacks: list[Callable[[], object]] = []
        name = f"{threading.current_thread().name}-timed"
        self.thread = engine_thread(name, self._run)

    def _run(self) -> None:
        me = threading.get_ident()
        _running[me] = self
        try:
            try:
                value = self.context.run(self.fn, *self.args, **self.kwargs)
            except BaseException as error:
                self._note_end(None, error)
            else:
                self._note_end(value, None)
        except BaseException as error:
            # Only an interruption can land here, between the call and the bookkeeping; and another
            # one, when the time of a call around this one is up at the same moment.
            try:
                self._note_end(None, error)
            except BaseException:
                self._note_end(None, error)
        finally:
            del _running[me]
            with self.lock:
                self.finished.set()
            for callback in self.callbacks:
                callback()

    def has_left(self) -> bool:
        return self.finished.is_set()

    def when_left(self, callback: Callable[[], object]) -> None:
        with self.lock:
            if not self.finished.is_set():
                self.callbacks.append(callback)
                return
        callback()

    def _note_end(self, value: Any, error: BaseException | None) -> None:
        with self.lock:
            if self.injected:
                # It may still be on its way: take it back, or it would land in the lines below.
                take_back()
            if self.stage == _DONE:
                return
            self.value, self.error = value, error
            if self.stage == _RUNNING:
                self.stage = _DONE

    def interrupt(self, exc_type: type[BaseException], stage: int = _RUNNING) -> bool:
        """Inject ``exc_type`` unless the call is over; from then on it is at ``stage``."""
        with self.lock:
            if self.stage != _RUNNING:
                return False
            self.stage = stage
            self.injected = True
            return _pass_on(self.thread.ident or 0, exc_type)

    def expire(self, grace: float, stop: Callable[[], float] | None = None) -> bool:
        """End the call's time; ``False`` if it was done just before."""
        self.interrupt(Interrupted, _EXPIRED)
        if self.stage == _DONE:
            return False
        self.finished.wait(grace + (stop() if stop is not None else 0.0))
        return True

    def where(self) -> TracebackType | None:
        """Say where the function was when its time was up."""
        if not self.finished.is_set():
            return _stack_of(self.thread.ident)
        if isinstance(self.error, Interrupted) and self.error.__traceback__ is not None:
            return self.error.__traceback__.tb_next  # without the frame of _run
        return None


#: The call that a thread waits for and the call that it runs, by the thread's identity.
_waiting: dict[int, _Call] = {}
_running: dict[int, _Call] = {}


def is_any_left_behind() -> bool:
    """Say whether a function goes on in this process that nobody waits for any more."""
    return any(call.stage == _EXPIRED and not call.has_left() for call in list(_running.values()))


def call_with_deadline(
    fn: Callable[..., T],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    seconds: float,
    context: contextvars.Context | None = None,
    *,
    grace: float = GRACE,
    stop: Callable[[], float] | None = None,
) -> T:
    """Call ``fn(*args, **kwargs)`` in a daemon thread of its own and wait ``seconds`` for it.

    Args:
        fn: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        seconds: how long it may take.
        context: context variables to run it in; it must not be entered already. Default: a copy
            of the caller's.
        grace: seconds the interrupted function gets to clean up before it is left behind.
        stop: called when the function was interrupted: ends what it may be waiting for, and returns
            how many seconds that may take.

    Returns:
        What ``fn`` returns. Whatever it raises passes unchanged.

    Raises:
        DeadlineExceeded: the time was up.
    """
    call = _Call(fn, args, kwargs, context or contextvars.copy_context())
    me = threading.get_ident()
    outer = _waiting.get(me)
    _waiting[me] = call
    try:
        call.thread.start()
        in_time = patience.until_set(call.finished, seconds)
    except BaseException:
        # The waiting thread was interrupted (Ctrl-C): nobody wants the value any more.
        if call.interrupt(Interrupted, _EXPIRED) and stop is not None:
            stop()
        raise
    finally:
        if outer is None:
            _waiting.pop(me, None)
        else:
            _waiting[me] = outer
    if not in_time and call.expire(grace, stop):
        # What a function raises while it is being stopped is of no use to the caller.
        raise DeadlineExceeded(
            seconds,
            left_behind=None if call.finished.is_set() else call,
            thread_name=call.thread.name,
            interrupted_at=call.where(),
        )
    value: T = _value_of(call)
    return value


def thread_behind(thread_id: int) -> int:
    """Return the thread in which a call goes on that this one waits for with a time limit, else the
    thread itself."""
    call = _waiting.get(thread_id)
    ident = None if call is None else call.thread.ident
    return thread_id if ident is None else ident


def _value_of(call: _Call) -> Any:
    error = call.error
    if error is None:
        return call.value
    try:
        raise error
    finally:
        # Else the error would hold this frame, the frame the call, and the call the error.
        call.error = None
        del call, error


def interrupt_thread(thread_id: int, exc_type: type[BaseException]) -> bool:
    """Make ``exc_type`` be raised in another thread at its next bytecode.

    A thread that is inside a C call (``time.sleep``, a socket) gets it only when that returns. A
    thread that waits in :func:`call_with_deadline` passes it on to the function it waits for.

    Args:
        thread_id: its identity, as :func:`threading.get_ident` gives it.
        exc_type: a class, not an instance; instantiated without arguments.

    Returns:
        Whether there is such a thread (and, if it runs a timed call, that this is not over yet).
    """
    call = _running.get(thread_id)
    if call is not None:
        return call.interrupt(exc_type)
    return _pass_on(thread_id, exc_type)


def take_back() -> None:
    """Take back what was injected into the calling thread and has not landed."""
    _set_async_exc(threading.get_ident(), None)


def _pass_on(thread_id: int, exc_type: type[BaseException]) -> bool:
    awaited = _waiting.get(thread_id)
    if awaited is not None and awaited.interrupt(exc_type):
        return True
    wait_until_started(thread_id)
    return _set_async_exc(thread_id, exc_type)


@functools.cache
def _api() -> Any:
    import ctypes  # several milliseconds, and most processes never need it

    function = ctypes.pythonapi.PyThreadState_SetAsyncExc
    function.argtypes = (ctypes.c_ulong, ctypes.py_object)
    function.restype = ctypes.c_int
    return function, ctypes.py_object


def _set_async_exc(thread_id: int | None, exc_type: type[BaseException] | None) -> bool:
    function, py_object = _api()
    what = py_object() if exc_type is None else py_object(exc_type)
    if sys.version_info >= (3, 12):
        if exc_type is not None:
            _wait_until_it_may_strike(thread_id)
        return bool(function(thread_id or 0, what))
    landing = _Landing()
    try:
        if exc_type is not None:
            _wait_until_it_may_strike(thread_id)
        # A thread that is gone may have left its number to the one that lands.
        found = landing.ident != thread_id and function(thread_id or 0, what)
    finally:
        landing.sent.release()  # no function of Python's may be called before, see there
    landing.over.acquire()
    return bool(found)


def _wait_until_it_may_strike(thread_id: int | None) -> None:
    """Wait while a thread starts another one, or is where what strikes would do harm.
    Until the new one runs, CPython 3.11 knows it by the number of the thread that starts it, and what
    is meant for that lands in the new one: which ends before it began, and is waited for for ever.
    """
    until = clock.monotonic() + _BEGINS
    while clock.monotonic() < until:
        time.sleep(0.0005)  # then the interpreter's lock is ours for some ms: what is seen holds
        frame = sys._current_frames().get(thread_id or 0)
        if swallowed.reaches_nobody(frame):
            continue
        while frame is not None and not _begins_a_thread(frame):
            frame = frame.f_back
        if frame is None:
            return


def _begins_a_thread(frame: FrameType) -> bool:
    """Say whether this is a call that starts a thread, which does not run yet."""
    if frame.f_code is threading.Thread.start.__code__:
        return frame.f_locals["self"].ident is None
    return frame.f_code is swallowed.soon.__code__


class _Nothing(BaseException):
    """Lands at once, and is caught."""


class _Landing:
    """Has CPython 3.11 forget that something is to land somewhere.

    It remembers that for all threads at once, until something lands in any of them. While it does, a
    function that is traced (by a debugger, by coverage) begins for ever: for good, where the thread
    that is meant blocks. So something does land, in a thread that is made for it: neither what is on
    its way to the calling one nor a handler of a signal can come between. What is on its way
    elsewhere is not lost: a thread looks for it when it gets the interpreter's lock.
    """

    def __init__(self) -> None:
        self.ident = 0
        self.here, self.sent, self.over = (threading.Lock() for _ in range(3))
        for lock in (self.here, self.sent, self.over):
            lock.acquire()
        try:
            _thread.start_new_thread(self._land, ())
            self.here.acquire()  # until then it has our number, see _wait_until_it_may_strike
        except RuntimeError:  # there are too many threads
            self.over.release()

    def _land(self) -> None:
        self.ident = threading.get_ident()
        self.here.release()
        function, py_object = _api()
        me, nothing = threading.get_ident(), py_object(_Nothing)
        self.sent.acquire()
        try:
            function(me, nothing)
            for _ in range(1000):
                pass
        except _Nothing:
            pass
        self.over.release()


def _stack_of(thread_id: int | None) -> TracebackType | None:
    """Return the stack of a thread that is running a :class:`_Call`, as a traceback."""
    frame = sys._current_frames().get(thread_id or 0)
    traceback: TracebackType | None = None
    while frame is not None and frame.f_code is not _Call._run.__code__:
        lineno = frame.f_lineno or frame.f_code.co_firstlineno
        traceback = TracebackType(traceback, frame, frame.f_lasti, lineno)
        frame = frame.f_back
    return traceback

"""Stopping flow runs: requests from other processes, and signals.

* A plain script: Ctrl-C and SIGTERM crash the flow run, as they end the process. SIGTERM that
  carries a request to cancel (``flowdeck cancel``) cancels it.
* Inside :func:`ctrl_c_cancels` (``flowdeck run``): the first Ctrl-C or SIGTERM cancels, the second
  kills; a terminal that goes (SIGHUP) cancels.

A signal handler runs between two bytecodes of the main thread, which may hold any lock. So a
handler takes none: it notes the signal, has another thread do the work, and raises in the main
thread only while that executes user code or waits (:class:`Interruptible`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck.exceptions import FlowCancelled, TerminationSignal
from flowdeck.threads import swallowed

if TYPE_CHECKING:
    from types import FrameType

    from flowdeck_store.record.control import ControlRequest


class Stoppable(Protocol):
    """What is needed here of a flow run."""

    flow: Any
    info: Any
    recorder: Any
    state: Any
    cancel_requested: bool
    timed_out: bool
    clean_up_is_over: bool
    terminated_by: int | None
    body_thread: int | None
    interrupt: Callable[[], None] | None

    @property
    def parent(self) -> Any: ...
    def request_cancel(self, interrupt: bool = False) -> None: ...
    def cancel_task(self, no: int) -> None: ...
    def interrupt_body(self) -> None: ...
    def stop_on_loop(self) -> bool: ...
    def bound_clean_up(self) -> None: ...
    def why_stopped(self) -> BaseException: ...
    def die(self, message: str) -> None: ...


#: Called with seconds before a signal ends the process, so that nothing is lost.
before_the_end: list[Callable[[float], object]] = []
#: Flow runs that are going on in this process, by uid.
live: dict[str, Stoppable] = {}

_Handler = Callable[[int, "FrameType | None"], Any] | int | None


class _Signals:
    """What the handlers have seen, and how they are to act."""

    def __init__(self) -> None:
        self.interactive = False
        self.seen = 0
        #: Blocks of the main thread that may be interrupted, innermost last.
        self.open: list[Interruptible] = []
        #: The flow run for which SIGTERM is handled here, and who handled it before.
        self.sigterm: tuple[Stoppable, _Handler] | None = None
        #: What is to be raised as soon as no finalizer would swallow it.
        self.delayed: type[BaseException] | BaseException | None = None
        #: What is done if what was raised last is swallowed.
        self.raised: Callable[[], None] | None = None


_signals = _Signals()


class Interruptible:
    """Marks a block of the main thread in which a stop may be raised.

    On other threads it does nothing.
    """

    __slots__ = ("_active", "run")

    def __init__(self, run: Stoppable) -> None:
        self.run = run
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._active:
            _signals.open.append(self)

    def __exit__(self, *_: object) -> None:
        if self._active:
            _signals.open.remove(self)

    def puts_off(self, exc: type[BaseException] | BaseException) -> bool:
        """Say whether ``exc`` is not to be raised now, because the block will do it at its end."""
        return False


class Uninterrupted(Interruptible):
    """Marks a block in which a flow run's own function executes a task that runs always: a request
    to cancel, or that the time is up, waits until the block ends, or the time for cleaning up is
    over. Not what ends the process.

    On other threads than the one that executes the function it does nothing.
    """

    __slots__ = ("_asked", "_before", "_here")

    def __init__(self, run: Stoppable) -> None:
        super().__init__(run)
        self._here = run.body_thread == threading.get_ident()
        self._active = self._active and self._here
        self._asked = False
        self._before: Callable[[], None] | None = None

    def __enter__(self) -> None:
        super().__enter__()
        if self._here:
            self._before, self.run.interrupt = self.run.interrupt, self._interrupt

    def __exit__(self, *raised: object) -> None:
        super().__exit__()
        if self._here:
            self.run.interrupt = self._before
        if self._asked and raised[0] is None:
            raise self.run.why_stopped()

    def puts_off(self, exc: type[BaseException] | BaseException) -> bool:
        if self.run.clean_up_is_over or isinstance(exc, TerminationSignal):
            return False
        self._asked = True
        in_background(self.run.bound_clean_up)
        return True

    def _interrupt(self) -> None:
        if not self.puts_off(FlowCancelled) and self._before is not None:
            self._before()


# -- requests from other processes ------------------------------------------------------------------


def on_control(request: ControlRequest) -> None:
    """Carry out a request from the store; called on the recorder's writer thread."""
    run = live.get(request.run_uid)
    if run is None:
        return
    if request.verb == "kill":
        in_background(lambda: kill(run, f"Killed on request of {request.by or 'a user'}."))
    elif request.task_no:
        in_background(lambda: run.cancel_task(request.task_no))
    else:
        in_background(lambda: cancel(run))


def cancel(run: Stoppable) -> None:
    """Cancel a flow run of this process, from any thread."""
    run.request_cancel(interrupt=True)


def kill(run: Stoppable, message: str) -> None:
    """End the process at once; the record says why."""
    run.die(message)
    os._exit(130)


def _cancel_all(runs: list[Stoppable]) -> None:
    for run in runs:
        run.request_cancel()


def _kill_all(runs: list[Stoppable]) -> None:
    for run in runs:
        run.die("Killed by a second Ctrl-C.")
    os._exit(130)


def in_background(action: Callable[[], None]) -> None:
    """Do something on a thread of its own."""
    threading.Thread(target=action, name="flowdeck-cancel", daemon=True).start()


def wake_main_thread() -> None:
    """Have the main thread look at :data:`live` runs that were asked to stop."""
    with contextlib.suppress(ProcessLookupError, RuntimeError, AttributeError):
        ident = threading.main_thread().ident
        if ident is not None and signal.getsignal(signal.SIGTERM) is _on_terminate:
            signal.pthread_kill(ident, signal.SIGTERM)


# -- signals ------------------------------------------------------------------------------------------


def innermost_interruptible() -> Stoppable | None:
    """Return the innermost flow run that the main thread executes."""
    return _signals.open[-1].run if _signals.open else None


#: After so many seconds a signal that struck where nobody hears of it is raised anew.
RING_AGAIN: Final = 0.01


def _stop_in_main_thread(exc: type[BaseException] | BaseException) -> None:
    run = innermost_interruptible()
    if run is None or run.stop_on_loop():
        return  # an async body: its loop cancels it
    if swallowed.reaches_nobody(sys._getframe()):
        _stop_later(exc)
        return
    if not put_off(exc):
        swallowed.forget(_signals.raised)
        error = exc() if isinstance(exc, type) else exc
        _signals.raised = lambda: _stop_later(error)
        swallowed.expect(error, _signals.raised)
        raise error


def _stop_later(exc: type[BaseException] | BaseException) -> None:
    _signals.delayed = exc
    swallowed.soon(wake_main_thread)


def put_off(exc: type[BaseException] | BaseException) -> bool:
    """Say whether the block that the main thread executes will raise ``exc`` at its end."""
    return bool(_signals.open) and _signals.open[-1].puts_off(exc)


def _on_terminate(signum: int, frame: FrameType | None) -> None:
    delayed, _signals.delayed = _signals.delayed, None
    if delayed is not None:
        _stop_in_main_thread(delayed)
        return
    runs = list(live.values())
    if any(run.cancel_requested for run in runs):
        _stop_in_main_thread(FlowCancelled)
        return
    for run in runs:
        if run.timed_out and run.clean_up_is_over:
            _stop_in_main_thread(run.why_stopped())
            return
    if _signals.interactive:
        _on_stop_key(signum, frame)
        return
    for run in runs:
        run.terminated_by = signum
    _stop_in_main_thread(TerminationSignal(signum))


def _on_stop_key(signum: int, frame: FrameType | None) -> None:
    """Ctrl-C under ``flowdeck run``: once cancels, twice kills."""
    _signals.seen += 1
    runs = list(live.values())
    if _signals.seen > 1 or not runs:
        if not runs:
            raise KeyboardInterrupt
        in_background(lambda: _kill_all(runs))
        return
    roots = [run for run in runs if run.parent is None]
    for run in roots:
        run.cancel_requested = True
    in_background(lambda: _cancel_all(roots))
    with contextlib.suppress(Exception):  # the terminal may be what has gone
        sys.stderr.write("\nCancelling: press Ctrl-C again to kill.\n")
    _stop_in_main_thread(FlowCancelled)


def _on_hang_up(signum: int, frame: FrameType | None) -> None:
    """The terminal has gone. The kernel and the shell may both say so: that is once."""
    if not _signals.seen:
        _on_terminate(signum, frame)


@contextlib.contextmanager
def ctrl_c_cancels() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM cancel the flow runs of the block, the second kill. SIGHUP
    cancels, unless it was ignored before (``nohup``).

    Only has an effect on the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    _signals.interactive, _signals.seen = True, 0
    signal.signal(signal.SIGINT, _on_stop_key)
    signal.signal(signal.SIGTERM, _on_terminate)
    hangs_up = signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    if hangs_up:
        signal.signal(signal.SIGHUP, _on_hang_up)
    try:
        yield
    finally:
        _signals.interactive = False
        if hangs_up:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


@contextlib.contextmanager
def sigterm_stops(run: Stoppable) -> Iterator[None]:
    """Handle SIGTERM while a root flow run goes on in the main thread.

    Afterwards the previous handler is back, and, if a SIGTERM came that did not mean to cancel,
    it is called (the default one ends the process).
    """
    if (
        run.parent is not None
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is _on_terminate
    ):
        yield
        return
    before: _Handler = signal.getsignal(signal.SIGTERM)
    _signals.sigterm = run, before
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        yield
    finally:
        _give_sigterm_back(run)
        if run.terminated_by is not None:
            _hand_on(run.terminated_by, before)


def _give_sigterm_back(run: Stoppable) -> None:
    if _signals.sigterm is not None and _signals.sigterm[0] is run:
        before = _signals.sigterm[1]
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
        _signals.sigterm = None
        _signals.delayed = None


def leave(run: Stoppable) -> None:
    """Make sure that a flow run whose call is over is known to nobody here any more, whatever struck
    on the way out of it."""
    live.pop(run.info.uid, None)
    if threading.current_thread() is threading.main_thread():
        _signals.open[:] = [block for block in _signals.open if block.run is not run]
        if not _signals.open:
            swallowed.forget(_signals.raised)
            _signals.raised = None
        _give_sigterm_back(run)


def _hand_on(signum: int, before: _Handler) -> None:
    for save in before_the_end:
        save(5.0)
    if callable(before):
        before(signum, None)
    elif before == signal.SIG_DFL:
        sys.stdout.flush()
        sys.stderr.flush()
        os.kill(os.getpid(), signum)


#: What a forked child gets instead of the handlers of its parent.
_PLAIN: Final[dict[int, tuple[Any, Any]]] = {
    signal.SIGTERM: (_on_terminate, signal.SIG_DFL),
    signal.SIGINT: (_on_stop_key, signal.default_int_handler),
    signal.SIGHUP: (_on_hang_up, signal.SIG_DFL),
}
_masks: dict[int, set[Any]] = {}  # of threads that fork


def _before_fork() -> None:
    """Hold signals back until the child has its own handlers: one that came before would be lost."""
    if live:
        _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _PLAIN)


def _after_fork() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    """A forked child is not what its parent's runs execute in: signals do to it what they do to any
    process (``multiprocessing.Pool`` ends its children by SIGTERM, and waits for them for ever)."""
    live.clear()
    for number, (ours, plain) in _PLAIN.items():
        if signal.getsignal(number) is ours:
            signal.signal(number, plain)
    _after_fork()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)

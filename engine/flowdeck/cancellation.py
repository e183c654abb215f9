"""Stopping flow runs: requests from other processes, and signals.

* A plain script: Ctrl-C and SIGTERM crash the flow run, as they end the process. SIGTERM that
  carries a request to cancel (``flowdeck cancel``) cancels it.
* Inside :func:`ctrl_c_cancels` (``flowdeck run``): the first Ctrl-C or SIGTERM cancels, the second
  kills.

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
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import FlowCancelled, TerminationSignal

if TYPE_CHECKING:
    from types import FrameType

    from flowdeck.flow_run import FlowRun
    from flowdeck_store.control import ControlRequest

#: Flow runs that are going on in this process, by uid.
live: dict[str, FlowRun] = {}

_Handler = Callable[[int, "FrameType | None"], Any] | int | None


class _Signals:
    """What the handlers have seen, and how they are to act."""

    def __init__(self) -> None:
        self.interactive = False
        self.seen = 0
        #: Blocks of the main thread that may be interrupted, innermost last.
        self.open: list[Interruptible] = []


_signals = _Signals()


class Interruptible:
    """Marks a block of the main thread in which a stop may be raised.

    On other threads it does nothing.
    """

    __slots__ = ("_active", "run")

    def __init__(self, run: FlowRun) -> None:
        self.run = run
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._active:
            _signals.open.append(self)

    def __exit__(self, *_: object) -> None:
        if self._active:
            _signals.open.remove(self)


# -- requests from other processes ------------------------------------------------------------------


def on_control(request: ControlRequest) -> None:
    """Carry out a request from the store; called on the recorder's writer thread."""
    run = live.get(request.run_uid)
    if run is None:
        return
    if request.verb == "kill":
        _in_background(lambda: kill(run, f"Killed on request of {request.by or 'a user'}."))
    elif request.task_no:
        _in_background(lambda: run.cancel_task(request.task_no))
    else:
        _in_background(lambda: cancel(run))


def cancel(run: FlowRun) -> None:
    """Cancel a flow run of this process, from any thread."""
    run.request_cancel()
    run.interrupt_body()


def kill(run: FlowRun, message: str) -> None:
    """End the process at once; the record says why."""
    run.die(message)
    os._exit(130)


def _cancel_all(runs: list[FlowRun]) -> None:
    for run in runs:
        run.request_cancel()


def _kill_all(runs: list[FlowRun]) -> None:
    message = "Killed by a second Ctrl-C."
    for run in runs:
        run.die(message)
    os._exit(130)


def _in_background(action: Callable[[], None]) -> None:
    threading.Thread(target=action, name="flowdeck-cancel", daemon=True).start()


def wake_main_thread() -> None:
    """Have the main thread look at :data:`live` runs that were asked to stop."""
    with contextlib.suppress(ProcessLookupError, RuntimeError, AttributeError):
        ident = threading.main_thread().ident
        if ident is not None and signal.getsignal(signal.SIGTERM) is _on_terminate:
            signal.pthread_kill(ident, signal.SIGTERM)


# -- signals ------------------------------------------------------------------------------------------


def innermost_interruptible() -> FlowRun | None:
    """Return the innermost flow run that the main thread executes."""
    return _signals.open[-1].run if _signals.open else None


def _stop_in_main_thread(exc: type[BaseException] | BaseException) -> None:
    run = innermost_interruptible()
    if run is None or run.stop_on_loop():
        return  # an async body: its loop cancels it
    raise exc


def _on_terminate(signum: int, frame: FrameType | None) -> None:
    runs = list(live.values())
    if any(run.cancel_requested for run in runs):
        _stop_in_main_thread(FlowCancelled)
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
        _in_background(lambda: _kill_all(runs))
        return
    roots = [run for run in runs if run.parent is None]
    for run in roots:
        run.cancel_requested = True
    _in_background(lambda: _cancel_all(roots))
    sys.stderr.write("\nCancelling: press Ctrl-C again to kill.\n")
    _stop_in_main_thread(FlowCancelled)


@contextlib.contextmanager
def ctrl_c_cancels() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM cancel the flow runs of the block, the second kill.

    Only has an effect on the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    _signals.interactive, _signals.seen = True, 0
    signal.signal(signal.SIGINT, _on_stop_key)
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        yield
    finally:
        _signals.interactive = False
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


@contextlib.contextmanager
def sigterm_stops(run: FlowRun) -> Iterator[None]:
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
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
        if run.terminated_by is not None:
            _hand_on(run.terminated_by, before)


def _hand_on(signum: int, before: _Handler) -> None:
    from flowdeck import recording

    recording.close_all(timeout=5.0)
    if callable(before):
        before(signum, None)
    elif before == signal.SIG_DFL:
        sys.stdout.flush()
        sys.stderr.flush()
        os.kill(os.getpid(), signum)

"""Work that is done beside the runs, on one thread that ends when there was nothing to do for a second.

A daemon, so that nothing it asks can keep the process alive; the end of the process, and of its records,
gives it a second. What a later re-run decides by (the code of tasks) goes before the rest and is waited
for longer: without it a changed function would not be seen. A child of a fork has none of its parent's
work to do.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for which the thread stays: to start one takes longer than most of what it does.
_LINGER: Final = 1.0
#: Seconds that the end of the process waits for what is found out beside the runs.
PATIENCE: Final = 1.0
#: And for what goes first.
PATIENCE_FOR_FIRST: Final = 10.0


class _Background:
    def __init__(self) -> None:
        #: What goes first, and the rest.
        self.first: deque[Callable[[], None]] = deque()
        self.work: deque[Callable[[], None]] = deque()
        self.first_is_done = threading.Event()
        self.first_is_done.set()
        self.lock = threading.Lock()
        #: Held while one piece of work is done.
        self.at_work = threading.Lock()
        self.arrived = threading.Condition(self.lock)
        self.idle = threading.Event()
        self.idle.set()
        self.is_running = False
        self.is_awaited = False


_state = _Background()


def do(work: Callable[[], None], *, first: bool = False) -> None:
    """Have something done, in order; what it raises is dropped: no run may fail because of it.

    Args:
        work: what to do.
        first: before all that is not.
    """
    state = _state
    with state.lock:
        (state.first if first else state.work).append(work)
        if first:
            state.first_is_done.clear()
        state.idle.clear()
        if state.is_running:
            state.arrived.notify()
            return
        state.is_running = True
        is_awaited, state.is_awaited = state.is_awaited, True
    if not is_awaited:
        # Now, when the record is open: what is registered last is called first.
        atexit.register(wait)
    thread = threading.Thread(target=_run, args=(state,), name="flowdeck-provenance", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread to be had, or the interpreter is ending
        _run(state)


def wait(seconds: float = PATIENCE) -> bool:
    """Wait until all is done; ``False`` if it is not by then. What goes first has longer."""
    wait_for_first(max(seconds, PATIENCE_FOR_FIRST) if seconds else 0)
    return _state.idle.wait(seconds)


def wait_for_first(seconds: float | None) -> bool:
    """Wait until what goes first is done; ``False`` if it is not by then."""
    return _state.first_is_done.wait(seconds)


def _run(state: _Background) -> None:
    while True:
        with state.lock:
            if not state.first:
                state.first_is_done.set()
                if not state.work:
                    state.idle.set()
                    state.arrived.wait(_LINGER)
            queue = state.first or state.work
            if not queue:
                state.is_running = False
                return
            work = queue.popleft()
        with state.at_work, contextlib.suppress(Exception):
            work()


#: Seconds that a fork waits for what is being done: a module that is half imported then stays so in
#: the child, and whoever imports it there waits for ever.
_BEFORE_FORK: Final = 0.25
_paused: list[_Background] = []


def _before_fork() -> None:
    state = _state
    if state.is_running and state.at_work.acquire(timeout=_BEFORE_FORK):
        _paused.append(state)


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().at_work.release()


def _after_fork_in_child() -> None:
    global _state
    awaited = _state.is_awaited  # the child has its parent's registrations, too
    _state = _Background()
    _state.is_awaited = awaited
    _paused.clear()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)

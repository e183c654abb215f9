"""Interrupting the function of a run that executes on a thread, and nothing but it.

The exception is injected from another thread and lands at the next bytecode, which may be past
the function's last line. So it is injected only under a lock while the function is marked as
executing, and taken back, under the same lock, if it has not landed when the function is left.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from flowdeck.exceptions import TaskCancelled
from flowdeck.threads import child_processes, swallowed
from flowdeck.threads.deadlines import interrupt_thread, take_back

_lock = threading.Lock()


class _Executing:
    """Marks the block in which an interruption of the task run or flow run may land."""

    __slots__ = ("_before", "_coming", "_exc_type", "_hit", "_run", "_thread")

    def __init__(self, run: Any, exc_type: type[BaseException] = TaskCancelled) -> None:
        self._run = run
        self._exc_type = exc_type
        self._thread = 0
        self._hit = False
        self._coming = False  # another one is on its way: two would be one too many
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = self._run.interrupt
        self._thread = threading.get_ident()
        self._run.interrupt = self.interrupt
        if self._run.cancel_requested:
            # Asked between the last look and now: do not start the function at all.
            self._thread = 0
            self._run.interrupt = self._before
            raise self._exc_type

    def __exit__(self, *_: object) -> None:
        try:
            self._leave()
        except self._exc_type:  # it struck in there: nothing may be injected any more all the same
            self._leave()
            raise

    def _leave(self) -> None:
        with _lock:
            if self._hit:
                take_back()
                swallowed.forget(self._soon_again)
            self._thread = 0
        self._run.interrupt = self._before

    def interrupt(self) -> None:
        """Inject the interruption if the function still executes; it may wait for a child process."""
        with _lock:
            if not self._thread:
                return
            if not self._hit:
                self._hit = True
                swallowed.expect(self._exc_type, self._soon_again)
                interrupt_thread(self._thread, self._exc_type)
            child_processes.end(self._run)

    def _soon_again(self) -> None:
        # Else it was swallowed in another run's function.
        if self._thread == threading.get_ident() and not self._coming:
            self._coming = True
            swallowed.soon(self._again)

    def _again(self) -> None:
        with _lock:
            if not self._thread:
                return
            self._coming = False
            if not swallowed.reaches_nobody(sys._current_frames().get(self._thread)):
                interrupt_thread(self._thread, self._exc_type)
                return
            self._coming = True
        swallowed.soon(self._again)


executing = _Executing


def thread_of(interrupt: Any) -> int:
    """Return the thread on which the function executes that ``interrupt`` would end; 0 if that is
    not known, or none does."""
    block = getattr(interrupt, "__self__", None)
    return block._thread if type(block) is _Executing else 0

"""Notices that Ray's tasks have ended: their tails, or what went wrong with them.

One thread waits for the tails of all open task runs together. Ray has callbacks for single
objects, but they are private.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

#: So many are asked about in one call: more than end in a moment.
_WINDOW: Final = 250
#: Up to so many open tasks, each is noticed as it ends; with more, those of a moment together.
_FEW: Final = 16
_MOMENT: Final = 0.04
_LONGEST: Final = 0.05
#: Seconds for which a task is the oldest open one when it is slow enough to be followed live.
_SLOW: Final = 0.1
_AFTER_TROUBLE: Final = 0.5


class Completions:
    """Waits for tails.

    Args:
        on_results: called with pairs of what was given to :meth:`follow` and its result, on the
            thread of these completions.
        on_error: called with what was given to :meth:`follow` and the engine's error.
        on_slow: called, again and again, while a task takes long.
    """

    def __init__(
        self,
        on_results: Callable[[list[tuple[Any, Any]]], None],
        on_error: Callable[[Any, BaseException], None],
        on_slow: Callable[[], None],
    ) -> None:
        self._on_results = on_results
        self._on_error = on_error
        self._on_slow = on_slow
        self._oldest: tuple[Any, float] = (None, 0.0)
        self._order: deque[Any] = deque()  # as they came, some of them ended
        self._added: deque[tuple[Any, Any]] = deque()
        self._open: dict[Any, tuple[Any, float]] = {}  # only this thread's
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="flowdeck-ray-ends", daemon=True)
        self._thread.start()

    def follow(self, tail: Any, subject: Any) -> None:
        """Wait for the tail of ``subject``, which ``tail`` (an ObjectRef) will hold."""
        self._added.append((tail, subject))
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(5.0)

    def _main(self) -> None:
        pause = _MOMENT
        while not self._stopping.is_set():
            added = self._take_added()
            if not self._open:
                self._order.clear()
                self._wake.wait()
                self._wake.clear()
                continue
            found = self._wait_safely(pause)
            pause = _MOMENT if found or added else min(pause * 1.5, _LONGEST)

    def _take_added(self) -> bool:
        now = clock.monotonic()
        count = len(self._added)
        for _ in range(count):
            tail, subject = self._added.popleft()
            self._open[tail] = subject, now
            self._order.append(tail)
        return count > 0

    def _wait_safely(self, pause: float) -> bool:
        """Wait a little, and hand out what has ended; say whether anything had."""
        try:
            return self._wait_for_some(pause)
        except Exception:
            # The connection is gone or going: whoever waits is told by the runner's own check.
            self._stopping.wait(_AFTER_TROUBLE)
            return False

    def _wait_for_some(self, pause: float) -> bool:
        import ray

        window = list(islice(self._open, _WINDOW))
        self._check_oldest()
        at_least = 1 if len(window) <= _FEW else len(window)
        ready, rest = ray.wait(window, num_returns=at_least, timeout=pause)
        if ready:
            self._collect(ready)
        elif len(self._open) > _WINDOW:
            self._ask_later(rest)
        return bool(ready)

    def _check_oldest(self) -> None:
        """Notice tasks that take long: those behind them come and go, these stay."""
        while self._order[0] not in self._open:
            self._order.popleft()
        tail, now = self._order[0], clock.monotonic()
        if tail is not self._oldest[0]:
            self._oldest = tail, now
        elif now - self._oldest[1] > _SLOW:
            self._on_slow()

    def _ask_later(self, tails: list[Any]) -> None:
        """Ask about others first in the next round."""
        for tail in tails:
            self._open[tail] = self._open.pop(tail)

    def _collect(self, ready: list[Any]) -> None:
        import ray

        results: list[Any] | None = None
        with contextlib.suppress(Exception):
            results = ray.get(ready)
        if results is not None:
            pairs = zip(ready, results, strict=True)
            self._on_results([(self._open.pop(tail)[0], result) for tail, result in pairs])
            return
        for tail in ready:  # at least one of them holds an error
            subject, _ = self._open.pop(tail)
            try:
                result = ray.get(tail)
            except Exception as error:
                self._on_error(subject, error)
            else:
                self._on_results([(subject, result)])

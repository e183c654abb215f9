"""Notices that Ray's tasks have ended: their tails, or what went wrong with them.

One thread waits for the tails of all open task runs together. Ray has callbacks for single
objects, but they are private.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

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


class Watch:
    """Waits for tails.

    Args:
        on_results: called with pairs of what was given to :meth:`add` and its result, on the watch's
            thread.
        on_error: called with what was given to :meth:`add` and the engine's error.
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
        self._added: deque[tuple[Any, Any]] = deque()
        self._open: dict[Any, tuple[Any, float]] = {}  # only this thread's
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="flowdeck-ray-watch", daemon=True)
        self._thread.start()

    def add(self, meta: Any, entry: Any) -> None:
        """Watch for the result of ``entry``, which ``meta`` (an ObjectRef) will hold."""
        self._added.append((meta, entry))
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
                self._wake.wait()
                self._wake.clear()
                continue
            found = self._round(pause)
            pause = _MOMENT if found or added else min(pause * 1.5, _LONGEST)

    def _take_added(self) -> bool:
        now = time.monotonic()
        count = len(self._added)
        for _ in range(count):
            meta, entry = self._added.popleft()
            self._open[meta] = entry, now
        return count > 0

    def _round(self, pause: float) -> bool:
        """Wait a little, and hand out what has ended; say whether anything had."""
        try:
            return self._look(pause)
        except Exception:
            # The connection is gone or going: whoever waits is told by the runner's own check.
            self._stopping.wait(_AFTER_TROUBLE)
            return False

    def _look(self, pause: float) -> bool:
        import ray

        window = list(islice(self._open, _WINDOW))
        self._look_at_oldest(window[0])
        at_least = 1 if len(window) <= _FEW else len(window)
        ready, rest = ray.wait(window, num_returns=at_least, timeout=pause)
        if ready:
            self._collect(ready)
        elif len(self._open) > _WINDOW:
            self._to_the_end(rest)
        return bool(ready)

    def _look_at_oldest(self, meta: Any) -> None:
        """Notice tasks that take long: those behind them come and go, these stay."""
        entry, _ = self._open[meta]
        now = time.monotonic()
        if entry is not self._oldest[0]:
            self._oldest = entry, now
        elif now - self._oldest[1] > _SLOW:
            self._on_slow()

    def _to_the_end(self, metas: list[Any]) -> None:
        """Ask about others first in the next round."""
        for meta in metas:
            self._open[meta] = self._open.pop(meta)

    def _collect(self, ready: list[Any]) -> None:
        import ray

        results: list[Any] | None = None
        with contextlib.suppress(Exception):
            results = ray.get(ready)
        if results is not None:
            pairs = zip(ready, results, strict=True)
            self._on_results([(self._open.pop(meta)[0], result) for meta, result in pairs])
            return
        for meta in ready:  # at least one of them holds an error
            entry, _ = self._open.pop(meta)
            try:
                result = ray.get(meta)
            except Exception as error:
                self._on_error(entry, error)
            else:
                self._on_results([(entry, result)])

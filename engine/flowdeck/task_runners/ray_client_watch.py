"""Notices what became of tasks behind a Ray client server whose tails do not come.

There tails come by the mailbox, since a second result costs as much as a task. What is left to
look for is what Ray itself ended, and the rare tail that got lost.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import Any, Final

from flowdeck.task_runners.ray_watch import Watch

#: Seconds between two looks, and until a task is old enough to be looked at.
_ROUND: Final = 0.5
_AGE: Final = 1.0
#: So many of the oldest are asked about each time, and so many of the others in turn.
_OLDEST: Final = 50
_OTHERS: Final = 50
#: Seconds for the tail of a task that has ended to arrive, before its result is looked at, and
#: before a result without a tail is taken as all there is.
_GRACE: Final = 0.5
_PATIENCE: Final = 4.0


class ClientWatch(Watch):
    """Waits for replies without a tail, and for errors; see :class:`Watch`."""

    def __init__(self, *arguments: Any) -> None:
        self._ended: dict[Any, float] = {}
        self._replies: dict[Any, Any] = {}
        super().__init__(*arguments)

    def _look(self, pause: float) -> bool:
        import ray

        self._stopping.wait(_ROUND)
        for meta, (entry, _) in list(self._open.items()):
            if self._is_over(entry):
                self._forget(meta)
        now = time.monotonic()
        aged = [meta for meta, (_, added) in self._open.items() if added < now - _AGE]
        window = list(islice(aged, _OLDEST + _OTHERS))
        if not window:
            return False
        ready, _ = ray.wait(window, num_returns=len(window), timeout=0)
        for meta in ready:
            self._has_ended(meta, now)
        self._to_the_end([meta for meta in window[_OLDEST:] if meta in self._open])
        return bool(ready)

    def _has_ended(self, meta: Any, now: float) -> None:
        import ray

        waited = now - self._ended.setdefault(meta, now)
        if waited < _GRACE:
            return
        entry, _ = self._open[meta]
        if meta not in self._replies:
            try:
                self._replies[meta] = ray.get(meta)
            except Exception as error:
                self._forget(meta)
                self._on_error(entry, error)
                return
        if waited > _PATIENCE:
            reply = self._replies[meta]
            self._forget(meta)
            self._on_results([(entry, reply)])

    def _forget(self, meta: Any) -> None:
        del self._open[meta]
        self._ended.pop(meta, None)
        self._replies.pop(meta, None)

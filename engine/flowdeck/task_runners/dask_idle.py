"""Noticing that nothing goes on because there are no workers."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, line

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.flow_run import FlowRun

#: Seconds between two looks whether there are workers while tasks are not done.
_LOOK: Final = 5.0


class Idle:
    """Says once in the log of a flow run that its cluster has no workers.

    Args:
        flow_run: whose.
        client: of the cluster.
        aside: calls a function on a thread that may be kept waiting.
    """

    def __init__(self, flow_run: FlowRun, client: Any, aside: Callable[..., None]) -> None:
        self._flow_run = flow_run
        self._client = client
        self._aside = aside
        self._next = time.monotonic() + _LOOK

    def tick(self, *, waits: bool) -> None:
        """Look now and then.

        Args:
            waits: Dask has tasks.
        """
        if waits and time.monotonic() > self._next:
            self._next = time.monotonic() + _LOOK
            self._aside(self._look)

    def _look(self) -> None:
        with contextlib.suppress(Exception):  # it is no more than advice
            found = self._client.scheduler_info(n_workers=0)
            if found["n_workers"] or self._next == math.inf:
                return
            self._next = math.inf
            text = f"Tasks wait: the Dask cluster at {found['address']} has no workers, or none yet"
            line(self._flow_run, WARNING, text)

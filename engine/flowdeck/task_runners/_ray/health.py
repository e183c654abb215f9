"""Is the Ray that we are connected to still there?

Ray itself waits for a head node that is gone for a minute, and then ends the whole process. A flow
run shall rather know what happened, end its tasks, and go on or fail as its code decides.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from flowdeck.task_runners._ray import probe
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two looks, and for one.
INTERVAL: Final = 1.0
_TIMEOUT: Final = 3.0
#: Seconds without an answer after which it is gone: a head node may be started anew meanwhile.
PATIENCE: Final = 20.0
#: The same for our own local instance, which nobody starts anew.
OWN_PATIENCE: Final = 3.0


class HealthCheck:
    """Looks after one Ray.

    Args:
        address: ``host:port`` of its head node, or ``ray://host:port``.
        patience: seconds without an answer after which it is gone.
        has_nodes: says whether the cluster has a node that is alive; may raise.
    """

    def __init__(self, address: str, patience: float, has_nodes: Callable[[], bool] | None) -> None:
        self._place = probe.host_and_port(address)
        self._patience = patience
        self._has_nodes = has_nodes
        self._last = clock.monotonic()

    def find_problem(self) -> str | None:
        """Return what is wrong if that has been so for too long."""
        problem = self._problem_now()
        now = clock.monotonic()
        if problem is None:
            self._last = now
            return None
        silent = now - self._last
        if silent < self._patience:
            return None
        return f"{problem}, for {silent:.0f} seconds now"

    def _problem_now(self) -> str | None:
        try:
            socket.create_connection(self._place, _TIMEOUT).close()
        except OSError as error:
            return f"its head node does not answer ({error})"
        if self._has_nodes is None:
            return None
        try:
            return None if self._has_nodes() else "none of its nodes is alive"
        except Exception as error:
            return f"its head node does not answer ({type(error).__name__}: {error})"

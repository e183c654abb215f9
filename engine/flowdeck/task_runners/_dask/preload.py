"""Loaded by the worker processes of temporary clusters before they take tasks."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from typing import Any

from flowdeck.task_runners._dask import (
    worker,  # so that the first task need not wait for imports
)

__all__ = ["dask_setup", "worker"]


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the flow's process.

    A terminal sends it to all processes at once; workers that die of it fill the terminal with
    tracebacks, while the flow's process already ends everything in order.
    """
    in_child = multiprocessing.parent_process() is not None
    if in_child and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

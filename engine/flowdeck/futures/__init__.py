"""Futures of submitted task runs, and waiting for many of them."""

from flowdeck.futures.future import AsyncTaskFuture, TaskFuture
from flowdeck.futures.lists import AsyncFutureList, FutureList
from flowdeck.futures.many import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    DoneAndNotDone,
    as_completed,
    resolve,
    resolve_async,
    wait,
    wait_async,
)
from flowdeck.futures.passed import Passed

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "AsyncFutureList",
    "AsyncTaskFuture",
    "DoneAndNotDone",
    "FutureList",
    "Passed",
    "TaskFuture",
    "as_completed",
    "resolve",
    "resolve_async",
    "wait",
    "wait_async",
]

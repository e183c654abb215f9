"""The engine's one event loop: async tasks run there, and anyio's worker threads belong to it.

It runs in a daemon thread of its own from first use to the end of the process, so a flow never
pays for starting one twice, and code that blocks the flow's own loop cannot stall async tasks.
"""

from __future__ import annotations

import contextvars
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from anyio.from_thread import BlockingPortal

_lock = threading.Lock()
_started: _Started | None = None
_background: set[asyncio.Task[Any]] = set()  # the loop itself keeps only weak references


class _Started(NamedTuple):
    portal: BlockingPortal
    loop: asyncio.AbstractEventLoop


def _start() -> _Started:
    global _started
    if _started is not None:
        return _started
    with _lock:
        if _started is None:
            ready: Future[_Started] = Future()
            thread = threading.Thread(target=_main, args=[ready], name="flowdeck-loop", daemon=True)
            thread.start()
            _started = ready.result()
        return _started


def _main(ready: Future[_Started]) -> None:
    import anyio

    anyio.run(_serve, ready)


async def _serve(ready: Future[_Started]) -> None:
    import asyncio

    from anyio.from_thread import BlockingPortal

    async with BlockingPortal() as portal:
        ready.set_result(_Started(portal, asyncio.get_running_loop()))
        await portal.sleep_until_stopped()


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started if need be."""
    return _start().loop


def spawn(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    """Run an async function on the loop, from any thread (the loop's too), without waiting for it
    and without the caller's context."""
    loop = event_loop()
    empty = contextvars.Context()

    def begin() -> None:
        task = loop.create_task(function(*args), context=empty)
        _background.add(task)
        task.add_done_callback(_background.discard)

    loop.call_soon_threadsafe(begin, context=empty)


def is_this_thread() -> bool:
    """Say whether the caller runs on the engine's loop (and so must not wait for it)."""
    from flowdeck.context import running_loop

    return _started is not None and running_loop() is _started.loop


def run(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run an async function on the loop, in a copy of the caller's context, and wait for it.

    On the loop's own thread (an async task that calls sync code that needs an async result) a
    loop of its own is used in another thread, because waiting here would wait for ever.
    """
    if not is_this_thread():
        return _start().portal.call(function, *args)
    from concurrent.futures import ThreadPoolExecutor

    import anyio

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="flowdeck-nested") as pool:
        return pool.submit(lambda: context.run(lambda: anyio.run(function, *args))).result()


def _forget_after_fork() -> None:
    """A forked child has no such thread: it starts its own."""
    global _lock, _started
    _lock = threading.Lock()
    _started = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)

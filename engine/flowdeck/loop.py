"""The engine's one event loop: async tasks run there, and anyio's worker threads belong to it.

It runs in a daemon thread of its own from first use to the end of the process, so a flow never
pays for starting one twice, and code that blocks the flow's own loop cannot stall async tasks.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from anyio.from_thread import BlockingPortal

_lock = threading.Lock()
_stack: contextlib.ExitStack | None = None
_portal: BlockingPortal | None = None
_loop: asyncio.AbstractEventLoop | None = None


def portal() -> BlockingPortal:
    """Return the portal to the loop, started if need be."""
    global _stack, _portal, _loop
    with _lock:
        if _portal is None:
            import anyio.from_thread

            _stack = contextlib.ExitStack()
            _portal = _stack.enter_context(
                anyio.from_thread.start_blocking_portal("asyncio", name="flowdeck-loop")
            )
            _loop = _portal.call(_running)
        return _portal


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started if need be."""
    portal()
    assert _loop is not None
    return _loop


async def _running() -> asyncio.AbstractEventLoop:
    import asyncio

    return asyncio.get_running_loop()


def is_this_thread() -> bool:
    """Say whether the caller runs on the engine's loop (and so must not wait for it)."""
    from flowdeck.context import running_loop

    return _loop is not None and running_loop() is _loop


def run(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run an async function on the loop, in a copy of the caller's context, and wait for it.

    On the loop's own thread (an async task that calls sync code that needs an async result) a
    loop of its own is used in another thread, because waiting here would wait for ever.
    """
    if not is_this_thread():
        return portal().call(function, *args)
    import contextvars
    from concurrent.futures import ThreadPoolExecutor

    import anyio

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="flowdeck-nested") as pool:
        return pool.submit(context.run, anyio.run, function, *args).result()


def _forget_after_fork() -> None:
    """A forked child has no such thread: it starts its own."""
    global _lock, _stack, _portal, _loop
    _lock = threading.Lock()
    if _stack is not None:
        _stack.pop_all()  # its thread does not exist here: never join it
    _stack, _portal, _loop = None, None, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)

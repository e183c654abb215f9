"""The engine's event loops, each in a daemon thread of its own from first use to the end of the
process, so a flow never pays for starting one twice.

* The *service* loop: anyio's worker threads belong to it and timers run on it. Only the engine's
  own code runs there, so it never blocks.
* *User* loops: async tasks that are not on their flow's own loop. Code may block the loop it runs
  on (a sync call in an async task), so what it starts meanwhile runs on another one: each user
  loop has a level, and code that runs on level n starts things on level n + 1.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from flowdeck.context import running_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from anyio.from_thread import BlockingPortal

#: Number of the service loop; user loops have their level from 0 on.
_SERVICE = -1
#: From this level on loops are shared: code that awaits what it starts needs no other loop, and
#: nobody blocks that many loops at once.
_MAX_LEVEL = 31

_lock = threading.Lock()
_loops: dict[int, _Started] = {}
_background: set[asyncio.Task[Any]] = set()  # the loop itself keeps only weak references
_level: contextvars.ContextVar[int] = contextvars.ContextVar("flowdeck_loop_level", default=0)


class _Started(NamedTuple):
    portal: BlockingPortal
    loop: asyncio.AbstractEventLoop


def _started(number: int) -> _Started:
    found = _loops.get(number)
    if found is not None:
        return found
    with _lock:
        found = _loops.get(number)
        if found is None:
            ready: Future[_Started] = Future()
            name = "flowdeck-loop" if number == _SERVICE else f"flowdeck-async-{number}"
            threading.Thread(target=_main, args=[ready], name=name, daemon=True).start()
            found = _loops[number] = ready.result()
        return found


def _main(ready: Future[_Started]) -> None:
    import anyio

    anyio.run(_serve, ready)


async def _serve(ready: Future[_Started]) -> None:
    import asyncio

    from anyio.from_thread import BlockingPortal

    async with BlockingPortal() as portal:
        ready.set_result(_Started(portal, asyncio.get_running_loop()))
        await portal.sleep_until_stopped()


# -- the service loop -----------------------------------------------------------------------------


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the service loop, started if need be. Nothing of the user's may run there."""
    return _started(_SERVICE).loop


def spawn(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    """Run an async function of the engine's on the service loop, from any thread (the loop's too),
    without waiting for it and without the caller's context."""
    loop = event_loop()
    empty = contextvars.Context()

    def begin() -> None:
        task = loop.create_task(function(*args), context=empty)
        _background.add(task)
        task.add_done_callback(_background.discard)

    loop.call_soon_threadsafe(begin, context=empty)


def call_later(seconds: float, function: Callable[..., object], *args: Any) -> None:
    """Call a quick function of the engine's on the service loop after ``seconds``, from any thread
    (the loop's too)."""
    loop = event_loop()
    empty = contextvars.Context()
    loop.call_soon_threadsafe(
        functools.partial(loop.call_later, seconds, function, *args, context=empty), context=empty
    )


# -- user loops -----------------------------------------------------------------------------------


def level(context: contextvars.Context) -> int:
    """Return the level of the loop on which what is started in this context runs."""
    return context.get(_level, 0)


def user_loop(at: int) -> asyncio.AbstractEventLoop:
    """Return the user loop of a level, started if need be."""
    return _started(at).loop


def entered(at: int) -> None:
    """Note in the current context that its code runs on the user loop of this level."""
    _level.set(min(at + 1, _MAX_LEVEL))


def is_this_thread() -> bool:
    """Say whether the caller runs on one of the engine's loops."""
    here = running_loop()
    return here is not None and any(here is started.loop for started in list(_loops.values()))


def run(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run an async function on a user loop, in a copy of the caller's context, and wait for it.

    If the wait is interrupted (Ctrl-C, a time limit), the function is cancelled.
    """
    at = _level.get()
    started = _started(at)
    if running_loop() is started.loop:  # somebody dropped the context that says where we are
        at = min(at + 1, _MAX_LEVEL)
        started = _started(at)
    future = started.portal.start_task_soon(_on_level, at, function, *args)
    try:
        return future.result()
    finally:
        if not future.done():
            future.cancel()


async def _on_level(at: int, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    entered(at)
    return await function(*args)


def run_here(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run an async function on a new loop on this thread, in a copy of the caller's context; in a
    thread of its own if a loop runs on this one already."""
    import anyio

    if running_loop() is None:
        return anyio.run(function, *args)
    from concurrent.futures import ThreadPoolExecutor

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="flowdeck-nested") as pool:
        return pool.submit(lambda: context.run(lambda: anyio.run(function, *args))).result()


def _forget_after_fork() -> None:
    """A forked child has no such threads: it starts its own."""
    global _lock
    _lock = threading.Lock()
    _loops.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)

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

from flowdeck.threads import patience
from flowdeck.threads.active import running_loop
from flowdeck.threads.engine_threads import LoopThread
from flowdeck_store import clock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from anyio.from_thread import BlockingPortal

#: Number of the service loop; user loops have their level from 0 on.
_SERVICE = -1
#: From this level on loops are shared: code that awaits what it starts needs no other loop, and
#: nobody blocks that many loops at once.
_MAX_LEVEL = 31
#: Seconds after which anyio counts a worker thread as idle for long (10), and a bit.
_IDLE_S = 10.5

_lock = threading.Lock()
_loops: dict[int, _Started] = {}
_background: set[asyncio.Task[Any]] = set()  # the loop itself keeps only weak references
_thinning = False
_thin_asked = 0.0
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
            LoopThread(target=_main, args=(ready,), name=name, daemon=True).start()
            found = _loops[number] = ready.result()
        return found


def _main(ready: Future[_Started]) -> None:
    try:
        import anyio

        anyio.run(_serve, ready, backend_options={"loop_factory": _new_loop})
    except BaseException as error:  # no thread, no file descriptor, no memory for a loop
        if ready.done():
            raise
        ready.set_exception(error)


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose timers go on when a test of the user's has stopped the clock."""
    import asyncio

    loop = asyncio.new_event_loop()
    if isinstance(loop, asyncio.BaseEventLoop):  # others do not ask Python what time it is
        vars(loop)["time"] = clock.monotonic
    return loop


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


def thin_out() -> None:
    """Have anyio's worker threads end that have nothing to do for a while: many were needed for a
    moment. By itself anyio looks for them only when it needs one again."""
    global _thin_asked, _thinning
    _thin_asked = clock.monotonic()
    if not _thinning:
        _thinning = True
        call_later(_IDLE_S, _thin)


def _thin() -> None:
    global _thinning
    left = _thin_asked + _IDLE_S - clock.monotonic()
    if left > 0:
        call_later(left, _thin)
    else:
        _thinning = False
        spawn(_use_a_worker_thread)


async def _use_a_worker_thread() -> None:
    import anyio.to_thread

    await anyio.to_thread.run_sync(int)  # on the way anyio ends those that are idle for long


# -- user loops -----------------------------------------------------------------------------------


def level(context: contextvars.Context) -> int:
    """Return the level of the loop on which what is started in this context runs."""
    return context.get(_level, 0)


def user_loop(at: int) -> asyncio.AbstractEventLoop:
    """Return the user loop of a level, started if need be."""
    return _started(at).loop


def user_loops() -> list[asyncio.AbstractEventLoop]:
    """Return the user loops that were started."""
    return [started.loop for at, started in list(_loops.items()) if at != _SERVICE]


def entered(at: int) -> None:
    """Note in the current context that its code runs on the user loop of this level."""
    _level.set(min(at + 1, _MAX_LEVEL))


def own_of_the_flow() -> asyncio.AbstractEventLoop | None:
    """Return the loop on which the caller runs if it is not one of the engine's: what async code
    submits there shares locks, events and clients with it."""
    here = running_loop()
    if here is None or any(here is started.loop for started in list(_loops.values())):
        return None
    return here  # type: ignore[no-any-return]


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
        return patience.result_of(future)
    finally:
        if not future.done():
            future.cancel()


async def _on_level(at: int, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    entered(at)
    return await function(*args)


def run_here(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run an async function on a new loop on this thread, in a copy of the caller's context; in a
    thread of its own if a loop runs on this one already.

    Not by ``anyio.run``: that asks `sniffio`, where it is installed, whether a loop runs already, and
    the context, copied from code that did run on a loop, says yes.
    """
    import asyncio

    if running_loop() is None:
        return asyncio.run(_awaited(function, *args))
    from concurrent.futures import ThreadPoolExecutor

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="flowdeck-nested") as pool:
        return patience.result_of(pool.submit(context.run, asyncio.run, _awaited(function, *args)))


async def _awaited(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    return await function(*args)


def _forget_after_fork() -> None:
    """A forked child has no such threads: it starts its own."""
    global _lock, _thinning
    _lock = threading.Lock()
    _thinning = False
    _loops.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)

"""Values that are made once in each process that needs them: :func:`once_per_worker`.

A client, a connection or a model cannot be sent to a worker, and is too dear to be made by every task.
So what travels is the function that makes it, and each process keeps what that returned.

The same function reaches a worker many times, with every task that uses it, and each time it would be
another one. So it travels as bytes, made when it is first sent, and a process knows by their digest
which it has already: they are one for all its tasks, and also for a later flow run that sends the same.
When a run is over, values of the functions that it sent are closed if newer ones of that name have come
meanwhile: a cluster that lives for weeks does not collect models.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

from flowdeck.logging import get_logger
from flowdeck.threads import active

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
T = TypeVar("T")

#: Seconds between two looks whether another thread is done: no lock hears of a request to stop.
_LOOK: Final = 0.03
#: Seconds that an async function has to close a value.
_CLOSING: Final = 5.0
#: Of this process; those that have values, in the order in which the first ones were made.
_in_use: Final[dict[int, OncePerWorker[Any, Any]]] = {}
#: Those that were sent from here or came here, by the digest of their bytes.
known: Final[weakref.WeakValueDictionary[bytes, OncePerWorker[Any, Any]]] = (
    weakref.WeakValueDictionary()
)
#: How one is pickled; set by the module that knows how functions are.
reducer: list[Callable[[OncePerWorker[Any, Any]], Any]] = []


def _asyncio() -> Any:
    """Return the module, which most programs do not need."""
    import asyncio

    return asyncio


class _Value:
    """One value, or the place where it is being made."""

    __slots__ = ("is_made", "lock", "loop", "maker", "over", "value")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.lock: Any = threading.Lock() if loop is None else _asyncio().Lock()
        self.over = threading.Lock()  # held while it is made, only to wake those who wait
        self.loop = loop
        self.maker: Any = None  # the thread, or the asyncio task
        self.is_made = False
        self.value: Any = None


class OncePerWorker(Generic[P, R]):
    """A function whose value is kept. Made by :func:`once_per_worker`, which documents it.

    Attributes:
        fn: the function itself.
        closes: what is called with each value in the end.
        runs: uids of the flow runs that a function which came to this process was used by.
        sent: the bytes that it travels as, once there are any.
    """

    def __init__(self, fn: Callable[P, R], closes: Callable[[Any], object] | None = None) -> None:
        if not callable(fn):
            raise TypeError(f"`once_per_worker` is for functions, not {fn!r}.")
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise TypeError(
                "`once_per_worker` keeps what a function returns: one that yields returns a "
                "generator. Return the value, and give what ends it as `close=`."
            )
        if closes is not None and not callable(closes):
            raise TypeError(f"`close` must be a function of the value, not {closes!r}.")
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.closes = closes
        self.isasync = inspect.iscoroutinefunction(fn)
        self.runs: set[str] = set()
        self.came = False
        self.sent: bytes | None = None
        self.reset()

    @property
    def name(self) -> str:
        """Its module and name: one of another version has the same."""
        return f"{getattr(self.fn, '__module__', '?')}.{getattr(self.fn, '__qualname__', '?')}"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the value for these arguments; the first call in a process makes it.

        Raises:
            TypeError: the arguments are not hashable.
            RuntimeError: the function calls itself.
            Exception: what the function raised. The next call tries again.
        """
        if self.came:
            run = active.current_run()
            if run is not None:
                self.runs.add(run.info.uid)
        key = self._key(args, kwargs)
        if self.isasync:
            return self._value_on_this_loop(key, args, kwargs)  # type: ignore[return-value]
        found = self._values.get(key)
        if found is None or not found.is_made:
            found = self._made(key, args, kwargs)
        return found.value  # type: ignore[no-any-return]

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not args and not kwargs:
            return ()
        key = (*args, *sorted(kwargs.items()))
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"{self.name}() keeps a value for each set of arguments, so they must be hashable: "
                f"{error}."
            ) from None
        return key

    def _place(self, values: dict[Any, _Value], key: Any, loop: Any = None) -> _Value:
        with self._lock:
            _in_use.setdefault(id(self), self)
            return values.setdefault(key, _Value(loop))

    def _made(self, key: Any, args: Any, kwargs: Any) -> _Value:
        found = self._place(self._values, key)
        me = threading.get_ident()
        if found.maker == me:
            raise RuntimeError(f"{self.name}() needs its own value to make it.")
        try:
            while True:
                with found.lock:  # for moments only: a stop may strike behind any call
                    if found.is_made:
                        return found
                    if found.maker is None:
                        found.maker = me
                if found.maker == me:
                    break
                if found.over.acquire(timeout=_LOOK):  # a request to stop this thread lands here
                    found.over.release()
            found.over.acquire(blocking=False)
            found.value = self.fn(*args, **kwargs)
            found.is_made = True
        finally:
            if found.maker == me:
                found.maker = None
                with contextlib.suppress(RuntimeError):
                    found.over.release()
        return found

    async def _value_on_this_loop(self, key: Any, args: Any, kwargs: Any) -> Any:
        asyncio = _asyncio()
        loop = asyncio.get_running_loop()
        with self._lock:
            values = self._by_loop.setdefault(loop, {})
        found = values.get(key)
        if found is not None and found.is_made:
            return found.value
        found = self._place(values, key, loop)
        me = asyncio.current_task()
        if found.maker is me:
            raise RuntimeError(f"{self.name}() needs its own value to make it.")
        async with found.lock:
            if not found.is_made:
                found.maker = me
                try:
                    made: Any = self.fn(*args, **kwargs)
                    found.value = await made
                finally:
                    found.maker = None
                found.is_made = True
        return found.value

    def close(self) -> None:
        """Let go of the values of this process, the last one first; the next call makes a new one.

        An error of ``close`` is logged.
        """
        with self._lock:
            values = [*self._values.values()]
            values += [value for of in self._by_loop.values() for value in of.values()]
            self._values.clear()
            self._by_loop.clear()
            _in_use.pop(id(self), None)
        if self.closes is None:
            return
        for value in reversed(values):
            if value.is_made:
                try:
                    _finish(self.closes(value.value), value.loop)
                except Exception as error:
                    get_logger("once").warning("Closing what %s() returned: %r", self.name, error)

    def reset(self) -> None:
        """Know of no values: those of before a fork are the parent's, who closes them."""
        self._lock = threading.Lock()
        self._values: dict[Any, _Value] = {}
        self._by_loop: weakref.WeakKeyDictionary[Any, dict[Any, _Value]] = (
            weakref.WeakKeyDictionary()
        )

    def __reduce__(self) -> Any:
        return reducer[0](self) if reducer else (OncePerWorker, (self.fn, self.closes))

    def __repr__(self) -> str:
        return f"once_per_worker({self.name})"


@overload
def once_per_worker(fn: Callable[P, R], /) -> OncePerWorker[P, R]: ...


@overload
def once_per_worker(
    *, close: Callable[[Any], object] | None = None
) -> Callable[[Callable[P, R]], OncePerWorker[P, R]]: ...


def once_per_worker(fn: Any = None, /, *, close: Any = None) -> Any:
    """Make a function's value once in each process, for all tasks there: a client, a model.

    Call the function in tasks, on any task runner. The first call in a process makes the value, other
    threads wait for it, and from then on it is returned at once. An ``async def`` is awaited; its
    value is made once for each event loop, as clients belong to theirs.

    Args:
        fn: the function. What it returns need not be picklable. Arguments must be hashable: there is
            one value for each set of them.
        close: is called with each value when its process ends by itself; may be async for an async
            function.

    Raises:
        TypeError: it is no function, or one that yields.

    Example:
        >>> @once_per_worker(close=lambda client: client.close())
        ... def client() -> Client:
        ...     return Client("https://example.org")
        >>> @task
        ... def fetch(page: int) -> str:
        ...     return client().get(page)
    """
    if fn is None:
        return functools.partial(OncePerWorker, closes=close)
    return OncePerWorker(fn, close)


def run_is_over(uid: str) -> None:
    """Close the values of functions that a flow run has sent here, if there are newer ones.

    Args:
        uid: of the flow run.
    """
    came = [one for one in list(_in_use.values()) if one.came]
    newest = {one.name: one for one in came}  # the last one of each name
    for one in came:
        one.runs.discard(uid)
        if not one.runs and newest[one.name] is not one:
            one.close()


def _finish(closing: object, loop: asyncio.AbstractEventLoop | None) -> None:
    """Wait for an async function that closes a value, on the loop that the value belongs to."""
    if not inspect.isawaitable(closing):
        return
    coroutine: Coroutine[Any, Any, Any] = _awaited(closing)
    if loop is None or not loop.is_running() or loop is active.running_loop():
        coroutine.close()
        if inspect.iscoroutine(closing):
            closing.close()
        raise RuntimeError("its event loop is not running any more, so it cannot be awaited")
    _asyncio().run_coroutine_threadsafe(coroutine, loop).result(_CLOSING)


async def _awaited(closing: Any) -> Any:
    return await closing


def _close_all() -> None:
    for one in reversed(list(_in_use.values())):
        one.close()


def _forget_after_fork() -> None:
    for one in list(_in_use.values()):
        one.reset()
    _in_use.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_after_fork)

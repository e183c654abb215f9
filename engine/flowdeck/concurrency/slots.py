"""A block of code that holds slots of limits: :func:`concurrency`.

What is to be done next says a :class:`~flowdeck.concurrency.claims.Claim`; here it is waited for, on
this thread or on this event loop.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING

from flowdeck.concurrency.claims import Claim, checked_names
from flowdeck.threads import active
from flowdeck.threads.undisturbed import HEARD, undisturbed
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


class SlotBlock:
    """What :func:`concurrency` returns: for ``with`` and ``async with``, also more than once."""

    def __init__(
        self, names: str | Iterable[str], occupy: int, timeout_seconds: float | None, strict: bool
    ) -> None:
        self._asked = checked_names(names), occupy, timeout_seconds
        self._strict = strict
        self._held: list[Claim] = []
        self._claim()  # what is wrong with the arguments is told where they stand

    def _claim(self) -> Claim:
        return Claim(*self._asked, strict=self._strict)

    def __enter__(self) -> None:
        refuse_on_a_loop("with concurrency(...)", "async with concurrency(...)")
        claim = self._claim()
        try:
            take_here(claim)
            self._held.append(claim)
        except BaseException:  # also a stop that strikes behind the last call
            if claim in self._held:
                self._held.remove(claim)
            undisturbed(claim.give_back)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        undisturbed(self._held.pop().give_back)

    async def __aenter__(self) -> None:
        claim = self._claim()
        await take_on_this_loop(claim)
        self._held.append(claim)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await _give_back(self._held.pop())


def concurrency(
    names: str | Iterable[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    *,
    strict: bool = False,
) -> SlotBlock:
    """Hold slots of a limit in a block of code: ``with concurrency("database"): ...``, in async code
    ``async with``.

    The limit is that of the tag of the same name (``flowdeck config limit database 4``), and holds over
    all processes of the record. A task run that has the tag has one slot already, which counts.

    Args:
        names: of the limit, or of several: the block gets slots of all of them or of none.
        occupy: how many slots of each.
        timeout_seconds: how long to wait at most; ``None``: as long as it takes.
        strict: a limit that does not exist is an error, not no limit.

    Returns:
        A context manager. Entering it waits for the slots.

    Raises:
        TypeError: the arguments are of the wrong type.
        ValueError: they make no sense.
        AcquireConcurrencySlotTimeoutError: on entering: (a ``TimeoutError``) no slot came free in time.
        ConcurrencySlotAcquisitionError: on entering: there never will be one, or the record cannot be
            reached from here.
        RuntimeError: on entering with ``with`` in async code, whose loop would stand still.
    """
    return SlotBlock(names, occupy, timeout_seconds, strict)


def refuse_on_a_loop(what: str, instead: str) -> None:
    """Refuse to block the event loop of async code.

    Raises:
        RuntimeError: the caller is such code.
    """
    if active.in_async_code():
        raise RuntimeError(f"`{what}` would block the event loop while it waits: use `{instead}`.")


def take_here(claim: Claim) -> None:
    """Wait on this thread until a claim is met.

    Raises:
        ConcurrencySlotAcquisitionError: it is not.
    """
    gate = threading.Lock()  # no Event: this thread may be struck while it holds what is in that
    gate.acquire()
    claim.wake = functools.partial(_open, gate)
    try:
        if not claim.begin():
            return
        while (seconds := undisturbed(claim.look)) is not None:
            _wait_for(gate, seconds)
    except BaseException:
        undisturbed(claim.give_back)
        raise


def _wait_for(gate: threading.Lock, seconds: float) -> None:
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0 and not gate.acquire(timeout=min(left, HEARD)):
        pass


def _open(gate: threading.Lock) -> None:
    with contextlib.suppress(RuntimeError):  # it is open
        gate.release()


async def take_on_this_loop(claim: Claim) -> None:
    """As :func:`take_here`; the loop goes on meanwhile.

    Raises:
        ConcurrencySlotAcquisitionError: it is not met.
    """
    import asyncio

    import anyio
    from anyio import to_thread

    event, loop = asyncio.Event(), asyncio.get_running_loop()
    claim.wake = functools.partial(_set, loop, event)
    try:
        while True:
            seconds = claim.behind() or await to_thread.run_sync(claim.look)
            if seconds is None:
                return
            with anyio.move_on_after(seconds):
                await event.wait()
            event.clear()
    except BaseException:
        await _give_back(claim)
        raise


def _set(loop: object, event: object) -> None:
    with contextlib.suppress(RuntimeError):  # it is closed: nobody waits there any more
        loop.call_soon_threadsafe(event.set)  # type: ignore[attr-defined]


async def _give_back(claim: Claim) -> None:
    import anyio
    from anyio import to_thread

    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(claim.give_back)

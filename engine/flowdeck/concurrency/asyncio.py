"""For async code: ``async with concurrency("database"): ...`` and ``await rate_limit("api")``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck.concurrency.claims import Claim
from flowdeck.concurrency.slots import concurrency, take_on_this_loop

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["concurrency", "rate_limit"]


async def rate_limit(
    names: str | Iterable[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    *,
    strict: bool = False,
) -> None:
    """As :func:`flowdeck.concurrency.sync.rate_limit`; the loop goes on meanwhile.

    Args:
        names: of the limit, or of several, all of which must have room.
        occupy: how many slots to take.
        timeout_seconds: how long to wait at most; ``None``: as long as it takes.
        strict: a limit that does not exist is an error, not no limit.

    Raises:
        AcquireConcurrencySlotTimeoutError: (a ``TimeoutError``) there was no room in time.
        ConcurrencySlotAcquisitionError: there never will be, the limit is for no rate, or the record
            cannot be reached from here.
    """
    await take_on_this_loop(Claim(names, occupy, timeout_seconds, strict=strict, at_rate=True))

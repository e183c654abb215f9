"""For code that is not async: ``with concurrency("database"): ...`` and ``rate_limit("api")``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck.concurrency.claims import Claim
from flowdeck.concurrency.slots import concurrency, refuse_on_a_loop, take_here

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["concurrency", "rate_limit"]


def rate_limit(
    names: str | Iterable[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    *,
    strict: bool = False,
) -> None:
    """Wait until it is this code's turn at a rate that all processes of the record share.

    A rate is a limit that was made with ``flowdeck config limit NAME N --per-second D``: at most N at
    once, and then D in a second.

    Args:
        names: of the limit, or of several, all of which must have room.
        occupy: how many slots to take.
        timeout_seconds: how long to wait at most; ``None``: as long as it takes.
        strict: a limit that does not exist is an error, not no limit.

    Raises:
        AcquireConcurrencySlotTimeoutError: (a ``TimeoutError``) there was no room in time.
        ConcurrencySlotAcquisitionError: there never will be, the limit is for no rate, or the record
            cannot be reached from here.
        RuntimeError: the caller is async code, whose loop would stand still.
    """
    refuse_on_a_loop("rate_limit", "await flowdeck.concurrency.asyncio.rate_limit(...)")
    take_here(Claim(names, occupy, timeout_seconds, strict=strict, at_rate=True))

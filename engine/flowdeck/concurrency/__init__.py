"""Limits for blocks of code, over all processes of a record: :func:`concurrency` and :func:`rate_limit`.

:mod:`flowdeck.concurrency.sync` and :mod:`flowdeck.concurrency.asyncio` have both under the same names;
here ``concurrency`` is for ``with`` and ``async with``, and ``rate_limit`` for code that is not async.
"""

from flowdeck.concurrency.slots import concurrency
from flowdeck.concurrency.sync import rate_limit

__all__ = ["concurrency", "rate_limit"]

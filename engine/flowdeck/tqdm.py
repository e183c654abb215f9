"""Progress bars of tqdm whose progress is that of the task or flow they are in.

    from flowdeck.tqdm import tqdm, trange

With tqdm installed these do what its own do; without it they count and draw nothing. Code that
imports tqdm itself is left alone unless :func:`patch` is called, or the setting ``tqdm`` is on.
"""

from __future__ import annotations

from typing import Any

from flowdeck.reporting.tqdm_bars import drop_in, patch

__all__ = ["patch", "tqdm", "trange"]

tqdm: Any = drop_in()


def trange(*args: int, **options: Any) -> Any:
    """Return a bar over ``range(*args)``; ``options`` as :class:`tqdm` takes them."""
    return tqdm(range(*args), **options)

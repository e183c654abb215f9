"""Reading again whenever there is news: never twice at once, never more often than it can carry."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.widget import Widget
    from textual.worker import Worker

    from flowdeck_app.access import StoreAccess

#: A reading may take this share of the time: after one that took 20 ms, 80 ms of rest.
_REST: float = 4.0


def records_of(widget: Widget) -> StoreAccess:
    """Return what a widget of a screen reads the record through: the screen's own access where it
    shows the record of another moment, else the app's."""
    access = getattr(widget.screen, "access", None) or getattr(widget.app, "access")  # noqa: B009
    return cast("StoreAccess", access)


class Renewal:
    """Calls an async function when asked; what is asked meanwhile is one more call after it.

    Args:
        owner: whose worker it is; with the owner it ends.
        work: reads and shows.
        failed: hears of an error of ``work``; the next time it is asked again.
        rest: least seconds between two calls.
    """

    def __init__(
        self,
        owner: Widget,
        work: Callable[[], Awaitable[None]],
        failed: Callable[[Exception], object],
        rest: float = 0.0,
    ) -> None:
        self._owner, self._work, self._failed, self._rest = owner, work, failed, rest
        self._wanted = False
        self._worker: Worker[None] | None = None
        self._free_at = 0.0

    def ask(self) -> None:
        """Have the work done soon."""
        self._wanted = True
        if self._worker is None and self._owner.is_attached:
            self._worker = self._owner.run_worker(
                self._keep(), group="renewal", exit_on_error=False
            )

    def now(self) -> None:
        """Have the work done without the rest (the user waits for it)."""
        self._free_at = 0.0
        self.ask()

    async def _keep(self) -> None:
        try:
            while self._wanted:
                await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
                self._wanted = False
                began = time.monotonic()
                await self._once()
                took = time.monotonic() - began
                self._free_at = began + took + max(self._rest, _REST * took)
        finally:
            self._worker = None

    async def _once(self) -> None:
        try:
            await self._work()
        except Exception as error:  # what a store raises is shown, never fatal
            self._failed(error)

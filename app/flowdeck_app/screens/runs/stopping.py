"""Cancelling the chosen runs of the history: asks first, and kills when it is asked again soon."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from flowdeck_app.screens.parts.stopping import AGAIN
from flowdeck_store.errors import StoreError
from flowdeck_store.record import control

if TYPE_CHECKING:
    from flowdeck_app.screens.parts.base import FlowdeckScreen


class StoppingRuns:
    """What the history does when runs are to be stopped."""

    def __init__(self, screen: FlowdeckScreen) -> None:
        self._screen = screen
        self._asked: tuple[tuple[int, ...], float] = ((), 0.0)

    def cancel_runs(self, ids: tuple[int, ...], named: str) -> None:
        """Ask, then cancel; the same runs within :data:`AGAIN` seconds of that, kill."""
        before, at = self._asked
        if before == ids and time.monotonic() - at < AGAIN:
            self._request(ids, "kill", named)
            return

        def act() -> None:
            self._asked = (ids, time.monotonic())
            self._request(ids, "cancel", named)

        self._screen.app.confirm(
            f"Cancel {named}?",
            act,
            detail="Queued tasks are dropped, running ones are asked to stop. "
            "c again within 5 s kills.",
            yes="Cancel run",
            danger=True,
        )

    def _request(self, ids: tuple[int, ...], verb: str, named: str) -> None:
        work = self._write(ids, verb, named)
        self._screen.run_worker(work, group="control", exit_on_error=False)

    async def _write(self, ids: tuple[int, ...], verb: str, named: str) -> None:
        app = self._screen.app

        def ask() -> None:
            for run_id in ids:
                control.request(app.home, run_id, verb)

        try:
            await asyncio.to_thread(ask)
        except StoreError as error:
            app.show_error("The run cannot be cancelled", error)
            return
        app.expect_change()
        app.say(f"Asked to {verb}: {named}")

"""Cancelling a run or a task run from a screen: asks first, and kills when it is asked again soon."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.control import cancel
from flowdeck_app.drawing.cells import clean

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flowdeck_app.screens.parts.base import FlowdeckScreen
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: Seconds in which ``c`` again means kill.
AGAIN: Final = 5.0


class Stopping:
    """What a screen does when a run is to be stopped.

    Attributes:
        asked_at: when a run was last asked to cancel, by ``time.monotonic``.
    """

    def __init__(self, screen: FlowdeckScreen) -> None:
        self._screen = screen
        self.asked_at = float("-inf")

    def cancel_run(self, run: FlowRunRecord) -> None:
        """Ask, then cancel; within :data:`AGAIN` seconds of that, kill."""
        if time.monotonic() - self.asked_at < AGAIN:
            self.asked_at = float("-inf")
            self._work(self._kill(run))
            return
        self._screen.app.confirm(
            f"Cancel run {clean(run.name, 100)} (#{run.id}) of {clean(run.flow, 100)}?",
            lambda: self._work(self._cancel_run(run)),
            detail="Queued tasks are dropped, async tasks cancelled, threads asked to stop.\n"
            "What cannot be stopped goes on until it ends; c again within 5 s kills the process.",
            yes="Cancel run",
            danger=True,
        )

    def cancel_task(self, task: TaskRunRecord) -> None:
        """Ask, then cancel a task run."""
        self._screen.app.confirm(
            f"Cancel task {clean(task.label, 100)} (#{task.ref}) of run {clean(task.run_name, 100)}?",
            lambda: self._work(self._cancel_task(task)),
            detail="The run goes on; what needs its result will not run.",
            yes="Cancel task",
            danger=True,
        )

    def _work(self, work: Coroutine[Any, Any, None]) -> None:
        self._screen.run_worker(work, group="control", exit_on_error=False)

    async def _cancel_run(self, run: FlowRunRecord) -> None:
        if await self._tell(cancel.cancel, run.id):
            self.asked_at = time.monotonic()
            self._screen.app.say(
                f"Asked {run.name} (#{run.id}) to cancel; c again within 5 s kills it"
            )

    async def _cancel_task(self, task: TaskRunRecord) -> None:
        if await self._tell(cancel.cancel, task.run_id, task.no):
            self._screen.app.say(f"Asked {task.label} (#{task.ref}) to cancel")

    async def _kill(self, run: FlowRunRecord) -> None:
        self._screen.app.say(f"Killing {run.name} (#{run.id})", "warning")
        said = await self._tell(cancel.kill, run.id)
        if said:
            self._screen.app.say(str(said))

    async def _tell(self, act: Any, *args: object) -> object:
        """Call on a thread; say what went wrong. Returns something true if nothing did."""
        app = self._screen.app
        try:
            said = await asyncio.to_thread(act, app.home, *args)
        except Exception as error:  # a busy or damaged store is shown, never fatal
            app.show_error("The request could not be written", error)
            return None
        app.expect_change()
        return said or True

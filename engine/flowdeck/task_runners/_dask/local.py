"""What can be done better when Dask's scheduler lives in this process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from distributed.diagnostics.plugin import SchedulerPlugin

from flowdeck.remote.events import END, decode
from flowdeck.task_runners._dask import worker
from flowdeck_store.events import KIND, STATE, STATE_CODE
from flowdeck_store.states import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable

#: How often Dask lets workers die under a task, unless its user decides that.
_DEFAULT_ALLOWED_FAILURES: Final = 3


class SchedulerWatcher(SchedulerPlugin):  # type: ignore[misc,unused-ignore]
    """Sees events as they reach the scheduler: they need not travel on to a client.

    It also tells Dask which tasks have begun. A function that was called must not be called again
    because its worker died: its side effects happened. Tasks that only waited on that worker go to
    another one. Dask itself cannot tell the two apart.

    Args:
        scheduler: in this process.
        topic: of the flow run's events.
        receive: takes a batch of events; must not block.
        key_of: returns the key of the Dask task of a task run, by its number, and whether that is
            over; ``None`` if the Dask task is not, because it is for others too.
    """

    def __init__(
        self,
        scheduler: Any,
        topic: str,
        receive: Callable[[bytes], None],
        key_of: Callable[[int, bool], str | None],
    ) -> None:
        self._scheduler = scheduler
        self._topic = topic
        self._receive = receive
        self._key_of = key_of
        # Who has set this wants tasks to be tried again.
        self._marks = scheduler.allowed_failures == _DEFAULT_ALLOWED_FAILURES
        scheduler.add_plugin(self, name=topic)

    def leave(self) -> None:
        """Have the scheduler, which may go on, forget this and the topic."""
        with contextlib.suppress(ValueError):  # it is closed
            self._scheduler.remove_plugin(self._topic)
        self._scheduler.loop.add_callback(worker.forget_topic, self._topic, self._scheduler)

    def log_event(self, topic: str, msg: Any) -> None:
        """Take an event; called on the scheduler's loop."""
        if topic != self._topic:
            return
        for batch in msg if isinstance(msg, (list, tuple)) else (msg,):
            if type(batch) is bytes:
                self._take(batch)

    def _take(self, batch: bytes) -> None:
        if self._marks:
            _, items = decode(batch)
            for item in items:
                for event in item.events:
                    if event[KIND] == STATE and event[STATE_CODE] == RUNNING:
                        self._mark(item.no, self._scheduler.allowed_failures, is_over=False)
                    elif event[KIND] == END:
                        # It may be executed again, for its value: as any other one then.
                        self._mark(item.no, 0, is_over=True)
        self._receive(batch)  # last: whose end is known has no key any more

    def _mark(self, no: int, suspicious: int, *, is_over: bool) -> None:
        key = self._key_of(no, is_over)
        task = None if key is None else self._scheduler.tasks.get(key)
        if task is not None:
            task.suspicious = suspicious

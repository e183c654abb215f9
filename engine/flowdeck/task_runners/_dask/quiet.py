"""Keeping Dask's own log off the terminal, and in the record of the flow run that it is about."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import concealed
from flowdeck_store import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.runs.flow_run import FlowRun

_LOGGER: Final = "distributed"
#: Counts more dead workers than there were: what is told to Dask of tasks that have begun.
_MISCOUNTED: Final = "Task %s marked as failed because"


class _Quiet:
    """The handlers of Dask's logger that write to a stream, silenced while anybody wants that."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.levels: list[tuple[logging.Handler, int]] = []


_quiet: Final = _Quiet()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what Dask writes to the terminal from this process."""
    with _quiet.lock:
        _quiet.users += 1
        if _quiet.users == 1:
            handlers = logging.getLogger(_LOGGER).handlers
            streams = [h for h in handlers if isinstance(h, logging.StreamHandler)]
            _quiet.levels = [(handler, handler.level) for handler in streams]
            for handler in streams:
                handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.users -= 1
            if _quiet.users == 0:
                for before, level in _quiet.levels:
                    before.setLevel(level)


class _IntoRecord(logging.Handler):
    """Puts Dask's warnings into the log of a flow run."""

    def __init__(self, flow_run: FlowRun) -> None:
        super().__init__(logging.WARNING)
        self._flow_run = flow_run

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith(_MISCOUNTED):
            return
        try:
            us = int(record.created * 1_000_000)
            uid = self._flow_run.info.uid
            message = concealed(self.format(record))
            self._flow_run.recorder.emit(
                events.log(uid, 0, us, record.levelno, record.name, message)
            )
        except Exception:
            pass  # what Dask says of itself must not disturb anything


@contextlib.contextmanager
def recorded(flow_run: Any) -> Iterator[None]:
    """Record what Dask warns of in this process: why a worker died, for instance."""
    handler = _IntoRecord(flow_run)
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)

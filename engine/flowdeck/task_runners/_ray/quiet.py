"""Ray's talk on the terminal, unless the user wants it (``log_to_driver=True``).

Workers that die, objects that nobody fetched, resources that are missing: what it means for a task
run is in its states and logs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNHANDLED = "RAY_IGNORE_UNHANDLED_ERRORS"


class Environment:
    """What Ray changes in this process's environment when it starts, to be changed back."""

    def __init__(self) -> None:
        self._before = dict(os.environ)
        self._changed: dict[str, str | None] = {}

    def note(self) -> None:
        """Remember what has changed since this was made."""
        now = dict(os.environ)
        names = {name for name, _ in now.items() ^ self._before.items()}
        self._changed = {name: self._before.get(name) for name in names}

    def restore(self) -> None:
        """Change back what was noted."""
        for name, value in self._changed.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def unhandled_errors_ignored() -> Iterator[None]:
    """Keep Ray from logging errors of objects that nobody fetched; ours are accounted for."""
    before = os.environ.get(_UNHANDLED)
    os.environ[_UNHANDLED] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_UNHANDLED, None)
        else:
            os.environ[_UNHANDLED] = before


@contextlib.contextmanager
def no_automatic_start() -> Iterator[None]:
    """Keep calls that come too late from starting a new Ray, as Ray does for calls without one."""
    from ray._private import auto_init_hook

    before = getattr(auto_init_hook, "enable_auto_connect", None)
    if before is not None:
        auto_init_hook.enable_auto_connect = False
    try:
        yield
    finally:
        if before is not None:
            auto_init_hook.enable_auto_connect = before


@contextlib.contextmanager
def no_talk(init_kwargs: dict[str, Any]) -> Iterator[None]:
    """Around the use of a connection that we opened: neither it nor its server talks."""
    if init_kwargs.get("log_to_driver"):
        yield
        return
    import ray

    client = ray.util.client.ray
    if client.is_connected():
        with contextlib.suppress(AttributeError):
            client.get_context().client_worker.log_client.disable_logs()
        with _no_advice(), no_client_errors():
            yield
        return
    worker: Any = ray._private.worker
    before = getattr(worker, "_worker_logs_enabled", None)
    if before is not None:
        worker._worker_logs_enabled = False
    try:
        yield
    finally:
        if before is not None:
            worker._worker_logs_enabled = before


@contextlib.contextmanager
def no_client_errors() -> Iterator[None]:
    """Keep Ray's client from logging that a channel broke: while we disconnect that is meant, and
    else the health check says what it means for the run."""
    logger = logging.getLogger("ray.util.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """Keep Ray's client from advising to run fewer tasks when it has sent ten megabytes in all."""
    warnings.filterwarnings("ignore", message="More than 10MB of messages")
    mine = warnings.filters[0]
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # somebody has reset the filters
            warnings.filters.remove(mine)  # type: ignore[attr-defined]

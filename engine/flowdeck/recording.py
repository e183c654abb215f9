"""The process's recorder: what the engine emits events to.

One :class:`StoreRecorder` per home folder and process, opened by the first flow run. Tests and
plain task calls use the two small ones that keep events in memory or drop them.
"""

from __future__ import annotations

import contextlib
import threading
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck.results import ResultStore
    from flowdeck_store.cache import CacheHit
    from flowdeck_store.control import ControlRequest
    from flowdeck_store.events import Event
    from flowdeck_store.writer import Session


class Recorder(Protocol):
    """What runs need of a recorder. ``emit`` never blocks."""

    def emit(self, event: Event) -> None: ...
    def flush(self, timeout: float | None = 5.0) -> bool: ...
    def cached(self, key: str, now_us: int) -> CacheHit | None: ...
    def has_limits(self) -> bool: ...
    def acquire_slots(self, tags: Iterable[str], uid: str, no: int) -> tuple[str, ...]: ...
    def release_slots(self, uid: str, no: int) -> None: ...
    def run_number(self, uid: str) -> int | None: ...
    @property
    def results(self) -> ResultStore: ...


class StoreRecorder:
    """Records into the local store of one home folder."""

    def __init__(self, home: Path) -> None:
        """Open the store.

        Raises:
            StoreError: corrupt, newer than this flowdeck, or the home folder cannot be written.
        """
        import flowdeck
        from flowdeck_store.writer import Session

        self.home = home
        self.session: Session = Session.open(
            home,
            version=flowdeck.__version__,
            on_warning=_warn,
            on_control=self._on_control,
        )
        self.emit = self.session.emit
        self.flush = self.session.flush
        self.cached = self.session.cached
        self.has_limits = self.session.has_limits
        self.acquire_slots = self.session.acquire_slots
        self.release_slots = self.session.release_slots
        self.run_number = self.session.run_number

    @cached_property
    def results(self) -> ResultStore:
        """Where kept results lie."""
        from flowdeck.results import ResultStore
        from flowdeck_store.paths import StorePaths

        return ResultStore(StorePaths(self.home).results)

    def _on_control(self, request: ControlRequest) -> None:
        from flowdeck import cancellation

        cancellation.on_control(request)
        self.session.control_done(request.id)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and end the session; ``False`` if events stay in the journal."""
        return self.session.close(timeout)


class DroppingRecorder:
    """Records nothing: for tasks that are called outside of any flow run."""

    def emit(self, event: Event) -> None:
        """Drop the event."""

    def flush(self, timeout: float | None = 5.0) -> bool:
        return True

    def cached(self, key: str, now_us: int) -> CacheHit | None:
        return None

    def has_limits(self) -> bool:
        return False

    def acquire_slots(self, tags: Iterable[str], uid: str, no: int) -> tuple[str, ...]:
        return ()

    def release_slots(self, uid: str, no: int) -> None:
        """Nothing was taken."""

    def run_number(self, uid: str) -> int | None:
        return None

    @cached_property
    def results(self) -> ResultStore:
        """A folder that lives as long as the process, for results that must be kept."""
        import atexit
        import shutil
        import tempfile

        from flowdeck.results import ResultStore

        folder = Path(tempfile.mkdtemp(prefix="flowdeck-results-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return ResultStore(folder)


class MemoryRecorder(DroppingRecorder):
    """Keeps all events in a list: for tests of flows, see :mod:`flowdeck.testing`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._cache: dict[str, CacheHit] = {}

    def emit(self, event: Event) -> None:
        """Append the event."""
        from flowdeck_store import events as ev

        self.events.append(event)
        if event[0] == ev.CACHE:
            from flowdeck_store.cache import CacheHit

            d = ev.describe(event)
            self._cache[d["key"]] = CacheHit(
                key=d["key"],
                us=d["us"],
                expires_us=d["expires_us"],
                location=d["location"],
                task=None,
            )

    def cached(self, key: str, now_us: int) -> CacheHit | None:
        hit = self._cache.get(key)
        if hit is None or (hit.expires_us is not None and hit.expires_us <= now_us):
            return None
        return hit


DROPPING = DroppingRecorder()
_override: ContextVar[Recorder | None] = ContextVar("flowdeck_recorder", default=None)
_open: dict[Path, StoreRecorder] = {}
_lock = threading.Lock()


def recorder() -> Recorder:
    """Return the recorder in force: the one that :func:`using` set, else the store's of the home
    folder of the settings, opened now if it is the first use.

    Raises:
        StoreError: the store cannot be used at all (see :class:`StoreRecorder`).
    """
    override = _override.get()
    if override is not None:
        return override
    from flowdeck.settings import get_settings

    home = get_settings().home
    with _lock:
        found = _open.get(home)
        if found is None:
            found = _open[home] = StoreRecorder(home)
        return found


@contextlib.contextmanager
def using(replacement: Recorder) -> Iterator[Recorder]:
    """Record to ``replacement`` inside the block (in this context and what it starts)."""
    token = _override.set(replacement)
    try:
        yield replacement
    finally:
        _override.reset(token)


def record_here(replacement: Recorder) -> None:
    """Record to ``replacement`` from now on, in a context that ends with its use."""
    _override.set(replacement)


def close_all(timeout: float = 5.0) -> bool:
    """Close the recorders of this process; ``False`` if some events stayed in a journal."""
    with _lock:
        recorders, copies = list(_open.values()), _open
        copies.clear()
    closed = [r.close(timeout) for r in recorders]
    return all(closed)


def _forget_after_fork() -> None:
    """A child has its parent's sessions no more; it opens its own when it records."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


def _register_fork_hook() -> None:
    import os

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_after_fork)


_register_fork_hook()


def _warn(message: str) -> None:
    from flowdeck.logging import get_logger

    get_logger("store").warning("%s", message)


def emit_safely(target: Any, event: Event) -> None:
    """Emit where an exception must not replace the one being handled."""
    with contextlib.suppress(Exception):
        target.emit(event)

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

from flowdeck.provenance import background
from flowdeck.provenance.recording import record_code
from flowdeck.runs.names import tags_text
from flowdeck.stopping import answers, cancellation
from flowdeck.threads import active
from flowdeck_store import clock, events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck.runs.results import ResultStore
    from flowdeck_store.events import Event
    from flowdeck_store.record.cache import CacheHit
    from flowdeck_store.record.control import ControlRequest
    from flowdeck_store.session import RecordingSession


class Recorder(Protocol):
    """What runs need of a recorder. ``emit`` never blocks.

    ``is_record``: what is emitted is kept, and will be asked for in other processes.
    ``is_answered``: questions that are emitted can be answered there, and the answers come back.
    """

    is_record: bool
    is_answered: bool

    def emit(self, event: Event) -> None: ...
    def flush(self, timeout: float | None = 5.0) -> bool: ...
    def cached(self, key: str, now_us: int) -> CacheHit | None: ...
    def limited_tags(self) -> frozenset[str]: ...
    def acquire_slots(self, tags: Iterable[str], uid: str, no: int) -> tuple[str, ...]: ...
    def release_slots(self, uid: str, no: int) -> None: ...
    def run_number(self, uid: str) -> int | None: ...
    def emit_artifact(self, event: Event) -> None: ...
    def answer_to(self, token: str) -> bytes | None: ...
    @property
    def results(self) -> ResultStore: ...


class StoreRecorder:
    """Records into the local store of one home folder."""

    is_record = True
    is_answered = True

    def __init__(self, home: Path) -> None:
        """Open the store.

        Raises:
            StoreError: corrupt, newer than this flowdeck, or the home folder cannot be written.
        """
        from flowdeck.settings import get_settings
        from flowdeck.version import __version__
        from flowdeck_store.record.tuning import Tuning
        from flowdeck_store.session import RecordingSession

        settings = get_settings()
        self.home = home
        self.asked_for_at = clock.monotonic()
        self.session: RecordingSession = RecordingSession.open(
            home,
            version=__version__,
            on_warning=_warn,
            on_control=self._on_control,
            tuning=Tuning(sync_interval=settings.sync_seconds),
            durability=settings.durability,
        )
        self.emit = self.session.emit
        self.cached = self.session.cached
        self.limited_tags = self.session.limited_tags
        self.acquire_slots = self.session.acquire_slots
        self.release_slots = self.session.release_slots
        self.run_number = self.session.run_number

    @cached_property
    def results(self) -> ResultStore:
        """Where kept results lie."""
        from flowdeck.runs.results import ResultStore
        from flowdeck_store.file.paths import StorePaths

        return ResultStore(StorePaths(self.home).results)

    def emit_artifact(self, event: Event) -> None:
        """Record an artifact; its file is written here and now.

        Raises:
            OSError: the file cannot be written; nothing is recorded.
        """
        content = event[events.ARTIFACT_CONTENT]
        if content is not None:
            from flowdeck_store.file import artifact_files
            from flowdeck_store.file.paths import StorePaths

            folder = StorePaths(self.home).artifacts
            artifact_files.write(folder, event[events.UID], *content)
        self.emit(events.without_content(event))

    def answer_to(self, token: str) -> bytes | None:
        """Answers come by themselves."""
        return None

    def _on_control(self, request: ControlRequest) -> None:
        if request.verb == answers.VERB:
            live = list(cancellation.live.values())
            cancellation.in_background(lambda: answers.bring(request, live))
        else:
            cancellation.on_control(request)
        self.session.control_done(request.id)

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Wait until all that was emitted, and the code of tasks that were called, is in the store;
        ``False`` if it is not by then."""
        return background.wait_for_first(timeout) and self.session.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and end the session; ``False`` if events stay in the journal."""
        background.wait(min(timeout, background.PATIENCE))  # what it finds out is recorded, too
        return self.session.close(timeout)


class DroppingRecorder:
    """Records nothing: for tasks that are called outside of any flow run."""

    is_record = False
    is_answered = False

    def emit(self, event: Event) -> None:
        """Drop the event."""

    def emit_artifact(self, event: Event) -> None:
        """Hand on an artifact with the content of its file."""
        self.emit(event)

    def flush(self, timeout: float | None = 5.0) -> bool:
        return True

    def cached(self, key: str, now_us: int) -> CacheHit | None:
        return None

    def limited_tags(self) -> frozenset[str]:
        return frozenset()

    def acquire_slots(self, tags: Iterable[str], uid: str, no: int) -> tuple[str, ...]:
        return ()

    def release_slots(self, uid: str, no: int) -> None:
        """Nothing was taken."""

    def run_number(self, uid: str) -> int | None:
        return None

    def answer_to(self, token: str) -> bytes | None:
        """Look for the answer to a question where somebody may have left it for this process."""
        return None

    @cached_property
    def results(self) -> ResultStore:
        """A folder that lives as long as the process, for results that must be kept."""
        import atexit
        import shutil
        import tempfile

        from flowdeck.runs.results import ResultStore

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
        from flowdeck_store import events

        self.events.append(event)
        if event[events.KIND] == events.CACHE:
            from flowdeck_store.record.cache import fresh_hit

            self._cache[event[events.CACHE_KEY]] = fresh_hit(event)

    def cached(self, key: str, now_us: int) -> CacheHit | None:
        hit = self._cache.get(key)
        if hit is None or (hit.expires_us is not None and hit.expires_us <= now_us):
            return None
        return hit


class _Recorded(Protocol):
    """What is needed of a flow run."""

    info: Any
    recorder: Recorder


class Entries:
    """Records the task runs of one flow run."""

    def __init__(self, flow_run: _Recorded) -> None:
        self._flow_run = flow_run
        self._described: set[str] = set()
        self._with_code: set[int] = set()  # by the ids of functions

    def record(self, run: Any, map_index: int | None, edges: Any) -> None:
        """Record a task run, and its definition if it is the first one.

        Args:
            run: the task run.
            map_index: which child of a ``.map`` it is.
            edges: whom it depends on.
        """
        task = run.task
        if task.definition_key not in self._described:
            self._described.add(task.definition_key)
            run.emit(
                events.task_def(task.definition_key, task.name, task.source, None, task.retries)
            )
        function = id(task.fn)
        if function not in self._with_code:
            self._with_code.add(function)
            record_code(run.recorder, run.info.uid, task.key, task.fn)
        run.recorder.emit(
            events.task(
                run.info.uid, run.no, run.state.us, task.definition_key, run.name, map_index, edges
            )
        )
        if run.tags:
            run.emit(events.task_tags(run.info.uid, run.no, tags_text(run.tags)))

    def record_stand_in(
        self, no: int, name: str, run_name: str, definition: str, edges: Any
    ) -> None:
        """Record a task run that stands for a subflow run.

        Args:
            no: its number.
            name: of the flow.
            run_name: its own.
            definition: key of the flow.
            edges: whom the call depends on.
        """
        flow_run = self._flow_run
        if definition not in self._described:
            self._described.add(definition)
            flow_run.recorder.emit(events.task_def(definition, name, None, None, 0))
        uid = flow_run.info.uid
        flow_run.recorder.emit(events.task(uid, no, now_us(), definition, run_name, None, edges))
        tags = active.current_tags()
        if tags:
            flow_run.recorder.emit(events.task_tags(uid, no, tags_text(tags)))


def record_foreign(recorder: Recorder, event: Event) -> None:
    """Record an event of another process, which brings the files of artifacts along."""
    if event[events.KIND] != events.ARTIFACT:
        recorder.emit(event)
        return
    try:
        recorder.emit_artifact(event)
    except (OSError, ValueError) as error:
        text = f"An artifact of the run cannot be kept: {error}"
        place = event[events.UID], event[events.NO]
        recorder.emit(events.log(*place, now_us(), 30, "flowdeck.engine", text))


DROPPING = DroppingRecorder()
_override: ContextVar[Recorder | None] = ContextVar("flowdeck_recorder", default=None)
_open: dict[Path, StoreRecorder] = {}
#: Seconds that a recorder is left alone after it was asked for: its run may not have started yet.
_STAYS_OPEN = 10.0
_lock = threading.Lock()


def recorder() -> Recorder:
    """Return the recorder in force: the one that :func:`recorded_by` set, else the store's of the home
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
            idle = _idle()
            found = _open[home] = StoreRecorder(home)
        else:
            idle = []
        found.asked_for_at = clock.monotonic()
    for one in idle:
        one.close()
    return found


def _idle() -> list[StoreRecorder]:
    """Take out the recorders of other home folders that no run uses any more: a process that goes
    from home to home (each test of a suite has its own) must not keep a session in each."""
    used = {id(run.recorder) for run in list(cancellation.live.values())}
    now = clock.monotonic()
    idle = [
        home
        for home, one in _open.items()
        if id(one) not in used and now - one.asked_for_at > _STAYS_OPEN
    ]
    return [_open.pop(home) for home in idle]


@contextlib.contextmanager
def recorded_by(replacement: Recorder) -> Iterator[Recorder]:
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


cancellation.before_the_end.append(close_all)


def is_all_kept() -> bool:
    """Say whether what this process recorded outlives it, if only in a journal."""
    with _lock:
        return all(one.session.is_kept for one in _open.values())


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
    """That the record cannot be written is shown whatever the console is set to."""
    from flowdeck.logging import WARNING, console, get_logger

    logger = get_logger("store")
    console.insist(WARNING, logger.name, message)
    logger.warning("%s", message, extra={"flowdeck_shown": True})

"""Emitting provenance: what is known at once, and the rest from a thread beside the run."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, Any, Final

from flowdeck.provenance import background
from flowdeck.provenance.process import ProcessSnapshot, process_facts, snapshot
from flowdeck.settings import Settings, get_settings, using
from flowdeck.values import main_module  # noqa: F401  # the name is taken now, see there
from flowdeck_store import clock, events
from flowdeck_store.events import now_us
from flowdeck_store.packed import packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from flowdeck.definitions.bases import Definition
    from flowdeck_store.events import Event

    class Recorder(Protocol):
        """What is needed of a recorder."""

        is_record: bool

        def emit(self, event: Event) -> None: ...


#: Seconds for which an answer of git's holds: a sweep of a thousand runs asks a few times.
_FRESH: Final = 10.0
#: Bytes of the flow's file that are hashed.
_FILE: Final = 16 << 20


def record_run(recorder: Recorder, uid: str, flow: Definition[Any, Any]) -> None:
    """Record what a root flow run runs as; returns in a fraction of a millisecond."""
    settings = get_settings()
    if not recorder.is_record or not settings.provenance:
        return
    then = snapshot()
    file = flow.source.rpartition(":")[0] if flow.source else None
    background.do(functools.partial(_emit, recorder, uid, then, file, settings))


def record_code(recorder: Recorder, uid: str, key: str, fn: Callable[..., Any]) -> None:
    """Record the code of a task or flow that a run uses for the first time, from beside the run.

    Args:
        recorder: of the run.
        uid: of the flow run.
        key: ``<file's stem or module>.<qualified name>``, of flows behind ``flow ``.
        fn: its function.
    """
    settings = get_settings()
    if recorder.is_record and settings.provenance:
        emit = functools.partial(_emit_code, recorder, uid, key, fn, settings.redact)
        background.do(emit, first=True)


def _emit_code(
    recorder: Recorder, uid: str, key: str, fn: Callable[..., Any], redact: tuple[str, ...]
) -> None:
    from flowdeck.provenance import code

    with using(redact=redact):
        found = code.code_of(fn)
    name, data = f"{key}|{found.id}", json.dumps({"key": key, "python": code.PYTHON})
    recorder.emit(events.provenance(uid, now_us(), "code", name, data, found.document))


def _emit(
    recorder: Recorder, uid: str, then: ProcessSnapshot, file: str | None, settings: Settings
) -> None:
    """Find out what a run ran as; what takes longest last."""
    from flowdeck.provenance import packages

    def say(topic: str, data: dict[str, Any], text: bytes | None = None) -> None:
        recorder.emit(events.provenance(uid, now_us(), topic, "", json.dumps(data), text))

    with using(redact=settings.redact):  # the thread is not in the context of the run
        say("process", process_facts(then, settings.provenance_env))
        data, text = _packages(packages.state_of_path())
        say("packages", data, text)
        if file is not None and (digest := _digest(file)) is not None:
            say("source", {"file": file, "sha256": digest})
        where = os.path.dirname(file) if file else then.cwd
        found, diff = _repository(where, settings.redact) if where else ({}, None)
        if found:
            say("git", found, diff)


@functools.lru_cache(maxsize=4)
def _packages(state: tuple[object, ...]) -> tuple[dict[str, Any], bytes]:
    from flowdeck.provenance import packages

    found = packages.installed()
    text = packages.as_text(found)
    return {"id": packages.id_of(text), "count": len(found)}, packed(text)


_answers: dict[tuple[str, tuple[str, ...]], tuple[float, dict[str, Any], bytes | None]] = {}


def _repository(where: str, redact: tuple[str, ...]) -> tuple[dict[str, Any], bytes | None]:
    from flowdeck.provenance.repository import repository  # with subprocess, several milliseconds

    now = clock.monotonic()
    known = _answers.get((where, redact))
    if known is None or now - known[0] > _FRESH:
        found, diff = repository(where)
        known = now, found, None if diff is None else packed(diff)
        if len(_answers) > 16:
            _answers.clear()
        _answers[where, redact] = known
    return known[1], known[2]


def _digest(file: str) -> str | None:
    import hashlib

    try:
        with open(file, "rb") as content:
            return hashlib.sha256(content.read(_FILE)).hexdigest()
    except OSError:
        return None

"""The event vocabulary: everything that can happen to a run, as plain tuples.

An event is a plain tuple whose first item is its kind. Tuples, not dataclasses, because emitting
is the hottest path there is (several events a task) and because :mod:`marshal`, which the journal
uses, takes exact built-in types only. This module is the one place that knows the order of the
fields: events are made by the constructors below and read with the positions that have a name here
(``event[STATE_CODE]``), or unpacked whole.

Arguments that all constructors share: ``uid`` is the flow run's uid (32 hex digits), ``no`` the task
run's number in it (0: the flow run itself), ``us`` a UTC time in integer microseconds since the
epoch. Texts that may be large are bounded by whoever emits them; the writer bounds them again.
"""

from __future__ import annotations

import time
from typing import Any, Final, TypeAlias

Event: TypeAlias = tuple[Any, ...]

RUN: Final = 1  # a flow run exists
TASK_DEF: Final = 2  # a task definition, once a session
TASK: Final = 3  # a task run exists; it is in state PENDING from ``us`` on
STATE: Final = 4  # a state change
LOG: Final = 5  # one log line
RESULT: Final = 6  # what a run returned: type, size, preview, where the value is kept
FAILURE: Final = 7  # a structured traceback
RENAME: Final = 8  # a run's name was computed when it started
CACHE: Final = 9  # a result may be re-used under a key
ARTIFACT: Final = 10  # tables, markdown, pictures...
TASK_TAGS: Final = 11  # the tags of a task run that has any
PROVENANCE: Final = 12  # what a flow run ran as: interpreter, packages, git, code
PROGRESS: Final = 13  # how far a run says it is
USAGE: Final = 14  # what one attempt of a task run used
SAMPLE: Final = 15  # what a process that executes a run uses now

#: The kind of the artifact that says what a result looks like (:mod:`flowdeck_store.outlines`).
OUTLINE: Final = "outline"

FIELDS: Final[dict[int, tuple[str, ...]]] = {
    RUN: (
        "kind", "uid", "us", "flow_key", "flow_name", "source", "doc", "name", "runner",
        "params", "tags", "parent_uid", "parent_no", "rerun_of", "info",
    ),
    TASK_DEF: ("kind", "key", "name", "source", "tags", "retries"),
    TASK: ("kind", "uid", "no", "us", "def_key", "name", "map_index", "inputs"),
    STATE: ("kind", "uid", "no", "prev", "code", "us", "name", "msg", "attempt", "worker", "data"),
    LOG: ("kind", "uid", "no", "us", "level", "logger", "msg"),
    RESULT: ("kind", "uid", "no", "us", "type", "size", "preview", "location"),
    FAILURE: ("kind", "uid", "no", "us", "attempt", "exc_type", "exc_msg", "structure", "variables"),
    RENAME: ("kind", "uid", "no", "name"),
    CACHE: ("kind", "uid", "no", "us", "key", "expires_us", "location"),
    ARTIFACT: ("kind", "uid", "no", "us", "type", "key", "data", "content"),
    TASK_TAGS: ("kind", "uid", "no", "tags"),
    PROVENANCE: ("kind", "uid", "no", "us", "topic", "name", "data", "text"),
    PROGRESS: ("kind", "uid", "no", "us", "done", "total", "message"),
    USAGE: ("kind", "uid", "no", "cpu_us", "peak", "growth", "read", "written"),
    SAMPLE: (
        "kind", "uid", "no", "us", "worker", "cpu", "memory", "read", "written", "threads", "gpu",
        "gpu_memory", "width", "stored", "stored_count",
    ),
}  # fmt: skip


def _at(kind: int, field: str) -> int:
    return FIELDS[kind].index(field)


# Positions of the fields that are read one by one.
KIND: Final = 0
UID: Final = 1  # of all but TASK_DEF
NO: Final = 2  # of all but TASK_DEF and RUN
RUN_PARENT_UID: Final = _at(RUN, "parent_uid")
TASK_DEF_KEY: Final = _at(TASK_DEF, "key")
STATE_CODE: Final = _at(STATE, "code")
STATE_NAME: Final = _at(STATE, "name")
LOG_LEVEL: Final = _at(LOG, "level")
LOG_MSG: Final = _at(LOG, "msg")
FAILURE_STRUCTURE: Final = _at(FAILURE, "structure")
RENAME_NAME: Final = _at(RENAME, "name")
CACHE_US: Final = _at(CACHE, "us")
CACHE_KEY: Final = _at(CACHE, "key")
CACHE_EXPIRES_US: Final = _at(CACHE, "expires_us")
CACHE_LOCATION: Final = _at(CACHE, "location")
SAMPLE_WORKER: Final = _at(SAMPLE, "worker")
SAMPLE_MEMORY: Final = _at(SAMPLE, "memory")
ARTIFACT_TYPE: Final = _at(ARTIFACT, "type")
ARTIFACT_DATA: Final = _at(ARTIFACT, "data")
ARTIFACT_CONTENT: Final = _at(ARTIFACT, "content")
_US: Final = {kind: names.index("us") for kind, names in FIELDS.items() if "us" in names}


def now_us() -> int:
    """Return the time now in integer microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def run(
    uid: str,
    us: int,
    *,
    flow_key: str,
    flow_name: str,
    name: str,
    source: str | None = None,
    doc: str | None = None,
    runner: str | None = None,
    params: str | None = None,
    tags: str | None = None,
    parent_uid: str | None = None,
    parent_no: int | None = None,
    rerun_of: str | None = None,
    info: str | None = None,
) -> Event:
    """A flow run exists (or, if the uid is recorded already, this process takes it over).

    Args:
        uid: 32 hex digits.
        us: creation time.
        flow_key: what makes the flow unique: ``<absolute file>:<qualname>``, or
            ``<module>:<qualname>`` where there is no file.
        flow_name: its display name.
        name: the run's name (a two-word slug unless given).
        source: ``<file>:<line>`` of the definition.
        doc: its description.
        runner: name of the task runner (``concurrent``...).
        params: JSON object of the parameters, placeholders for what JSON cannot hold.
        tags: JSON array of strings.
        parent_uid: uid of the flow run that called this one as a subflow.
        parent_no: number of the task run in the parent that stands for this run.
        rerun_of: uid of the run that this one repeats.
        info: JSON object: ``target``, ``version``, ``cwd``, ``argv``, ``python``, ``git``.
    """
    return (
        RUN, uid, us, flow_key, flow_name, source, doc, name, runner, params, tags, parent_uid,
        parent_no, rerun_of, info,
    )  # fmt: skip


def below_task_run(event: Event, uid: str, no: int) -> Event:
    """Return the RUN event as that of a subflow which task run ``no`` of run ``uid`` called."""
    return (*event[:RUN_PARENT_UID], uid, no, *event[RUN_PARENT_UID + 2 :])


def task_def(key: str, name: str, source: str | None, tags: str | None, retries: int) -> Event:
    """Describe a task's definition; emitted once a session before its first task run.

    Args:
        key: what makes the task unique, as the ``flow_key`` of a flow does.
        name: its display name.
        source: ``<file>:<line>`` of the definition.
        tags: JSON array of strings.
        retries: how many it allows.
    """
    return (TASK_DEF, key, name, source, tags, retries)


def task(
    uid: str,
    no: int,
    us: int,
    def_key: str,
    name: str,
    map_index: int | None,
    inputs: tuple[tuple[str, str | None, int], ...] | None,
) -> Event:
    """A task run exists, in state PENDING (no separate STATE event is emitted for it).

    Args:
        uid: of the flow run.
        no: its number.
        us: when it was made.
        def_key: the key of its :func:`task_def`.
        name: its name.
        map_index: which call of a ``map`` it is, from 0.
        inputs: its edges: (parameter name or ``wait_for``, uid of the upstream's flow run or ``None``
            for this one, number of the upstream).
    """
    return (TASK, uid, no, us, def_key, name, map_index, inputs)


def task_tags(uid: str, no: int, tags: str) -> Event:
    """The task run has tags: a JSON array of texts, static ones and those of ``tags()`` blocks."""
    return (TASK_TAGS, uid, no, tags)


def state(
    uid: str,
    no: int,
    prev: int,
    code: int,
    us: int,
    name: str | None,
    msg: str | None,
    attempt: int,
    worker: str | None,
    data: str | None,
) -> Event:
    """A run entered a state.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        prev: the bucket (:func:`flowdeck_store.states.bucket`) that the task run leaves, so that the
            writer can keep counters without remembering anything; ignored for flow runs.
        code: the state's type, see :mod:`flowdeck_store.states`.
        us: when it was entered.
        name: the state's name, ``None`` when it is the type's default.
        msg: what it says.
        attempt: counts from 1.
        worker: where it executes.
        data: a JSON object: ``params`` (bounded reprs of the resolved inputs, on the first RUNNING),
            ``retry_at_us`` (on AwaitingRetry), ``child`` (uid of the subflow run that a stand-in
            stands for).
    """
    return (STATE, uid, no, prev, code, us, name, msg, attempt, worker, data)


def log(uid: str, no: int, us: int, level: int, logger: str, msg: str) -> Event:
    """One log line; ``level`` is the number of the :mod:`logging` level."""
    return (LOG, uid, no, us, level, logger, msg)


def result(
    uid: str,
    no: int,
    us: int,
    type_: str,
    size: int | None,
    preview: str | None,
    location: str | None,
) -> Event:
    """What a run returned.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        us: when it returned.
        type_: the value's type, as it is shown.
        size: bytes of the kept value.
        preview: a bounded repr.
        location: file name below the home's ``results`` folder, if the value is kept.
    """
    return (RESULT, uid, no, us, type_, size, preview, location)


def failure(
    uid: str,
    no: int,
    us: int,
    attempt: int,
    exc_type: str,
    exc_msg: str,
    structure: str,
    variables: str,
) -> Event:
    """A captured failure.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        us: when it failed.
        attempt: which attempt it was, from 1.
        exc_type: qualified name of the exception's class.
        exc_msg: its message.
        structure: JSON of frames and source lines: the same for equal failures, and stored once.
        variables: JSON of messages and local variables, see :mod:`flowdeck_store.failures`.
    """
    return (FAILURE, uid, no, us, attempt, exc_type, exc_msg, structure, variables)


def rename(uid: str, no: int, name: str) -> Event:
    """The run's own name was computed when it started."""
    return (RENAME, uid, no, name)


def cache(uid: str, no: int, us: int, key: str, expires_us: int | None, location: str) -> Event:
    """The completed task run's kept result may be re-used under ``key`` until ``expires_us``."""
    return (CACHE, uid, no, us, key, expires_us, location)


def artifact(
    uid: str,
    no: int,
    us: int,
    type_: str,
    key: str | None,
    data: str,
    content: tuple[str, bytes] | None = None,
) -> Event:
    """Something a run wants shown.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        us: when it was made.
        type_: ``table``, ``markdown``, ``link``, ``image``, ``json`` or ``number``.
        key: under which artifacts of several runs belong together.
        data: a JSON object: ``description``, ``size``, ``cut``, ``about``, and ``inline`` (the
            content) or ``file`` (its name, see :mod:`flowdeck_store.file.artifact_files`).
        content: name and content of the file, on its way from another process to the one that
            keeps it; never recorded.
    """
    return (ARTIFACT, uid, no, us, type_, key, data, content)


def without_content(event: Event) -> Event:
    """Return an ARTIFACT event without the content of its file."""
    return (*event[:ARTIFACT_CONTENT], None)


def provenance(
    uid: str, us: int, topic: str, name: str, data: str, text: bytes | None = None
) -> Event:
    """Something that a flow run ran as. Said again, it replaces what was said before.

    Args:
        uid: of the flow run.
        us: when it was found out.
        topic: ``process``, ``git``, ``packages`` or ``code``.
        name: which of several, as of ``code`` the key of a task or flow; else ``""``.
        data: a JSON object, short.
        text: what is long and the same for many runs, from :func:`flowdeck_store.packed.packed`; it
            is stored once.
    """
    return (PROVENANCE, uid, 0, us, topic, name, data, text)


def progress(
    uid: str, no: int, us: int, done: float, total: float | None, message: str | None
) -> Event:
    """How far the run is. Said again, it replaces what was said before.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        us: when it was so far.
        done: how much is done, a finite number.
        total: how much there is to do, ``None`` if nobody knows.
        message: what it does.
    """
    return (PROGRESS, uid, no, us, done, total, message)


def is_whole(event: Event) -> bool:
    """Say whether an event has the fields of its kind (a damaged journal may give others).

    Raises:
        KeyError: the kind is unknown.
    """
    return len(event) == len(FIELDS[event[KIND]])


def time_of(event: Event) -> int:
    """Return when it happened, as the event says; 0 for events without a time."""
    us = event[_US[event[KIND]]] if event and event[KIND] in _US else 0
    return us if isinstance(us, int) else 0


def describe(event: Event) -> dict[str, Any]:
    """Return the event as a dict by field name (for messages and tests, not for the hot path).

    Raises:
        KeyError: the kind is unknown.
    """
    return dict(zip(FIELDS[event[KIND]], event, strict=True))

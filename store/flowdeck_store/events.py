"""The event vocabulary: everything that can happen to a run, as plain tuples.

An event is a plain tuple whose first item is its kind. Tuples, not dataclasses, because emitting
is the hottest path there is (several events a task) and because :mod:`marshal`, which the journal
uses, takes exact built-in types only. The constructors below are the one place that knows the
order of the fields; readers index with the ``*_FIELDS`` positions through :func:`describe`.

``uid`` is the flow run's uid, ``no`` the task run's number in it (0: the flow run itself), ``us``
a UTC time in integer microseconds. Texts that may be large are bounded by whoever emits them; the
writer bounds them again.
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
ARTIFACT: Final = 10  # progress, tables, markdown

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
    ARTIFACT: ("kind", "uid", "no", "us", "type", "key", "data"),
}  # fmt: skip


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


def task_def(key: str, name: str, source: str | None, tags: str | None, retries: int) -> Event:
    """Describe a task's definition; emitted once a session before its first task run."""
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

    ``inputs`` are its edges: (parameter name or ``wait_for``, uid of the upstream's flow run or
    ``None`` for this one, number of the upstream).
    """
    return (TASK, uid, no, us, def_key, name, map_index, inputs)


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

    ``prev`` is the bucket (:func:`flowdeck_store.states.bucket`) the task run leaves, so that the
    writer can keep counters without remembering anything; ignored for flow runs (``no == 0``).
    ``name`` is ``None`` when it is the type's default. ``attempt`` counts from 1. ``data`` is a
    JSON object or ``None`` (``params``: bounded reprs of the resolved inputs, on the first RUNNING;
    ``retry_at_us`` on AwaitingRetry; ``child``: uid of the subflow run a stand-in stands for).
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
    """What a run returned. ``size``: bytes of the kept value if kept; ``preview``: bounded repr;
    ``location``: file name below the home's ``results`` folder, if the value is kept."""
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
    """A captured failure: ``structure`` (frames, source lines: the same for equal failures, stored
    once) and ``variables`` (messages, locals) are JSON, see :mod:`flowdeck_store.failures`."""
    return (FAILURE, uid, no, us, attempt, exc_type, exc_msg, structure, variables)


def rename(uid: str, no: int, name: str) -> Event:
    """The run's own name was computed when it started."""
    return (RENAME, uid, no, name)


def cache(uid: str, no: int, us: int, key: str, expires_us: int | None, location: str) -> Event:
    """The completed task run's kept result may be re-used under ``key`` until ``expires_us``."""
    return (CACHE, uid, no, us, key, expires_us, location)


def artifact(uid: str, no: int, us: int, type_: str, key: str | None, data: str) -> Event:
    """Something a run wants shown: ``progress``, ``table``, ``markdown``; ``data`` is JSON."""
    return (ARTIFACT, uid, no, us, type_, key, data)


def describe(event: Event) -> dict[str, Any]:
    """Return the event as a dict by field name (for messages and tests, not for the hot path).

    Raises:
        KeyError: the kind is unknown.
    """
    return dict(zip(FIELDS[event[0]], event, strict=True))

"""Frozen read models: what a reader returns, and the one JSON shape of each.

Times are aware UTC :class:`~datetime.datetime`; durations are float seconds. ``to_json`` gives
exactly the fields that scripts may depend on (the command line's ``--json``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowdeck_store import ids
from flowdeck_store.labels import label_of
from flowdeck_store.secrets.redaction import json_without_secrets
from flowdeck_store.states import COMPLETED, DEFAULT_NAMES, FINAL_CODES, TYPES, StateType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_store.notes import Note
    from flowdeck_store.usage import UsageRecord


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile (``share`` 0.5: the median), ``None`` without values."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def state_name(code: int, name: str | None) -> str:
    """Return the display name of a state: its own, or its type's default."""
    return name or DEFAULT_NAMES[code]


class InState:
    """What is in a state: ``code`` says in which, ``named`` its name unless it is the type's own."""

    __slots__ = ()
    if TYPE_CHECKING:
        code: int
        named: str | None

    @property
    def state_type(self) -> StateType:
        """One of the nine types."""
        return TYPES[self.code]

    @property
    def state(self) -> str:
        """Its name, as it is shown."""
        return state_name(self.code, self.named)


class HasDuration(InState):
    """What also has a start and an end."""

    __slots__ = ()
    if TYPE_CHECKING:
        started_us: int | None
        ended_us: int | None

    @property
    def duration(self) -> float | None:
        """Seconds from the first start to the end; ``None`` while it goes on."""
        if self.started_us is None or self.ended_us is None:
            return None
        return (self.ended_us - self.started_us) / 1e6


@dataclass(frozen=True, slots=True)
class FlowRunRecord(HasDuration):
    """One flow run as it stands now."""

    id: int
    uid: str
    name: str
    flow: str  # the flow's display name
    flow_key: str
    source: str | None  # "<file>:<line>" of the flow
    code: int  # state code, see states.TYPES
    named: str | None  # state name when it is not the default
    message: str | None
    runner: str | None
    given: str | None  # JSON object: the parameters to run it with again, see :attr:`params`
    tags: tuple[str, ...]
    created_us: int
    started_us: int | None
    ended_us: int | None
    state_us: int
    attempt: int
    counts: tuple[int, ...]  # task runs per bucket, in the order of states.BUCKETS
    n_logs: int
    n_warnings: int
    n_errors: int
    parent_task: int | None  # task run id of the stand-in in the parent run
    rerun_of: str | None
    pinned: bool
    pid: int | None
    host: str | None
    info: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()  # what people wrote on it afterwards, oldest first
    ran_with: tuple[str, ...] = ()  # the tags that it began with; :attr:`tags` are those of now
    asks: int = 0  # questions that wait for a person, in it and in subflow runs below it

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.ended_us is not None

    @property
    def params(self) -> str | None:
        """The parameters as they may be shown: without what is secret in their texts."""
        return None if self.given is None else json_without_secrets(self.given)

    @property
    def n_tasks(self) -> int:
        """How many task runs it has."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """One captured failure of one attempt. ``exception`` is the dict that
    :mod:`flowdeck_store.failures` documents (type, message, frames, cause, context, group)."""

    id: int
    run_id: int
    task_no: int
    us: int
    attempt: int
    exc_type: str
    exc_msg: str
    tb_hash: str | None
    exception: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """What a run returned, as shown: never the value itself."""

    task: int
    us: int
    type: str
    size: int | None
    preview: str | None
    location: str | None


@dataclass(frozen=True, slots=True)
class ProgressRecord:
    """How far a run last said it is."""

    us: int
    done: float
    total: float | None  # None: nobody knows how much there is to do
    message: str | None

    @property
    def share(self) -> float | None:
        """The share that is done, 0 to 1; ``None`` where it cannot be known."""
        if not self.total or self.total < 0:
            return None
        return min(1.0, max(0.0, self.done / self.total))

    def seconds_left(self, started_us: int | None, now_us: int) -> float | None:
        """Return how many seconds are left if it goes on as it did; ``None`` if that is unknown."""
        share = self.share
        if started_us is None or not share or self.us <= started_us:
            return None
        whole = (self.us - started_us) / share
        return max(0.0, started_us + whole - now_us) / 1e6


@dataclass(frozen=True, slots=True)
class TaskRunRecord(HasDuration):
    """One task run as it stands now."""

    run_id: int
    no: int
    run_uid: str
    run_name: str
    task: str  # the task's display name
    task_key: str
    name: str
    map_index: int | None
    code: int
    named: str | None
    message: str | None
    created_us: int
    started_us: int | None
    ended_us: int | None
    state_us: int
    attempt: int
    retries: int  # how many retries the task allows
    worker: str | None
    cache_key: str | None
    child_run: int | None  # id of the flow run that this one stands for
    progress: ProgressRecord | None = None  # what it said itself, while it ran or at its end
    usage: UsageRecord | None = None

    @property
    def id(self) -> int:
        """The packed key, see :mod:`flowdeck_store.ids`."""
        return ids.task_run_id(self.run_id, self.no)

    @property
    def label(self) -> str:
        """What people call it: ``fetch[7]``, ``fetch-3``, or the name that it was given."""
        return label_of(self.name, self.task, self.map_index)

    @property
    def ref(self) -> str:
        """What users type: ``1234.17``."""
        return f"{self.run_id}.{self.no}"

    @property
    def uid(self) -> str:
        """What tells it from task runs of other stores: ``<uid of the flow run>.17``."""
        return f"{self.run_uid}.{self.no}"


@dataclass(frozen=True, slots=True)
class StateRecord(InState):
    """One entry of a run's state history."""

    seq: int
    run_id: int
    task_no: int
    code: int
    named: str | None
    us: int
    message: str | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log line."""

    seq: int
    run_id: int
    task_no: int
    us: int
    level: int
    logger: str
    message: str


@dataclass(frozen=True, slots=True)
class InputRecord:
    """One edge: the task run got ``param`` from ``upstream`` (packed task id)."""

    task: int
    upstream: int
    param: str

    @property
    def ref(self) -> str:
        """The upstream as users type it: ``1234.17``."""
        return ids.ref(self.upstream)


@dataclass(frozen=True, slots=True)
class UpstreamRecord:
    """One edge with what its upstream looks like now; ``name`` and ``label`` are ``None`` and the
    state -1 when the upstream's run was deleted."""

    param: str
    run_id: int
    no: int
    name: str | None
    label: str | None
    code: int
    named: str | None

    @property
    def ref(self) -> str:
        """What users type: ``1234.17``."""
        return f"{self.run_id}.{self.no}"

    @property
    def is_completed(self) -> bool:
        """Whether it completed, from a cache or not."""
        return self.code == COMPLETED


@dataclass(frozen=True, slots=True)
class AttemptRecord(InState):
    """One attempt of a run: from one start to the state that ended it."""

    attempt: int
    started_us: int
    ended_us: int | None  # None: it goes on
    code: int  # the state that ended the attempt (AwaitingRetry too), else the present one
    named: str | None
    message: str | None

    @property
    def seconds(self) -> float | None:
        """How long it took, ``None`` while it goes on."""
        return None if self.ended_us is None else (self.ended_us - self.started_us) / 1e6


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """Something a run wants shown: ``kind`` is progress, table or markdown."""

    seq: int
    run_id: int
    task_no: int
    us: int
    kind: str
    key: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class SameFailures:
    """Where else the same error (equal frames and source lines) was recorded."""

    tasks_here: int  # task runs of the run that was asked about
    runs_elsewhere: int
    examples: tuple[FailureRecord, ...]  # the newest of each run, without ``exception``


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """A flow seen in the record, with figures over its last runs."""

    id: int
    key: str
    name: str
    source: str | None
    doc: str | None
    first_us: int
    last_us: int
    runs: int
    history: tuple[RunPoint, ...]  # oldest first
    last: FlowRunRecord | None

    @property
    def ended(self) -> tuple[RunPoint, ...]:
        """Those of its last runs that have ended, oldest first."""
        return tuple(p for p in self.history if p.seconds is not None)

    @property
    def success_rate(self) -> float | None:
        """Share (0 to 1) of completed runs among the ended ones of the history."""
        final = [p for p in self.history if p.code in FINAL_CODES]
        return sum(p.code == COMPLETED for p in final) / len(final) if final else None

    @property
    def p50_seconds(self) -> float | None:
        """Median seconds of the completed runs of the history."""
        done = [p.seconds for p in self.history if p.code == COMPLETED and p.seconds is not None]
        return quantile(done, 0.5)


@dataclass(frozen=True, slots=True)
class RunPoint:
    """One run in a history strip."""

    run_id: int
    code: int
    created_us: int
    seconds: float | None

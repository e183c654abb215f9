"""One task run and what it knows of its flow run: the same objects in the flow's process and, for
cluster runners, on workers."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flowdeck.scheduler import Outcome
from flowdeck.states import Cancelled, Crashed, Pending, State
from flowdeck_store import events
from flowdeck_store.events import Event, now_us
from flowdeck_store.states import BUCKET_OF_CODE, PENDING
from flowdeck_store.times import at

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable
    from contextvars import Context

    from flowdeck.flows import Flow
    from flowdeck.recording import Recorder
    from flowdeck.tasks import Task


@dataclass(slots=True)
class FlowRunInfo:
    """What may be known about a flow run anywhere, workers included. Picklable."""

    uid: str
    name: str
    flow_name: str
    flow_version: str | None = None
    tags: frozenset[str] = frozenset()
    parameters: dict[str, Any] = field(default_factory=dict)
    run_count: int = 1
    parent_uid: str | None = None
    created_us: int = 0
    started_us: int = 0
    log_prints: bool = False
    persist_result: bool | None = None
    result_serializer: str = "pickle"

    @property
    def id(self) -> str:
        """The run's uid."""
        return self.uid

    @property
    def start_time(self) -> datetime.datetime:
        """When the run started (or, before that, was created), aware UTC."""
        when = at(self.started_us or self.created_us)
        assert when is not None
        return when


class Stop(enum.IntEnum):
    """Whether a run was asked to stop, and what it becomes then."""

    NO = 0
    CANCEL = 1
    CRASH = 2


class FlowRunLike(Protocol):
    """What contexts need of a flow run."""

    flow: Flow[Any, Any]
    info: FlowRunInfo
    recorder: Recorder
    no: int
    logger_name: str

    @property
    def title(self) -> str: ...
    @property
    def runner(self) -> Any: ...


class TaskRun:
    """One run of a task. Slots only: a flow may have 100,000 of them."""

    __slots__ = (
        "_name",
        "callbacks",
        "called_in",
        "cancel_requested",
        "context",
        "dependents",
        "direct",
        "index",
        "info",
        "interrupt",
        "no",
        "outcome",
        "owner",
        "parameters",
        "recorder",
        "run_count",
        "started_us",
        "state",
        "tags",
        "task",
        "unfinished",
        "worker",
    )

    logger_name = "flowdeck.task_runs"

    def __init__(
        self,
        task: Task[Any, Any],
        info: FlowRunInfo,
        recorder: Recorder,
        no: int,
        index: int,
        name: str,
        parameters: dict[str, Any] | None,
        tags: frozenset[str],
    ) -> None:
        self.task = task
        self.info = info
        self.recorder = recorder
        self.no = no
        self.index = index
        self._name = name
        self.parameters = parameters
        self.tags = tags
        self.run_count = 0
        self.started_us = 0
        self.state: State[Any] = Pending()
        self.worker: str | None = None
        # Driver side only: scheduling and waiting.
        self.owner: Any = None  # the FlowRun
        self.context: Context | None = None
        self.outcome = Outcome.WAITING
        self.unfinished = 0
        self.dependents: list[tuple[Any, bool]] | None = None
        self.callbacks: list[Callable[[TaskRun], None]] | None = None
        self.direct = False
        #: The task run whose function called this one directly: it keeps its place in its runner.
        self.called_in: TaskRun | None = None
        #: Why it shall stop: looked at before the function is called and after each wait.
        self.cancel_requested = Stop.NO
        #: How to interrupt the execution that goes on now, if it can be.
        self.interrupt: Callable[[], None] | None = None

    @property
    def uid(self) -> str:
        return f"{self.info.uid}.{self.no}"

    @property
    def id(self) -> str:
        """The run's uid: ``<flow run uid>.<number>``."""
        return self.uid

    @property
    def name(self) -> str:
        """The run's name; the usual ``TASK-HASH-INDEX`` is put together when it is asked for."""
        return self._name or f"{self.task.name}-{self.task.short_hash}-{self.index}"

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def title(self) -> str:
        """What the console calls it."""
        return f"Task run {self.name!r}"

    @property
    def task_name(self) -> str:
        return self.task.name

    @property
    def start_time(self) -> datetime.datetime:
        """When the run started (now, before that), aware UTC."""
        when = at(self.started_us or now_us())
        assert when is not None
        return when

    @property
    def is_final(self) -> bool:
        return self.outcome is not Outcome.WAITING

    @property
    def log_prints(self) -> bool:
        own = self.task.log_prints
        return self.info.log_prints if own is None else own

    def emit(self, event: Event) -> None:
        """Hand an event to the recorder."""
        self.recorder.emit(event)

    def stopped(self, when: str) -> State[Any]:
        """Return the state of a run that stopped because it was asked to; ``when`` ends the
        sentence "Cancelled ..."."""
        if self.cancel_requested is Stop.CRASH:
            return Crashed(message="Execution was cancelled by the runtime environment.")
        return Cancelled(message=f"Cancelled {when}.")

    def enter(self, state: State[Any], data: str | None = None) -> None:
        """Make ``state`` the run's state and record it; after the last one nothing changes any
        more (the function of an abandoned run may go on for a while)."""
        if self.outcome is not Outcome.WAITING:
            return
        previous = self.state
        self.state = state
        if state._info is None:
            state._info = self.info
            state._no = self.no
        self.recorder.emit(
            events.state(
                self.info.uid,
                self.no,
                previous.bucket,
                state.code,
                state.us,
                state.stored_name,
                state.message,
                self.run_count or 1,
                self.worker,
                data,
            )
        )

    def __repr__(self) -> str:
        return f"TaskRun({self.name!r}, {self.state})"


assert BUCKET_OF_CODE[PENDING] == Pending().bucket  # a task run's record starts as PENDING

"""One task run and what it knows of its flow run: the same objects in the flow's process and, for
cluster runners, on workers."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flowdeck.runs.scheduler import UpstreamEnd
from flowdeck.states import Cancelled, Crashed, Pending, State
from flowdeck.values.redaction import recorded_message
from flowdeck_store import events
from flowdeck_store.events import Event, now_us
from flowdeck_store.states import BUCKET_OF_CODE, PENDING, StateType
from flowdeck_store.times import at

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable
    from contextvars import Context

    from flowdeck.definitions.bases import FlowDefinition, TaskDefinition
    from flowdeck.runs.recorder import Recorder
    from flowdeck.threads.deadlines import LeftBehind


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
    parent_no: int = 0  # of the task run in the parent that stands for this run
    created_us: int = 0
    started_us: int = 0
    log_prints: bool = False
    persist_result: bool | None = None
    result_serializer: str = "pickle"
    metrics: float | None = None  # seconds between two samples; None: nothing is measured
    trace: str | None = None  # its span as a traceparent; None: it is in no trace
    home: str | None = None  # the folder of the record; None: it is kept nowhere

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


#: In place of a thread: the call does not keep its thread until it returns.
AWAITED = -1


class Stop(enum.IntEnum):
    """Whether a run was asked to stop, and what it becomes then."""

    NO = 0
    CANCEL = 1
    CRASH = 2


class Slots(enum.IntEnum):
    """How a task run stands to the slots of its limited tags."""

    NONE = 0
    WAITED_FOR = 1
    HELD = 2
    #: Held, and the function executes: it gives them back itself, whatever becomes of the run.
    IN_USE = 3


class Common:
    """An argument that all children of one `.map` get alike.

    Attributes:
        is_known: somebody has looked whether it is worth being shared.
        share: what stands for it on a cluster; ``None`` if nothing does.
    """

    __slots__ = ("is_known", "share")

    def __init__(self) -> None:
        self.is_known = False
        self.share: Any = None


class FlowRunLike(Protocol):
    """What contexts need of a flow run."""

    flow: FlowDefinition[Any, Any]
    info: FlowRunInfo
    recorder: Recorder
    no: int
    logger_name: str
    state: State[Any]

    @property
    def title(self) -> str: ...
    @property
    def runner(self) -> Any: ...


class TaskRun:
    """One run of a task. Slots only: a flow may have 100,000 of them."""

    __slots__ = (
        "_name",
        "cache_key",
        "callbacks",
        "called_in",
        "cancel_requested",
        "common",
        "context",
        "dependents",
        "direct",
        "index",
        "info",
        "interrupt",
        "is_named",
        "left_behind",
        "loop",
        "no",
        "outcome",
        "owner",
        "parameters",
        "recorder",
        "returned",
        "run_count",
        "slots",
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
        task: TaskDefinition[Any, Any],
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
        #: Whether the name is what ``task_run_name`` gives.
        self.is_named = False
        self.run_count = 0
        self.started_us = 0
        self.state: State[Any] = Pending()
        #: What its result was when it returned, see :mod:`flowdeck.runs.input_digests`.
        self.returned: str | None = None
        self.worker: str | None = None
        #: Under which its result may be re-used, once that is known.
        self.cache_key: str | None = None
        #: Set by :mod:`flowdeck.lifecycle.admission` only.
        self.slots = Slots.NONE
        #: The function of the last attempt, which did not stop when its time was up.
        self.left_behind: LeftBehind | None = None
        # Driver side only: scheduling and waiting.
        self.owner: Any = None  # the FlowRun
        self.context: Context | None = None
        self.outcome = UpstreamEnd.WAITING
        self.unfinished = 0
        self.dependents: list[tuple[Any, bool]] | None = None
        self.callbacks: list[Callable[[TaskRun], None]] | None = None
        #: Which of its arguments all children of its `.map` have in common.
        self.common: dict[str, Common] | None = None
        #: The event loop on which it was submitted and is to run, if that is the flow's own.
        self.loop: Any = None
        #: The thread that called it; :data:`AWAITED`; 0 if it was submitted.
        self.direct = 0
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
    def end_time(self) -> datetime.datetime | None:
        """When it came to its last state, aware UTC; ``None`` as long as it has not."""
        return self.state.timestamp if self.state.ends_run else None

    @property
    def flow_run_id(self) -> str:
        """The uid of the flow run that it belongs to."""
        return self.info.uid

    @property
    def state_name(self) -> str:
        """The name of its state, such as ``Completed``."""
        return self.state.name

    @property
    def state_type(self) -> StateType:
        """The type of its state."""
        return self.state.type

    @property
    def is_final(self) -> bool:
        return self.outcome is not UpstreamEnd.WAITING

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
        if self.outcome is not UpstreamEnd.WAITING:
            return
        state.belong(self.info, self.no)
        code, name = state.as_recorded()
        self.recorder.emit(
            events.state(
                self.info.uid,
                self.no,
                self.state.bucket,
                code,
                state.us,
                name,
                None if state.message is None else recorded_message(state.message),
                self.run_count or 1,
                self.worker,
                data,
            )
        )
        # Last: whatever strikes before, the run does not look as if its end were recorded.
        self.state = state

    def __repr__(self) -> str:
        return f"TaskRun({self.name!r}, {self.state})"


assert BUCKET_OF_CODE[PENDING] == Pending().bucket  # a task run's record starts as PENDING

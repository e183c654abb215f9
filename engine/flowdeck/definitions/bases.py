"""What runs have to know of flows and tasks.

:class:`~flowdeck.flows.Flow` and :class:`~flowdeck.tasks.Task` make runs, so they stand above all that
runs are made of; a run, in turn, asks its definition for the function and the options at every step.
So what it asks for stands here, below the runs, and what begins a run is added at the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, Protocol, Self, TypeVar

from flowdeck.parameters import Binder
from flowdeck.parameters.binding import function_name
from flowdeck.settings import get_settings

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from flowdeck.cache_policies import CachePolicy
    from flowdeck.definitions.hooks import HookList

P = ParamSpec("P")
#: Covariant: a task that returns a bool is one that returns an int.
R = TypeVar("R", covariant=True)


class Definition(Generic[P, R]):
    """What flows and tasks have in common."""

    fn: Callable[P, R]
    #: What the function is bound to when it is looked up, see :mod:`flowdeck.definitions.methods`.
    binds: str
    isasync: bool
    name: str
    description: str | None
    version: str | None
    retries: int
    retry_delays: float | Sequence[float]
    retry_jitter_factor: float | None
    timeout_seconds: float | None
    log_prints: bool | None
    persist_result: bool | None
    result_storage: Any
    result_serializer: str | None
    cache_result_in_memory: bool
    on_completion: HookList
    on_failure: HookList
    on_running: HookList
    #: The same wherever the function is found again.
    key: str
    #: ``file:line``, if that is known.
    source: str | None

    def set_up(self) -> None:
        """Compute what follows from the function (again, after a trip between processes)."""
        self.binder = Binder(self.fn)
        self.call_args = self.binder.call_args


class ResultFacts(Protocol):
    """What a flow run says of the results of its tasks."""

    persist_result: bool | None
    result_serializer: str


class TaskDefinition(Definition[P, R]):
    """What a task run has to know of its task."""

    tags: frozenset[str]
    #: Computes the key; the ``cache_policy`` where there is no function of the user's.
    cache_key_fn: Callable[[Any, dict[str, Any]], str | None] | None
    cache_policy: CachePolicy | None
    cache_expiration: datetime.timedelta | None
    refresh_cache: bool | None
    task_run_name: str | Callable[[], str] | None
    retry_condition_fn: Callable[..., Any] | None
    always: bool
    on_rollback: HookList
    on_commit: HookList
    #: Runs of a ``.map()`` that may travel together; 0 or 1: each on its own.
    map_batch: int
    #: What a run needs while it executes; memory in bytes.
    resources: Mapping[str, float]
    short_hash: str
    #: Under which the record describes it, with the options that are shown.
    definition_key: str

    @property
    def call_name(self) -> str:
        """What a call of the task looks like in the user's code, as far as it can be told."""
        return function_name(self.fn)

    def keeps_result(self, info: ResultFacts) -> bool:
        """Say whether results are written to disk in this flow run."""
        if self.persist_result is not None:
            return self.persist_result
        return bool(info.persist_result) or not self.cache_result_in_memory

    def serializer(self, info: ResultFacts) -> str:
        """Return the name of the serializer for kept results."""
        return self.result_serializer or info.result_serializer

    def refreshes_cache(self) -> bool:
        """Say whether cached results are to be computed anew."""
        if self.refresh_cache is not None:
            return self.refresh_cache
        return get_settings().refresh_cache

    def cache_expires_us(self, us: int) -> int | None:
        """Return when a result computed at ``us`` expires (µs), ``None`` for never."""
        if self.cache_expiration is None:
            return None
        return us + int(self.cache_expiration.total_seconds() * 1e6)


class FlowDefinition(Definition[P, R]):
    """What a flow run has to know of its flow."""

    flow_run_name: str | Callable[[], str] | None
    task_runner: TaskRunnerLike
    should_validate_parameters: bool
    on_cancellation: HookList
    on_crashed: HookList


class TaskRunnerLike(Protocol):
    """What flows and their runs need of a task runner: see
    :class:`flowdeck.task_runners.base.BaseTaskRunner`, which says what each does."""

    tracks_dependencies: ClassVar[bool]
    submit_blocks: ClassVar[bool]
    may_refuse: ClassVar[bool]
    places_resources: ClassVar[bool]

    @property
    def name(self) -> str: ...
    @property
    def announcement(self) -> str: ...
    def duplicate(self) -> Self: ...
    def start(self, flow_run: Any) -> None: ...
    def stop(self) -> None: ...
    def submit(self, run: Any) -> None: ...
    async def submit_async(self, run: Any) -> None: ...
    def map_is_over(self) -> None: ...
    def tracks(self, run: Any) -> bool: ...
    def cancel(self, run: Any) -> None: ...
    def drop_queued(self) -> Iterable[Any]: ...
    def blocked(self, run: Any, *, awaits: bool = False) -> Any: ...
    def loop_blocked(self, event_loop: Any, runs: Collection[Any]) -> Any: ...

"""What a task runner is. A new one is a subclass in one file that passes the contract suite."""

from __future__ import annotations

import contextlib
import enum
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun


class TaskConcurrencyType(enum.StrEnum):
    """How the tasks of a runner may overlap."""

    SEQUENTIAL = "SEQUENTIAL"
    CONCURRENT = "CONCURRENT"
    PARALLEL = "PARALLEL"


_HOW = {
    TaskConcurrencyType.SEQUENTIAL: "sequentially",
    TaskConcurrencyType.CONCURRENT: "concurrently",
    TaskConcurrencyType.PARALLEL: "in parallel",
}


class BaseTaskRunner:
    """Executes the submitted task runs of one flow run.

    The instance on a flow is a template: each flow run starts a :meth:`duplicate`. A subclass
    keeps its constructor's arguments as attributes of the same names.

    A runner calls ``run.owner.ended(run)`` exactly once for each submitted run, from any thread,
    when the run's last state is recorded.
    """

    #: Whether the runner wants task runs before their upstreams of its own have ended, because
    #: its engine tracks dependencies itself.
    tracks_dependencies: ClassVar[bool] = False
    #: Whether ``.submit`` returns only when the run has ended.
    submit_blocks: ClassVar[bool] = False
    #: Whether the runner's engine counts what tasks with ``resources=`` need.
    places_resources: ClassVar[bool] = False
    #: Whether an exception of ``.submit`` says that this run cannot be executed here (its arguments
    #: cannot be sent, the cluster is gone), which then is how the run ends.
    may_refuse: ClassVar[bool] = True

    def __init__(self) -> None:
        self._started = False
        #: What counts the ``resources`` that it was given: see :mod:`flowdeck.budgets`.
        self.budget: Any = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        """How tasks may overlap."""
        raise NotImplementedError  # pragma: no cover

    @property
    def name(self) -> str:
        """``sequential``, ``concurrent``, ``process``...: the class's name without the tail."""
        return type(self).__name__.lower().removesuffix("taskrunner")

    @property
    def logger(self) -> logging.Logger:
        """``flowdeck.task_runner.NAME``."""
        from flowdeck.logging import get_logger

        return get_logger(f"task_runner.{self.name}")

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in names if name != "self"}

    def options_beside(self, given: Collection[str]) -> dict[str, Any]:
        """Return the options that stay when others are given at launch, by name: those given
        replace this runner's, and, in a subclass, what does not go with them."""
        return {name: value for name, value in self.options.items() if name not in given}

    @property
    def announcement(self) -> str:
        """What the flow run logs when it starts the runner."""
        how = _HOW[self.concurrency_type]
        return f"Starting {type(self).__name__!r}; submitted tasks will be run {how}..."

    def duplicate(self) -> Self:
        """Return a new runner, not started, with the same options."""
        return type(self)(**self.options)

    # -- life ---------------------------------------------------------------------------------

    def start(self, flow_run: FlowRun) -> None:
        """Get ready for submissions; may take time.

        Raises:
            RuntimeError: it is started already.
        """
        if self._started:
            raise RuntimeError("The task runner is already started!")
        self._started = True
        try:
            self._start(flow_run)
        except BaseException:
            self._started = False
            raise

    def stop(self) -> None:
        """Give everything back. All submitted runs have ended or were given up."""
        if self._started:
            self._started = False
            self._stop()

    def _start(self, flow_run: FlowRun) -> None:
        """For subclasses."""

    def _stop(self) -> None:
        """For subclasses."""

    # -- work ---------------------------------------------------------------------------------

    def submit(self, run: TaskRun) -> None:
        """Execute a task run whose upstreams (foreign ones, with :attr:`tracks_dependencies`) have
        ended. Returns at once unless :attr:`submit_blocks`.

        Raises:
            RuntimeError: the runner is not started.
        """
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        self._submit(run)

    async def submit_async(self, run: TaskRun) -> None:
        """As :meth:`submit`, from an async flow for an async task."""
        self.submit(run)

    def _submit(self, run: TaskRun) -> None:
        """For subclasses."""
        raise NotImplementedError  # pragma: no cover

    def map_is_over(self) -> None:
        """All runs of a ``.map()`` that are ready have been submitted, see the option ``map_batch``."""

    def tracks(self, run: TaskRun) -> bool:
        """Say whether the runner's engine itself can wait for this upstream."""
        return self.tracks_dependencies and run.owner is not None and run.owner.runner is self

    def cancel(self, run: TaskRun) -> None:
        """Stop an execution if that can be done; ``run.cancel_requested`` is set already."""
        interrupt = run.interrupt
        if interrupt is not None:
            interrupt()

    def pass_answer(self, answer: bytes) -> None:
        """Pass the answer to a question on to wherever tasks execute in other processes; there,
        :func:`flowdeck.stopping.answers.arrive` takes it."""

    def drop_queued(self) -> list[TaskRun]:
        """Take back what waits for a worker, and return it (the caller ends these runs)."""
        return []

    def why_not_started(self, run: TaskRun) -> str | None:
        """Return what the runner's engine says of a submitted run that it cannot start."""
        return None

    def awaited_by_engine(self, run: TaskRun) -> tuple[TaskRun, ...]:
        """Return the upstreams that the runner's engine waits for before it starts a run."""
        return ()

    @contextlib.contextmanager
    def blocked(self, run: TaskRun, *, awaits: bool = False) -> Iterator[None]:
        """Around a wait of the executing task run ``run``: its slot is free for others.

        Args:
            run: the task run whose slot it is.
            awaits: whether the loop that executes it goes on meanwhile.
        """
        yield

    def loop_blocked(self, event_loop: Any, runs: Collection[TaskRun]) -> Any:
        """Return a context manager for the time in which the caller blocks the event loop that it
        runs on, to wait for ``runs``.

        Raises:
            RuntimeError: on entering: they wait for what runs on that loop.
        """
        return contextlib.nullcontext()

    # -- comparing and copying ------------------------------------------------------------------

    def __reduce__(self) -> Any:
        # With the flow that it belongs to, to a worker whose task calls that: a template again.
        return _made, (type(self), self.portable_options())

    def portable_options(self) -> dict[str, Any]:
        """Return options that make a runner with the same tasks on the same cluster elsewhere."""
        return self.options

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        assert isinstance(other, BaseTaskRunner)
        return self.options == other.options

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        given = {name: v for name, v in self.options.items() if v is not None and v != {}}
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"{type(self).__name__}({shown})"


def _made(kind: type[BaseTaskRunner], options: dict[str, Any]) -> BaseTaskRunner:
    return kind(**options)

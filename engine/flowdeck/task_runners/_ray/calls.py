"""What a flow run needs of whatever calls its tasks on Ray, and what Ray's errors mean.

There are two ways. A process that is itself part of the cluster calls each task
(:mod:`~flowdeck.task_runners._ray.direct_calls`). Through a Ray client server each call would be
messages there and back; so an agent on the cluster makes the calls for it, many at a time
(:mod:`~flowdeck.task_runners._ray.client_calls`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.remote.parts import Part
    from flowdeck.remote.payload import Payload
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.runs.task_run import TaskRun


class TaskCalls(Protocol):
    """The calls of the tasks of one flow run."""

    def submit(self, remote_run: RemoteRun, payload: Payload, options: dict[str, Any]) -> None:
        """Have a task called, now or soon; sets the handle and the data of its run.

        Args:
            remote_run: the task run.
            payload: what it is called with.
            options: of ``ray.remote``.

        Raises:
            Exception: Ray does not take the options, or is gone.
        """

    def put_part(self, part: Part) -> Any:
        """Put a value on the cluster, and return the handle by which calls have it as an input."""

    def remove(self, run: TaskRun) -> RemoteRun | None:
        """Take a run back; ``None`` if Ray has it already."""

    def take_back(self) -> list[RemoteRun]:
        """Take back everything that Ray has not got."""

    def receive(self, kind: int, content: Any, about: Any) -> None:
        """Take a message about calls.

        Args:
            kind: one of :mod:`~flowdeck.task_runners._ray.event_channel`'s.
            content: what it says.
            about: which calls it is about.
        """

    def fetch(self, handle: Any) -> Any:
        """Return the reply that a handle stands for; blocks.

        Raises:
            Exception: it is lost, or Ray is gone.
        """

    def weigh(self, handles: list[Any], limit: int, seconds: float) -> list[int | None]:
        """Return how many bytes values have as pickles, in order; ``None`` for what is not known.

        Args:
            handles: of the values.
            limit: bytes; what has more is as good as unknown.
            seconds: that this may take.
        """

    def cancel(self, remote_runs: Iterable[RemoteRun], *, force: bool) -> None:
        """Have Ray cancel tasks: interrupt their functions, or (``force``) end their workers."""

    def tick(self) -> None:
        """Do what may be late. Called four times a second."""

    def leave(self) -> None:
        """Leave nothing of the flow run behind on a cluster that goes on."""

    def close(self) -> None:
        """Stop following calls."""


def cause_of(error: BaseException) -> BaseException:
    """Return the error that says what happened.

    A ``RayTaskError`` is how an error inside of a worker travels: what it was there counts.
    """
    import ray.exceptions

    while isinstance(error, ray.exceptions.RayTaskError):
        cause = getattr(error, "cause", None)
        if not isinstance(cause, BaseException) or cause is error:
            break
        error = cause
    return error

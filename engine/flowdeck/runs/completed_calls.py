"""What a flow run that is tried again need not do again: completed task runs and subflow runs.

A call is recognised by its key, how often that key was called before in this attempt, and a digest
of its arguments and of what it waits for, taken at the call: an argument may be changed in place
between the attempts, so may a result, and what runs anew may have other effects than before. What
has no digest (a lock, a connection) counts as different: running a task twice is better than handing
out the wrong result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from flowdeck.runs.input_digests import call_digest, mark_for_retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.runs.task_run import TaskRun
    from flowdeck.runs.upstreams import Edge, Upstream


class EarlierResults(Protocol):
    """What a run that repeats an earlier one takes over, see :mod:`flowdeck.reuse.plan`."""

    @property
    def uid(self) -> str: ...
    def offer(self, run: TaskRun, edges: tuple[Edge, ...] | None) -> None: ...
    def offers(self, run: TaskRun) -> bool: ...
    def serve(self, run: TaskRun) -> bool: ...
    def subflow(
        self, definition: str, name: str, index: int, edges: Iterable[Edge]
    ) -> Self | None: ...
    def note_subflow(self, no: int, again: Self, run: Any) -> None: ...  # a flow run


class CompletedCalls:
    """Completed calls of earlier attempts. Only kept by flow runs that may be tried again."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, int], tuple[str | None, Any]] = {}
        self._earlier: dict[tuple[str, int], tuple[str | None, Any]] = {}

    def note(
        self, key: str, index: int, parameters: dict[str, Any], upstreams: list[Upstream], run: Any
    ) -> None:
        """Remember a call of this attempt; ``run`` has a ``state``."""
        self._now[key, index] = (call_digest(parameters, upstreams), run)

    def next_attempt(self) -> None:
        """Forget what did not complete; the rest may be used from now on."""
        done = {k: v for k, v in self._now.items() if v[1].state.is_completed()}
        self._earlier |= done
        self._now = {}

    def find(
        self, key: str, index: int, parameters: dict[str, Any], upstreams: list[Upstream]
    ) -> Any:
        """Return the completed run of the same call in an earlier attempt, or ``None``."""
        found = self._earlier.get((key, index))
        if found is None or found[0] is None or found[0] != call_digest(parameters, upstreams):
            return None
        run = found[1]
        if run.returned is None or run.returned != mark_for_retry(run.state.data):
            return None  # code has changed the result in place, or that cannot be told
        return run

"""Which task runs may start: counts unfinished upstreams, never waits, does no I/O.

A node is anything with the three fields of :class:`Node`, kept on the node itself so that 100,000
waiting nodes cost three words each. The caller holds a lock around each call.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class UpstreamEnd(enum.Enum):
    """How a node stands, as far as its dependents care."""

    WAITING = "waiting"  # has not ended
    OK = "ok"
    BAD = "bad"  # failed, crashed, cancelled, not ready: lets those through that allow it


class Node(Protocol):
    """What the scheduler needs of a task run."""

    outcome: UpstreamEnd
    unfinished: int
    dependents: list[tuple[Any, bool]] | None


N = TypeVar("N", bound=Node)


class Verdict(enum.Enum):
    """What to do with a node now."""

    WAIT = "wait"
    READY = "ready"
    BLOCKED = "blocked"  # an upstream ended in a way that it must not start after


def passes(outcome: UpstreamEnd, allow_failure: bool) -> bool:
    """Say whether a dependent may go on after an upstream that ended so."""
    return outcome is UpstreamEnd.OK or (allow_failure and outcome is UpstreamEnd.BAD)


def add(node: N, upstreams: Iterable[tuple[N, bool]]) -> tuple[Verdict, N | None]:
    """Enter a node with its upstreams, each with whether its failure is allowed.

    Returns:
        The verdict, and the upstream that blocks if it is :attr:`Verdict.BLOCKED`.
    """
    waiting: list[tuple[N, bool]] = []
    for upstream, allow_failure in upstreams:
        if upstream.outcome is UpstreamEnd.WAITING:
            waiting.append((upstream, allow_failure))
        elif not passes(upstream.outcome, allow_failure):
            return Verdict.BLOCKED, upstream
    if not waiting:
        return Verdict.READY, None
    node.unfinished = len(waiting)
    for upstream, allow_failure in waiting:
        if upstream.dependents is None:
            upstream.dependents = []
        upstream.dependents.append((node, allow_failure))
    return Verdict.WAIT, None


def finish(node: N, outcome: UpstreamEnd) -> list[tuple[N, Verdict]]:
    """Enter how a node ended.

    Returns:
        Its dependents on which a decision fell just now: READY, or BLOCKED by this node. Those
        that are blocked must be finished by the caller in turn.
    """
    node.outcome = outcome
    decided: list[tuple[N, Verdict]] = []
    for dependent, allow_failure in node.dependents or ():
        if dependent.outcome is not UpstreamEnd.WAITING or dependent.unfinished <= 0:
            continue  # decided before: blocked by another upstream, or cancelled
        if not passes(outcome, allow_failure):
            dependent.unfinished = 0
            decided.append((dependent, Verdict.BLOCKED))
            continue
        dependent.unfinished -= 1
        if dependent.unfinished == 0:
            decided.append((dependent, Verdict.READY))
    decided.reverse()
    node.dependents = None
    return decided

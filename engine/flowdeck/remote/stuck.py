"""Saying of task runs what they wait for, if it is something that their engine has not got.

Engines wait in silence for workers, and for resources that none of their workers has: for ever, if the
name of a resource is mistyped. That may also be meant, on a cluster that grows; so it ends nothing. It is
said once in the log of the flow run, and in the state of each run for as long as it is so.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, line
from flowdeck.states import Pending
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.remote.remote_runs import RemoteRuns
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun

#: Seconds between two looks, and before the first.
_LOOK: Final = 3.0
#: Task runs that are looked at, and whose states say what they wait for.
_MOST: Final = 500


class StuckRuns:
    """Looks after the task runs of one flow run that an engine has and has not started.

    Args:
        flow_run: whose.
        runs: those that the engine has.
        find: says of some runs, by their numbers, why their engine cannot start
            them; may take time, and may raise anything.
    """

    def __init__(
        self,
        flow_run: FlowRun,
        runs: RemoteRuns,
        find: Callable[[list[RemoteRun]], dict[int, str]],
    ) -> None:
        self._flow_run = flow_run
        self._runs = runs
        self._find = find
        self._next = clock.monotonic() + _LOOK
        self._is_asking = False
        self._said: set[str] = set()
        #: What the state of a run says.
        self._reason_of: dict[int, str] = {}

    def reason_of(self, run: TaskRun) -> str | None:
        """Return what was said last of a run that its engine cannot start."""
        return self._reason_of.get(run.no)

    def awaited_by(self, run: TaskRun) -> tuple[TaskRun, ...]:
        """Return the upstreams of a run that its engine still waits for."""
        remote_run = self._runs.open.get(run.no)
        if remote_run is None or remote_run.run is not run:
            return ()
        return tuple(upstream for upstream, _ in remote_run.waits if not upstream.is_final)

    def tick(self) -> None:
        """Ask the engine now and then. On the thread of the remote runs."""
        if clock.monotonic() < self._next or self._is_asking:
            return
        self._next = clock.monotonic() + _LOOK
        waiting: list[RemoteRun] = []
        for remote_run in self._runs.open.copy().values():
            if (
                remote_run.handle is not None
                and not remote_run.started
                and not remote_run.run.is_final
            ):
                waiting.append(remote_run)
                if len(waiting) == _MOST:
                    break
        if waiting or self._reason_of:
            self._is_asking = True
            self._runs.call_on_helper(self._find_reasons, waiting)

    def _find_reasons(self, waiting: list[RemoteRun]) -> None:
        found: dict[int, str] | None = None
        with contextlib.suppress(Exception):  # it is no more than advice
            found = self._find(waiting) if waiting else {}
        self._runs.call_soon(self._record_reasons, waiting, found)

    def _record_reasons(self, waiting: list[RemoteRun], found: dict[int, str] | None) -> None:
        self._is_asking = False
        if found is None:
            return
        reasons: dict[str, list[Any]] = {}
        for remote_run in waiting:
            run = remote_run.run
            reason = found.get(run.no)
            if remote_run.started or run.is_final or reason == self._reason_of.get(run.no):
                continue
            if run.state.is_pending():  # else it waits for another try
                run.enter(Pending(message=reason))
            if reason is None:
                continue
            self._reason_of[run.no] = reason
            reasons.setdefault(reason, []).append(run)
        self._reason_of = {no: said for no, said in self._reason_of.items() if no in found}
        for reason, runs in reasons.items():
            if reason not in self._said:
                self._said.add(reason)
                others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
                line(self._flow_run, WARNING, f"Task run {runs[0].name!r}{others}: {reason}")


def shown(resources: dict[str, Any]) -> str:
    """Return amounts by name as a text: ``GPU=1, disk=0.5``."""
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


def counted(number: int, what: str) -> str:
    """Return ``1 worker``, ``2 workers``."""
    return f"{number} {what}{'s' * (number != 1)}"

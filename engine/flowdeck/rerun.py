"""Running a flow again without what completed before: ``flowdeck retry RUN --failed``.

A call takes over the result of the same call in the earlier run (same task, called as many times
before) if that one completed, if its value can be had again, and if what it was given is the same:
equal arguments, and results only of calls that were taken over too. So whatever depends on a task
that runs again runs again. It is decided in the flow's process when the inputs of a call are
there, before a task runner hears of it.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from flowdeck import earlier, inputs
from flowdeck.caching import mark as mark_of
from flowdeck.exceptions import MissingResult
from flowdeck.logging import INFO, WARNING, line
from flowdeck.results import KeptValue
from flowdeck.states import State
from flowdeck.upstreams import value_of
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.reader import Reader
from flowdeck_store.states import CACHED, StateType

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.runs import TaskRun
    from flowdeck.upstreams import Edge
    from flowdeck_store.reader_reuse import EarlierCall, EarlierInputs
    from flowdeck_store.records import FlowRunRecord

#: Calls whose inputs are read from the record at once: flows mostly call in the same order.
_PAGE = 256


class Differs(Exception):
    """Why a call that completed before runs again."""


def mark(parameters: dict[str, Any]) -> str | None:
    """Return what stands for the arguments of a call in every run, wherever they come from: 32 hex
    digits, ``None`` if something in them cannot be pickled.

    Results of other calls stand as these calls, so large values are not pickled for it.
    """
    known = True

    def put(item: Any) -> Any:
        nonlocal known
        if isinstance(item, State):
            known = False
            return None
        run = item.task_run
        return "\0run", run.task.key, run.index

    values = [(name, inputs.replace(v, put, unwrap=False)) for name, v in parameters.items()]
    return mark_of(values) if known else None


class Reuse:
    """What one flow run may take over from an earlier one. Safe to use from several threads.

    Args:
        home: whose record has the earlier run.
        run: the earlier run.
    """

    def __init__(self, home: Path, run: FlowRunRecord) -> None:
        self._home, self._run = home, run
        self._lock = threading.RLock()
        self._calls: earlier.Calls | None = None
        self._pages: dict[int, dict[int, EarlierInputs]] = {}
        self._offered: dict[TaskRun, tuple[EarlierCall, tuple[Edge, ...]]] = {}
        #: Numbers of runs that were taken over: here, in the earlier run.
        self._taken: dict[int, int] = {}

    @classmethod
    def of(cls, home: Path, uid: str) -> Reuse | None:
        """Return what there is of the run with this uid; ``None`` if it is not in the record."""
        with Reader.open(home) as reader:
            run = reader.run_by_uid(uid)
        return None if run is None else cls(home, run)

    # -- calls ----------------------------------------------------------------------------------------

    def offer(self, run: TaskRun, edges: tuple[Edge, ...] | None) -> None:
        """Look for the earlier call that a new task run repeats."""
        task = run.task
        name = f"{task.name}-{task.short_hash}-{run.index}"
        try:
            call = self._find(task.definition_key, name, run.index)
        except Exception as error:
            line(run, WARNING, f"The earlier run cannot be read, so this one runs: {error}")
            return
        if call is not None and call.is_completed:
            self._offered[run] = call, edges or ()

    def offers(self, run: TaskRun) -> bool:
        """Say whether there is an earlier call to compare with when the inputs are there."""
        return run in self._offered

    def serve(self, run: TaskRun) -> bool:
        """Let a run whose upstreams have ended take over the earlier result, if it may."""
        offered = self._offered.pop(run, None)
        if offered is None:
            return False
        call, edges = offered
        try:
            with self._lock:
                self._take_over(run, call, edges)
        except Differs as why:
            line(run, INFO, f"Completed in flow run {self._run.name!r}, but runs again: {why}")
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            line(run, WARNING, f"The result in flow run {self._run.name!r} is of no use: {text}")
        return run.state.ends_run

    def subflow(self, definition: str, name: str, index: int) -> Reuse | None:
        """Return what a subflow run may take over: from the one that the same call made before."""
        try:
            call = self._find(definition, f"{name}-{index}", index)
            if call is None or call.child_run is None:
                return None
            with Reader.open(self._home) as reader:
                child = reader.run(call.child_run)
        except Exception:  # the record cannot be read: the subflow runs as a whole
            return None
        return None if child is None else Reuse(self._home, child)

    @property
    def uid(self) -> str:
        """The uid of the earlier run."""
        return self._run.uid

    def _find(self, definition: str, name: str, index: int) -> EarlierCall | None:
        with self._lock:
            if self._calls is None:
                with Reader.open(self._home) as reader:
                    calls = reader.earlier_calls(self._run.id)
                self._calls = earlier.Calls(calls, self._run.attempt)
            return self._calls.find(definition, name, index)

    def _inputs(self, no: int) -> EarlierInputs:
        start = no - no % _PAGE
        page = self._pages.get(start)
        if page is None:
            if len(self._pages) >= 8:
                self._pages.pop(next(iter(self._pages)))
            nos = range(max(start, 1), start + _PAGE)
            with Reader.open(self._home) as reader:
                page = self._pages[start] = reader.earlier_inputs(self._run.id, nos)
        return page[no]

    # -- one call -------------------------------------------------------------------------------------

    def _take_over(self, run: TaskRun, call: EarlierCall, edges: tuple[Edge, ...]) -> None:
        """Give the run the result of the call.

        Raises:
            Differs: it must run.
        """
        found = self._inputs(call.no)
        store = run.recorder.results
        try:
            kept_mark = earlier.check(found.result, store)
            self._compare(run, found, edges, kept_mark)
            value = earlier.value_of(found.result, store)
        except MissingResult as error:
            raise Differs(f"{error}") from error
        result = found.result
        if result is not None:
            if result.location is not None and not run.task.cache_result_in_memory:
                value = KeptValue(store, result.location)
            run.emit(
                events.result(
                    run.info.uid, run.no, now_us(), result.type, result.size, result.preview,
                    result.location,
                )
            )  # fmt: skip
        if run.task.task_run_name is not None:
            run.name = call.name
            run.emit(events.rename(run.info.uid, run.no, run.name))
        message = f"Reused from {self._run.name} (task run {self._run.id}.{call.no})."
        state: State[Any] = State(StateType.COMPLETED, CACHED, message, value)
        data = {"reused_from": f"{self._run.uid}.{call.no}", "params": found.params}
        self._taken[run.no] = call.no
        run.enter(state, json.dumps(data))
        line(run, INFO, f"Finished in state {state}")

    def _compare(
        self, run: TaskRun, found: EarlierInputs, edges: tuple[Edge, ...], kept_mark: str | None
    ) -> None:
        parameters = run.parameters or {}
        here: set[tuple[str, int]] = set()
        for param, uid, no in edges:
            if uid is not None:
                raise Differs("it takes something from another flow run.")
            if no not in self._taken:
                raise Differs("it depends on a task that ran again.")
            here.add((param, self._taken[no]))
        if found.edges != {(param, self._run.id, no) for param, no in here}:
            raise Differs("it takes its inputs from other tasks than then.")
        if kept_mark is not None and kept_mark == mark(parameters):
            return
        texts = found.params or {}
        if texts.keys() != parameters.keys():
            raise Differs("its parameters are not known.")
        for name, given in parameters.items():
            if is_one_run(given) and sum(param == name for param, _ in here) == 1:
                continue
            value = inputs.replace(given, value_of)
            if not earlier.same(texts[name], value):
                raise Differs(f"{name} is another value than then, or cannot be compared.")


def is_one_run(given: object) -> bool:
    """Say whether an argument is a future (or a state) and nothing else."""
    return inputs.is_future(given) or isinstance(given, State)

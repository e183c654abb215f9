"""Running a flow again without what completed before: ``flowdeck retry RUN --failed``.

A call takes over the result of the same call in the earlier run (same task, called as many times
before) if that one completed, if its value can be had again, and if what it was given is the same:
equal arguments, and results only of calls that were taken over too. So whatever depends on a task
that runs again runs again. And whose code was changed since (:mod:`flowdeck.reuse.code_changes`), or
who was asked for by name, runs in any case. It is decided in the flow's process when the inputs of a call are
there, before a task runner hears of it.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from flowdeck.definitions.definition import key_of
from flowdeck.exceptions import MissingResult
from flowdeck.inputs import nested
from flowdeck.logging import INFO, WARNING, line
from flowdeck.provenance.code import code_of
from flowdeck.reuse import earlier_run
from flowdeck.reuse.code_changes import changed_parts, is_asked_for, said
from flowdeck.reuse.subflows import returned_same
from flowdeck.runs.input_digests import input_digest
from flowdeck.runs.results import KeptValue
from flowdeck.runs.upstreams import value_of
from flowdeck.settings import get_settings
from flowdeck.states import State
from flowdeck.values.marks import is_immutable
from flowdeck.values.previews import params_json, params_reprs
from flowdeck.values.statics import is_a
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import CACHED, COMPLETED, StateType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.runs.upstreams import Edge
    from flowdeck_store.read.provenance import CodeRecord
    from flowdeck_store.read.records import FlowRunRecord
    from flowdeck_store.read.reuse import EarlierCall, EarlierInputs

#: Calls whose inputs are read from the record at once: flows mostly call in the same order.
_PAGE = 256


class Differs(Exception):
    """Why a call that completed before runs again."""


class EarlierRun:
    """What one flow run may take over from an earlier one. Safe to use from several threads.

    Args:
        home: whose record has the earlier run.
        run: the earlier run.
        asked: how it is repeated: ``ignore_code``, ``force``.
        stand: number of the task run that stood for the earlier run where that was a subflow run.
        is_cut_off: it was given something of a task that runs again because that was asked for, so that
            none of its task runs is taken over.
    """

    def __init__(
        self,
        home: Path,
        run: FlowRunRecord,
        asked: LaunchSpec,
        *,
        stand: int = 0,
        is_cut_off: bool = False,
    ) -> None:
        self._home, self._run, self._asked = home, run, asked
        self._stand, self._is_cut_off = stand, is_cut_off
        #: Whether any call was not taken over.
        self._ran_again = False
        #: Subflow runs by the number of what stands for them here: what they repeat, and themselves.
        self._subflows: dict[int, tuple[EarlierRun, FlowRun]] = {}
        #: What the record has of the code, by key; what changed, by function.
        self._code: dict[str, tuple[CodeRecord, ...]] | None = None
        self._changed: dict[int, tuple[Any, tuple[str, ...]]] = {}  # function kept, for its id
        self._lock = threading.RLock()
        self._calls: earlier_run.CallsOfRun | None = None
        self._pages: dict[int, dict[int, EarlierInputs]] = {}
        self._offered: dict[TaskRun, tuple[EarlierCall, tuple[Edge, ...]]] = {}
        #: Whether the flow's own code does what it did: known once somebody asks.
        self._same_flow: bool | None = None
        #: Numbers of runs that were taken over: here, in the earlier run.
        self._taken: dict[int, int] = {}

    @classmethod
    def of(cls, home: Path, asked: LaunchSpec) -> EarlierRun | None:
        """Return what there is of the run that is repeated; ``None`` if it is not in the record."""
        with Reader.open(home) as reader:
            run = reader.run_by_uid(asked.rerun_of or "")
        return None if run is None else cls(home, run, asked)

    # -- calls ----------------------------------------------------------------------------------------

    def offer(self, run: TaskRun, edges: tuple[Edge, ...] | None) -> None:
        """Look for the earlier call that a new task run repeats."""
        task = run.task
        name = f"{task.name}-{task.short_hash}-{run.index}"
        why = None
        try:
            call = self._find(task.definition_key, name, run.index)
            if call is not None and call.is_completed:
                why = self._why_not(run, call, name)
        except Exception as error:
            self._ran_again = True
            line(run, WARNING, f"The earlier run cannot be read, so this one runs: {error}")
            return
        if why is not None:
            line(run, INFO, f"Completed in flow run {self._run.name!r}, but runs again: {why}")
        elif call is not None and call.is_completed:
            self._offered[run] = call, edges or ()
            return
        self._ran_again = True

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
        self._ran_again |= not run.state.ends_run
        return run.state.ends_run

    def subflow(
        self, definition: str, name: str, index: int, edges: Iterable[Edge]
    ) -> EarlierRun | None:
        """Return what a subflow run may take over: from the one that the same call made before.

        Args:
            definition: key of the flow's definition.
            name: of the flow.
            index: how often it was called before.
            edges: what it takes from task runs here, or waits for.
        """
        try:
            call = self._find(definition, f"{name}-{index}", index)
            child = None
            if call is not None and call.child_run is not None:
                with Reader.open(self._home) as reader:
                    child = reader.run(call.child_run)
        except Exception:  # the record cannot be read: the subflow runs as a whole
            child = None
        if call is None or child is None:
            self._ran_again = True
            return None
        cut_off = self._is_cut_off or (
            bool(self._asked.force) and not all(self._is_taken(no) for _, _, no in edges)
        )
        return EarlierRun(self._home, child, self._asked, stand=call.no, is_cut_off=cut_off)

    def note_subflow(self, no: int, again: EarlierRun, run: FlowRun) -> None:
        """Remember a subflow run, for what takes its result.

        Args:
            no: of what stands for it here.
            again: what it may take over.
            run: the subflow run.
        """
        self._subflows[no] = again, run

    @property
    def is_whole(self) -> bool:
        """Whether all calls so far were taken over, those of subflows included."""
        return not self._ran_again and all(again.is_whole for again, _ in self._subflows.values())

    def _is_taken(self, no: int) -> bool:
        """Say whether a task run was taken over, or a subflow run came to the same."""
        if no in self._taken:
            return True
        again, run = self._subflows.get(no, (None, None))
        if again is None or run is None or not (again.is_whole and run.state.is_completed()):
            return False
        if again._run.code != COMPLETED:
            return False
        with Reader.open(self._home) as reader:
            found = reader.result(again._run.id)
        if not returned_same(found, run.state.data, run.recorder.results):
            return False
        self._taken[no] = again._stand
        return True

    @property
    def uid(self) -> str:
        """The uid of the earlier run."""
        return self._run.uid

    def _find(self, definition: str, name: str, index: int) -> EarlierCall | None:
        with self._lock:
            if self._calls is None:
                with Reader.open(self._home) as reader:
                    calls = reader.earlier_calls(self._run.id)
                self._calls = earlier_run.CallsOfRun(calls, self._run.attempt)
            return self._calls.find(definition, name, index)

    def _why_not(self, run: TaskRun, call: EarlierCall, name: str) -> str | None:
        """Return why a call that completed is not even compared."""
        if self._is_cut_off:
            return "its subflow was given something of a task that was asked for."
        task = run.task
        names = (name, run.name, call.name, call.label)
        if is_asked_for(self._asked.force, task.definition_key, *names):
            return "that was asked for."
        parts = () if self._asked.ignore_code else self._changes(task)
        return f"its code changed: {said(parts)}." if parts else None

    def _changes(self, task: TaskDefinition[Any, Any]) -> tuple[str, ...]:
        with self._lock:
            then = self._recorded_code().get(task.key)
            if then is None:  # not recorded
                return ()
            found = self._changed.get(id(task.fn))
            if found is None:
                now = code_of(task.fn).record(task.key)
                found = self._changed[id(task.fn)] = task.fn, changed_parts(now, then)
            return found[1]

    def _recorded_code(self) -> dict[str, tuple[CodeRecord, ...]]:
        if self._code is None:
            with Reader.open(self._home) as reader:
                self._code = reader.code(self._run.id)
        return self._code

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
            kept_mark = earlier_run.check(found.result, store)
            self._compare(run, found, edges, kept_mark)
            value = earlier_run.value_of(found.result, store)
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
            run.is_named = True
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
            if not self._is_taken(no):
                raise Differs("it depends on a task that ran again.")
            here.add((param, self._taken[no]))
        if found.edges != {(param, self._run.id, no) for param, no in here}:
            raise Differs("it takes its inputs from other tasks than then.")
        if kept_mark is not None and kept_mark == input_digest(parameters):
            return
        texts = found.params or {}
        if texts.keys() != parameters.keys():
            raise Differs("its parameters are not known.")
        for name, given in parameters.items():
            one = [no for param, no in here if param == name]
            if len(one) == 1 and is_one_run(given):
                continue
            value = nested.replace(given, value_of)
            if earlier_run.same(texts[name], value):
                continue
            if len(one) == 1 and self._is_result(run, name, one[0], texts[name]):
                continue
            raise Differs(f"{name} is another value than then, or cannot be compared.")

    def _is_result(self, run: TaskRun, name: str, earlier_no: int, text: str) -> bool:
        """Say whether an argument that the record does not hold whole is the result, handed over as
        a value, of a run that was taken over.

        One that can be changed in place may have been, by the flow's own code: it is what it was if
        that code and what it was given are the same. (Its text shows only some of it.)
        """
        given = (run.parameters or {})[name]
        origin = run.owner.lineage.origin_of(given)
        if origin is None or not origin[1] or self._taken.get(origin[0]) != earlier_no:
            return False
        if earlier_run.is_whole(text):
            return False
        if is_immutable(given):
            return True
        return self._is_same_flow(run.owner) and (
            text == params_reprs({name: given})[name] or " at 0x" in text
        )

    def _is_same_flow(self, flow_run: FlowRun) -> bool:
        """Say whether the flow's own code is what it was then, and gets the same parameters."""
        if self._same_flow is None:
            self._same_flow = self._has_same_parameters(flow_run) and not self._flow_changes(
                flow_run
            )
        return self._same_flow

    def _has_same_parameters(self, flow_run: FlowRun) -> bool:
        given = self._run.given or "{}"
        now = params_json(flow_run.parameters, get_settings().result_preview, inside=False)
        return given == now and '"<' not in given  # what stands for a value may stand for another

    def _flow_changes(self, flow_run: FlowRun) -> bool:
        fn = flow_run.flow.fn
        key = f"flow {key_of(fn)}"
        then = self._recorded_code().get(key)
        if then is None or self._asked.ignore_code:
            return False
        tasks = self._recorded_code().keys() - {key}  # which are compared for themselves
        return not tasks.issuperset(changed_parts(code_of(fn).record(key), then))


def is_one_run(given: object) -> bool:
    """Say whether an argument is a future (or a state) and nothing else."""
    return nested.is_future(given) or is_a(given, State)

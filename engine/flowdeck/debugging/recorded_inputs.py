"""The inputs of recorded task runs: reads what the record knows, loads kept values, and, if that is
wanted, has upstream task runs done again.

Values that were kept are mostly pickles. Only those in this home folder's store of results are read, which
this user's own runs have written: the store refuses those that an archive brought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck.debugging.definitions import CannotDebug
from flowdeck.debugging.inputs import Lost, Restored, restore
from flowdeck.exceptions import FlowdeckError, MissingResult
from flowdeck.reuse import earlier_run
from flowdeck.states import LazyValue
from flowdeck_store.ids import ref

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from flowdeck.debugging.execution import Outcome
    from flowdeck.runs.results import ResultStore
    from flowdeck.tasks import Task
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import TaskRunRecord

_KEEP: Final = (
    "persist_result=True on its task, or the setting persist_results = true, keeps what it returns."
)
_AGAIN: Final = "--recompute runs it again for it."


class RecordedInputs:
    """Restores the inputs of task runs.

    Args:
        reader: of the record.
        results: where kept values are.
        flow_parameters: of the flow run, as its function got them.
        find: returns the task of a task run.
        recompute: does a task run again with these inputs; ``None``: none is.
    """

    def __init__(
        self,
        reader: Reader,
        results: ResultStore,
        flow_parameters: Mapping[str, Any],
        find: Callable[[TaskRunRecord], Task[..., Any]],
        recompute: Callable[[TaskRunRecord, Task[..., Any], dict[str, Any]], Outcome] | None = None,
    ) -> None:
        self._reader, self._results = reader, results
        self._flow_parameters = flow_parameters
        self._find, self._recompute = find, recompute
        self._known: dict[int, Restored | Lost] = {}

    def of(
        self, run: TaskRunRecord, task: Task[..., Any], given: Container[str] = ()
    ) -> dict[str, Restored | Lost]:
        """Restore all inputs of a task run, in the order of the task's parameters.

        Args:
            run: it.
            task: its task.
            given: names of those that are given anew: nothing is done for them.
        """
        recorded = self._reader.earlier_inputs(run.run_id, [run.no])[run.no]
        texts = recorded.params or {}
        upstreams: dict[str, list[int]] = {}
        for edge in self._reader.inputs(run.run_id, run.no):
            upstreams.setdefault(edge.param, []).append(edge.upstream)
        parameters = task.binder.signature.parameters
        names = [*parameters, *(name for name in texts if name not in parameters)]
        found: dict[str, Restored | Lost] = {}
        for name in names:
            if name in given:
                continue
            if name not in parameters:
                found[name] = Lost("the task has no parameter of this name any more", "Leave it.")
                continue
            others = self._others(name, parameters[name].default, parameters[name].empty)
            returned = [self._value_of(id_) for id_ in upstreams.get(name, ())]
            found[name] = restore(name, texts.get(name), returned, others)
        return found

    def _others(self, name: str, default: Any, empty: object) -> list[Restored]:
        given = self._flow_parameters
        ordered = [name] * (name in given) + [each for each in given if each != name]
        found = [Restored(given[each], f"the flow's parameter {each}") for each in ordered]
        if default is not empty:
            found.insert(0, Restored(default, "the default"))
        return found

    # -- what task runs returned ------------------------------------------------------------

    def _value_of(self, id_: int) -> Restored | Lost:
        if id_ not in self._known:
            # For the time being: a record from elsewhere may lead round in a circle.
            self._known[id_] = Lost(f"{ref(id_)} depends on itself in the record", "")
            self._known[id_] = self._found(id_)
        return self._known[id_]

    def _found(self, id_: int) -> Restored | Lost:
        run = next(iter(self._reader.tasks_by_ids([id_])), None)
        if run is None:
            return Lost(f"the record of {ref(id_)}, which returned it, was deleted", "")
        name = f"{run.label} ({run.ref})"
        kept = self._kept(run, name)
        if isinstance(kept, Restored) or self._recompute is None:
            return kept
        return self._computed(run, name)

    def _kept(self, run: TaskRunRecord, name: str) -> Restored | Lost:
        if run.state_type.name != "COMPLETED":
            return Lost(f"{name} did not complete: {run.state}", "")
        result = self._reader.result(run.run_id, run.no)
        if result is None and run.child_run is not None:
            result = self._reader.result(run.child_run)
        try:
            earlier_run.check(result, self._results)
            value = earlier_run.value_of(result, self._results)
            if isinstance(value, LazyValue):
                value = value.load()
        except MissingResult as error:
            reason = str(error).partition(". ")[0].rstrip(".")
            is_task = run.child_run is None
            remedy = f"{_AGAIN} {_KEEP}" if is_task else _KEEP
            return Lost(f"{name} returned it: {_lowered(reason)}", remedy, is_task)
        how = "kept" if result is not None and result.location is not None else "recorded"
        return Restored(value, f"the {how} result of {name}")

    def _computed(self, run: TaskRunRecord, name: str) -> Restored | Lost:
        """Have a task run done again."""
        assert self._recompute is not None
        if run.child_run is not None:
            return Lost(f"{name} is a subflow run, which cannot be done again alone", _KEEP)
        try:
            task = self._find(run)
        except FlowdeckError as error:
            return Lost(f"{name} cannot be run again: {_lowered(str(error))}", "")
        inputs = self.of(run, task)
        lost = {key: each for key, each in inputs.items() if isinstance(each, Lost)}
        if lost:
            which = ", ".join(f"{key} ({each.why})" for key, each in lost.items())
            return Lost(f"{name} cannot be run again without its inputs {which}", _KEEP)
        outcome = self._recompute(run, task, values(inputs))
        if outcome.error is not None:
            kind = type(outcome.error).__name__
            return Lost(f"{name} was run again and raised {kind}: {outcome.error}", _KEEP)
        return Restored(outcome.value, f"the recomputed result of {name}")


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def values(inputs: Mapping[str, Restored | Lost]) -> dict[str, Any]:
    """Return the values of those that could be restored, by name."""
    return {name: each.value for name, each in inputs.items() if isinstance(each, Restored)}


def refuse_subflow(run: TaskRunRecord) -> None:
    """Refuse the task run that stands for a subflow run.

    Raises:
        CannotDebug: it is one.
    """
    if run.child_run is not None:
        raise CannotDebug(
            f"{run.ref} stands for the subflow run #{run.child_run}, which is no task: "
            f"`flowdeck tasks {run.child_run}` lists its tasks, `flowdeck retry {run.run_id} "
            "--failed` runs it again."
        )


def unrestored(inputs: Mapping[str, Restored | Lost]) -> Sequence[tuple[str, Lost]]:
    """Return those that could not be restored."""
    return [(name, each) for name, each in inputs.items() if isinstance(each, Lost)]

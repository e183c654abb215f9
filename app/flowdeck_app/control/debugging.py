"""A recorded task run made ready to be done again here: its task, its inputs, what changed since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck import parameters
from flowdeck.debugging.definitions import changed_code, find_task
from flowdeck.debugging.execution import call_alone
from flowdeck.debugging.inputs import Lost, Restored
from flowdeck.debugging.recorded_inputs import RecordedInputs, refuse_subflow, unrestored, values
from flowdeck.exceptions import FlowdeckError
from flowdeck.launch import targets
from flowdeck.runs.results import ResultStore
from flowdeck_app.control.folders import go_to_folder_of
from flowdeck_app.control.launch import recorded_target
from flowdeck_app.control.recorded import recorded_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.debugging.execution import Outcome
    from flowdeck.flows import Flow
    from flowdeck.tasks import Task
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord


@dataclass(frozen=True, slots=True)
class DebugCase:
    """What is known of a task run that is to be done again.

    Attributes:
        run: the task run.
        flow_run: the one it belongs to.
        task: its task, in the code of today.
        inputs: by parameter.
        texts: what the record shows of them.
        changed: parts of its code that are others than then; ``None``: not known.
        failure: the recorded traceback, with variables.
    """

    run: TaskRunRecord
    flow_run: FlowRunRecord
    task: Task[..., Any]
    inputs: Mapping[str, Restored | Lost]
    texts: Mapping[str, str]
    changed: tuple[str, ...] | None
    failure: str | None


def prepared(
    reader: Reader,
    run: TaskRunRecord,
    given: Mapping[str, str],
    *,
    say: Callable[[str], None],
    recompute: bool = False,
) -> DebugCase:
    """Import the code of a task run, and restore its inputs.

    Args:
        reader: of the record.
        run: the task run.
        given: texts of inputs that are given instead of the recorded ones, by name.
        say: tells the user what is done that may have effects.
        recompute: run those task runs again whose results were not kept.

    Raises:
        CannotDebug: there is no task to do again.
        TargetError: the code cannot be imported.
        ParameterBindError, ParameterTypeError: of ``given``.
    """
    refuse_subflow(run)
    flow_run = reader.run(run.run_id)
    assert flow_run is not None
    go_to_folder_of(flow_run, say)
    flow = _flow_of(flow_run)
    task = find_task(run.task_key)

    flow_parameters = _flow_parameters(flow, flow_run)
    results = ResultStore(reader.paths.results)

    def find(upstream: TaskRunRecord) -> Task[..., Any]:
        return find_task(upstream.task_key)

    def again(upstream: TaskRunRecord, its_task: Task[..., Any], inputs: dict[str, Any]) -> Outcome:
        say(f"{upstream.label} ({upstream.ref}) runs again, for what it returned.")
        return call_alone(its_task, inputs)

    found = RecordedInputs(reader, results, flow_parameters, find).of(run, task, given)
    lost = unrestored(found)
    if recompute and lost:
        for_good = [name for name, each in lost if not each.can_be_computed]
        if for_good:  # no task is to run, with all that it does, for nothing
            say(f"nothing runs again for its inputs: {', '.join(for_good)} would still be missing.")
        else:
            recorded = RecordedInputs(reader, results, flow_parameters, find, again)
            found = recorded.of(run, task, given)
    failed = reader.last_failure(run.run_id, run.no)
    return DebugCase(
        run,
        flow_run,
        task,
        _with_given(task, found, given),
        reader.earlier_inputs(run.run_id, [run.no])[run.no].params or {},
        changed_code(reader, run.run_id, task),
        None if failed is None or failed.exception is None else _text_of(failed.exception),
    )


def _text_of(exception: dict[str, Any]) -> str:
    from flowdeck.failures.text import render

    return render(exception, locals=True)


def _flow_of(run: FlowRunRecord) -> Flow[..., Any] | None:
    """Import what the run ran; ``None``: its flow is not known (the task's own file may be).

    Raises:
        TargetSyntaxError, TargetImportError: it cannot be imported.
    """
    target = recorded_target(run)
    if target is None:
        return None
    try:
        return targets.load(targets.parse(target)).flow
    except (targets.TargetSyntaxError, targets.TargetImportError):
        raise
    except FlowdeckError:  # its name is another now: the task may be there all the same
        return None


def _flow_parameters(flow: Flow[..., Any] | None, run: FlowRunRecord) -> dict[str, Any]:
    """Return the flow's parameters as its function got them, without those that the record lacks."""
    recorded = recorded_values(run)
    lacking = {name.partition(".")[0] for name in recorded.hidden}
    lacking |= {name.partition(".")[0] for name, _ in recorded.stand_ins}
    known = {name: value for name, value in recorded.values.items() if name not in lacking}
    if flow is None or lacking or not flow.should_validate_parameters:
        return known
    try:
        return dict(parameters.validate(flow.fn, known))
    except Exception:  # its signature is another now
        return known


def _with_given(
    task: Task[..., Any], found: Mapping[str, Restored | Lost], given: Mapping[str, str]
) -> dict[str, Restored | Lost]:
    """Return inputs, those that were given in the place of what is recorded, in the task's order."""
    restored = values(found)
    known = {**dict.fromkeys(task.binder.signature.parameters), **restored}
    typed = parameters.from_texts(task.fn, given, given=known)
    new = {name: Restored(value, "given with -p") for name, value in typed.items()}
    merged: dict[str, Restored | Lost] = {**found, **new}
    order = list(task.binder.signature.parameters)
    return dict(
        sorted(merged.items(), key=lambda i: order.index(i[0]) if i[0] in order else len(order))
    )

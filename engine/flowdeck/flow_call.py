"""From a call of a flow to a flow run: parameters, parent, request, record; then the drivers."""

from __future__ import annotations

import json
import os
import sys
import uuid
from typing import TYPE_CHECKING, Any

from flowdeck import context, inputs, logging, request, waiting
from flowdeck.exceptions import UpstreamTaskError
from flowdeck.flow_run import FlowRun, Stand
from flowdeck.logging import INFO, engine_line, line
from flowdeck.names import slug
from flowdeck.recording import recorder
from flowdeck.runs import FlowRunInfo
from flowdeck.settings import get_settings
from flowdeck.states import State, exception_of
from flowdeck.upstreams import (
    blocked_message,
    first_bad,
    not_ready,
    of_call,
    of_wait_for,
    runs_of,
    value_of,
)
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.flows import Flow
    from flowdeck.rerun import Reuse
    from flowdeck.upstreams import Upstream


def call_sync(
    flow: Flow[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun | None,
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> Any:
    """Run a sync flow on this thread."""
    from flowdeck.flow_drive import run_sync

    upstreams, waited = _upstreams(parameters, wait_for)
    waiting.wait(runs_of(upstreams + waited))
    run = _create(flow, parameters, parent, upstreams, waited)
    if isinstance(run, State):
        return run if return_state else run.value()
    return _end(run_sync(run), return_state)


async def call_async(
    flow: Flow[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun | None,
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> Any:
    """Run an async flow on this loop."""
    from flowdeck.flow_drive import run_async

    upstreams, waited = _upstreams(parameters, wait_for)
    await waiting.wait_async(runs_of(upstreams + waited))
    run = _create(flow, parameters, parent, upstreams, waited)
    if isinstance(run, State):
        return run if return_state else run.value()
    return _end(await run_async(run), return_state)


def _end(state: State[Any], return_state: bool) -> Any:
    if state.is_crashed():
        raise exception_of(state)  # a crash is never swallowed
    return state if return_state else state.value()


def _upstreams(
    parameters: dict[str, Any], wait_for: Iterable[Any] | None
) -> tuple[list[Upstream], list[Upstream]]:
    inputs.materialise(parameters)
    found: list[Upstream] = []
    if inputs.needs_look(parameters):
        found = inputs.find(list(parameters.values()))
    return found, [] if wait_for is None else of_wait_for(wait_for)


def _create(
    flow: Flow[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun | None,
    upstreams: list[Upstream],
    waited: list[Upstream],
) -> FlowRun | State[Any]:
    """Make and record the flow run, or return the state of one that is not to run.

    Raises:
        UpstreamTaskError: a run whose value is an argument did not complete.
    """
    bad = first_bad(upstreams)
    if bad is not None:
        raise UpstreamTaskError(blocked_message(bad))
    if parent is None:
        if inputs.needs_look(parameters):
            parameters = {n: inputs.replace(v, value_of) for n, v in parameters.items()}
        return _root(flow, parameters)
    parent.check_open()
    definition = f"flow {flow.key}"
    index = parent.submissions.next_index(definition)
    raw = parameters
    found = parent.remembered(definition, index, raw)
    if found is not None:
        parent.children.append(found)
        line(parent, INFO, f"Reused subflow run {found.name!r}: it completed in an earlier attempt")
        return found.state  # type: ignore[no-any-return]
    edges, _ = of_call(parent, parameters, None, [("wait_for", item) for item, _ in waited])
    if inputs.needs_look(parameters):
        parameters = {n: inputs.replace(v, value_of) for n, v in parameters.items()}
    no, stand_name = parent.submissions.stand_in(flow.name, definition, index, edges)
    above = parent.submissions.reuse
    again = None if above is None else above.subflow(definition, flow.name, index)
    run = _subflow(flow, parameters, parent, Stand(parent, no, stand_name), again)
    parent.remember(definition, index, raw, run)
    parent.children.append(run)
    line(parent, INFO, f"Created subflow run {run.name!r} for flow {flow.name!r}")
    blocked = first_bad(waited)
    if blocked is not None:
        state = not_ready(blocked)
        run.enter(state)
        line(run, INFO, f"Finished in state {state}")
        return state
    return run


def _root(flow: Flow[Any, Any], parameters: dict[str, Any]) -> FlowRun:
    logging.setup()
    settings = get_settings()
    asked = request.take()
    name = asked.name or slug()
    info = FlowRunInfo(
        uid=asked.uid or uuid.uuid4().hex,
        name=name,
        flow_name=flow.name,
        flow_version=flow.version,
        tags=context.current_tags() | asked.tags,
        parameters=parameters,
        created_us=now_us(),
        log_prints=settings.log_prints if flow.log_prints is None else flow.log_prints,
        persist_result=(
            settings.persist_results if flow.persist_result is None else flow.persist_result
        ),
        result_serializer=flow.result_serializer or "pickle",
    )
    run = FlowRun(flow, info, recorder(), flow.task_runner.duplicate(), parameters)
    run.name_was_requested = asked.name is not None
    if asked.reuse and asked.rerun_of is not None:
        from flowdeck.rerun import Reuse

        run.recorder.flush()  # the earlier run may have been this process's
        run.submissions.reuse = Reuse.of(settings.home, asked.rerun_of)
    _record(run, None, asked)
    engine_line(run, INFO, f"Created flow run {name!r} for flow {flow.name!r}")
    return run


def _subflow(
    flow: Flow[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun,
    stand: Stand,
    again: Reuse | None,
) -> FlowRun:
    above = parent.info
    info = FlowRunInfo(
        uid=uuid.uuid4().hex,
        name=slug(),
        flow_name=flow.name,
        flow_version=flow.version,
        tags=context.current_tags() | above.tags,
        parameters=parameters,
        parent_uid=above.uid,
        created_us=now_us(),
        log_prints=above.log_prints if flow.log_prints is None else flow.log_prints,
        persist_result=above.persist_result if flow.persist_result is None else flow.persist_result,
        result_serializer=flow.result_serializer or above.result_serializer,
    )
    runner = flow.task_runner.duplicate()
    run = FlowRun(flow, info, parent.recorder, runner, parameters, parent, stand)
    run.submissions.reuse = again
    _record(run, stand, request.RunRequest(rerun_of=None if again is None else again.uid))
    return run


def _record(run: FlowRun, stand: Stand | None, asked: request.RunRequest) -> None:
    from flowdeck.previews import params_json
    from flowdeck.redaction import names_in_force, without_secret_arguments

    flow, info = run.flow, run.info
    facts = {
        "target": asked.target,
        "version": info.flow_version,
        "cwd": os.getcwd(),
        "argv": without_secret_arguments(sys.argv[:50], names_in_force()),
        "python": sys.version.split()[0],
    }
    run.recorder.emit(
        events.run(
            info.uid,
            info.created_us,
            flow_key=flow.key,
            flow_name=flow.name,
            name=info.name,
            source=flow.source,
            doc=flow.description,
            runner=run.runner.name,
            params=params_json(run.parameters, get_settings().result_preview),
            tags=json.dumps(sorted(info.tags)) if info.tags else None,
            parent_uid=info.parent_uid,
            parent_no=None if stand is None else stand.no,
            rerun_of=asked.rerun_of,
            info=json.dumps(facts),
        )
    )

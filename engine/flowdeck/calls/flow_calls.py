"""From a call of a flow to a flow run: parameters, parent, request, record; then the drivers."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from typing import TYPE_CHECKING, Any

from flowdeck import logging
from flowdeck.definitions.definition import key_of
from flowdeck.exceptions import UpstreamTaskError
from flowdeck.inputs import nested
from flowdeck.inputs.given import draw
from flowdeck.logging import INFO, engine_line, line
from flowdeck.provenance import background
from flowdeck.provenance.recording import record_code, record_run
from flowdeck.runs import lost, waiting
from flowdeck.runs.flow_run import FlowRun, Stand
from flowdeck.runs.launch_spec import LaunchSpec, take_requested
from flowdeck.runs.names import slug
from flowdeck.runs.recorder import recorder
from flowdeck.runs.task_run import FlowRunInfo
from flowdeck.runs.upstreams import (
    blocked_message,
    first_bad,
    not_ready,
    of_call,
    of_wait_for,
    runs_of,
    value_of,
)
from flowdeck.settings import get_settings
from flowdeck.states import State, exception_of
from flowdeck.states.transitions import crash_message
from flowdeck.stopping import cancellation
from flowdeck.threads import active
from flowdeck.values.unawaited import to_be_awaited
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.definitions.bases import FlowDefinition
    from flowdeck.runs.completed_calls import EarlierResults
    from flowdeck.runs.upstreams import Upstream


def call_sync(
    flow: FlowDefinition[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun | None,
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> Any:
    """Run a sync flow on this thread."""
    from flowdeck.lifecycle.flow_execution import run_sync

    upstreams, waited = _upstreams(flow, parameters, wait_for)
    waiting.wait(runs_of(upstreams + waited))
    before, made = active.here(), _Made()
    try:
        run = _create(flow, parameters, parent, upstreams, waited, made)
        if isinstance(run, State):
            return run if return_state else run.value()
        return _end(run, run_sync(run), return_state)
    except BaseException as error:
        made.end(error)
        raise
    finally:
        made.leave()
        active.restore(before)


def loop_blocked(
    flow: FlowDefinition[Any, Any],
    parent: FlowRun | None,
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
) -> Any:
    """Return a context manager for the time in which a call of a sync flow blocks the loop of the
    async code that called it."""
    assert parent is not None
    upstreams, waited = _upstreams(flow, parameters, wait_for)
    pending = [run for run in runs_of(upstreams + waited) if not run.is_final]
    return parent.runner.loop_blocked(active.running_loop(), pending)


@to_be_awaited
async def call_async(
    flow: FlowDefinition[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun | None,
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> Any:
    """Run an async flow on this loop."""
    from flowdeck.lifecycle.flow_execution import run_async

    upstreams, waited = _upstreams(flow, parameters, wait_for)
    await waiting.wait_async(runs_of(upstreams + waited))
    before, made = active.here(), _Made()
    try:
        run = _create(flow, parameters, parent, upstreams, waited, made)
        if isinstance(run, State):
            return run if return_state else run.value()
        return _end(run, await run_async(run), return_state)
    except BaseException as error:
        made.end(error)
        raise
    finally:
        made.leave()
        active.restore(before)


class _Made:
    """The flow run of one call, if it was made: it ends before the call does, whatever strikes."""

    __slots__ = ("run",)

    def __init__(self) -> None:
        self.run: FlowRun | None = None

    def end(self, error: BaseException) -> None:
        """The call ends with an exception."""
        run = self.run
        if run is not None and not run.state.ends_run:
            lost.whatever_strikes(error, _crash, run, error)

    def leave(self) -> None:
        """The call ends."""
        if self.run is not None:
            cancellation.leave(self.run)


def _crash(run: FlowRun, error: BaseException) -> None:
    from flowdeck.lifecycle.flow_execution import end_crashed

    with contextlib.suppress(BaseException):
        run.runner.stop()
    try:
        end_crashed(run, error)
    except Exception:
        lost.enter_at_least(run, crash_message(error), error)


def _end(run: FlowRun, state: State[Any], return_state: bool) -> Any:
    if run.is_broken:
        raise exception_of(state)  # a crash is never swallowed
    return state if return_state else state.value()


def _upstreams(
    flow: FlowDefinition[Any, Any], parameters: dict[str, Any], wait_for: Iterable[Any] | None
) -> tuple[list[Upstream], list[Upstream]]:
    draw(parameters, flow.binder.starred)
    found: list[Upstream] = []
    if nested.needs_look(parameters):
        found = nested.find(list(parameters.values()))
    return found, [] if wait_for is None else of_wait_for(wait_for)


def _create(
    flow: FlowDefinition[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun | None,
    upstreams: list[Upstream],
    waited: list[Upstream],
    made: _Made,
) -> FlowRun | State[Any]:
    """Make and record the flow run, or return the state of one that is not to run.

    Raises:
        UpstreamTaskError: a run whose value is an argument did not complete.
    """
    bad = first_bad(upstreams)
    if bad is not None:
        raise UpstreamTaskError(blocked_message(bad))
    if parent is None:
        if nested.needs_look(parameters):
            parameters = nested.replace_all(parameters, value_of)
        return _root(flow, parameters, made)
    parent.check_open()
    definition = f"flow {flow.key}"
    index = parent.submissions.next_index(definition)
    raw = parameters
    memory = parent.memory
    found = None if memory is None else memory.find(definition, index, raw, waited)
    if found is not None:
        parent.children.append(found)
        line(parent, INFO, f"Reused subflow run {found.name!r}: it completed in an earlier attempt")
        return found.state  # type: ignore[no-any-return]
    edges, _ = of_call(parent, parameters, None, [("wait_for", item) for item, _ in waited])
    if nested.needs_look(parameters):
        parameters = nested.replace_all(parameters, value_of)
    no = parent.submissions.next_number()
    above = parent.submissions.reuse
    again = None if above is None else above.subflow(definition, flow.name, index, edges or ())
    stand = Stand(parent, no, f"{flow.name}-{index}")
    run = made.run = _subflow(flow, parameters, parent, stand, again)
    if above is not None and again is not None:
        above.note_subflow(no, again, run)
    parent.children.append(run)
    parent.submissions.entries.record_stand_in(no, flow.name, stand.name, definition, edges)
    _record(run, stand, LaunchSpec(rerun_of=None if again is None else again.uid))
    if memory is not None:
        memory.note(definition, index, raw, waited, run)
    line(parent, INFO, f"Created subflow run {run.name!r} for flow {flow.name!r}")
    blocked = first_bad(waited)
    if blocked is not None:
        from flowdeck.lifecycle.flow import name

        with contextlib.suppress(Exception):
            name(run)  # nobody else will
        state = not_ready(blocked)
        run.enter(state)
        line(run, INFO, f"Finished in state {state}")
        return state
    return run


def _root(flow: FlowDefinition[Any, Any], parameters: dict[str, Any], made: _Made) -> FlowRun:
    logging.setup()
    settings = get_settings()
    asked = take_requested()
    name, into = asked.name or slug(), recorder()
    info = FlowRunInfo(
        uid=asked.uid or uuid.uuid4().hex,
        name=name,
        flow_name=flow.name,
        flow_version=flow.version,
        tags=active.current_tags() | frozenset(asked.tags),
        parameters=parameters,
        created_us=now_us(),
        log_prints=settings.log_prints if flow.log_prints is None else flow.log_prints,
        persist_result=(
            settings.persist_results if flow.persist_result is None else flow.persist_result
        ),
        result_serializer=flow.result_serializer or "pickle",
        metrics=settings.metrics_seconds if settings.metrics and into.is_record else None,
        home=str(settings.home) if into.is_record else None,
    )
    run = FlowRun(flow, info, into, flow.task_runner.duplicate(), parameters)
    run.name_was_requested = asked.name is not None
    if asked.reuse and asked.rerun_of is not None:
        from flowdeck.reuse.plan import EarlierRun

        background.wait()  # the earlier run may have been this process's
        run.recorder.flush()
        run.submissions.reuse = EarlierRun.of(settings.home, asked)
    made.run = run
    _record(run, None, asked)
    record_run(run.recorder, info.uid, flow)
    engine_line(run, INFO, f"Created flow run {name!r} for flow {flow.name!r}")
    return run


def _subflow(
    flow: FlowDefinition[Any, Any],
    parameters: dict[str, Any],
    parent: FlowRun,
    stand: Stand,
    again: EarlierResults | None,
) -> FlowRun:
    above = parent.info
    info = FlowRunInfo(
        uid=uuid.uuid4().hex,
        name=slug(),
        flow_name=flow.name,
        flow_version=flow.version,
        tags=active.current_tags() | above.tags,
        parameters=parameters,
        parent_uid=above.uid,
        parent_no=stand.no,
        created_us=now_us(),
        log_prints=above.log_prints if flow.log_prints is None else flow.log_prints,
        persist_result=above.persist_result if flow.persist_result is None else flow.persist_result,
        result_serializer=flow.result_serializer or above.result_serializer,
        metrics=above.metrics,
        home=above.home,
    )
    runner = flow.task_runner.duplicate()
    run = FlowRun(flow, info, parent.recorder, runner, parameters, parent, stand)
    run.submissions.reuse = again
    return run


def _record(run: FlowRun, stand: Stand | None, asked: LaunchSpec) -> None:
    from flowdeck.values.previews import params_json
    from flowdeck.values.redaction import names_in_force, without_secret_arguments

    flow, info = run.flow, run.info
    facts = {
        "target": asked.target or None,
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
            params=params_json(run.parameters, get_settings().result_preview, inside=False),
            tags=json.dumps(sorted(info.tags)) if info.tags else None,
            parent_uid=info.parent_uid,
            parent_no=None if stand is None else stand.no,
            rerun_of=asked.rerun_of,
            info=json.dumps(facts),
        )
    )
    record_code(run.recorder, info.uid, f"flow {key_of(flow.fn)}", flow.fn)

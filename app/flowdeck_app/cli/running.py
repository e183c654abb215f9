"""Carrying out ``flowdeck run``, here (load, check, execute, report) or in a process of its own.

What is wrong is said before anything runs: names by the text of the flow's file (a detached run
is checked without importing it), values when the flow is loaded. A launched run that fails here
was recorded before it had a process, so its failure is recorded as well.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.errors import RUN_FAILED, Trouble
from flowdeck_app.cli.lists import show_runs
from flowdeck_app.cli.output import echo, is_terminal, say
from flowdeck_app.cli.record import home
from flowdeck_app.cli.reporting import RunEnd, prints_to_stderr, report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.flows import Flow
    from flowdeck.runs.launch_spec import LaunchSpec


def check_without_import(spec: LaunchSpec) -> None:
    """Find what is wrong with a spec by the text of the flow's file alone.

    Raises:
        TargetError, ConfigurationError, Trouble: there is something.
    """
    from flowdeck.launch import targets
    from flowdeck_app.cli.given import check_names

    target = targets.parse(spec.target)
    found = targets.find(target)
    if found is None:
        targets.load(target)  # the text does not tell: only importing it does
    else:
        check_names(found, [*spec.values, *spec.texts])
    if spec.runner:
        _runner(spec.runner, spec.runner_options)


def launch_detached(spec: LaunchSpec, *, as_json: bool) -> None:
    """Start a run in a process of its own, and say which.

    Raises:
        TargetError, ConfigurationError, Trouble: it cannot be started.
    """
    from flowdeck_app.control.launch import start_detached
    from flowdeck_store.read.reader import Reader

    check_without_import(spec)
    launched = start_detached(spec)
    if as_json:
        with Reader.open(home()) as reader:
            show_runs(reader, reader.runs_by_ids([launched.run_id]), as_json=True)
    else:
        echo([f"{launched.run_id} {launched.name}"])
    say(f"flowdeck: `flowdeck watch {launched.run_id}` shows it; it prints to {launched.log}.")


def carry_out(
    spec: LaunchSpec,
    *,
    quiet: bool,
    as_json: bool,
    say_before: Callable[[Flow[..., Any]], None] | None = None,
) -> int:
    """Run the flow in this process and return the exit code.

    Args:
        spec: what to run and how.
        quiet: show nothing but errors.
        as_json: show the run's JSON in the end.
        say_before: is called with the flow that was imported, before it runs.

    Raises:
        TargetError, ConfigurationError, Trouble: it cannot be started.
    """
    with prints_to_stderr(as_json):
        try:
            call = _prepare(spec, say_before)
        except Trouble as trouble:
            _give_up(spec, trouble.message)
            raise
        except Exception as error:
            _give_up(spec, str(error) or type(error).__name__)
            raise
        uid = spec.uid or uuid.uuid4().hex
        end = execute(call, spec, uid, quiet=quiet)
    return report(uid, end, quiet=quiet, as_json=as_json)


def _prepare(
    spec: LaunchSpec, say_before: Callable[[Flow[..., Any]], None] | None
) -> Callable[[], Any]:
    """Return the call of the flow, ready to be made."""
    from flowdeck.launch import targets

    target = targets.parse(spec.target)
    try:
        flow = targets.load(target).flow
    except targets.TargetImportError as error:
        raise _import_failed(spec, error) from None
    if say_before is not None:
        say_before(flow)
    return call_of(flow, spec)


def call_of(flow: Flow[..., Any], spec: LaunchSpec) -> Callable[[], Any]:
    """Return the call that a spec makes of a flow, ready to be made.

    Raises:
        ConfigurationError, ParameterBindError, ParameterTypeError, Trouble: runner or parameters do not
            fit.
    """
    args, kwargs = _arguments(flow, spec)
    return functools.partial(_with_runner(flow, spec), *args, **kwargs, return_state=True)


def _with_runner(flow: Flow[..., Any], spec: LaunchSpec) -> Flow[..., Any]:
    """Return the flow with the runner that was asked for; options add to those in the code."""
    own = flow.task_runner
    if spec.runner in {None, own.name}:
        if not spec.runner_options:
            return flow
        kept = own.options_beside(spec.runner_options)
        return flow.with_options(task_runner=_runner(own.name, spec.runner_options, kept))
    return flow.with_options(task_runner=_runner(str(spec.runner), spec.runner_options))


def _runner(name: str, texts: Mapping[str, str], base: Mapping[str, Any] | None = None) -> Any:
    from flowdeck.task_runners import make_runner
    from flowdeck_app.cli.given import option_values

    return make_runner(name, {**(base or {}), **option_values(texts)})


def _arguments(flow: Flow[..., Any], spec: LaunchSpec) -> tuple[list[Any], dict[str, Any]]:
    """Return what to call the flow with, checked before anything runs.

    Raises:
        ParameterBindError, ParameterTypeError, Trouble: one is unknown, missing or does not fit.
    """
    from flowdeck import parameters
    from flowdeck_app.cli.given import unknown_parameter

    signature = inspect.signature(flow.fn)
    known = signature.parameters
    extra = next((p.name for p in known.values() if p.kind is p.VAR_KEYWORD), None)
    unknown = [name for name in spec.values if name not in known]
    if unknown and extra is None:
        raise unknown_parameter(flow.name, unknown[0], list(known))
    texts = parameters.from_texts(flow.fn, spec.texts, given=spec.values)
    args, kwargs = _spread(signature, {**spec.values, **texts})
    bound = parameters.bind(flow.fn, signature, tuple(args), kwargs)
    if flow.should_validate_parameters:
        parameters.validate(flow.fn, bound)
    return args, kwargs


def _spread(
    signature: inspect.Signature, given: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Turn parameters by name into a call: the record has ``*args`` and ``**kwargs`` by name too."""
    args: list[Any] = []
    parameters = signature.parameters.values()
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    for parameter in parameters:
        if parameter.name not in given:
            continue
        if parameter.kind is parameter.VAR_KEYWORD and isinstance(given[parameter.name], dict):
            given.update(given.pop(parameter.name))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args += given.pop(parameter.name)
        elif parameter.kind is parameter.POSITIONAL_ONLY or (
            rest in given and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            args.append(given.pop(parameter.name))
    return args, given


def _import_failed(spec: LaunchSpec, error: Any) -> Trouble:
    """Record the run as failed with the traceback, and say so."""
    from flowdeck.failures.capture import capture
    from flowdeck.launch.process import record_failed_import

    run_id = record_failed_import(spec, home(), error.error)
    echo([capture(error.error).text], sys.stderr)
    hint = f"recorded as a failed run: `flowdeck show {run_id}`."
    return Trouble(str(error), hint, code=RUN_FAILED)


def _give_up(spec: LaunchSpec, message: str) -> None:
    """A launched run that cannot start is a recorded failure, not one that waits for ever."""
    if spec.uid is None:
        return
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.upkeep import launches

    with Reader.open(home()) as reader:
        run = reader.run_by_uid(spec.uid)
    if run is not None:
        launches.fail_run(home(), run.id, f"The run could not be started: {message}", None)


def execute(call: Callable[[], Any], spec: LaunchSpec, uid: str, *, quiet: bool) -> RunEnd:
    """Make a call of a flow and return how it ended.

    Args:
        call: of :func:`call_of`.
        spec: what it was made of.
        uid: that the run gets.
        quiet: show nothing.
    """
    from flowdeck.output.console import taken
    from flowdeck.output.whole_lines import kept_whole
    from flowdeck.runs.launch_spec import requested
    from flowdeck.settings import using
    from flowdeck.stopping.cancellation import ctrl_c_cancels
    from flowdeck_store.errors import StoreError

    live = is_terminal(sys.stderr) and not quiet
    with contextlib.ExitStack() as stack:
        if live or quiet:
            stack.enter_context(using(console=False))
            stack.enter_context(taken())
        stack.enter_context(requested(replace(spec, uid=uid)))
        stack.enter_context(ctrl_c_cancels())
        if live:
            from flowdeck_app.cli.display import BackgroundDisplay

            stack.enter_context(BackgroundDisplay(home(), uid))
        stack.enter_context(kept_whole())  # the streams that the display has not taken
        try:
            state = call()
            if inspect.isawaitable(state):
                import asyncio

                state = asyncio.run(_awaited(state))
        except StoreError:
            raise  # there is no record to run with: nothing was started
        except BaseException as error:  # a crash is raised even with return_state: it is recorded
            return RunEnd(error=error)
        return RunEnd(state=state)


async def _awaited(state: Any) -> Any:
    return await state

"""Carrying out ``flowdeck run`` in this process: load, check, execute, report."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.common import home, is_terminal, say
from flowdeck_app.cli.errors import RUN_FAILED, Trouble
from flowdeck_app.cli.reporting import Outcome, prints_to_stderr, report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.flows import Flow
    from flowdeck.launching import Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything that was asked for."""

    target: str
    values: Mapping[str, Any] = field(default_factory=dict)  # parameters as JSON gave them
    texts: Mapping[str, str] = field(default_factory=dict)  # parameters as texts, to be converted
    runner: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    tags: tuple[str, ...] = ()
    run_uid: str | None = None
    rerun_of: str | None = None
    reuse: bool = False  # what completed in that run is not executed again

    def launch(self) -> Launch:
        """Return the same for a detached process."""
        from flowdeck.launching import Launch

        return Launch(
            target=self.target,
            parameters=json.dumps(self.values) if self.values else None,
            texts=self.texts,
            runner=self.runner,
            runner_options=self.options,
            name=self.name,
            tags=self.tags,
            rerun_of=self.rerun_of,
            reuse=self.reuse,
        )


def check_without_import(order: Order) -> None:
    """Find what is wrong with an order by the text of the flow's file alone.

    Raises:
        TargetError, ConfigurationError, Trouble: there is something.
    """
    from flowdeck import targets
    from flowdeck_app.cli.given import check_names

    target = targets.parse(order.target)
    found = targets.find(target)
    if found is None:
        targets.load(target)  # the text does not tell: only importing it does
    else:
        check_names(found, [*order.values, *order.texts])
    if order.runner:
        _runner(order.runner, order.options)


def carry_out(order: Order, *, quiet: bool, as_json: bool) -> int:
    """Run the flow in this process and return the exit code.

    Raises:
        TargetError, ConfigurationError, Trouble: it cannot be started.
    """
    with prints_to_stderr(as_json):
        try:
            call = _prepare(order)
        except Trouble as trouble:
            _give_up(order, trouble.message)
            raise
        except Exception as error:
            _give_up(order, str(error) or type(error).__name__)
            raise
        uid = order.run_uid or uuid.uuid4().hex
        outcome = _execute(call, order, uid, quiet=quiet)
    return report(uid, outcome, quiet=quiet, as_json=as_json)


def _prepare(order: Order) -> Callable[[], Any]:
    """Return the call of the flow, ready to be made."""
    from flowdeck import targets

    target = targets.parse(order.target)
    try:
        flow = targets.load(target).flow
    except targets.TargetImportError as error:
        raise _import_failed(order, error) from None
    args, kwargs = _arguments(flow, order)
    return functools.partial(_with_runner(flow, order), *args, **kwargs, return_state=True)


def _with_runner(flow: Flow[..., Any], order: Order) -> Flow[..., Any]:
    """Return the flow with the runner that was asked for; options add to those in the code."""
    own = flow.task_runner
    if order.runner in {None, own.name}:
        if not order.options:
            return flow
        kept = own.options_beside(order.options)
        return flow.with_options(task_runner=_runner(own.name, order.options, kept))
    return flow.with_options(task_runner=_runner(str(order.runner), order.options))


def _runner(name: str, texts: Mapping[str, str], base: Mapping[str, Any] | None = None) -> Any:
    from flowdeck.task_runners import make_runner
    from flowdeck_app.cli.given import option_values

    return make_runner(name, {**(base or {}), **option_values(texts)})


def _arguments(flow: Flow[..., Any], order: Order) -> tuple[list[Any], dict[str, Any]]:
    """Return what to call the flow with, checked before anything runs.

    Raises:
        ParameterBindError, ParameterTypeError, Trouble: one is unknown, missing or does not fit.
    """
    from flowdeck import parameters
    from flowdeck_app.cli.given import unknown_parameter

    signature = inspect.signature(flow.fn)
    known = signature.parameters
    extra = next((p.name for p in known.values() if p.kind is p.VAR_KEYWORD), None)
    unknown = [name for name in order.values if name not in known]
    if unknown and extra is None:
        raise unknown_parameter(flow.name, unknown[0], list(known))
    texts = parameters.from_texts(flow.fn, order.texts, given=order.values)
    args, kwargs = _spread(signature, {**order.values, **texts})
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


def _import_failed(order: Order, error: Any) -> Trouble:
    """Record the run as failed with the traceback, and say so."""
    from flowdeck.failures import capture
    from flowdeck.launching import record_failed_import

    run_id = record_failed_import(order.launch(), home(), error.error, uid=order.run_uid)
    say(capture(error.error).text)
    hint = f"recorded as a failed run: `flowdeck show {run_id}`."
    return Trouble(str(error), hint, code=RUN_FAILED)


def _give_up(order: Order, message: str) -> None:
    """A launched run that cannot start is a recorded failure, not one that waits for ever."""
    if order.run_uid is None:
        return
    from flowdeck_store import launches
    from flowdeck_store.reader import Reader

    with Reader.open(home()) as reader:
        run = reader.run_by_uid(order.run_uid)
    if run is not None:
        launches.fail_run(home(), run.id, f"The run could not be started: {message}", None)


def _execute(call: Callable[[], Any], order: Order, uid: str, *, quiet: bool) -> Outcome:
    from flowdeck.cancellation import ctrl_c_cancels
    from flowdeck.request import RunRequest, requested
    from flowdeck.settings import using
    from flowdeck_store.errors import StoreError

    request = RunRequest(
        uid=uid,
        name=order.name,
        tags=frozenset(order.tags),
        rerun_of=order.rerun_of,
        reuse=order.reuse,
        target=order.target,
    )
    live = is_terminal(sys.stderr) and not quiet
    with contextlib.ExitStack() as stack:
        if live or quiet:
            stack.enter_context(using(console=False))
        stack.enter_context(requested(request))
        stack.enter_context(ctrl_c_cancels())
        if live:
            from flowdeck_app.cli.display import BackgroundDisplay

            stack.enter_context(BackgroundDisplay(home(), uid))
        try:
            state = call()
            if inspect.isawaitable(state):
                import asyncio

                state = asyncio.run(_awaited(state))
        except StoreError:
            raise  # there is no record to run with: nothing was started
        except BaseException as error:  # a crash is raised even with return_state: it is recorded
            return Outcome(error=error)
        return Outcome(state=state)


async def _awaited(state: Any) -> Any:
    return await state

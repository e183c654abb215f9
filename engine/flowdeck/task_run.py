"""One task run from its first state to its last: attempts, retries, timeout, cache, slots, hooks.

:func:`lifecycle` decides; :class:`Execution` drives it on a thread or on a loop. The same code
runs under every task runner, on workers too.
"""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any

from flowdeck import capture, context, hooks, inputs
from flowdeck.deadlines import DeadlineExceeded, call_with_deadline
from flowdeck.exceptions import TaskCancelled, UnserialisableResult
from flowdeck.final_state import from_return_value
from flowdeck.interrupts import executing
from flowdeck.futures import resolve_futures_to_states
from flowdeck.logging import DEBUG, ERROR, INFO, WARNING, exception_text, line
from flowdeck.previews import params_reprs, preview, type_name
from flowdeck.results import KeptValue
from flowdeck.states import (
    AwaitingRetry,
    Cancelled,
    Completed,
    Failed,
    Missing,
    Pending,
    Retrying,
    State,
)
from flowdeck.steps import Call, CallHook, Outcome, Sleep, Step, run_hook, run_hook_async
from flowdeck.transitions import is_cancellation, retry_delay, state_of_exception
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Generator

    from flowdeck.runs import TaskRun

_rng = random.Random()
_quoted = json.encoder.encode_basestring_ascii
#: Seconds between two looks for a free slot of a limited tag.
_SLOT_POLL = 0.2


def lifecycle(run: TaskRun) -> Generator[Step, Any, State[Any]]:
    """Take a task run whose upstreams are final to its last state, which is returned.

    Everything is recorded on the way, the last state included.
    """
    try:
        _prepare(run)
    except Exception as bad:
        return (yield from _conclude(run, state_of_exception(bad, "Task"), bad))
    if run.cancel_requested:
        return (yield from _conclude(run, run.stopped("before it started")))
    key = None
    if run.task.cache_key_fn is not None:
        try:
            key = run.task.cache_key_fn(context.TaskRunContext(run), run.parameters or {})
        except Exception as bad:
            return (yield from _conclude(run, state_of_exception(bad, "Task"), bad))
        cached = _from_cache(run, key)
        if cached is not None:
            return (yield from _conclude(run, cached))
    while True:
        blocked = yield from _take_slots(run)
        if blocked is not None:
            return (yield from _conclude(run, blocked))
        state, error = yield from _attempt(run)
        if run.tags and run.recorder.has_limits():
            run.recorder.release_slots(run.info.uid, run.no)
        delay = None
        if state.type is StateType.FAILED and state.name != "NotReady":
            delay = yield from _delay_before_retry(run, state)
        if delay is None:
            return (yield from _conclude(run, state, error, key))
        _record_failure(run, state, error)
        at_us = now_us() + int(delay * 1e6)
        waiting = AwaitingRetry(message=state.message)
        run.enter(waiting, json.dumps({"retry_at_us": at_us}))
        line(
            run,
            INFO,
            f"Received non-final state {waiting.name!r} when proposing final state "
            f"{state.name!r} and will attempt to run again...",
        )
        yield Sleep(delay)
        if run.cancel_requested:
            return (yield from _conclude(run, run.stopped("while it waited to be tried again")))


def _prepare(run: TaskRun) -> None:
    """Put the values of futures in, and compute the run's own name."""
    parameters = run.parameters
    if parameters is not None and inputs.needs_look(parameters):
        run.parameters = {name: inputs.replace(v, _value_of) for name, v in parameters.items()}
    template = run.task.task_run_name
    if template is not None:
        if callable(template):
            name = template()
            if not isinstance(name, str):
                raise TypeError(
                    f"Callable {template!r} for 'task_run_name' returned type "
                    f"{type(name).__name__} but a string is required."
                )
        else:
            name = template.format(**(run.parameters or {}))
        run.name = name
        run.emit(events.rename(run.info.uid, run.no, run.name))


def _value_of(item: Any) -> Any:
    """Return what a function gets for a future or state: its value, or the allowed exception."""
    state: State[Any] = item if isinstance(item, State) else item.task_run.state
    return state.value(raise_on_failure=False)


def _from_cache(run: TaskRun, key: str | None) -> State[Any] | None:
    if key is None or run.task.refreshes_cache():
        return None
    hit = run.recorder.cached(key, now_us())
    if hit is None:
        return None
    try:
        value = run.recorder.results.read(hit.location)
    except Exception as error:
        # The kept value is gone or unreadable: run the task as if there were no entry.
        line(run, WARNING, f"The cached result cannot be read and is computed again: {error}")
        return None
    state = Completed(name="Cached", data=value)
    _record_result(run, value, None, hit.location)
    return state


def _take_slots(run: TaskRun) -> Generator[Step, Any, State[Any] | None]:
    """Wait for a slot in every limited tag; return a state only if there will never be one."""
    if not run.tags or not run.recorder.has_limits():
        return None
    told = False
    while True:
        try:
            full = run.recorder.acquire_slots(run.tags, run.info.uid, run.no)
        except Exception as error:  # a limit of 0: it would wait for ever
            return Cancelled(message=str(error))
        if not full:
            return None
        if not told:
            told = True
            names = ", ".join(repr(tag) for tag in full)
            run.enter(Pending(message=f"Waiting for a free slot of tag {names}."))
            line(run, DEBUG, f"Waiting for a concurrency slot of tag {names}")
        yield Sleep(_SLOT_POLL)
        if run.cancel_requested:
            return run.stopped("while it waited for a slot")


def _attempt(run: TaskRun) -> Generator[Step, Any, tuple[State[Any], BaseException | None]]:
    """Call the function once and say how that ended."""
    task = run.task
    run.run_count += 1
    first = run.run_count == 1
    state: State[Any] = State(StateType.RUNNING) if first else Retrying()
    if first:
        run.started_us = state.us
    run.enter(state, _params_json(run) if first else None)
    args, kwargs = task.call_args(run.parameters or {})
    outcome: Outcome = yield Call(task.fn, args, kwargs, task.timeout_seconds)
    error = outcome.error
    if error is None:
        return _state_of_value(outcome.value), None
    if run.cancel_requested and is_cancellation(error):
        return run.stopped("while it was running"), None
    if isinstance(error, DeadlineExceeded):
        if error.abandoned:
            line(
                run,
                WARNING,
                "The function did not stop when its time was up: it goes on in the background "
                f"in thread {error.thread_name!r}",
            )
        ended = state_of_exception(error, "Task")
        exception: BaseException = ended.data
        return ended, exception.with_traceback(error.interrupted_at)
    if isinstance(error, Exception):
        from flowdeck.failures import capture as capture_failure

        exception_text(run, capture_failure(error).text)
    else:
        line(run, ERROR, f"Crash detected! {state_of_exception(error, 'Task').message}")
    return state_of_exception(error, "Task"), error


def _state_of_value(value: Any) -> State[Any]:
    if type(value) in inputs.ATOMIC:
        return State(StateType.COMPLETED, data=value)
    if hasattr(value, "__next__") and hasattr(value, "__iter__") and not hasattr(value, "read"):
        value = list(value)
    return from_return_value(resolve_futures_to_states(value))


def _params_json(run: TaskRun) -> str | None:
    if not run.parameters:
        return None
    # json.dumps builds an encoder for each call; a dict of texts does not need one.
    pairs = [f"{_quoted(k)}: {_quoted(v)}" for k, v in params_reprs(run.parameters).items()]
    return '{"params": {' + ", ".join(pairs) + "}}"


def _delay_before_retry(run: TaskRun, state: State[Any]) -> Generator[Step, Any, float | None]:
    """Return the seconds to wait before the next attempt, ``None`` to end here."""
    task = run.task
    if run.run_count > task.retries or run.cancel_requested:
        return None
    if task.retry_condition_fn is not None:
        subject = {"task": task, "task_run": run, "state": state}
        outcome: Outcome = yield CallHook(task.retry_condition_fn, subject)
        if outcome.error is not None:
            from flowdeck.failures import capture as capture_failure

            text = capture_failure(outcome.error).text
            line(run, ERROR, f"The retry condition raised, so there is no retry\n{text}")
            return None
        if not outcome.value:
            return None
    return retry_delay(task.retry_delays, run.run_count, task.retry_jitter_factor, _rng)


# -- the end --------------------------------------------------------------------------------------


def _conclude(
    run: TaskRun,
    state: State[Any],
    error: BaseException | None = None,
    cache_key: str | None = None,
) -> Generator[Step, Any, State[Any]]:
    """Record the last state, keep the result, call the hooks."""
    task = run.task
    if state.type is StateType.COMPLETED:
        if state.name != "Cached":
            state = _keep_result(run, state, cache_key)
    else:
        _record_failure(run, state, error)
    run.enter(state)
    called = _hooks_for(run, state)
    if called:
        yield from hooks.call_all(run, called, state, {"task": task, "task_run": run})
    if state.type is StateType.COMPLETED:
        line(run, INFO, f"Finished in state {state}")
    else:
        line(run, ERROR, f"Finished in state {state}")
    return state


def _hooks_for(run: TaskRun, state: State[Any]) -> list[hooks.Hook]:
    if state.type is StateType.COMPLETED:
        return run.task.on_completion if state.name != "Cached" else []
    if state.type is StateType.FAILED:
        return run.task.on_failure
    return []


def _keep_result(run: TaskRun, state: State[Any], cache_key: str | None) -> State[Any]:
    """Write the result to disk where that is wanted, and record what it looks like."""
    task, value = run.task, state.data
    location, size = None, None
    if task.keeps_result(run.info) or cache_key is not None:
        try:
            location, size = run.recorder.results.write(value, task.serializer(run.info))
        except UnserialisableResult as error:
            if not task.cache_result_in_memory:
                failed = Failed(message=f"Task run encountered an exception {error}", data=error)
                _record_failure(run, failed, error)
                return failed
            line(run, WARNING, f"The result is kept in memory only: {error}")
        except OSError as error:
            line(run, WARNING, f"The result is kept in memory only: it cannot be written: {error}")
    _record_result(run, value, size, location)
    if location is not None and cache_key is not None:
        us = now_us()
        expires = task.cache_expires_us(us)
        run.emit(events.cache(run.info.uid, run.no, us, cache_key, expires, location))
        state.state_details.cache_key = cache_key
    if not task.cache_result_in_memory:
        kept = KeptValue(run.recorder.results, location) if location is not None else Missing()
        state.data = kept
    return state


def _record_result(run: TaskRun, value: Any, size: int | None, location: str | None) -> None:
    """Record type and preview; a plain ``None`` says nothing and is left out."""
    if value is None and location is None:
        return
    run.emit(
        events.result(
            run.info.uid, run.no, now_us(), type_name(value), size, preview(value), location
        )
    )


def _record_failure(run: TaskRun, state: State[Any], error: BaseException | None) -> None:
    if error is None and isinstance(state.data, BaseException):
        error = state.data
    if error is None or state.type is StateType.CANCELLED:
        return
    from flowdeck.failures import capture as capture_failure

    found = capture_failure(error)
    run.emit(
        events.failure(
            run.info.uid,
            run.no,
            now_us(),
            run.run_count or 1,
            found.exc_type,
            found.exc_msg,
            found.structure,
            found.variables,
        )
    )


# -- driving --------------------------------------------------------------------------------------


class Execution:
    """Drives the lifecycle of one task run, in pieces where it sleeps."""

    __slots__ = ("_generator", "_outcome", "run")

    def __init__(self, run: TaskRun) -> None:
        self.run = run
        self._generator = lifecycle(run)
        self._outcome: Outcome | None = None

    def advance(self) -> float | None:
        """Go on, on this thread, until the run ends (``None``) or sleeps (seconds)."""
        run = self.run
        token = context.current_task_run.set(run)
        try:
            if not run.log_prints:
                return self._go_on()
            with capture.prints(True):
                return self._go_on()
        finally:
            context.current_task_run.reset(token)

    def _go_on(self) -> float | None:
        send, outcome = self._generator.send, self._outcome
        while True:
            try:
                step = send(outcome)
            except StopIteration:
                return None
            if type(step) is Call:
                outcome = call(self.run, step)
            elif type(step) is Sleep:
                self._outcome = None
                return step.seconds
            else:
                outcome = run_hook(step)  # type: ignore[arg-type]

    def run_here(self) -> State[Any]:
        """Run to the end on this thread."""
        while True:
            seconds = self.advance()
            if seconds is None:
                return self.run.state
            wait_unless_cancelled(self.run, seconds)

    async def run_async(self) -> State[Any]:
        """Run to the end on this loop."""
        import anyio

        run = self.run
        token = context.current_task_run.set(run)
        try:
            with capture.prints(run.log_prints):
                while True:
                    try:
                        step = self._generator.send(self._outcome)
                    except StopIteration:
                        return run.state
                    self._outcome = None
                    if type(step) is Call:
                        self._outcome = await call_async(run, step)
                    elif type(step) is Sleep:
                        await anyio.sleep(step.seconds)
                    else:
                        self._outcome = await run_hook_async(step)  # type: ignore[arg-type]
        finally:
            context.current_task_run.reset(token)


def wait_unless_cancelled(run: TaskRun, seconds: float) -> None:
    """Sleep, but wake when the run is asked to stop."""
    woken = threading.Event()
    before, run.interrupt = run.interrupt, woken.set
    try:
        if not run.cancel_requested:
            woken.wait(seconds)
    finally:
        run.interrupt = before


def call(run: TaskRun, step: Call) -> Outcome:
    """Call the user's function on this thread (an async one on the engine's loop)."""
    if run.task.isasync:
        from flowdeck import loop

        return loop.run(call_async, run, step)  # type: ignore[no-any-return]
    try:
        with executing(run):
            if step.timeout is None:
                return Outcome(step.fn(*step.args, **step.kwargs))
            return Outcome(call_with_deadline(step.fn, step.args, step.kwargs, step.timeout))
    except BaseException as error:
        return Outcome(None, error)


async def call_async(run: TaskRun, step: Call) -> Outcome:
    """Call the user's async function on this loop; a request to cancel ends it at an await."""
    import asyncio

    import anyio

    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as asked:

        def interrupt() -> None:
            loop.call_soon_threadsafe(asked.cancel)

        run.interrupt = interrupt
        try:
            with anyio.move_on_after(step.timeout) as clock:
                return Outcome(await step.fn(*step.args, **step.kwargs))
        except BaseException as error:
            if asked.cancel_called:
                return Outcome(None, TaskCancelled())
            return Outcome(None, error)
        finally:
            run.interrupt = None
        if clock.cancelled_caught:
            name = threading.current_thread().name
            error_ = DeadlineExceeded(step.timeout or 0.0, abandoned=False, thread_name=name)
            return Outcome(None, error_)
    return Outcome(None, TaskCancelled())

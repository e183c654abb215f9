"""Options of single Ray tasks: ``with remote_options(num_cpus=2): task.submit(...)``."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowdeck.runs.task_run import TaskRun

#: What tasks get unless told otherwise. A worker that dies makes the run Crashed, it does not run
#: the function again behind the user's back: retries are the task's own.
DEFAULTS: Final[dict[str, Any]] = {"max_retries": 0}
_NOT_YOURS: Final = {
    "num_returns": "a flowdeck task always has one value",
}
#: What Ray calls what every machine has.
_OPTIONS: Final = {"cpu": "num_cpus", "gpu": "num_gpus"}
_options: ContextVar[Mapping[str, Any] | None] = ContextVar("flowdeck_ray_options", default=None)


@contextlib.contextmanager
def remote_options(**options: Any) -> Iterator[dict[str, Any]]:
    """Give the tasks that are submitted inside the block options of ``ray.remote``.

    Blocks may be nested: all options count, the innermost wins. Without effect on other runners.

    Args:
        **options: ``num_cpus``, ``num_gpus``, ``resources``, ``memory``, ``max_retries``,
            ``max_calls``, ``runtime_env``, ``scheduling_strategy``... as ``ray.remote`` takes them.

    Raises:
        ValueError: Ray has no such option, or not with this value.
        ImportError: Ray is not installed.
    """
    for name, why in _NOT_YOURS.items():
        if name in options:
            raise ValueError(f"remote_options cannot set {name!r}: {why}.")
    merged = {**(_options.get() or {}), **options}
    _check(merged)
    token = _options.set(merged)
    try:
        yield merged
    finally:
        _options.reset(token)


def _check(options: dict[str, Any]) -> None:
    from flowdeck.task_runners._ray.versions import import_ray

    ray = import_ray()
    try:
        ray.remote(**options)(_check)
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"remote_options: {error}") from None


def options_in(context: Any) -> Mapping[str, Any]:
    """Return the options in force in a :class:`contextvars.Context`."""
    return context.get(_options) or {}


def options_of(run: TaskRun) -> Mapping[str, Any]:
    """Return the options of a task run: those in force where it was submitted, and what it needs.

    Raises:
        ConfigurationError: they ask for another amount of the same.
    """
    given = {} if run.context is None else options_in(run.context)
    if not run.task.resources:
        return given
    wanted: dict[str, Any] = {}
    custom: dict[str, float] = {}
    for name, amount in run.task.resources.items():
        if name == "memory":
            wanted[name] = int(amount)
        elif name in _OPTIONS:
            wanted[_OPTIONS[name]] = amount
        else:
            custom[name] = amount
    own = given.get("resources") or {}
    for name, amount, told in [
        *((name, amount, given.get(name)) for name, amount in wanted.items()),
        *((name, amount, own.get(name)) for name, amount in custom.items()),
    ]:
        if told is not None and told != amount:
            raise ConfigurationError(
                f"Task {run.task.name!r} asks for {name}={amount:g} by its `resources`, and for "
                f"{name}={told:g} by `remote_options`: say it in one place."
            )
    merged = {**given, **wanted}
    return {**merged, "resources": {**own, **custom}} if custom else merged

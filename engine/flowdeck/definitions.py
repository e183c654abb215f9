"""What flows and tasks have in common as definitions: where they stand in the source, whether they
are async, and how their options are checked and changed."""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any

from flowdeck.transitions import MAX_DELAYS

if TYPE_CHECKING:
    from collections.abc import Callable


class _NotSet:
    """Stands for "not given" where ``None`` means something."""

    def __repr__(self) -> str:
        return "<not set>"


NOT_SET: Any = _NotSet()


def source_of(fn: Callable[..., Any]) -> tuple[str | None, int | None]:
    """Return absolute file and line of a function's definition, ``(None, None)`` if unknown."""
    inner = inspect.unwrap(fn)
    code = getattr(inner, "__code__", None)
    if code is None:  # an instance with __call__
        code = getattr(getattr(type(inner), "__call__"), "__code__", None)  # noqa: B004, B009
    if code is None or code.co_filename.startswith("<"):
        return None, None
    return os.path.abspath(code.co_filename), code.co_firstlineno


def key_of(fn: Callable[..., Any]) -> str:
    """Return a name for a function that is the same in a script and when its file is imported:
    ``<file's stem or module>.<qualified name>``."""
    file, _ = source_of(fn)
    qualname = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    if file is not None:
        place = os.path.splitext(os.path.basename(file))[0]
    else:
        place = getattr(fn, "__module__", None) or "?"
    return f"{place}.{qualname}"


def is_async(fn: Callable[..., Any]) -> bool:
    """Say whether calling the function gives an awaitable."""
    inner: Any = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    if inspect.iscoroutinefunction(inner):
        return True
    return inspect.iscoroutinefunction(getattr(type(inner), "__call__", None))  # noqa: B004


def check_run_name(option: str, given: object) -> None:
    """Refuse a run name that is neither a template nor a callable.

    Raises:
        TypeError: it is something else.
    """
    if given is not None and not isinstance(given, str) and not callable(given):
        raise TypeError(
            f"Expected string or callable for {option!r}; got {type(given).__name__} instead."
        )


def check_serializer(name: str | None) -> None:
    """Refuse the name of a serializer that does not exist.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name is not None:
        from flowdeck.serializers import serializer

        serializer(name)


def computed_name(
    option: str, template: str | Callable[[], str], parameters: dict[str, Any] | None
) -> str:
    """Return the name of a run that is about to start.

    Args:
        option: ``flow_run_name`` or ``task_run_name``, for the message.
        template: for :meth:`str.format` with the parameters, or called without arguments.
        parameters: of the run.

    Raises:
        TypeError: the callable did not return a string.
        Exception: whatever the callable or the formatting raises.
    """
    if isinstance(template, str):
        return template.format(**(parameters or {}))
    name = template()
    if not isinstance(name, str):
        raise TypeError(
            f"Callable {template!r} for {option!r} returned type {type(name).__name__} but a "
            "string is required."
        )
    return name


def retry_delays(given: Any, retries: int) -> float | tuple[float, ...]:
    """Return the seconds before each retry: one number for all, or one per retry.

    Raises:
        TypeError: neither a number, a list of them nor a callable that gives one.
        ValueError: more than 50 of them.
    """
    if callable(given):
        given = given(retries)
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return float(given)
    if isinstance(given, (list, tuple)):
        if len(given) > MAX_DELAYS:
            raise ValueError(f"Can not configure more than {MAX_DELAYS} retry delays per task.")
        return tuple(float(delay) for delay in given)
    raise TypeError(
        "Invalid `retry_delay_seconds` provided; must be an int, float, list or callable. "
        f"Received type {type(given)}"
    )


def merge_options(definition: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return all options of a flow or task, those in ``given`` replaced where they were given.

    Not given are :data:`NOT_SET`, ``None`` where it has no meaning of its own, and, for names,
    texts and hooks, anything empty.
    """
    merged = {}
    for name, value in given.items():
        old = getattr(definition, name)
        kept = value is NOT_SET or (value is None and name not in _NONE_MEANS_SOMETHING)
        if kept or (name in _EMPTY_MEANS_NOTHING and not value):
            merged[name] = old or None if isinstance(old, list) else old
        else:
            merged[name] = value
    return merged


_NONE_MEANS_SOMETHING = frozenset(
    {
        "refresh_cache", "log_prints", "persist_result", "result_storage", "result_serializer",
        "result_storage_key", "retry_jitter_factor",
    }
)  # fmt: skip
_EMPTY_MEANS_NOTHING = frozenset(
    {
        "name", "description", "version", "flow_run_name", "task_run_name", "on_completion",
        "on_failure", "on_cancellation", "on_crashed", "on_running",
    }
)  # fmt: skip

"""What flows and tasks have in common as definitions: where they stand in the source, whether they
are async, and how their options are checked and changed."""

from __future__ import annotations

import datetime
import functools
import inspect
import math
import numbers
import operator
import os
import types
from typing import TYPE_CHECKING, Any

from flowdeck.caching import MAX_DELAYS
from flowdeck.parameters.binding import innermost
from flowdeck.values.previews import safe_repr
from flowdeck.values.redaction import concealed
from flowdeck.values.statics import type_name

if TYPE_CHECKING:
    from collections.abc import Callable


def take_over(definition: Any, fn: Callable[..., Any]) -> None:
    """Give a flow or task what its function shows of itself: name, docstring, own attributes; never
    what would hide something of the definition's."""
    for name in functools.WRAPPER_ASSIGNMENTS:
        value = _shown(fn, name)
        if value is not None and (isinstance(value, str) or not name.endswith("name__")):
            setattr(definition, name, value)
    if isinstance(fn, types.FunctionType):
        kind = type(definition)
        vars(definition).update({k: v for k, v in vars(fn).items() if not hasattr(kind, k)})
    definition.__wrapped__ = fn


def _shown(fn: Any, name: str) -> Any:
    """Return an attribute; ``None`` if there is none, or code of users behind it raises."""
    try:
        return getattr(fn, name, None)
    except Exception:
        return None


def source_of(fn: Callable[..., Any]) -> tuple[str | None, int | None]:
    """Return absolute file and line of a function's definition, ``(None, None)`` if unknown."""
    try:
        inner = inspect.unwrap(innermost(fn))
    except Exception:
        return None, None
    code = _shown(inner, "__code__")
    if code is None:  # an instance with __call__
        code = _shown(_shown(type(inner), "__call__"), "__code__")
    if not isinstance(code, types.CodeType) or code.co_filename.startswith("<"):
        return None, None
    return os.path.abspath(code.co_filename), code.co_firstlineno


def qualname_of(fn: Callable[..., Any]) -> str:
    """Return a function's qualified name; of callable objects their class's."""
    inner = innermost(fn)
    found = _shown(inner, "__qualname__") or _shown(inner, "__name__")
    return found if isinstance(found, str) else type(inner).__qualname__


def module_of(fn: Callable[..., Any]) -> str:
    """Return the name of the module that a function says it is from, ``"?"`` if it does not."""
    found = _shown(innermost(fn), "__module__")
    return found if isinstance(found, str) and found else "?"


def key_of(fn: Callable[..., Any]) -> str:
    """Return a name for a function that is the same in a script and when its file is imported:
    ``<file's stem or module>.<qualified name>``."""
    file, _ = source_of(fn)
    place = module_of(fn) if file is None else os.path.splitext(os.path.basename(file))[0]
    return f"{place}.{qualname_of(fn)}"


def is_async(fn: Callable[..., Any]) -> bool:
    """Say whether calling the function gives an awaitable, or an async generator."""
    inner = innermost(fn)
    of_class = getattr(type(inner), "__call__", None)  # noqa: B004
    try:
        return any(
            inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
            for each in (of_class, inner)
        )
    except Exception:  # code of users behind an attribute
        return False


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


def refuse_storage(**given: object) -> None:
    """Refuse options that would put results elsewhere, unless they are ``None``.

    A place in the record that leads anywhere on the disk would let an imported archive have any
    file unpickled.

    Raises:
        ValueError: one was given.
    """
    for option, value in given.items():
        if value is not None:
            raise ValueError(
                f"{option} is not supported: kept results are in the folder 'results' of "
                "FLOWDECK_HOME, where retries and re-runs find them. To have a value under a path "
                "of your own, write it in the task and return the path."
            )


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
        return concealed(template.format(**(parameters or {})))
    name = template()
    if not isinstance(name, str):
        raise TypeError(
            f"Callable {template!r} for {option!r} returned type {type(name).__name__} but a "
            "string is required."
        )
    return concealed(name)


def seconds_of(option: str, given: Any) -> float:
    """Return a time in seconds that was given as a number or a ``timedelta``.

    Raises:
        TypeError: it is something else.
        ValueError: it is not a number.
    """
    if isinstance(given, datetime.timedelta):
        return given.total_seconds()
    if isinstance(given, numbers.Real) and not isinstance(given, bool):
        if math.isnan(given):
            raise ValueError(f"{option} is a number of seconds, got nan.")
        return float(given)
    raise TypeError(
        f"{option} is a number of seconds or None, got {type_name(given)}: {safe_repr(given)}."
    )


def time_limit(given: Any) -> float | None:
    """Return the seconds of ``timeout_seconds``, ``None`` if there is no limit.

    Raises:
        TypeError: it is neither a number nor a ``timedelta``.
    """
    return (seconds_of("timeout_seconds", given) or None) if given else None


def lifetime(given: Any) -> datetime.timedelta | None:
    """Return ``cache_expiration``: a ``timedelta``, or seconds.

    Raises:
        TypeError: it is something else.
    """
    if given is None or isinstance(given, datetime.timedelta):
        return given
    return datetime.timedelta(seconds=seconds_of("cache_expiration", given))


def check_callable(option: str, given: object) -> None:
    """Refuse what cannot be called, unless it is ``None``.

    Raises:
        TypeError: it cannot.
    """
    if given is not None and not callable(given):
        raise TypeError(f"Expected `{option}` to be callable, got {type_name(given)} instead.")


def whole_number(option: str, given: Any) -> int:
    """Return an option that counts something; ``None`` is 0.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is negative.
    """
    if given is None:
        return 0
    try:
        number = operator.index(given)
    except TypeError:
        raise TypeError(
            f"{option} is a whole number, got {type_name(given)}: {safe_repr(given)}."
        ) from None
    if number < 0:
        raise ValueError(f"{option} is a number of at least 0, got {number}.")
    return number


def retry_delays(given: Any, retries: int, what: str = "task") -> float | tuple[float, ...]:
    """Return the seconds before each retry: one number for all, or one per retry.

    Args:
        given: as the option was.
        retries: how many there may be.
        what: ``"task"`` or ``"flow"``.

    Raises:
        TypeError: neither a number, a list of them nor a callable that gives one.
        ValueError: more than 50 of them.
    """
    if callable(given):
        given = given(retries)
    if isinstance(given, (int, float, datetime.timedelta)) and not isinstance(given, bool):
        return seconds_of("retry_delay_seconds", given)
    if isinstance(given, (list, tuple)):
        if len(given) > MAX_DELAYS:
            raise ValueError(f"Can not configure more than {MAX_DELAYS} retry delays per {what}.")
        return tuple(seconds_of("retry_delay_seconds", delay) for delay in given)
    raise TypeError(
        "Invalid `retry_delay_seconds` provided; must be an int, float, list or callable. "
        f"Received type {type(given)}"
    )


def jitter_factor(given: float | None) -> float | None:
    """Return ``retry_jitter_factor``.

    Raises:
        ValueError: it is negative.
    """
    if given is not None and given < 0:
        raise ValueError("`retry_jitter_factor` must be >= 0.")
    return given

"""Task runners. The cluster ones are imported when they are first asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import ConfigurationError
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.task_runners.concurrent import ConcurrentTaskRunner
from flowdeck.task_runners.process import ProcessTaskRunner
from flowdeck.task_runners.sequential import SequentialTaskRunner

if TYPE_CHECKING:
    from flowdeck.task_runners._ray.options import remote_options as remote_options
    from flowdeck.task_runners.dask import DaskTaskRunner as DaskTaskRunner
    from flowdeck.task_runners.ray import RayTaskRunner as RayTaskRunner

__all__ = [  # not the cluster runners: `import *` must work without their packages
    "BaseTaskRunner",
    "ConcurrentTaskRunner",
    "ProcessTaskRunner",
    "SequentialTaskRunner",
    "TaskConcurrencyType",
    "make_runner",
    "runner_options",
]

#: name -> (module, class, package that must be installed, extra that installs it)
_RUNNERS: dict[str, tuple[str, str, str | None, str | None]] = {
    "sequential": ("flowdeck.task_runners.sequential", "SequentialTaskRunner", None, None),
    "concurrent": ("flowdeck.task_runners.concurrent", "ConcurrentTaskRunner", None, None),
    "process": ("flowdeck.task_runners.process", "ProcessTaskRunner", None, None),
    "dask": ("flowdeck.task_runners.dask", "DaskTaskRunner", "distributed", "dask"),
    "ray": ("flowdeck.task_runners.ray", "RayTaskRunner", "ray", "ray"),
}


def __getattr__(name: str) -> Any:
    if name == "remote_options":
        from flowdeck.task_runners._ray.options import remote_options

        return remote_options
    for module, class_name, _, _ in _RUNNERS.values():
        if class_name == name:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def runner_names() -> tuple[str, ...]:
    """Return the names that ``--runner`` takes."""
    return tuple(_RUNNERS)


def is_installed(name: str) -> bool:
    """Say whether what the runner needs is installed (without importing it)."""
    package = _RUNNERS[name][2]
    return package is None or importlib.util.find_spec(package) is not None


def runner_class(name: str) -> type[BaseTaskRunner]:
    """Return the class of a runner.

    Raises:
        ConfigurationError: there is no such runner, or its extra is missing.
    """
    if name not in _RUNNERS:
        close = difflib.get_close_matches(name, _RUNNERS, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(
            f"There is no task runner {name!r}.{hint} Known: {', '.join(_RUNNERS)}."
        )
    module, class_name, _, extra = _RUNNERS[name]
    if not is_installed(name):
        raise ConfigurationError(missing_extra(name, extra or name))
    found: type[BaseTaskRunner] = getattr(importlib.import_module(module), class_name)
    return found


def missing_extra(name: str, extra: str) -> str:
    """Return the sentence for a runner whose packages are not installed."""
    return (
        f"The task runner {name!r} needs packages that are not installed: "
        f"run `pip install 'flowdeck[{extra}]'`."
    )


def runner_options(name: str) -> list[tuple[str, str, Any, str]]:
    """Return the options of a runner: name, annotation, default, one sentence.

    Raises:
        ConfigurationError: as :func:`runner_class`.
    """
    cls = runner_class(name)
    docs = _arg_docs(inspect.getdoc(cls) or "")
    return [
        (p.name, str(p.annotation), p.default, docs.get(p.name, ""))
        for p in inspect.signature(cls).parameters.values()
    ]


def _arg_docs(doc: str) -> dict[str, str]:
    """Read the ``Args:`` part of a docstring."""
    found: dict[str, str] = {}
    name = ""
    inside = False
    for text in doc.splitlines():
        if text.strip() == "Args:":
            inside = True
        elif inside and text and not text.startswith(" "):
            break
        elif inside and text.startswith("    ") and not text.startswith("     "):
            name, _, rest = text.strip().partition(":")
            found[name] = rest.strip()
        elif inside and name and text.strip():
            found[name] += " " + text.strip()
    return found


def make_runner(name: str, options: dict[str, Any] | None = None) -> BaseTaskRunner:
    """Make a runner by name.

    Raises:
        ConfigurationError: no such runner, its extra is missing, no such option, or a value that
            the runner refuses.
    """
    cls = runner_class(name)
    options = options or {}
    known = list(inspect.signature(cls).parameters)
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            listed = ", ".join(known) or "none"
            raise ConfigurationError(
                f"The task runner {name!r} has no option {option!r}.{hint} It has: {listed}."
            )
    try:
        return cls(**options)
    except (TypeError, ValueError, ImportError, AttributeError) as error:
        raise ConfigurationError(f"The task runner {name!r} refuses its options: {error}") from None

"""Naming and loading a flow: ``path/file.py:flow`` or ``package.module:flow``.

A file is loaded as a script would be - its folder comes first on ``sys.path`` - but not as
``__main__``, so its ``if __name__ == "__main__":`` block does not run. The module gets the name
its file would be imported under where that name is free; it stands in ``sys.modules`` (dataclasses
and type hints need that) and is marked for pickling by value (workers on other machines do not
have the file).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import TargetError
from flowdeck.launch.discovery import Problem, display_path, find_in_file
from flowdeck.launch.import_path import put_first

if TYPE_CHECKING:
    from importlib.abc import Loader
    from types import ModuleType, TracebackType

    from flowdeck.flows import Flow
    from flowdeck.launch.discovery import FoundFlow

__all__ = [
    "Loaded", "Target", "TargetImportError", "TargetSyntaxError", "find", "load", "load_module", "parse"
]  # fmt: skip

#: Modules that were loaded from a file and so can only be pickled by value.
BY_VALUE: Final[dict[str, ModuleType]] = {}


class TargetSyntaxError(TargetError):
    """The flow's own file is not valid Python; the message names the line."""


class TargetImportError(TargetError):
    """The flow's file or module raised while it was imported; ``error`` is what it raised."""

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target. Exactly one of ``file`` and ``module`` is set."""

    text: str
    file: Path | None
    module: str | None
    flow: str | None  # None: the only one there is

    @property
    def place(self) -> str:
        """The file or module as the user knows it."""
        return display_path(self.file) if self.file else str(self.module)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A target whose code was imported."""

    target: Target
    flow: Flow[..., Any]
    variable: str


def parse(text: str) -> Target:
    """Split a target into its parts; a file must exist, a module is not looked for yet.

    Args:
        text: ``path/file.py:flow``, ``package.module:flow``, or one of them without the flow.

    Raises:
        TargetError: it is neither form, or there is no such file.
    """
    place, _, name = text.strip().rpartition(":")
    if not place or os.sep in name or name.endswith(".py"):  # no colon, or one inside the path
        place, name = text.strip(), ""
    if name and not name.isidentifier():
        raise TargetError(f"{name!r} in {text!r} is not the name of a flow. {_FORMS}")
    if place.endswith(".py") or os.sep in place or (place and Path(place).is_dir()):
        return Target(text, _existing(place), None, name or None)
    if place and all(part.isidentifier() for part in place.split(".")):
        return Target(text, None, place, name or None)
    raise TargetError(f"{text!r} is not a target. {_FORMS}")


_FORMS: Final = "A target is path/file.py:flow or package.module:flow."


def _existing(place: str) -> Path:
    path = Path(os.path.expanduser(place))
    if path.is_dir():
        raise TargetError(f"{place} is a folder. {_FORMS} `flowdeck flows {place}` lists them.")
    if path.is_file():
        return Path(os.path.abspath(path))
    raise TargetError(f"There is no file {place}{_near_file(path)}")


def _near_file(path: Path) -> str:
    import difflib

    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix == ".py"]
    except OSError:
        return f", nor the folder {path.parent}."
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"; did you mean {path.with_name(near[0])}?" if near else "."


def find(target: Target) -> FoundFlow | None:
    """Describe the target's flow from its file's text, without importing anything.

    Returns:
        ``None`` where the text does not tell: the file of a module cannot be found, or the flow is
        made in a way that only running the file shows.

    Raises:
        TargetSyntaxError: the file is not valid Python.
        TargetError: no flow was named and there is not exactly one.
    """
    file = target.file or _module_file(str(target.module))
    if file is None:
        return None
    found, problem = find_in_file(file)
    if problem is not None:
        raise _unreadable(problem)
    if target.flow is None:
        return found[0] if len(found) == 1 else None
    return next((flow for flow in found if flow.function == target.flow), None)


def load(target: Target) -> Loaded:
    """Import the target's code and return its flow; one that runs the task alone if it names a task.

    Raises:
        TargetSyntaxError: the file is not valid Python (nothing was run).
        TargetImportError: the code raised while it was imported; carries the exception.
        TargetError: there is no such flow, or the name is neither a flow nor a task.
    """
    from flowdeck.flows import Flow
    from flowdeck.tasks import Task

    module = load_module(target)
    flows = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    name = target.flow or _only(flows, target)
    if name not in vars(module):
        raise _no_such_flow(target, flows)
    value = vars(module)[name]
    if isinstance(value, Task):
        from flowdeck.launch.single_task import flow_of

        value = flow_of(value)
    if not isinstance(value, Flow):
        raise _not_a_flow(target, name, value)
    return Loaded(target, value, name)


def load_module(target: Target) -> ModuleType:
    """Import the target's code, whatever is in it.

    Raises:
        TargetSyntaxError: the file is not valid Python (nothing was run).
        TargetImportError: the code raised while it was imported; carries the exception.
        TargetError: there is no such module.
    """
    if target.file is not None:
        return _import_file(target.file, target)
    return _import_module(str(target.module), target)


def _import_file(path: Path, target: Target) -> ModuleType:
    name = _module_name(path)
    folder = str(path.parent)
    if sys.path[:1] != [folder]:
        put_first(folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{display_path(path)} cannot be imported: it is not a Python file.")
    _compile(spec.loader, name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _failed_import(target, error) from error
    _mark_by_value(name, module)
    return module


def _compile(loader: Loader, name: str, path: Path) -> None:
    """Compile without running, so that the file's own syntax errors are told from others."""
    try:
        getattr(loader, "get_code", lambda _: None)(name)
    except SyntaxError as error:
        text = (error.text or "").strip() or None
        raise _unreadable(Problem(path, error.msg, error.lineno, text)) from None
    except (ValueError, OSError) as error:  # null bytes, wrong encoding, not ours to read
        raise _unreadable(Problem(path, str(error))) from None


def _import_module(name: str, target: Target) -> ModuleType:
    if sys.path[:1] not in ([""], [os.getcwd()]):
        put_first(os.getcwd())  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):  # itself, not something it needs
            raise TargetError(
                f"There is no module {error.name!r} here or among the installed packages. {_FORMS}"
            ) from None
        raise _failed_import(target, error) from error
    except BaseException as error:
        raise _failed_import(target, error) from error


def _module_name(path: Path) -> str:
    stem = path.stem
    taken = stem in sys.modules or stem in sys.stdlib_module_names
    if stem.isidentifier() and not taken:
        return stem
    safe = "".join(c if c.isalnum() else "_" for c in stem)
    name = f"flowdeck_target_{safe}"
    return name if name not in sys.modules else f"{name}_{len(sys.modules)}"


def _mark_by_value(name: str, module: ModuleType) -> None:
    from cloudpickle import register_pickle_by_value

    BY_VALUE[name] = module
    register_pickle_by_value(module)


def _module_file(name: str) -> Path | None:
    """Find a module's file without importing its packages (importlib would)."""
    parts = name.split(".")
    for entry in [os.getcwd(), *sys.path]:
        base = Path(entry or ".").joinpath(*parts)
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return Path(os.path.abspath(file))
    return None


def _only(flows: dict[str, Flow[..., Any]], target: Target) -> str:
    own = list({id(flow): name for name, flow in flows.items()}.values())
    if not own:
        raise TargetError(
            f"There are no flows in {target.place}: "
            "decorate a function with @flow (from flowdeck import flow)."
        )
    if len(own) > 1:
        choices = ", ".join(f"{target.place}:{name}" for name in sorted(own)[:8])
        raise TargetError(f"{target.place} has {len(own)} flows, name one: {choices}.")
    return own[0]


def _no_such_flow(target: Target, flows: dict[str, Flow[..., Any]]) -> TargetError:
    import difflib

    message = f"There is no flow {target.flow!r} in {target.place}"
    names = {name: name for name in flows}
    names.update({flow.name: variable for variable, flow in flows.items()})
    near = difflib.get_close_matches(str(target.flow), names, n=1, cutoff=0.5)
    if near:
        return TargetError(f"{message}; did you mean {target.place}:{names[near[0]]}?")
    if flows:
        return TargetError(f"{message}; it has {', '.join(sorted(flows)[:8])}.")
    return TargetError(f"{message}; it has no flows at all: decorate a function with @flow.")


def _not_a_flow(target: Target, name: str, value: object) -> TargetError:
    place = f"{target.place}:{name}"
    if callable(value) and not isinstance(value, type):
        return TargetError(
            f"{place} is a bare function, not a flow: decorate it with @flow "
            "(from flowdeck import flow)."
        )
    return TargetError(f"{place} is not a flow but {type(value).__name__!r}.")


def _unreadable(problem: Problem) -> TargetError:
    shown = display_path(problem.file)
    if problem.line is None:
        return TargetSyntaxError(f"{shown} cannot be read: {problem.message}.")
    line = f"\n    {problem.text}" if problem.text else ""
    return TargetSyntaxError(f"{shown}:{problem.line}: {problem.message}{line}")


def _failed_import(target: Target, error: BaseException) -> TargetError:
    if isinstance(error, KeyboardInterrupt):
        raise error
    error.with_traceback(_from_user_code(error.__traceback__))
    text = str(error).strip().partition("\n")[0]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return TargetImportError(f"{target.place} cannot be imported: {said}", error)


def _from_user_code(traceback: TracebackType | None) -> TracebackType | None:
    """Cut off the import machinery that stands before the file's own code."""
    start = traceback
    while start is not None:
        module = str(start.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if module not in {
            "flowdeck",
            "importlib",
            "_frozen_importlib",
            "_frozen_importlib_external",
        }:
            return start
        start = start.tb_next
    return traceback

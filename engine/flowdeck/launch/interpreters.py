"""Which Python a flow runs in, when flowdeck is installed once and used in many projects.

The packages that a flow imports are those of its project. So a flow that is named on the command line
or in the app runs in the project's environment, which is found as people expect it: what they ask for,
what the project or their settings say, what is active in their shell, what lies beside the file. A
script that calls its own flow runs where it was started, as any Python does.

Which one it is says :func:`choose`, from names and files alone; nothing is started. That flowdeck is
there as well, and which one, is asked of that Python itself (:func:`examine`).
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ConfigurationError
from flowdeck.launch import passports, scripts
from flowdeck.launch.passports import Passport
from flowdeck.settings import get_settings
from flowdeck.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "CHOSEN",
    "Interpreter",
    "Passport",
    "choose",
    "command",
    "examine",
    "own",
    "refusal",
    "takes_time",
    "usable",
]

#: In the environment of a process that was started in the Python that was chosen for it.
CHOSEN: Final = "_FLOWDECK_PYTHON"
_SECONDS: Final = 20.0
_FOLDERS: Final = ("bin", "Scripts")
_LEAST: Final = (3, 11)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that was chosen.

    Attributes:
        python: its executable, absolute; links are not followed, as they say which environment it is.
        why: where it comes from, as the end of a sentence: "VIRTUAL_ENV", "the setting python".
        script: the file whose own block says what is installed there.
    """

    python: Path
    why: str
    script: Path | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is the one that this process runs in."""
        return _prefix(self.python) == _prefix(Path(sys.executable))

    @property
    def environment(self) -> Path:
        """The folder of its environment."""
        return _prefix(self.python)


def own() -> Interpreter:
    """Return the Python that this process runs in."""
    return Interpreter(Path(sys.executable), "flowdeck itself")


def choose(
    folder: Path,
    *,
    asked: str | None = None,
    setting: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Interpreter:
    """Return the Python that a flow is to run in.

    In this order: what is asked for; ``python`` in the ``[tool.flowdeck]`` of the project; the
    setting; an active virtual or conda environment; ``.venv`` in the folder or above it; the
    one of Poetry, where the project is Poetry's; the one of this process.

    Args:
        folder: of the flow's file; of a module, the working directory.
        asked: a path of a Python or of an environment, or the name of a command.
        setting: the same, from the settings.
        environ: environment variables; default: those of this process.

    Raises:
        ConfigurationError: there is no Python where the caller, a project or a setting says.
    """
    environ = os.environ if environ is None else environ
    if asked:
        return Interpreter(_named(asked, "--python"), "--python")
    project = None if environ.get("FLOWDECK_PYTHON") else _of_project(folder)
    if project is not None:
        value, where = project
        return Interpreter(_named(value, f"python in {where}", where.parent), f"python in {where}")
    if setting:
        return Interpreter(_named(setting, "the setting python"), "the setting python")
    return _active(environ) or _beside(folder) or _poetry(folder) or own()


def usable(target: str, *, asked: str | None = None, cwd: Path | None = None) -> Interpreter:
    """Return the Python that a target runs in.

    Args:
        target: ``file.py:flow`` or ``package.module:flow``.
        asked: the Python to take.
        cwd: the working directory of the run; default: this process's.

    Raises:
        ConfigurationError: it is not there, or flows cannot run in it: with what to do.
    """
    from flowdeck_store.file.paths import StorePaths
    from flowdeck_store.file.schema import SCHEMA_VERSION, written_version

    file = _file_of(target, cwd)
    chosen = None if file is None else _of_script(file, asked)
    if chosen is None:
        folder = (cwd or Path.cwd()) if file is None else file.parent
        chosen = choose(folder, asked=asked, setting=get_settings().python)
    written = written_version(StorePaths(get_settings().home).db)
    reason = refusal(chosen, schema=SCHEMA_VERSION, written=written)
    if reason is not None:
        raise ConfigurationError(reason)
    return chosen


def takes_time(target: str, *, cwd: Path | None = None) -> bool:
    """Say whether :func:`usable` will first have an environment made for a script."""
    file = _file_of(target, cwd)
    return file is not None and scripts.is_script(file) and scripts.found_python(file) is None


def _file_of(target: str, cwd: Path | None) -> Path | None:
    place = target.rpartition(":")[0] or target
    if not place.endswith(".py") and os.sep not in place:
        return None
    return (cwd or Path.cwd()) / os.path.expanduser(place)


def command(interpreter: Interpreter, module: str, *words: str) -> list[str]:
    """Return the command that runs a module of ours there.

    -P: files beside the user must not shadow what we import; a target puts its own folder first.
    """
    return [str(interpreter.python), "-P", "-m", module, *words]


def refusal(interpreter: Interpreter, *, schema: int = 0, written: int = 0) -> str | None:
    """Say in a sentence why flows cannot run there, with what to do; ``None``: they can.

    Args:
        interpreter: that was chosen.
        schema: the version of the record that we write.
        written: the version that the record has; 0: there is none yet.
    """
    if interpreter.is_own:
        return None
    found = examine(interpreter)
    chosen = f"{interpreter.python} (chosen by {interpreter.why})"
    if found.problem:
        return f"{chosen} {found.problem} Choose another one with --python."
    if tuple(map(int, found.version.split(".")[:2])) < _LEAST:
        return (
            f"{chosen} is Python {found.version}, but flowdeck needs {'.'.join(map(str, _LEAST))}."
        )
    if found.flowdeck is None:
        return (
            f"flowdeck is not installed in {interpreter.environment}, where this flow would run (chosen "
            f"by {interpreter.why}). Add it: `{_adding(interpreter)}`, or run the flow without that "
            f"project's packages: --python {sys.executable}"
        )
    if found.schema is not None and found.schema < schema:
        return (
            f"The flowdeck {found.flowdeck} of {interpreter.environment} (chosen by {interpreter.why}) "
            f"cannot write this record: it knows version {found.schema}, the record has {schema}. "
            f"Bring it up to date: `{_adding(interpreter)}`"
        )
    if found.schema is not None and found.schema > schema >= max(written, 1):
        return (
            f"The flowdeck {found.flowdeck} of {interpreter.environment} (chosen by {interpreter.why}) "
            f"would bring your record to version {found.schema}, and the flowdeck that you called "
            f"({__version__} of {own().environment}) writes version {schema}: bring that up to date first, "
            "or give the runs of this project a record of their own with --home."
        )
    return None


def examine(interpreter: Interpreter) -> Passport:
    """Ask a Python what it is and which flowdeck it has: one short process, once."""
    return passports.examine(interpreter.python, interpreter.environment)


def _of_script(file: Path, asked: str | None) -> Interpreter | None:
    """Return the Python of a file with a script block, unless the caller names another one.

    What a retry asks for is what the run ran in. Where that is the script's own, uv brings it up to date.
    """
    if not scripts.is_script(file):
        return None
    if asked:
        its = scripts.found_python(file)
        if its is None or _prefix(its) != _prefix(Path(asked)):
            return None
    elif os.environ.get("FLOWDECK_PYTHON"):
        return None
    return Interpreter(scripts.python_of(file), f"the script block of {file.name}", file)


# -- finding ---------------------------------------------------------------------------------------------


def _named(text: str, who: str, base: Path | None = None) -> Path:
    """Return the Python that somebody named.

    Raises:
        ConfigurationError: there is none.
    """
    path = (base or Path.cwd()) / Path(text).expanduser()
    if path.is_dir():
        found = _python_of(path)
        if found is None:
            raise ConfigurationError(f"{who} is {text!r}, a folder without a Python in bin.")
        return found
    if path.is_file() and os.sep in str(text):
        return Path(os.path.abspath(path))
    command = shutil.which(text)
    if command is None:
        raise ConfigurationError(
            f"{who} is {text!r}, but there is no such file or command. Name a Python, such as "
            ".venv/bin/python or python3.12, or the folder of an environment."
        )
    return Path(os.path.abspath(command))


def _of_project(folder: Path) -> tuple[str, Path] | None:
    """Return ``python`` of the nearest ``[tool.flowdeck]``, and the file."""
    import tomllib

    for each in _upwards(folder):
        path = each / "pyproject.toml"
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("flowdeck")
        except (OSError, ValueError, AttributeError):
            continue  # whoever reads the settings says what is wrong with them
        if isinstance(table, dict):
            value = table.get("python")
            return (value, path) if isinstance(value, str) and value else None
    return None


def _active(environ: Mapping[str, str]) -> Interpreter | None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        # Conda's own environment is active in every shell of its users: nobody chose it.
        if name == "CONDA_PREFIX" and environ.get("CONDA_DEFAULT_ENV") == "base":
            continue
        found = _python_of(Path(environ[name])) if environ.get(name) else None
        if found is not None:
            return Interpreter(found, name)
    return None


def _beside(folder: Path) -> Interpreter | None:
    for each in _upwards(folder):
        found = _python_of(each / ".venv")
        if found is not None:
            return Interpreter(found, f"the .venv in {each}")
    return None


def _poetry(folder: Path) -> Interpreter | None:
    """Return the environment that Poetry keeps elsewhere for a project of its own."""
    project = next((each for each in _upwards(folder) if (each / "poetry.lock").is_file()), None)
    poetry = shutil.which("poetry")
    if project is None or poetry is None:
        return None
    found = _asked_poetry(poetry, project)
    return Interpreter(found, "Poetry") if found is not None else None


@functools.lru_cache(maxsize=64)
def _asked_poetry(poetry: str, project: Path) -> Path | None:
    try:
        told = subprocess.run(
            [poetry, "env", "info", "--path"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            cwd=project,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _python_of(Path(told.stdout.strip()))


def _upwards(folder: Path) -> Iterator[Path]:
    folder = Path(os.path.abspath(folder))
    return iter((folder, *folder.parents))


def _python_of(environment: Path) -> Path | None:
    for name in _FOLDERS:
        for python in ("python", "python3", "python.exe"):
            path = environment / name / python
            if path.is_file():
                return Path(os.path.abspath(path))
    return None


def _prefix(python: Path) -> Path:
    """Return the environment of a Python: where ``bin`` is, which links may lead to."""
    folder = Path(os.path.abspath(python)).parent
    return Path(os.path.realpath(folder.parent if folder.name in _FOLDERS else folder))


# -- adding ----------------------------------------------------------------------------------------------


def _adding(interpreter: Interpreter) -> str:
    """Return the command that adds flowdeck there, as the tool of that project does it."""
    what = _source()
    if interpreter.script is not None:
        return f"uv add --script {interpreter.script} {what}"
    project = interpreter.environment.parent
    if (project / "uv.lock").is_file():
        return f"uv --directory {project} add {what}"
    if (project / "poetry.lock").is_file() or interpreter.why == "Poetry":
        return f"poetry add {what}"
    return f"{interpreter.python} -m pip install {what}"


def _source() -> str:
    """Return what to install: the folder that our own was installed from, or the name."""
    from importlib import metadata

    try:
        text = metadata.distribution("flowdeck").read_text("direct_url.json")
        url: Any = json.loads(text or "{}").get("url")
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return "flowdeck"
    is_folder = isinstance(url, str) and url.startswith("file://")
    return url.removeprefix("file://") if is_folder else "flowdeck"

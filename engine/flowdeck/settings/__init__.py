"""Settings: one frozen dataclass, filled from five places, later ones winning.

Defaults, then the user's file (``config.toml`` in the platform's configuration folder, or the file
that ``FLOWDECK_CONFIG`` names), then ``[tool.flowdeck]`` of the nearest ``pyproject.toml`` upwards
from the working directory that has it, then ``FLOWDECK_*`` variables, then :func:`using`.

Importing this module reads nothing; the first :func:`get_settings` does. TOML and the platform's
folder rules are imported only when a file asks for them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from flowdeck.settings.values import (
    FIELD_KINDS,
    REDACT,
    USER_ONLY,
    Raw,
    bad_setting,
    convert,
    not_of_projects,
    unknown_setting,
)
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "REDACT",
    "Settings",
    "get_settings",
    "home_named",
    "provenance",
    "refresh",
    "reload",
    "unknown_variables",
    "using",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set. Times are seconds, sizes are characters."""

    home: Path
    """The folder that holds the record, results, locks and launch logs."""
    log_level: str = "INFO"
    """What the console shows: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    log_prints: bool = False
    """Whether ``print`` in flows and tasks becomes a log line unless they say otherwise."""
    extra_loggers: tuple[str, ...] = ()
    """Loggers besides the run loggers whose lines belong to the run's record."""
    persist_results: bool = False
    """Whether results are kept on disk unless the flow or task says otherwise."""
    keep_on_failure: int = 200
    """Megabytes of results that a flow run which does not complete keeps for a re-run."""
    refresh_cache: bool = False
    """Whether cached results are computed anew."""
    flow_paths: tuple[str, ...] = (".",)
    """Where ``flowdeck flows`` and the app look for flows."""
    python: str | None = None
    """The Python that flows run in which the command line or the app starts: a path, the folder of an
    environment, or the name of a command. Without it, :mod:`flowdeck.launch.interpreters` decides."""
    result_preview: int = 2000
    """How much of a result's repr the record keeps."""
    input_warning_seconds: float = 10.0
    cleanup_seconds: float = 30.0
    """How long looking for futures in a task's inputs may take before a hint at ``quote``."""
    left_behind_seconds: float = 30.0
    """How long a function that did not stop when its time was up delays the next try, and keeps its
    slots of limited tags."""
    stall_seconds: float = 4.0
    """How long nothing of a flow run has to go on until its log says why; 0: never."""
    provenance: bool = True
    """Whether runs record what they ran as: interpreter, packages, git, code."""
    provenance_env: tuple[str, ...] = ()
    """Further variables of the environment whose values are recorded (shell patterns)."""
    redact: tuple[str, ...] = REDACT
    """Names whose values are never recorded (shell patterns, any case).

    A list of your own replaces the default, which is what
    :func:`flowdeck.values.redaction.is_secret` knows.
    """
    artifact_megabytes: int = 5
    """How much of an artifact is kept: of a picture all or nothing."""
    artifact_rows: int = 10_000
    """How many rows of a table are kept."""
    tqdm: bool = False
    """Whether bars of tqdm in flows and tasks tell how far these are."""
    metrics: bool = True
    """Whether runs record what they use: processor time, memory, bytes read and written."""
    metrics_seconds: float = 1.0
    """How often what the processes of a run use is looked at, while the run is young."""
    notify: tuple[str, ...] = ()
    """How people are told that a flow run ended: desktop, bell, webhook:URL, command:WORDS."""
    notify_filter: str = ""
    """Of which runs, as ``flowdeck runs`` filters them."""
    notify_after: float = 0.0
    """After how long they are told that a run still goes on; 0: never."""
    otel: bool = False
    """Whether flow runs are sent as spans of OpenTelemetry, when they have ended."""
    durability: str = "process"
    """What the record survives: ``process`` (the end of the process in any way) or ``power`` (a
    power loss, too, but for the last ``sync_seconds``)."""
    sync_seconds: float = 1.0
    """With ``durability = "power"``: how often what happened is forced to the disk."""
    console: bool = True
    """Whether log lines are written to stderr."""
    color: str = "auto"
    """``auto``, ``always``, ``never``; NO_COLOR: never, FORCE_COLOR and CLICOLOR_FORCE: always."""
    images: str = "auto"
    """What the app draws pictures with: ``auto``, ``kitty``, ``sixel``, ``blocks`` or ``none``."""
    theme: str | None = None
    """The app's theme."""
    editor: str | None = None
    """The program in which the app opens a line of code: a name, or a command with ``{file}`` and
    ``{line}`` in it. Without it, ``$VISUAL`` or ``$EDITOR``."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The app's keys: action id to key."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """What tasks with ``resources=`` may use together in a process, where the machine does not say."""
    homes: Mapping[str, Path] = field(default_factory=dict)
    """Records by names of yours: ``--home NAME``, and what the app's palette can switch to."""
    hosts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Machines that ``--host NAME`` reaches by ssh, each with any of ``address``, ``command`` (the
    flowdeck there), ``home`` (the record there) and ``folder`` (where verbs run there)."""


#: Variables that are no settings; the last two tell commands of notifications what happened.
_OTHER_VARIABLES: Final = {"FLOWDECK_CONFIG", "FLOWDECK_DEBUG", "FLOWDECK_RUN", "FLOWDECK_STATE"}

#: Where a value came from, for ``flowdeck config show``.
Provenance = dict[str, tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class _Read:
    """What the files and the environment said, once."""

    found: Provenance
    settings: Settings
    named: tuple[str | None, ...]
    variables: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Overrides:
    """The values of :func:`using`, and the settings they give over one reading."""

    values: Mapping[str, Any]
    read: _Read | None = None
    settings: Settings | None = None


_overrides: ContextVar[Overrides | None] = ContextVar("flowdeck_settings", default=None)
_cache: list[_Read] = []  # at most one; emptied by reload()


def get_settings() -> Settings:
    """Return the settings in force here.

    They are read once, and again outside of runs when FLOWDECK_HOME or FLOWDECK_CONFIG has changed
    (when a flow run starts: any variable; see :func:`refresh` and :func:`reload`). Inside of a run
    they stay what they were.

    Raises:
        ConfigurationError: a file or variable holds a bad value; the message names the place, the
            key, the value and what is allowed.
    """
    read = _read_once()
    over = _overrides.get()
    if over is None:
        return read.settings
    if over.settings is None or over.read is not read:
        over.read, over.settings = read, dataclasses.replace(read.settings, **over.values)
    return over.settings


def refresh() -> None:
    """Read everything again if a variable has changed: called when a flow run starts."""
    if _cache and not _in_run() and _cache[0].variables != _variables():
        _cache.clear()


def reload() -> Settings:
    """Forget what was read and read everything again."""
    _cache.clear()
    return get_settings()


def provenance() -> Provenance:
    """Return each setting's value and where it came from (a path, a variable, ``default``)."""
    found = dict(_read_once().found)
    over = _overrides.get()
    if over is not None:
        found.update({name: (value, "this process") for name, value in over.values.items()})
    return found


@contextlib.contextmanager
def using(**overrides: Any) -> Iterator[Settings]:
    """Override settings for this context (thread or task, and what copies its context).

    Raises:
        ConfigurationError: no such setting, or a bad value.

    Example:
        >>> with using(log_level="DEBUG"):
        ...     get_settings().log_level
        'DEBUG'
    """
    checked = _checked(overrides, where="settings.using()", base=Path.cwd())
    outer = _overrides.get()
    mark = _overrides.set(Overrides({**(outer.values if outer else {}), **checked}))
    try:
        yield get_settings()
    finally:
        _overrides.reset(mark)


def use_from_here(overrides: Overrides) -> None:
    """Have the settings of a flow run in force in this context from now on: a worker executes one of
    its tasks. Nothing is checked again, and what they give is found out once for all its tasks."""
    _overrides.set(overrides)


def home_named(text: str) -> Path:
    """Return the folder of a record that somebody named: a name in ``homes``, or a path.

    Raises:
        ConfigurationError: it is neither, or a setting is wrong.
    """
    here = Path.cwd()
    if os.sep not in text and (known := get_settings().homes.get(text)) is not None:
        return known
    return Path(convert("home", Raw(text, "--home", "--home", here)))


def unknown_variables() -> tuple[str, ...]:
    """Return ``FLOWDECK_*`` variables of the environment that mean nothing (typing errors)."""
    known = {_variable(name) for name in FIELD_KINDS} | _OTHER_VARIABLES
    return tuple(
        sorted(
            n for n in os.environ if n.startswith("FLOWDECK_") and n not in known and n[9:10] != "_"
        )
    )


def _variable(name: str) -> str:
    return f"FLOWDECK_{name.upper()}"


def _read_once() -> _Read:
    if _cache and (_in_run() or _cache[0].named == _named()):
        return _cache[0]
    named, variables, found = _named(), _variables(), _read()
    settings = Settings(**{name: value for name, (value, _) in found.items()})
    _cache[:] = [_Read(found, settings, named, variables)]
    return _cache[0]


def _in_run() -> bool:
    return active.current_task_run.get() is not None or active.current_flow_run.get() is not None


def _named() -> tuple[str | None, ...]:
    """Return what tests and services change in a process that goes on: two look-ups, no more."""
    return os.environ.get("FLOWDECK_HOME"), os.environ.get("FLOWDECK_CONFIG")


def _variables() -> tuple[tuple[str, str], ...]:
    return tuple(
        item
        for item in os.environ.items()
        if item[0].startswith("FLOWDECK_") or item[0] == "NO_COLOR"
    )


def _read() -> Provenance:
    found: Provenance = {}
    for item in dataclasses.fields(Settings):
        if item.default is not dataclasses.MISSING:
            found[item.name] = (item.default, "default")
        elif item.default_factory is not dataclasses.MISSING:
            found[item.name] = (item.default_factory(), "default")
    for file, of_user in ((_user_file(), True), (_project_file(), False)):
        if file is not None:
            path, table = file
            if not of_user and (refused := USER_ONLY.intersection(table)):
                raise not_of_projects(min(refused), str(path))
            for name, value in _checked(table, where=str(path), base=path.parent).items():
                found[name] = (value, str(path))
    found.update(_from_environment(os.environ))
    if "home" not in found:
        from platformdirs import user_data_path

        found["home"] = (_of_platform(user_data_path) or _no_home(), "default")
    return found


def _of_platform(which: Callable[..., Path]) -> Path | None:
    """Return a folder of the platform's, ``None`` where the user has no home directory."""
    try:
        path = which("flowdeck", appauthor=False)
    except RuntimeError:  # neither HOME nor an entry in the system's list of users
        return None
    return None if path.parts[:1] == ("~",) else path


def _no_home() -> NoReturn:
    from flowdeck.exceptions import ConfigurationError

    raise ConfigurationError(
        "There is no folder for the record: this user has no home directory. Set FLOWDECK_HOME to "
        "a folder that can be written."
    )


def _from_environment(environ: Mapping[str, str]) -> Provenance:
    found: Provenance = {}
    for variable in ("CLICOLOR_FORCE", "FORCE_COLOR"):
        if environ.get(variable, "0") not in {"", "0", "false"}:
            found["color"] = ("always", variable)
    if environ.get("NO_COLOR"):
        found["color"] = ("never", "NO_COLOR")
    for name in FIELD_KINDS:
        variable = _variable(name)
        text = environ.get(variable)
        if text:  # an empty variable is an unset one
            value = convert(name, Raw(text, variable, variable, Path.cwd(), is_text=True))
            found[name] = (value, variable)
    return found


def _checked(table: Mapping[str, Any], *, where: str, base: Path) -> dict[str, Any]:
    for key in table:
        if key not in FIELD_KINDS:
            raise unknown_setting(key, where)
    return {key: convert(key, Raw(value, where, key, base)) for key, value in table.items()}


def _user_file() -> tuple[Path, Mapping[str, Any]] | None:
    named = os.environ.get("FLOWDECK_CONFIG")
    if named:
        path = Path(os.path.expanduser(named)).absolute()
        if not path.exists() or path.is_dir():
            raise bad_setting(
                "FLOWDECK_CONFIG", "FLOWDECK_CONFIG", named, "the path of a TOML file"
            )
        return path, _parse(path, path.read_bytes())
    from platformdirs import user_config_path

    folder = _of_platform(user_config_path)
    if folder is None:
        return None
    path = folder / "config.toml"
    try:
        return path, _parse(path, path.read_bytes())
    except OSError:  # there is none, or it is not ours to read
        return None


def _project_file() -> tuple[Path, Mapping[str, Any]] | None:
    """Find the nearest ``pyproject.toml`` with a ``[tool.flowdeck]`` table."""
    try:
        here = Path.cwd()
    except OSError:  # the working directory was removed
        return None
    for folder in (here, *here.parents):
        path = folder / "pyproject.toml"
        try:
            content = path.read_bytes()
        except OSError:
            continue
        # Other people's broken or huge files are not our business: look before parsing.
        if b"flowdeck" in content and b"tool" in content:
            table = _parse(path, content).get("tool", {})
            if isinstance(table, dict) and isinstance(table.get("flowdeck"), dict):
                return path, table["flowdeck"]
    return None


def _parse(path: Path, content: bytes) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        from flowdeck.exceptions import ConfigurationError

        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None

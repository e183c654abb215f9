"""Start a flow in a process of its own that outlives this one.

The run is recorded first, so that it can be seen, waited for and cancelled from the moment of its
launch, and so that a launch which fails early is a recorded failure instead of nothing. What the
process prints goes to ``launches/<uid>.log`` in the home folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import TargetError
from flowdeck.names import slug
from flowdeck.settings import get_settings
from flowdeck_store.identity import pid_start
from flowdeck_store.paths import StorePaths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flowdeck.discovery import FoundFlow
    from flowdeck.settings import Settings
    from flowdeck.targets import Target

__all__ = ["Launch", "Launched", "launch", "log_tail", "record_failed_import", "record_launch"]

TAIL_BYTES: Final = 8_192
TAIL_LINES: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to run and how: everything that ``flowdeck run`` takes."""

    target: str
    parameters: str | None = None  # a JSON object
    texts: Mapping[str, str] = field(default_factory=dict)  # more of them, as texts, like -p
    runner: str | None = None  # None: the one in the code
    runner_options: Mapping[str, str] = field(default_factory=dict)  # as text, like --runner-opt
    name: str | None = None
    tags: Sequence[str] = ()
    rerun_of: str | None = None  # uid of the run that this one repeats
    reuse: bool = False  # what completed in that run is not executed again


@dataclass(frozen=True, slots=True)
class Launched:
    """A run that was started."""

    run_id: int
    uid: str
    name: str
    pid: int
    log: Path
    process: subprocess.Popen[bytes]


def launch(what: Launch, settings: Settings, *, cwd: Path | None = None) -> Launched:
    """Record a run and start it detached from this process and its terminal.

    Args:
        what: target, parameters, runner and so on. The target is only looked at, not imported.
        settings: of which ``home`` is where the run is recorded.
        cwd: the working directory of the run; default: this process's.

    Raises:
        TargetError: there is no such file, its text cannot be parsed, or the flow is not in it.
        StoreError: the run cannot be recorded.
        OSError: the process cannot be started (the run is recorded as failed then).
    """
    uid = uuid.uuid4().hex
    name = what.name or slug()
    run_id = record_launch(what, settings.home, uid=uid, name=name)
    log = StorePaths(settings.home).launches / f"{uid}.log"
    try:
        log.parent.mkdir(mode=0o700, exist_ok=True)
        command = _command(what, settings.home, uid=uid, name=name)
        process = _start(command, log, settings, cwd)
    except OSError as error:
        from flowdeck_store import launches

        launches.fail_run(settings.home, run_id, f"The run could not be started: {error}", None)
        raise
    from flowdeck_store import launches

    launches.set_process(settings.home, run_id, process.pid, pid_start(process.pid))
    return Launched(run_id, uid, name, process.pid, log, process)


def record_launch(what: Launch, home: Path, *, uid: str, name: str) -> int:
    """Record a run that no process works on yet, and return its number."""
    from flowdeck import targets
    from flowdeck_store import launches

    target = targets.parse(what.target)
    found = targets.find(target)
    info = {"target": what.target, "cwd": os.getcwd(), "python": sys.version.split()[0]}
    return launches.create_run(
        home,
        **_flow_fields(target, found),
        name=name,
        uid=uid,
        runner=what.runner or (found.runner if found else None),
        params=_shown_parameters(what),
        tags=json.dumps(sorted(what.tags)) if what.tags else None,
        rerun_of=what.rerun_of,
        info=json.dumps(info),
    )


def record_failed_import(what: Launch, home: Path, error: BaseException, *, uid: str | None) -> int:
    """Record a run whose flow could not be imported as Failed, with the traceback.

    Args:
        what: what was to be run.
        home: where it is recorded.
        error: what importing the flow's file raised.
        uid: the run's uid if it is recorded already (a launch), else ``None``.

    Returns:
        The number of the run.
    """
    from flowdeck_store import launches
    from flowdeck_store.reader import Reader

    run_id = None
    if uid is not None:
        with Reader.open(home) as reader:
            known = reader.run_by_uid(uid)
            run_id = known.id if known else None
    uid = uid or uuid.uuid4().hex
    if run_id is None:
        run_id = record_launch(what, home, uid=uid, name=what.name or slug())
    text = str(error).strip()
    kind = type(error).__name__
    message = f"The flow could not be imported. {kind}: {text}" if text else kind
    launches.fail_run(home, run_id, message, _failure(uid, error))
    return run_id


def log_tail(home: Path, uid: str) -> tuple[Path, list[str]]:
    """Return where a launched run's output is, and its last lines (none: it was not launched)."""
    path = StorePaths(home).launches / f"{uid}.log"
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return path, []
    lines = text.splitlines()
    cut = lines[1:] if size > TAIL_BYTES and len(lines) > 1 else lines
    return path, cut[-TAIL_LINES:]


def _flow_fields(target: Target, found: FoundFlow | None) -> dict[str, Any]:
    if found is not None:
        return {
            "flow_key": found.key,
            "flow_name": found.name,
            "source": f"{found.file}:{found.line}",
            "doc": found.doc,
        }
    if target.flow is None:
        raise TargetError(f"{target.place} has not exactly one flow: name it, as in {_EXAMPLE}.")
    return {
        "flow_key": f"{target.file or target.module}:{target.flow}",
        "flow_name": target.flow.replace("_", "-"),
        "source": str(target.file) if target.file else None,
        "doc": None,
    }


_EXAMPLE: Final = "path/file.py:flow"


def _shown_parameters(what: Launch) -> str | None:
    """The parameters as they are known before the flow has converted them."""
    from flowdeck.previews import params_json

    values = {**json.loads(what.parameters or "{}"), **what.texts}
    return params_json(values, get_settings().result_preview) if values else None


def _command(what: Launch, home: Path, *, uid: str, name: str) -> list[str]:
    """Return the command line of the child; what may be long or secret goes into a file."""
    # -P: files beside the user must not shadow our imports; the target puts its own folder first.
    command = [sys.executable, "-P", "-m", "flowdeck_app", "run", what.target, "--run-uid", uid]
    command += ["--name", name]
    for tag in what.tags:
        command += ["--tag", tag]
    if what.runner:
        command += ["--runner", what.runner]
    for option, value in what.runner_options.items():
        command += ["--runner-opt", f"{option}={value}"]
    if what.rerun_of:
        command += ["--rerun-of", what.rerun_of]
    if what.reuse:
        command.append("--reuse")
    if what.parameters or what.texts:
        path = StorePaths(home).launches / f"{uid}.json"
        given = {"values": json.loads(what.parameters or "{}"), "texts": dict(what.texts)}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(given, file)
        command += ["--params", f"@{path}"]
    return command


def _start(
    command: Sequence[str], log: Path, settings: Settings, cwd: Path | None
) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, FLOWDECK_HOME=str(settings.home), NO_COLOR="1")
    environment.setdefault("PYTHONUNBUFFERED", "1")  # prints are readable while the run goes on
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(output)


def _failure(uid: str, error: BaseException) -> tuple[Any, ...]:
    from flowdeck.failures import capture
    from flowdeck_store import events

    found = capture(error)
    return events.failure(
        uid, 0, events.now_us(), 1, found.exc_type, found.exc_msg, found.structure, found.variables
    )

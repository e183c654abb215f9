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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import TargetError
from flowdeck.launch import interpreters
from flowdeck.runs.names import slug
from flowdeck.settings import get_settings
from flowdeck.values.redaction import concealed
from flowdeck_store.file.identity import pid_start
from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.launch.discovery import FoundFlow
    from flowdeck.launch.interpreters import Interpreter
    from flowdeck.launch.targets import Target
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck.settings import Settings

__all__ = [
    "Launched", "launch", "log_tail", "record_failed_import", "record_launch", "take_launched",
]  # fmt: skip

TAIL_BYTES: Final = 8_192
TAIL_LINES: Final = 30


@dataclass(frozen=True, slots=True)
class Launched:
    """A run that was started."""

    run_id: int
    uid: str
    name: str
    pid: int
    log: Path
    process: subprocess.Popen[bytes]


def launch(spec: LaunchSpec, settings: Settings, *, cwd: Path | None = None) -> Launched:
    """Record a run and start it detached from this process and its terminal.

    Args:
        spec: target, parameters, runner and so on. The target is only looked at, not imported.
        settings: of which ``home`` is where the run is recorded.
        cwd: the working directory of the run; default: this process's.

    Raises:
        TargetError: there is no such file, its text cannot be parsed, or the flow is not in it.
        ConfigurationError: the Python that it would run in is not there, or has no flowdeck.
        StoreError: the run cannot be recorded.
        OSError: the process cannot be started (the run is recorded as failed then).
    """
    uid, name = uuid.uuid4().hex, spec.name or slug()
    python = interpreters.usable(spec.target, asked=spec.python, cwd=cwd)
    spec = replace(spec, uid=uid, name=name, python=None)
    text = spec.to_json()
    run_id = record_launch(spec, settings.home)
    log = StorePaths(settings.home).launches / f"{uid}.log"
    given = _spec_file(settings.home, uid)
    try:
        log.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        process = _start(spec, python, log, settings, cwd)
    except OSError as error:
        from flowdeck_store.upkeep import launches

        given.unlink(missing_ok=True)
        launches.fail_run(settings.home, run_id, f"The run could not be started: {error}", None)
        raise
    from flowdeck_store.upkeep import launches

    launches.set_process(
        settings.home,
        run_id,
        process.pid,
        pid_start(process.pid),
        locked=launches.writes_log(StorePaths(settings.home), uid),
    )
    return Launched(run_id, uid, name, process.pid, log, process)


def take_launched(home: Path, uid: str) -> LaunchSpec:
    """Return what :func:`launch` left for the process that it started, and remove it.

    Args:
        home: where the run is recorded.
        uid: of the run.

    Raises:
        OSError: there is nothing, or it was taken already.
    """
    from flowdeck.runs.launch_spec import LaunchSpec

    path = _spec_file(home, uid)
    text = path.read_bytes()
    path.unlink()
    return LaunchSpec.from_json(text)


def _spec_file(home: Path, uid: str) -> Path:
    from flowdeck_store.upkeep import launches

    return launches.spec_of(StorePaths(home), uid)


def record_launch(spec: LaunchSpec, home: Path) -> int:
    """Record a run that no process works on yet, and return its number.

    Args:
        spec: what is to be run; without ``uid`` and name the run gets some.
        home: where it is recorded.

    Raises:
        TargetError: there is no such file, its text cannot be parsed, or the flow is not in it.
        StoreError: the run cannot be recorded.
    """
    from flowdeck.launch import targets
    from flowdeck_store.upkeep import launches

    target = targets.parse(spec.target)
    found = targets.find(target)
    info = {"target": spec.target, "cwd": os.getcwd(), "python": sys.version.split()[0]}
    return launches.create_run(
        home,
        **_flow_fields(target, found),
        name=spec.name or slug(),
        uid=spec.uid or uuid.uuid4().hex,
        runner=spec.runner or (found.runner if found else None),
        params=_shown_parameters(spec),
        tags=json.dumps(sorted(spec.tags)) if spec.tags else None,
        rerun_of=spec.rerun_of,
        info=json.dumps(info),
        message="It waits for an earlier run to end." if spec.after else None,
    )


def record_failed_import(spec: LaunchSpec, home: Path, error: BaseException) -> int:
    """Record a run whose flow could not be imported as Failed, with the traceback.

    Args:
        spec: what was to be run; its ``uid`` is that of a launched run, which is recorded already.
        home: where it is recorded.
        error: what importing the flow's file raised.

    Returns:
        The number of the run.
    """
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.upkeep import launches

    run_id = None
    if spec.uid is not None:
        with Reader.open(home) as reader:
            known = reader.run_by_uid(spec.uid)
            run_id = known.id if known else None
    spec = replace(spec, uid=spec.uid or uuid.uuid4().hex)
    if run_id is None:
        run_id = record_launch(spec, home)
    text = str(error).strip()
    kind = type(error).__name__
    message = f"The flow could not be imported. {kind}: {text}" if text else kind
    launches.fail_run(home, run_id, message, _failure(str(spec.uid), error))
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
    lines = concealed(text).splitlines()  # what it printed is as it was printed in the file
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


def _shown_parameters(spec: LaunchSpec) -> str | None:
    """The parameters as they are known before the flow has converted them."""
    from flowdeck.values.previews import params_json

    values = {**spec.values, **spec.texts}
    return params_json(values, get_settings().result_preview) if values else None


def _start(
    spec: LaunchSpec, python: Interpreter, log: Path, settings: Settings, cwd: Path | None
) -> subprocess.Popen[bytes]:
    from flowdeck_store.upkeep import launches

    words = ["run", spec.target, "--run-uid", str(spec.uid)]
    command = interpreters.command(python, "flowdeck_app", *words)
    environment = dict(os.environ, FLOWDECK_HOME=str(settings.home), NO_COLOR="1")
    environment[interpreters.CHOSEN] = str(python.python)
    environment.setdefault("PYTHONUNBUFFERED", "1")  # prints are readable while the run goes on
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        launches.hold_log(output)  # the child inherits it: while it lives, the log is locked
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
    from flowdeck.failures.capture import capture
    from flowdeck_store import events

    found = capture(error)
    return events.failure(
        uid, 0, events.now_us(), 1, found.exc_type, found.exc_msg, found.structure, found.variables
    )

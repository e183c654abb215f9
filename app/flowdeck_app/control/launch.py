"""Starting flows in processes of their own, and running recorded runs again.

A recorded run is repeated with the target that started it, from the folder that it was started in:
the place of its code (the flow key) is where the function stands, which need not be the file that
can be run. Only where nothing is told (a script called the flow itself) the place is the target.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flowdeck.launch.process import launch
from flowdeck.settings import get_settings
from flowdeck_app.control.folders import recorded_folder
from flowdeck_store.file.identity import host_name
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowdeck.launch.process import Launched
    from flowdeck.reuse.forecast import Preview
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_store.read.provenance import CodeRecord
    from flowdeck_store.read.records import FlowRunRecord

    #: Code of tasks by their keys.
    Code: TypeAlias = Mapping[str, Sequence[CodeRecord]]


def start_detached(spec: LaunchSpec, folder: Path | None = None) -> Launched:
    """Record a run and start its process, detached from this one.

    Args:
        spec: target, parameters, runner and so on.
        folder: the working directory of the run; default: this process's.

    Raises:
        TargetError: there is no such file, its text cannot be parsed, or the flow is not in it.
        ConfigurationError: the Python that it would run in is not there, or has no flowdeck.
        StoreError: the run cannot be recorded.
        OSError: the process cannot be started (the run is recorded as failed then).
    """
    settings = get_settings()
    if spec.rerun_of and spec.python is None:
        spec = replace(spec, python=_python_of(spec.rerun_of, settings.home))
    launched = launch(spec, settings, cwd=folder)
    # The run outlives us; as long as we live we must not leave a dead child unread.
    threading.Thread(target=launched.process.wait, name="flowdeck-launched", daemon=True).start()
    return launched


def _python_of(uid: str, home: Path) -> str | None:
    with Reader.open(home) as reader:
        run = reader.run_by_uid(uid)
        return recorded_python(reader, run) if run is not None else None


def target_seen_from_here(target: str, folder: Path) -> str:
    """Return a target below ``folder`` so that it names the same file from this process's own."""
    place, colon, name = target.rpartition(":")
    path = folder / (place or name)
    if path.suffix != ".py" or Path(place or name).exists() or not path.is_file():
        return target
    return f"{path}{colon}{name}" if place else str(path)


def recorded_target(run: FlowRunRecord) -> str | None:
    """Return the target that started a run, or the one that its flow's source gives.

    Returns:
        ``None``: the flow's file is not there any more, or was never known.
    """
    told = run.info.get("target")
    if isinstance(told, str) and told:
        place, colon, flow = told.rpartition(":")
        if not place.endswith(".py"):
            return told  # a module: found wherever it is installed
        path = Path(str(run.info.get("cwd") or ""), place)
        if path.is_file():
            return f"{os.path.abspath(path)}{colon}{flow}"
    file, _, flow = run.flow_key.rpartition(":")
    if file.endswith(".py") and Path(file).is_file() and flow.isidentifier():
        return f"{file}:{flow}"
    return None


def recorded_python(reader: Reader, run: FlowRunRecord) -> str | None:
    """Return the Python that a run ran in; ``None``: not known, or not there any more."""
    process = reader.provenance(run.id).process
    python = process.get("executable")
    here = process.get("host") == host_name()
    return python if isinstance(python, str) and here and os.path.isfile(python) else None


def forecast(
    reader: Reader,
    run: FlowRunRecord,
    changed: Sequence[str] = (),
    *,
    code: Code | None = None,
    force: Iterable[str] = (),
) -> Preview:
    """Return what would be reused of a run, and what would run again and why.

    Args:
        reader: of the record.
        run: a run that has ended.
        changed: names of parameters that are given anew.
        code: the tasks' code as it is now, by key; ``None``: it is not compared.
        force: names of tasks or task runs that are to run again.
    """
    from flowdeck.reuse.forecast import Wishes, preview
    from flowdeck.runs.results import ResultStore

    wishes = Wishes(code, frozenset(force))
    return preview(reader, run.id, ResultStore(reader.paths.results), changed, wishes)


def code_now(run: FlowRunRecord) -> Code | None:
    """Return the code of a run's tasks as it is now, imported in a child process.

    Returns:
        ``None``: its file is gone, or cannot be imported.
    """
    from flowdeck.launch.inspection import inspect_target

    target = recorded_target(run)
    if target is None:
        return None
    python = _python_of(run.uid, get_settings().home)  # in which it is run again
    return inspect_target(target, cwd=recorded_folder(run), asked=python).code_of_tasks()

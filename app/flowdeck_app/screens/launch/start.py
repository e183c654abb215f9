"""What the launch dialog does outside of the screen: find the flow, read its form, start it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowdeck.launch.discovery import discover
from flowdeck.launch.inspection import inspect_target
from flowdeck.settings import get_settings
from flowdeck_app.control.folders import recorded_folder
from flowdeck_app.control.launch import recorded_target, start_detached, target_seen_from_here
from flowdeck_app.flow_list import merged

if TYPE_CHECKING:
    from flowdeck.launch.inspection import Inspection
    from flowdeck.launch.process import Launched
    from flowdeck_app.screens.launch.form import Form
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


def target_of(flow: str | None, rerun: FlowRunRecord | None, folder: Path) -> str | None:
    """Return what to run: the target itself, or that of a recorded run, as it is called in the
    app's folder; ``None``: ask."""
    if rerun is None:
        return flow
    target = recorded_target(rerun)
    if target is None:
        return flow or rerun.flow_key
    return _seen_from(folder, target) if folder_of(rerun, folder) == folder else target


def folder_of(rerun: FlowRunRecord | None, folder: Path) -> Path:
    """Return where to start a run: a repeated one where it ran, others in the app's folder."""
    found = None if rerun is None else recorded_folder(rerun)
    return folder if found is None or found.resolve() == folder.resolve() else found


def _seen_from(folder: Path, target: str) -> str:
    place, colon, flow = target.rpartition(":")
    path = Path(place)
    if path.is_absolute() and path.is_relative_to(folder.absolute()):
        return f"{path.relative_to(folder.absolute())}{colon}{flow}"
    return target


def choices(reader: Reader, folder: Path) -> list[tuple[str, str]]:
    """Return name and target of every flow that can be started; runs on a lane's thread."""
    paths = [folder / path for path in get_settings().flow_paths]
    rows = merged(discover(paths), reader.flows())
    return [(row.name, row.target) for row in rows if row.target is not None]


def inspect(target: str, folder: Path) -> Inspection:
    """Read the form of a flow in a child process (up to 15 seconds)."""
    return inspect_target(target, cwd=folder)


def start(form: Form, folder: Path) -> Launched:
    """Record the run and start its process, detached."""
    spec = replace(form.spec(), target=target_seen_from_here(form.target, folder))
    return start_detached(spec, folder)

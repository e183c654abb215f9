"""What the launch dialog does outside of the screen: find the flow, read its form, start it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from flowdeck.discovery import discover
from flowdeck.inspection import inspect_target
from flowdeck.launching import Launch, launch
from flowdeck.settings import get_settings
from flowdeck_app.flow_list import merged

if TYPE_CHECKING:
    from flowdeck.inspection import Inspection
    from flowdeck.launching import Launched
    from flowdeck_app.launch_form import Form
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord


def target_of(flow: str | None, rerun: FlowRunRecord | None) -> str | None:
    """Return what to run: the target itself, or that of a recorded run."""
    if flow is not None:
        return flow
    if rerun is None:
        return None
    target = rerun.info.get("target")
    return target if isinstance(target, str) else rerun.flow_key


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
    what = Launch(
        target=_placed(form.target, folder),
        texts=form.given(),
        runner=form.runner or None,
        runner_options=form.given_options(),
        name=form.name or None,
        tags=form.tag_list(),
        rerun_of=form.rerun_of,
        reuse=form.failed_of is not None,
    )
    launched = launch(what, get_settings(), cwd=folder)
    # The run outlives the app; as long as the app lives it must not leave a dead child unread.
    threading.Thread(target=launched.process.wait, name="flowdeck-launched", daemon=True).start()
    return launched


def _placed(target: str, folder: Path) -> str:
    """Return a target that names the same file from this process's folder, too."""
    place, colon, name = target.rpartition(":")
    path = folder / (place or name)
    if path.suffix != ".py" or Path(place or name).exists() or not path.is_file():
        return target
    return f"{path}{colon}{name}" if place else str(path)

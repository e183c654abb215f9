"""A home folder, the command line in this process and in others, and a record to look at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cli_builder import ROOT, Record, Shell
from click.testing import CliRunner, Result

from flowdeck import settings
from flowdeck.runs import recorder as recording
from flowdeck_store.session import RecordingSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home, a working directory of the test's own, no settings of this machine."""
    folder = tmp_path / "home"
    for name in [
        n
        for n in os.environ
        if n.startswith("FLOWDECK_") or n in {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TERM"}
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLOWDECK_HOME", str(folder))
    monkeypatch.setenv("FLOWDECK_CONFIG", os.devnull)
    monkeypatch.setenv("TZ", "UTC")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    settings.use_from_here(settings.Overrides({}))  # whatever an earlier test left in force
    settings.reload()
    yield folder
    recording.close_all()
    monkeypatch.undo()
    settings.reload()


@pytest.fixture
def cli() -> Callable[..., Result]:
    """The command line in this process: ``cli("runs", "--json")``."""
    from flowdeck_app.cli.root import flowdeck

    def invoke(*args: str, input: str | None = None) -> Result:  # noqa: A002 - click's name
        return CliRunner().invoke(flowdeck, args, input=input, prog_name="flowdeck")

    return invoke


@pytest.fixture
def shell() -> Iterator[Shell]:
    """The command line as users start it, in processes of its own."""
    paths = os.pathsep.join(str(ROOT / part) for part in ("engine", "store", "app"))
    found = Shell({"PYTHONPATH": paths})
    yield found
    found.end_all()


@pytest.fixture
def record(home: Path) -> Iterator[Record]:
    """A record that this process writes."""
    warnings: list[str] = []
    session = RecordingSession.open(home, version="test", on_warning=warnings.append)
    yield Record(home, session)
    session.close()
    assert warnings == []

"""A machine with a systemd and a cron that only write down what they are asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from schedule_programs import CRONTAB, SYSTEMCTL

from flowdeck import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Machine:
    """Its programs, and what they hold."""

    programs: Path
    config: Path
    held: Path

    def remove(self, program: str) -> None:
        (self.programs / program).unlink()

    @property
    def units(self) -> dict[str, str]:
        folder = self.config / "systemd" / "user"
        return {path.name: path.read_text() for path in sorted(folder.glob("*"))}

    @property
    def asked(self) -> list[str]:
        path = self.held / "systemctl.log"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def crontab(self) -> list[str]:
        path = self.held / "crontab"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    programs, held = tmp_path / "bin", tmp_path / "held"
    programs.mkdir()
    held.mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("crontab", CRONTAB)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("sh", "cat"):
        (programs / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("HELD", str(held))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Machine(programs, tmp_path / "config", held)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty record, and a working folder with a flow."""
    folder, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    (work / "etl.py").write_text(
        "from flowdeck import flow\n\n\n@flow\ndef etl(day='x'):\n    return day\n"
    )
    for name in [name for name in os.environ if name.startswith("FLOWDECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("FLOWDECK_HOME", str(folder))
    monkeypatch.setenv("FLOWDECK_CONFIG", os.devnull)
    monkeypatch.chdir(work)
    settings.use_from_here(settings.Overrides({}))
    settings.reload()
    yield folder
    monkeypatch.undo()
    settings.reload()

"""Every test has a home folder of its own, and no test sees the user's settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for _name in [n for n in os.environ if n.startswith("FLOWDECK_")]:
    del os.environ[_name]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder of this test; recorders that were opened are closed at its end."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FLOWDECK_HOME", str(folder))
    config = tmp_path / "config.toml"
    config.touch()
    monkeypatch.setenv("FLOWDECK_CONFIG", str(config))
    from flowdeck import settings

    settings.reload()
    yield folder
    from flowdeck import recording

    recording.close_all()
    settings.reload()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let reports travel between processes: what tests log on purpose may be no valid text."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report

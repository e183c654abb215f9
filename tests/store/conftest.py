"""The store knows nothing of the engine, and neither do its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from store_writing import private_home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)

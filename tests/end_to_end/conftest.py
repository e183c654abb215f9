"""What the tests of the app in a terminal share: a folder to work in, terminals that are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from terminal import Terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder for flows."""
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def opened(home: Path, folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Open the app in a terminal; all of them are closed at the end."""
    terminals: list[Terminal] = []

    def open_one(
        size: tuple[int, int] = (100, 30),
        env: Mapping[str, str] | None = None,
        command: str | None = None,
    ) -> Terminal:
        terminals.append(Terminal(home, folder, size, env, command))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()

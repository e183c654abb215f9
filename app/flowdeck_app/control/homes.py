"""Records that have names: which there are, and what one is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def name_of(home: Path, homes: Mapping[str, Path], machine: str = "") -> str:
    """Return what the user calls a record; ``""``: they have no name for it.

    Args:
        home: the folder of the record.
        homes: the setting.
        machine: where it is, if the user sits somewhere else.
    """
    name = next((name for name, path in homes.items() if _same(path, home)), "")
    return " ".join(part for part in (name, machine and f"on {machine}") if part)


def others(home: Path, homes: Mapping[str, Path]) -> list[tuple[str, Path]]:
    """Return name and folder of the records that the user may want to see instead."""
    return [(name, path) for name, path in homes.items() if not _same(path, home)]


def _same(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()

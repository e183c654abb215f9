"""Where things lie below the home folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class StorePaths:
    """The files of one home folder (``FLOWDECK_HOME``)."""

    home: Path

    @property
    def db(self) -> Path:
        """The SQLite file."""
        return self.home / "flowdeck.db"

    @property
    def write_lock(self) -> Path:
        """The lock file that writers take in turn (fcntl record lock)."""
        return self.home / "flowdeck.db.lock"

    @property
    def journal(self) -> Path:
        """Folder of the sessions' journals."""
        return self.home / "journal"

    @property
    def locks(self) -> Path:
        """Folder of the sessions' process locks."""
        return self.home / "locks"

    @property
    def results(self) -> Path:
        """Folder of kept results."""
        return self.home / "results"

    @property
    def artifacts(self) -> Path:
        """Folder of the files of artifacts."""
        return self.home / "artifacts"

    @property
    def launches(self) -> Path:
        """Folder of what detached runs print."""
        return self.home / "launches"

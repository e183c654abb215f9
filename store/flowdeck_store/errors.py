"""What can go wrong with the record, each with the path and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class StoreError(Exception):
    """Base of all errors of the record. ``str(error)`` is complete sentences for a user."""


class StoreUnwritable(StoreError):
    """The home folder cannot be created or written."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"flowdeck cannot write in {path}: {reason}. "
            "Make the folder writable or set FLOWDECK_HOME to one that is."
        )


class StoreCorrupt(StoreError):
    """The file is no SQLite database, no flowdeck store, or damaged."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is not a readable flowdeck store: {reason}. "
            "Move the file aside (nothing else needs it) or set FLOWDECK_HOME to another folder; "
            "`flowdeck doctor` says what can be saved."
        )


class BadFile(StoreError):
    """A file that a user named (not the record) cannot be read or written, or is something else."""


class BadArchive(BadFile, StoreCorrupt):
    """The file is no archive of runs, or damaged; the record has nothing to do with it."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        if path.suffix == ".py":
            reason = "it is source code, whose flows `flowdeck run` runs"
        StoreError.__init__(
            self,
            f"{path} is not an archive that can be imported: {reason}. "
            "An archive is a file that `flowdeck export RUN FILE` wrote.",
        )


class StoreTooNew(StoreError):
    """The store was written by a newer flowdeck."""

    def __init__(self, path: Path, found: int, known: int, written_by: str | None = None) -> None:
        self.path, self.found, self.known = path, found, known
        by = f" (written by {written_by})" if written_by else ""
        super().__init__(
            f"{path} has schema v{found}, this flowdeck understands v{known}{by}: "
            "upgrade flowdeck or set FLOWDECK_HOME to another folder."
        )


class StoreBusy(StoreError):
    """Another program held the store's lock for longer than we wait."""


class NotFound(StoreError):
    """No run, task run or flow answers to that reference."""


class Ambiguous(StoreError):
    """A prefix or name fits several runs; the message lists some of them."""


class QueryError(StoreError):
    """The filter text cannot be understood; the message points at the place.

    ``position`` is the index in the text of the first character that is wrong.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        self.position = position
        super().__init__(f"{message} (at character {position + 1} of the filter).")


class NothingToSearchFor(StoreError):
    """A text to search for has no word in it."""


class ReadInterrupted(StoreError):
    """A long read was ended by ``Reader.interrupt()``."""


class LiveRun(StoreError):
    """A run that still goes on cannot be deleted."""

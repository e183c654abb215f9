"""What keeps the store from being written, and saying so once."""

from __future__ import annotations

import errno
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
    StoreUnwritable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.file.paths import StorePaths

LOCKED: Final = "locked"
READ_ONLY: Final = "read-only"
FULL: Final = "full"
REFUSED: Final = "refused"  # what a size limit, a quota or a failing device look like
DAMAGED: Final = "damaged"
OTHER: Final = "other"

_OF_CODE: Final = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,  # the locks of the write-ahead log, for long
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: READ_ONLY,
    sqlite3.SQLITE_AUTH: READ_ONLY,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: OTHER,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
_OF_ERRNO: Final = {
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.ENOSPC: FULL,
    errno.EDQUOT: REFUSED,
    errno.EFBIG: REFUSED,
    errno.EIO: REFUSED,
}
_WHAT: Final = {
    LOCKED: "{db} has been locked by another program for {seconds:.0f} s ({error})",
    READ_ONLY: "{db} cannot be written ({error})",
    FULL: "{db} cannot grow: the disk is full ({error})",
    REFUSED: "The system refuses to write {db}: a size limit (ulimit -f), a quota, a full disk or a "
    "failing device ({error})",
    DAMAGED: "{db} is damaged ({error})",
    OTHER: "{db} cannot be written ({error})",
}
_KEPT: Final = (
    "What happens meanwhile is kept in {journal}; it is recorded as soon as the store can be "
    "written, at the latest by the next flowdeck process. Nothing is lost."
)
_UNSAFE: Final = (
    "What happens meanwhile is kept in memory only and lost if this process ends first, because "
    "the journal cannot be written either ({error})."
)


def kind_of(error: BaseException) -> str:
    """Return which kind of trouble an error of SQLite, of the system or of ours is."""
    if isinstance(error, StoreBusy):
        return LOCKED
    if isinstance(error, (StoreCorrupt, StoreTooNew)):
        return DAMAGED
    if isinstance(error, StoreUnwritable):
        return READ_ONLY
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_IOERR_WRITE:
            return REFUSED
        if code == sqlite3.SQLITE_IOERR_SHMSIZE:
            return FULL  # not even the 32 kB of the write-ahead log's index, which readers need
        return _OF_CODE.get(code & 0xFF, OTHER)
    if isinstance(error, OSError):
        return _OF_ERRNO.get(error.errno or 0, OTHER)
    return OTHER


class Troubles:
    """Tells the user about trouble: once for each kind, and once when it is over.

    Args:
        paths: of the store.
        say: shows one line to the user.
        patience: seconds that a lock may last before it is worth a word.
    """

    def __init__(self, paths: StorePaths, say: Callable[[str], None], patience: float) -> None:
        self._paths, self._say, self._patience = paths, say, patience
        self._since: float | None = None
        self._kind: str | None = None
        self._error: BaseException | None = None
        self._said: set[str] = set()

    @property
    def kind(self) -> str | None:
        """What is the matter now; ``None`` while all is well."""
        return self._kind

    def report(self, error: BaseException, journal: str | None, why_not: object = None) -> None:
        """Note a failed attempt; warn if this kind was not reported yet.

        Args:
            error: what the attempt raised.
            journal: the folder that keeps the events, ``None`` if they are in memory only.
            why_not: why the journal cannot be written.
        """
        now = time.monotonic()
        self._kind, self._error = kind_of(error), error
        self._since = now if self._since is None else self._since
        if self._kind != LOCKED or now - self._since >= self._patience:
            self.insist(journal, why_not)

    def insist(self, journal: str | None, why_not: object = None) -> None:
        """Warn about the present trouble now, if not done yet (the run is about to end)."""
        if self._kind is None:
            return
        # That events are no longer safe is worth a second word about the same trouble.
        about = self._kind if journal is not None else f"{self._kind}, in memory"
        if about in self._said:
            return
        self._said.add(about)
        seconds = time.monotonic() - (self._since or 0.0)
        if isinstance(self._error, StoreError) and self._kind in {DAMAGED, READ_ONLY}:
            what = str(self._error).rstrip(".")
        else:
            what = _WHAT[self._kind].format(db=self._paths.db, error=self._error, seconds=seconds)
        kept = _UNSAFE.format(error=why_not) if journal is None else _KEPT.format(journal=journal)
        self.say(f"{what}. {kept}")

    def over(self, applied: int) -> None:
        """The store was written again: tell so if the trouble was told."""
        told, self._said = bool(self._said), set()
        self._kind = self._error = self._since = None
        if told:
            self.say(f"{self._paths.db} can be written again; {applied:,} events are recorded.")

    def say(self, text: str) -> None:
        """Show a line; a broken display must not stop the recording."""
        try:
            self._say(text)
        except Exception:  # whatever the display raises, there is nobody else to tell
            pass

"""The figures of the write side, in one place; tests use smaller ones."""

from __future__ import annotations

from dataclasses import dataclass

from flowdeck_store.journal.durability import INTERVAL_S


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the writer paces itself and what it may take. Seconds and bytes."""

    linger: float = 0.002  # after the first event following a pause, so that company can arrive
    interval: float = 0.020  # between flushes while events flow
    slow_interval: float = 0.100  # the same where the file system knows no write-ahead log
    tick: float = 0.200  # between looks at requests, limits and the file itself
    max_events: int = 3_000  # in one statement
    queue_cap: int = 50_000  # events in memory; more are read back from the journal
    segment_bytes: int = 4_194_304
    journal_quota: int = 268_435_456  # beyond, log lines below WARNING are dropped
    wal_bytes: int = 16_777_216  # beyond, the write-ahead log is merged into the file
    busy: float = 1.0  # how long one attempt waits for another program's lock
    lock_patience: float = 5.0  # how long a lock may last before the user is told
    backoff: float = 0.5  # after the first failure; doubles up to
    backoff_max: float = 5.0
    sync_interval: float = INTERVAL_S  # between syncs, if a power loss is to be survived
    beat: float = 10.0  # between heartbeats of an idle session


DEFAULT = Tuning()

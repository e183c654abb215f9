"""What a launcher asks of the next flow run: its identity, name and tags."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Taken by the next root flow run that starts in this context.

    Attributes:
        uid: 32 hex digits of a run that is recorded already and is to be taken over.
        name: the run's name instead of a generated one.
        tags: added to the run's.
        rerun_of: uid of the run that this one repeats.
        reuse: task runs that completed in that run are not executed again, see
            :mod:`flowdeck.rerun`.
        target: ``file.py:flow`` or ``module:flow`` that started it, so that it can be repeated.
    """

    uid: str | None = None
    name: str | None = None
    tags: frozenset[str] = frozenset()
    rerun_of: str | None = None
    reuse: bool = False
    target: str | None = None


_requested: ContextVar[RunRequest | None] = ContextVar("flowdeck_run_request", default=None)


@contextlib.contextmanager
def requested(request: RunRequest) -> Iterator[None]:
    """Hand ``request`` to the next root flow run inside the block."""
    token = _requested.set(request)
    try:
        yield
    finally:
        _requested.reset(token)


def take() -> RunRequest:
    """Return the request and use it up (an empty one if there is none)."""
    found = _requested.get()
    if found is None:
        return RunRequest()
    _requested.set(None)
    return found

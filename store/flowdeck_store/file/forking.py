"""Keeping forks away from threads that are inside SQLite.

A fork copies SQLite's global locks as they are. If another thread holds one just then, the child
can never use SQLite again: it hangs, in ``multiprocessing.Pool`` of a task for example, and nothing
in it can help. Python offers a hook before the fork, and no way to make SQLite's locks anew. So our
background threads say when they are inside, and the hook waits for them to come out, which is a
matter of milliseconds. New ones wait at the door until the fork is over.

The wait ends after :data:`PATIENCE_S`: a thread may wait inside for another program's lock, and a
fork that may hang its child is better than one that hangs now. Long work inside, such as a recovery,
calls :func:`breathe` between its steps.

The condition stays acquired over the fork, so that the child's copy of what is noted here is whole.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long a fork waits at most (seconds): a thread may wait inside for another program's lock.
PATIENCE_S: Final = 0.25

_change = threading.Condition()
_inside: dict[int, int] = {}  # how deep each thread is inside
_forking = False


@contextmanager
def inside_sqlite() -> Iterator[None]:
    """Mark that this thread uses SQLite; waits while another thread forks."""
    _enter()
    try:
        yield
    finally:
        _leave()


def breathe() -> None:
    """Let a waiting fork happen now, in the middle of a long :func:`inside_sqlite`."""
    _leave()
    _enter()


def _enter() -> None:
    me = threading.get_ident()
    with _change:
        while _forking and me not in _inside:
            _change.wait()
        _inside[me] = _inside.get(me, 0) + 1


def _leave() -> None:
    me = threading.get_ident()
    with _change:
        _inside[me] -= 1
        if not _inside[me]:
            del _inside[me]
            if _forking:
                _change.notify_all()


def _before_fork() -> None:
    global _forking
    me = threading.get_ident()
    _change.acquire()  # kept until after the fork, so that the child gets a consistent copy
    _forking = True
    _change.wait_for(lambda: not _inside.keys() - {me}, PATIENCE_S)


def _after_fork_in_parent() -> None:
    global _forking
    _forking = False
    _change.notify_all()
    _change.release()


def _after_fork_in_child() -> None:
    global _forking, _change
    _forking = False
    _change = threading.Condition()
    me = threading.get_ident()
    for ident in [i for i in _inside if i != me]:
        del _inside[ident]  # those threads do not exist here


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)

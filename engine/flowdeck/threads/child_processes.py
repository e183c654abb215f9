"""Child processes that runs start: they end when the run that started them is asked to stop.

A thread that waits for a child cannot be interrupted before the child ends, and a child goes on when
nobody waits for it any more. So what the functions of runs start with :mod:`subprocess` (or with what
uses it: asyncio, ``os.popen``, libraries) is known here by the run that started it. Nothing happens
for a run that starts none.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from flowdeck.threads import active
from flowdeck.threads.process_table import Process, family
from flowdeck_store import clock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator

#: Seconds from SIGTERM to SIGKILL. Less than any runner gives a function to stop, so that one which
#: waits for its child can still end in time.
GRACE: Final = 0.8
_LOOK: Final = 0.02

#: What was started and by which run (its flow run's uid, its number), while somebody holds it.
_started: weakref.WeakKeyDictionary[subprocess.Popen[Any], tuple[str, int]]
_started = weakref.WeakKeyDictionary()
_lock = threading.Lock()
#: Threads that start one just now.
_starting: set[int] = set()
_watching = False
_is_ours: ContextVar[bool] = ContextVar("flowdeck_own_processes", default=False)


def watch() -> None:
    """Begin to note what runs start; once in a process."""
    global _watching
    if _watching:
        return
    import subprocess  # several milliseconds

    with _lock:
        if _watching:
            return
        _watching = True
        subprocess.Popen.__init__ = _noting(subprocess.Popen.__init__)  # type: ignore[method-assign]


def _noting(begin: Any) -> Any:
    @functools.wraps(begin)
    def noting(self: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> None:
        me = threading.get_ident()
        try:
            _starting.add(me)
            with contextlib.suppress(TypeError):  # a class whose objects cannot be keys
                _note(self)
            begin(self, *args, **kwargs)
        finally:
            _starting.discard(me)

    return noting


def _note(process: subprocess.Popen[Any]) -> None:
    run = active.current_run()
    if run is not None and not _is_ours.get():
        with _lock:
            _started[process] = run.info.uid, run.no


def wait_until_started(thread: int) -> None:
    """Wait for the moment that a thread takes to start a child process, if it does that just now: an
    exception that strikes in it may leave a child of which nobody knows the number."""
    until = clock.monotonic() + GRACE
    while thread in _starting and clock.monotonic() < until:
        time.sleep(_LOOK / 10)


@contextlib.contextmanager
def of_the_engine() -> Iterator[None]:
    """What the block starts is no run's child: clusters."""
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


def was_stopped(error: BaseException) -> bool:
    """Say whether a function that raised this was stopped, and did not end by itself."""
    return not isinstance(error, (Exception, SystemExit))


def end(run: Any) -> bool:
    """Ask what a run started, and has not ended, to end; kill it if it does not. Does not wait.

    Args:
        run: a task run or flow run whose function executes, or was stopped just now.

    Returns:
        Whether there is anything to end.
    """
    going = _going(run)
    if going:
        # Not a daemon: at the end of the process, too, what does not listen is killed.
        threading.Thread(target=_end, args=(going,), name="flowdeck-end", daemon=False).start()
    return bool(going)


def kill(runs: Iterable[Any]) -> None:
    """Kill at once what runs started: this process is about to end."""
    going = [process for run in runs for process in _going(run)]
    until, pause = clock.monotonic() + GRACE, threading.Event()
    while any(map(_is_beginning, going)) and clock.monotonic() < until:
        pause.wait(_LOOK)
    if going:
        _signal(family([p.pid for p in going if _is_alive(p)]), signal.SIGKILL)


def _going(run: Any) -> list[subprocess.Popen[Any]]:
    if not _started:
        return []
    key = run.info.uid, run.no
    with _lock:
        found = [one for one, of in _started.items() if of == key]
    return [one for one in found if getattr(one, "returncode", None) is None]


def _is_beginning(process: subprocess.Popen[Any]) -> bool:
    """Say whether a process is being started just now, on another thread, and has no number yet."""
    return not hasattr(process, "pid") or (process.pid is None and process.returncode is None)


def _is_alive(process: subprocess.Popen[Any]) -> bool:
    """Say whether it is a child of this process that goes on. Leaves its end to who waits for it."""
    pid = getattr(process, "pid", None)
    if not pid or process.returncode is not None:
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except OSError:  # somebody else has waited for it
        return False
    except AttributeError:  # macOS before Python 3.13
        return True


def _end(going: list[subprocess.Popen[Any]]) -> None:
    until = clock.monotonic() + GRACE
    asked: dict[int, Process] = {}
    new, pause = going, threading.Event()
    while True:
        looked_at = new
        new = [one for one in looked_at if _is_beginning(one)]
        begun = [one for one in looked_at if one not in new and _is_alive(one)]
        if begun:
            found = family([one.pid for one in begun])
            asked |= {one.pid: one for one in found}
            _signal(found, signal.SIGTERM)
        left = [one for one in asked.values() if one.goes_on()]
        if not left and not new:
            return
        if clock.monotonic() >= until:
            break
        pause.wait(_LOOK)
    _signal(family([one.pid for one in left]), signal.SIGKILL)  # and what they started since


def _signal(processes: list[Process], number: int) -> None:
    groups = {one.pid for one in processes if one.leads_group}
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, number)
    for one in processes:
        if one.group not in groups:
            with contextlib.suppress(OSError):
                os.kill(one.pid, number)


def _after_fork_in_child() -> None:
    """What the parent has started is no child of this process."""
    global _lock, _started, _starting
    _lock = threading.Lock()
    _started = weakref.WeakKeyDictionary()
    _starting = set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

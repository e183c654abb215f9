"""The worker processes of this process, kept from one flow run to the next.

They are started by a command of their own, not by :mod:`multiprocessing`, whose children import the
user's script again, and not by a fork, which would copy locks that other threads hold. Each has one
connection, so one that dies takes nothing with it but the task that it executes; the pool of
:mod:`concurrent.futures` is broken from then on.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck.exceptions import FlowdeckError
from flowdeck.task_runners._process.wire import FORGET, READY, Begun, Wire
from flowdeck.threads import child_processes
from flowdeck.threads.process_table import family

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMMAND: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from flowdeck.task_runners._process.worker import main; main(*map(int, sys.argv[1:]))"
)
#: Seconds that workers get to end with this process.
_LAST: Final = 1.0


class WorkerDied(FlowdeckError):
    """A worker process ended while it executed a task. Says of what."""


class Owner(Protocol):
    """Whoever has a worker."""

    def on_ready(self, worker: Worker) -> None:
        """It can execute something."""

    def on_message(self, worker: Worker, message: tuple[Any, ...]) -> None:
        """It has sent something."""

    def on_death(self, worker: Worker) -> None:
        """It is gone."""


class Worker:
    """One worker process.

    Attributes:
        owner: who has it; ``None`` while it is kept for the next one.
        is_ready: it has said that it is there.
        since: when it was started, seconds since the epoch.
        place: the environment, folder and import path that it was last told.
        codes: the numbers of the tasks that it has, of the owner's flow run.
        parts: the numbers of the values that it keeps.
        stale: of those, the ones that nobody needs any more.
    """

    def __init__(self, owner: Owner) -> None:
        self.owner: Owner | None = owner
        self.is_ready = False
        self.since = time.time()
        self.place: Any = None
        self.codes: set[int] = set()
        self.parts: set[int] = set()
        self.stale: deque[int] = deque()
        #: How many task runs it had begun before it got what it has now.
        self.begun_before = 0
        mine, its = socket.socketpair()
        path = [entry or os.getcwd() for entry in sys.path]
        try:
            with its, Begun.file() as counter, child_processes.of_the_engine():
                self._begun = Begun(counter)
                given = [its.fileno(), counter]
                command = [sys.executable, "-P", "-c", _COMMAND, *map(str, given), json.dumps(path)]
                # A session of its own: Ctrl-C in the terminal is for the flow, which tells it.
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    pass_fds=given,
                    start_new_session=True,
                )
        except BaseException:
            mine.close()
            raise
        self._wire = Wire(mine)
        self.send = self._wire.send
        self._thread = threading.Thread(target=self._read, name="flowdeck-worker", daemon=True)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def begun(self) -> int:
        """How many task runs it has begun in its life."""
        return self._begun.count

    def refuse(self, place: int, why: int) -> bool:
        """Have a task run not begun that it has got; say whether that was in time.

        Args:
            place: of the task run among those that it has now.
            why: a :class:`~flowdeck.runs.task_run.Stop`.
        """
        return self._begun.refuse(self.begun_before + place, why)

    @property
    def has_ended(self) -> bool:
        """Whether the system says so."""
        return self._process.poll() is not None

    def listen(self) -> None:
        """Begin to hand on what it sends."""
        self._thread.start()

    def _read(self) -> None:
        while (message := self._wire.receive()) is not None:
            if message[0] == READY:
                self.is_ready = True
                if (owner := self.owner) is not None:
                    owner.on_ready(self)
            elif (owner := self.owner) is not None:
                owner.on_message(self, message)
        pool.forget(self)
        try:
            self._process.wait(_LAST)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            self._process.wait()
        self._wire.discard()
        if (owner := self.owner) is not None:
            owner.on_death(self)

    def look(self) -> None:
        """Notice that it has ended, though something that it started holds the connection."""
        if self._process.poll() is not None:
            self._wire.close()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to it, and to what it has started."""
        if self._process.poll() is None:
            for process in family([self.pid]):
                with contextlib.suppress(OSError):
                    os.kill(process.pid, number)

    def dismiss(self) -> None:
        """Let it end by itself."""
        self._wire.close()

    def join(self, seconds: float) -> None:
        """Wait until it has ended and its end was noticed."""
        self._thread.join(seconds)

    @property
    def was_killed(self) -> bool:
        """Whether it ended as the kernel ends processes for their memory."""
        return self._process.returncode == -signal.SIGKILL

    def why_it_ended(self) -> str:
        """Return what the system says of its end."""
        code = self._process.returncode
        if code is None:
            return "closed its connection"
        if code >= 0:
            return f"exited with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was killed by {name}"

    def leave(self) -> None:
        """In a forked child: it is the parent's."""
        self._wire.leave()
        self._process.returncode = 0


class _Pool:
    """One instance, :data:`pool`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._is_set_up = False

    def take(self, owner: Owner) -> Worker:
        """Return a worker for somebody: one that is there already, else a new one, which says later
        that it is ready.

        Raises:
            OSError: no process can be started.
        """
        with self._lock:
            if not self._is_set_up:
                self._is_set_up = True
                atexit.register(self._end)
                os.register_at_fork(after_in_child=self._after_fork_in_child)
            if self._idle:
                worker = self._idle.pop()
                worker.owner = owner
                return worker
        worker = Worker(owner)
        with self._lock:
            self._all.add(worker)
        worker.listen()
        return worker

    def give_back(self, workers: Iterable[Worker], uid: str, keep: int) -> None:
        """Keep workers for the next flow run.

        Args:
            workers: they execute nothing.
            uid: of the flow run that they worked for.
            keep: this many; the others are let go.
        """
        for worker in workers:
            worker.owner = None
            worker.codes.clear()
            worker.parts.clear()
            worker.stale.clear()
            try:
                worker.send((FORGET, uid))
            except OSError:
                continue  # it has died just now
            with self._lock:
                is_kept = worker in self._all and len(self._idle) < keep
                if is_kept:
                    self._idle.append(worker)
            if not is_kept:
                worker.dismiss()

    def forget(self, worker: Worker) -> None:
        """Note that a worker is gone."""
        with self._lock:
            self._all.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)

    def _end(self) -> None:
        with self._lock:
            workers, self._idle = list(self._all), []
        for worker in workers:
            worker.owner = None
            worker.dismiss()
        for worker in workers:
            worker.join(_LAST)

    def _after_fork_in_child(self) -> None:
        workers = self._all
        self._lock = threading.Lock()
        self._idle, self._all = [], set()
        for worker in workers:
            worker.leave()


pool: Final = _Pool()

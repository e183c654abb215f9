"""What a process that executes task runs remembers, and what executes in it.

A worker gets the same bytes again and again: the function of a task comes with each of its runs, and
so does what there is to know of the flow run. They are read once and found by their bytes from then
on, so that the globals of a function are one thing for all runs of a task, as in the flow's process.
"""

from __future__ import annotations

import contextvars
import pickle
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck import logging, once
from flowdeck.remote.events import EventSender
from flowdeck.remote.parts import let_go
from flowdeck.runs.task_run import Stop, TaskRun
from flowdeck.settings import Overrides, use_from_here
from flowdeck.stopping import cancellation
from flowdeck.threads import child_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.remote.events import Port
    from flowdeck.remote.pickling import Pickling
    from flowdeck.runs.task_run import FlowRunInfo

#: Tasks and flow runs that a process remembers.
_REMEMBERED: Final = 256


@dataclass(slots=True)
class KnownFlowRun:
    """What this process knows of a flow run."""

    info: FlowRunInfo
    settings: Overrides


class WorkerProcess:
    """One instance, :data:`this_process`; guarded by its lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: OrderedDict[bytes, TaskDefinition[Any, Any]] = OrderedDict()
        self._flow_runs: OrderedDict[bytes, KnownFlowRun] = OrderedDict()
        #: What was last read from the bytes of a task and its flow run together.
        self._codes: dict[bytes, tuple[KnownFlowRun, TaskDefinition[Any, Any]]] = {}
        self._executing: dict[tuple[str, int], TaskRun] = {}
        self._refused: dict[str, dict[int, Stop]] = {}
        #: How events leave, by the uid of their flow run.
        self.senders: dict[str, EventSender] = {}

    def sender(self, uid: str, port: Port) -> EventSender:
        """Return what sends the events of a flow run."""
        with self._lock:
            sender = self.senders.get(uid)
            if sender is None:
                sender = self.senders[uid] = EventSender(port)
            return sender

    # -- what executes --------------------------------------------------------------------------------

    def begin(self, run: TaskRun) -> None:
        """Note that a task run executes from now on; asks it to stop if it was refused."""
        uid = run.info.uid
        with self._lock:
            self._executing[uid, run.no] = run
            run.cancel_requested = self._refused.get(uid, {}).get(run.no, Stop.NO)

    def end(self, run: TaskRun) -> None:
        """Note that a task run does not execute any more."""
        key = run.info.uid, run.no
        with self._lock:
            if self._executing.get(key) is run:
                del self._executing[key]

    def stop(self, uid: str, numbers: Sequence[int], why: Stop) -> list[int]:
        """Ask task runs to stop; those that have not come yet are refused when they do.

        Args:
            uid: of their flow run.
            numbers: theirs.
            why: what they are told.

        Returns:
            The numbers of those that execute in this process.
        """
        with self._lock:
            self._refused.setdefault(uid, {}).update(dict.fromkeys(numbers, why))
            found = [run for no in numbers if (run := self._executing.get((uid, no))) is not None]
        for run in found:
            run.cancel_requested = why
            interrupt = run.interrupt
            if interrupt is not None:
                interrupt()
        return [run.no for run in found]

    def executing(self, uid: str) -> list[int]:
        """Return the numbers of a flow run's task runs that execute."""
        with self._lock:
            return [no for (of, no) in self._executing if of == uid]

    def is_executing(self) -> bool:
        """Say whether any task run executes. Takes no lock: a signal handler asks, and the thread
        that it interrupts may hold that."""
        return bool(self._executing)

    def forget(self, uid: str) -> None:
        """Forget a flow run that is over."""
        with self._lock:
            self._refused.pop(uid, None)
            self.senders.pop(uid, None)
            let_go()
            for key in [k for k, known in self._flow_runs.items() if known.info.uid == uid]:
                del self._flow_runs[key]
            for code in [k for k, (known, _) in self._codes.items() if known.info.uid == uid]:
                del self._codes[code]
        once.run_is_over(uid)

    # -- what was read ----------------------------------------------------------------------------------

    def read(
        self, code: bytes, pickling: Pickling
    ) -> tuple[KnownFlowRun, TaskDefinition[Any, Any]]:
        """Return the flow run and the task that :attr:`flowdeck.remote.payload.Payload.code` has.

        Raises:
            Exception: what unpickling raised.
        """
        return self._codes.get(code) or self._read_new(code, pickling)

    def _read_new(
        self, code: bytes, pickling: Pickling
    ) -> tuple[KnownFlowRun, TaskDefinition[Any, Any]]:
        info_bytes, task_bytes = pickle.loads(code)
        known = self._flow_run(info_bytes, pickling), self._task(task_bytes, pickling)
        with self._lock:
            if len(self._codes) >= _REMEMBERED:
                self._codes.clear()
            self._codes[code] = known
        return known

    def _task(self, data: bytes, pickling: Pickling) -> TaskDefinition[Any, Any]:
        with self._lock:
            task = self._tasks.get(data)
            if task is not None:
                self._tasks.move_to_end(data)
                return task
        loaded: TaskDefinition[Any, Any] = pickling.loads(data)
        with self._lock:
            # Another thread may have read it too: one wins, so that its globals are shared.
            task = self._tasks.setdefault(data, loaded)
            while len(self._tasks) > _REMEMBERED:
                self._tasks.popitem(last=False)
            return task

    def _flow_run(self, data: bytes, pickling: Pickling) -> KnownFlowRun:
        with self._lock:
            known = self._flow_runs.get(data)
            if known is not None:
                self._flow_runs.move_to_end(data)
                return known
        info, values = pickling.loads(data)
        settings = Overrides(values)
        child_processes.watch()
        if not cancellation.live:  # else this is the flow's own process, and its console stays on
            contextvars.Context().run(_set_up_logging, settings)
        with self._lock:
            known = self._flow_runs.setdefault(data, KnownFlowRun(info, settings))
            while len(self._flow_runs) > _REMEMBERED:
                self._flow_runs.popitem(last=False)
            return known


def _set_up_logging(settings: Overrides) -> None:
    """Log as the flow's process does, but not on the console."""
    use_from_here(settings)
    logging.setup()


this_process: Final = WorkerProcess()

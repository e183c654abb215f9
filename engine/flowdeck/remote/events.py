"""Events on their way from the processes that execute task runs to the flow's process.

An :class:`ExecutionRecorder` collects the events of one execution of one task run and numbers them. The
:class:`EventSender` of a process sends what all of its executions have, in one batch: at once after a
pause, then at most every few milliseconds. What an execution has left at its end is its *tail*, which
goes home with the result.

Why in batches, by the engine's own messages, and never one by one: sending each event by itself cost
up to 60 % more CPU on Dask, and made a task on Ray three to eight times as slow; batches of 20 ms cost
about as much as a TCP connection of our own would, but need no open port and pass wherever the engine
does. Why a tail: most tasks are shorter than the pause, so their events cost no message at all.

What may go wrong on the way is dealt with at both ends. A batch that cannot be sent is sent again.
States, names and failures that were sent go once more with the tail, as an engine may lose a batch with
the worker's last seconds. The flow's process knows by the numbers what it has and what is missing
(:class:`flowdeck.remote.remote_run.RemoteRun`), so twice is no harm, and the order of arrival none.
"""

from __future__ import annotations

import marshal
import os
import random
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from flowdeck.runs.recorder import DroppingRecorder
from flowdeck_store import events
from flowdeck_store.text import bounded_event, plain_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.threads.deadlines import LeftBehind
    from flowdeck_store.events import Event

#: The kind of the last event of an execution, beside those of :mod:`flowdeck_store.events`: see
#: :class:`End`.
END: Final = 0
#: Internal too, (kind, flow run's uid, number): the function goes on after the run's end.
STAYS: Final = -1
#: As the number of the first event of an item: such a function is over.
AFTERWARDS: Final = -1
#: How the data of an END is to be taken. AGAIN: the run is to be tried again after these seconds.
ATOM, CARRIED, REMOTE, ERROR, BLOCKED, AGAIN = range(6)

#: Which process this is: events of a worker in the flow's own process need no second way to the
#: console.
PROCESS: Final = f"{os.getpid()}-{random.SystemRandom().getrandbits(64):x}"

#: Kinds of events without which a record would be wrong, not just shorter.
_PRECIOUS: Final = frozenset({events.STATE, events.RENAME, events.FAILURE})
_MARSHAL: Final = 4
#: Events in one batch: about 64 KB, which engines keep copies of.
_BATCH: Final = 300
#: An execution that is this far ahead of what was sent is made to wait.
_AHEAD: Final = 3000
_PAUSE: Final = 0.005
#: Seconds without events after which the thread of a sender ends.
_IDLE: Final = 2.0
#: Seconds between two tries at most while nothing can be sent.
_LONGEST: Final = 1.0
#: Tries for events of executions that are over; those of others are tried until they are over.
_TRIES: Final = 10
_random: Final = random.Random()


class Item(NamedTuple):
    """Some consecutive events of one execution."""

    no: int
    execution: int
    first: int
    events: list[Event]


class End(NamedTuple):
    """How an execution ended, as its last event says it.

    Attributes:
        kind: :data:`END`.
        code: of the state.
        name: of the state; ``None`` for the usual one.
        message: of the state.
        us: when it was entered, µs.
        data_kind: how ``data`` is to be taken: :data:`ATOM` and the following.
        data: of the state, or what says where that is.
        details: of the state, pickled; ``None`` for none.
    """

    kind: int
    code: int
    name: str | None
    message: str | None
    us: int
    data_kind: int
    data: Any
    details: bytes | None


def encode(items: list[Item]) -> bytes:
    """Return items as a batch."""
    plain = [tuple(item) for item in items]
    try:
        return marshal.dumps((PROCESS, plain), _MARSHAL)
    except ValueError:  # a level or text of a class of the user's
        plain = [(*item[:3], [plain_event(event) for event in item.events]) for item in items]
        return marshal.dumps((PROCESS, plain), _MARSHAL)


def decode(batch: bytes) -> tuple[str, list[Item]]:
    """Return the process that a batch comes from, and its items.

    Raises:
        ValueError: it is no batch.
    """
    process, plain = marshal.loads(batch)
    return process, [Item(*item) for item in plain]


class Port(Protocol):
    """What executing needs of the engine it runs under; one for each flow run in each process."""

    #: The flavour of cloudpickle, see :class:`flowdeck.remote.pickling.Pickling`.
    pickling: str
    #: What the record calls this worker.
    worker: str
    #: Seconds between two batches while tasks run.
    linger: float
    #: Seconds for which an execution must have gone on: what ends sooner says all with its tail.
    patience: float
    #: Whether the process is for one task run at a time, so that others need it while one waits to be
    #: tried again, and it can be ended to end a function that goes on.
    is_for_one: bool

    def send(self, batch: bytes) -> None:
        """Send a batch. Called from the sender's thread; must not block for long. If it raises,
        the batch is sent again with the next one."""

    def sleep(self, run: Any, seconds: float) -> None:
        """Wait, but not when the run is asked to stop; others may have its slot meanwhile."""

    def stored(self) -> tuple[int, int] | None:
        """Return the bytes and the number of the values that the engine keeps in this process;
        ``None`` if nobody can tell. Called once a second from the sampler's thread; never raises."""


class ExecutionRecorder(DroppingRecorder):
    """The recorder of one execution of a task run.

    Args:
        sender: sends what is recorded.
        uid: of the flow run.
        no: of the task run.
    """

    def __init__(self, sender: EventSender, uid: str, no: int) -> None:
        self.uid = uid
        self.no = no
        self.execution = _random.getrandbits(48)
        self.events: list[Event] = []
        self.closed = False
        #: Questions go home, and answers come back.
        self.is_answered = True
        self._began = time.monotonic()
        #: The flow's process records the result itself, with the place where it keeps it.
        self.leaves_results_out = False
        #: Of what was taken, the events that must not be lost.
        self.sent: list[Item] = []
        self._first = 0
        self._sender = sender

    def emit(self, event: Event) -> None:
        """Take an event; the caller waits only if it is thousands ahead."""
        if self.closed:  # a function that was left behind goes on after its run has ended
            return
        if event[events.KIND] == events.LOG:
            event = self._bounded(event)
        elif event[events.KIND] == events.RUN and event[events.RUN_PARENT_UID] is None:
            # A flow that a task calls: it belongs to that task, as it would in the flow's process.
            event = events.below_task_run(event, self.uid, self.no)
        elif (
            event[events.KIND] == events.RESULT
            and self.leaves_results_out
            and event[events.NO] == self.no
        ):
            return
        self.events.append(event)
        if not self._sender.awake:
            self._sender.wake()
        if len(self.events) > _AHEAD:
            time.sleep(_PAUSE)

    @staticmethod
    def _bounded(event: Event) -> Event:
        text = event[events.LOG_MSG]
        return bounded_event(event) if type(text) is not str or len(text) > 10_000 else event

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Have events sent soon."""
        self._sender.wake()
        return True

    def answer_to(self, token: str) -> bytes | None:
        """Look for the answer to a question at the engine, if that does not bring answers."""
        look = getattr(self._sender.port, "answer_to", None)
        return None if look is None else look(token)

    def linger(self, function: LeftBehind) -> None:
        """Tell that the function goes on after the run's end, and later that it is over."""
        self.emit((STAYS, self.uid, self.no))
        function.when_left(self._tell_that_it_left)

    def _tell_that_it_left(self) -> None:
        self._sender.send(Item(self.no, self.execution, AFTERWARDS, [(STAYS, self.uid, self.no)]))

    def is_due(self, patience: float) -> bool:
        """Say whether its events are to be sent: it may end soon, and then all it has goes with its
        tail.

        Args:
            patience: seconds for which that is hoped for.
        """
        return time.monotonic() - self._began >= patience or len(self.events) > _BATCH

    def take_events(self, limit: int) -> Item | None:
        """Return events that have not been taken, in order. One caller at a time."""
        taken = self.events[:limit]  # appended to meanwhile; two steps lose nothing
        if not taken:
            return None
        del self.events[: len(taken)]
        item = Item(self.no, self.execution, self._first, taken)
        for index, event in enumerate(taken, self._first):
            if event[events.KIND] in _PRECIOUS:
                self.sent.append(Item(self.no, self.execution, index, [event]))
        self._first += len(taken)
        return item

    def take_last(self, end: Event) -> Item:
        """Return what has not been taken, and ``end`` after it."""
        self.events.append(tuple(end))  # marshal takes exact types only
        return Item(self.no, self.execution, self._first, self.events)


class EventSender:
    """Sends the events of the executions of one flow run in this process.

    Args:
        port: the way home.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self._recorders: dict[int, ExecutionRecorder] = {}
        self._lock = threading.Lock()  # sending: batches leave in the order they were taken in
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._unsent: list[Item] = []
        self._thread: threading.Thread | None = None
        #: Whether the thread is about to send by itself.
        self.awake = False

    def open(self, uid: str, no: int) -> ExecutionRecorder:
        """Return the recorder of a new execution."""
        recorder = ExecutionRecorder(self, uid, no)
        self._recorders[recorder.execution] = recorder
        return recorder

    def close(self, recorder: ExecutionRecorder, end: Event) -> bytes:
        """Return the tail of an execution: its last events, ``end`` after them."""
        recorder.closed = True
        with self._lock:
            self._recorders.pop(recorder.execution, None)
            last = recorder.take_last(end)
            # What was sent may have been lost on the way: states go again, twice counts once. If
            # something could not be sent, the tail is the last chance for it to get home.
            unsent: list[Item] = []
            if self._unsent:
                unsent = [item for item in self._unsent if item.execution == recorder.execution]
                self._unsent = [
                    item for item in self._unsent if item.execution != recorder.execution
                ]
        return encode([*recorder.sent, *unsent, last])

    def send(self, item: Item) -> None:
        """Have an item sent that belongs to no execution that is recorded here any more."""
        with self._lock:
            self._unsent.append(item)
        self.wake()

    def wake(self) -> None:
        """Have events sent; safe to be interrupted anywhere (the order of the lines matters)."""
        self._wake.put(None)
        self.awake = True
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._main, name="flowdeck-events", daemon=True
                )
                self._thread.start()

    def _main(self) -> None:
        failed = 0
        while self._wait_for_events():
            while not self._wake.empty():
                self._wake.get()
            if self.port.patience:
                time.sleep(self.port.patience)
            self._send()
            failed = failed + 1 if self._unsent else 0
            time.sleep(_pause(self.port.linger, failed))  # what comes meanwhile goes together
            self.awake = False
            if self._has_more(failed):
                self.wake()

    def _has_more(self, failed: int) -> bool:
        """Say whether there is something to send, after so many tries in a row that failed."""
        recorders = list(self._recorders.values())
        # Whoever takes it in may only be on its way here, and this may be the last event for long.
        again = bool(self._unsent) and (bool(recorders) or failed < _TRIES)
        return again or any(recorder.events for recorder in recorders)

    def _wait_for_events(self) -> bool:
        """Wait for events; ``False`` if there were none for a while, and the thread is to end."""
        try:
            self._wake.get(timeout=_IDLE)
            return True
        except Empty:
            pass
        with self._lock:
            self._thread = None
        if self._wake.empty():
            return False
        with self._lock:  # woken just now, by somebody who saw a thread
            if self._thread is not None:
                return False
            self._thread = threading.current_thread()
        return True

    def _send(self) -> None:
        with self._lock:
            items, self._unsent = self._unsent, []
            for recorder in list(self._recorders.values()):
                if not recorder.is_due(self.port.patience):
                    continue
                while (item := recorder.take_events(_BATCH)) is not None:
                    items.append(item)
            for batch in _batches(items):
                try:
                    self.port.send(encode(batch))
                except Exception:
                    self._unsent += batch


def _pause(linger: float, failed: int) -> float:
    """Return the seconds until the next batch, after so many tries in a row that failed."""
    return linger if failed < 2 else min(linger * 1.5 ** min(failed - 1, 20), max(linger, _LONGEST))


def _batches(items: Iterable[Item]) -> list[list[Item]]:
    """Group items so that a batch has about as many events as is good for engines."""
    batches: list[list[Item]] = []
    room = 0
    for item in items:
        if len(item.events) > room:
            batches.append([])
            room = _BATCH
        batches[-1].append(item)
        room -= len(item.events)
    return batches

"""Events on their way from the processes that execute task runs to the flow's process.

An :class:`Outbox` collects the events of one execution of one task run and numbers them. The
:class:`Courier` of a process sends what all of its outboxes hold, in one batch: at once after a
pause, then at most every few milliseconds. What an execution has left at its end is its tail.
"""

from __future__ import annotations

import marshal
import os
import random
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from flowdeck.recording import DroppingRecorder
from flowdeck_store import events
from flowdeck_store.text import bounded_event, plain_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.events import Event

#: The last item of an execution, beside the kinds of :mod:`flowdeck_store.events`:
#: (END, state code, name, message, µs, kind of data, data, state details).
END: Final = 0
#: How the data of an END is to be taken.
ATOM, CARRIED, REMOTE, ERROR, BLOCKED = range(5)

#: Which process this is: events of a worker in the flow's own process need no second way to the
#: console.
PROCESS: Final = f"{os.getpid()}-{random.SystemRandom().getrandbits(64):x}"

#: Kinds of events without which a record would be wrong, not just shorter.
_PRECIOUS: Final = frozenset({events.STATE, events.RENAME, events.FAILURE})
_MARSHAL: Final = 4
#: Events in one batch: about 64 KB, which engines keep copies of.
_BATCH: Final = 300
#: An execution that is this far ahead of its courier is made to wait for it.
_AHEAD: Final = 3000
_PAUSE: Final = 0.005
#: Seconds without events after which a courier's thread ends.
_IDLE: Final = 2.0
_random: Final = random.Random()


class Item(NamedTuple):
    """Some consecutive events of one execution."""

    no: int
    execution: int
    first: int
    events: list[Event]


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

    #: The flavour of cloudpickle, see :class:`flowdeck.transport.Pickling`.
    pickling: str
    #: What the record calls this worker.
    worker: str
    #: Seconds between two batches while tasks run.
    linger: float
    #: Seconds after a pause before the first batch: what ends sooner says all with its tail.
    patience: float

    def send(self, batch: bytes) -> None:
        """Send a batch. Called from the courier's thread; must not block for long. If it raises,
        the batch is sent again with the next one."""

    def sleep(self, run: Any, seconds: float) -> None:
        """Wait, but not when the run is asked to stop; others may have its slot meanwhile."""


class Outbox(DroppingRecorder):
    """The recorder of one execution of a task run."""

    def __init__(self, courier: Courier, uid: str, no: int) -> None:
        self.uid = uid
        self.no = no
        self.execution = _random.getrandbits(48)
        self.events: list[Event] = []
        self.closed = False
        #: The flow's process records the result itself, with the place where it keeps it.
        self.mutes_results = False
        #: Of what was taken, the events that must not be lost.
        self.sent: list[Item] = []
        self._first = 0
        self._courier = courier

    def emit(self, event: Event) -> None:
        """Take an event; the caller waits only if it is far ahead of the courier."""
        if self.closed:  # a function that was left behind goes on after its run has ended
            return
        if event[0] == events.LOG:
            event = self._bounded(event)
        elif event[0] == events.RUN and event[11] is None:
            # A flow that a task calls: it belongs to that task, as it would in the flow's process.
            event = (*event[:11], self.uid, self.no, *event[13:])
        elif event[0] == events.RESULT and self.mutes_results and event[2] == self.no:
            return
        self.events.append(event)
        if not self._courier.awake:
            self._courier.wake()
        if len(self.events) > _AHEAD:
            time.sleep(_PAUSE)

    @staticmethod
    def _bounded(event: Event) -> Event:
        text = event[6]
        return bounded_event(event) if type(text) is not str or len(text) > 10_000 else event

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Have the courier send soon."""
        self._courier.wake()
        return True

    def take(self, limit: int) -> Item | None:
        """Return events that have not been taken, in order. One caller at a time."""
        taken = self.events[:limit]  # appended to meanwhile; two steps lose nothing
        if not taken:
            return None
        del self.events[: len(taken)]
        item = Item(self.no, self.execution, self._first, taken)
        for index, event in enumerate(taken, self._first):
            if event[0] in _PRECIOUS:
                self.sent.append(Item(self.no, self.execution, index, [event]))
        self._first += len(taken)
        return item

    def rest(self, end: Event) -> Item:
        """Return what has not been taken, and ``end`` after it."""
        self.events.append(end)
        return Item(self.no, self.execution, self._first, self.events)


class Courier:
    """Sends the events of the executions of one flow run in this process."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._outboxes: dict[int, Outbox] = {}
        self._lock = threading.Lock()  # sending: batches leave in the order they were taken in
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._unsent: list[Item] = []
        self._thread: threading.Thread | None = None
        #: Whether the thread will look at the outboxes by itself.
        self.awake = False

    def open(self, uid: str, no: int) -> Outbox:
        """Return the outbox of a new execution."""
        outbox = Outbox(self, uid, no)
        self._outboxes[outbox.execution] = outbox
        return outbox

    def close(self, outbox: Outbox, end: Event) -> bytes:
        """Return the tail of an execution: its last events, ``end`` after them."""
        outbox.closed = True
        with self._lock:
            self._outboxes.pop(outbox.execution, None)
            last = outbox.rest(end)
            # What was sent may have been lost on the way: states go again, twice counts once. If
            # something could not be sent, the tail is the last chance for it to get home.
            unsent: list[Item] = []
            if self._unsent:
                unsent = [item for item in self._unsent if item.execution == outbox.execution]
                self._unsent = [item for item in self._unsent if item.execution != outbox.execution]
        return encode([*outbox.sent, *unsent, last])

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
                    target=self._main, name="flowdeck-courier", daemon=True
                )
                self._thread.start()

    def _main(self) -> None:
        while self._next():
            while not self._wake.empty():
                self._wake.get()
            if self._port.patience:
                time.sleep(self._port.patience)
            self._send()
            time.sleep(self._port.linger)  # what comes meanwhile goes together
            self.awake = False
            if any(outbox.events for outbox in list(self._outboxes.values())):
                self.wake()

    def _next(self) -> bool:
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
            for outbox in list(self._outboxes.values()):
                while (item := outbox.take(_BATCH)) is not None:
                    items.append(item)
            for batch in _batches(items):
                try:
                    self._port.send(encode(batch))
                except Exception:
                    self._unsent += batch


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

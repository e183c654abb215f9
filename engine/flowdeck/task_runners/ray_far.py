"""Calls of tasks through a Ray client server: by way of the agent on the cluster, many at a time."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck import transport_errors
from flowdeck.exceptions import MissingResult
from flowdeck.task_runners import ray_mailbox
from flowdeck.transport_batches import Batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck.runs import TaskRun
    from flowdeck.task_runners.ray_connection import Connection
    from flowdeck.transport_book import Book
    from flowdeck.transport_entry import Entry
    from flowdeck.transport_payload import Payload

#: Bytes of a task run from which on Ray gets it as an object: what it passes to an actor it copies.
_LARGE: Final = 256 * 1024
#: Seconds for the agent to end what is left of a flow run.
_LEAVING: Final = 5.0


class FarValue:
    """Stands for the reply of a call; the agent keeps it for as long as this object lives."""

    __slots__ = ("_released", "number")

    def __init__(self, number: int, released: deque[int]) -> None:
        self.number = number
        self._released = released

    def __del__(self) -> None:
        self._released.append(self.number)


class _Call(NamedTuple):
    """One task run on its way. What it needs lives at least as long as this."""

    entry: Entry
    number: int
    payload: Payload
    #: Pickled.
    options: bytes

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.payload.head)


class FarCalls:
    """Calls of one flow run.

    Args:
        uid: of the flow run.
        connection: to Ray.
        book: of the flow run.
        on_tails: called with the tails of tasks that have ended.
        on_failure: called with what Ray ended, and why.
    """

    def __init__(
        self,
        uid: str,
        connection: Connection,
        book: Book,
        on_tails: Callable[[list[bytes]], None],
        on_failure: Callable[[Entry, BaseException], None],
    ) -> None:
        self._uid = uid
        self._connection = connection
        self._on_tails = on_tails
        self._on_failure = on_failure
        self._numbers = itertools.count()
        #: The calls that have not ended, and which agent has each; ``None``: none yet.
        self._open: dict[int, tuple[Entry, Any]] = {}
        self._released: deque[int] = deque()
        self._lock = threading.RLock()  # of what the agent was told
        self._told = _Told(None)
        self._batches: Batches[_Call] = Batches(self._send, soon=book.call)
        connection.mailbox.open()
        connection.mailbox.on_death(uid, self._agent_died)

    # -- submitting -----------------------------------------------------------------------------------

    def submit(self, entry: Entry, payload: Payload, options: dict[str, Any]) -> None:
        """Have a task called soon.

        Raises:
            Exception: Ray does not take the options.
        """
        self._connection.function(options)  # the agent would find out too late
        pickled = pickle.dumps(options, 5)
        number = next(self._numbers)
        entry.data = number
        entry.handle = FarValue(number, self._released)
        self._open[number] = entry, None
        self._batches.add(_Call(entry, number, payload, pickled))

    def _send(self, calls: list[_Call]) -> None:
        try:
            with self._lock:
                self._tell(calls)
        except Exception as error:
            for call in calls:
                if self._open.pop(call.number, None) is not None:
                    self._on_failure(call.entry, error)

    def _tell(self, calls: list[_Call]) -> None:
        """Send the agent a message."""
        told = self._listener()
        # What is released now was in calls that it has got.
        released = [self._released.popleft() for _ in range(len(self._released))]
        codes: dict[int, bytes] = {}
        options: dict[int, bytes] = {}
        data: dict[int, Any] = {}
        made = []
        for entry, number, payload, chosen in calls:
            head: bytes | None = payload.head
            if len(payload.head) > _LARGE:
                data[number] = self._put(payload.head)
                head = None
            code = told.code(payload.code, codes)
            inputs = tuple(value.number for value in payload.inputs)
            made.append((number, code, told.options(chosen, options), head, inputs))
            self._open[number] = entry, told.agent
        message = pickle.dumps((made, codes, options, released), 5)
        self._call("submit", message, data)

    def _listener(self) -> _Told:
        agent = self._connection.mailbox.actor
        if self._told.agent is not agent:
            self._told = _Told(agent)
        return self._told

    def _is_heard(self) -> bool:
        """Say whether the agent that was told of the flow run is there."""
        return self._told.agent is not None and self._told.agent is self._connection.mailbox.current

    def _call(self, method: str, *args: Any) -> None:
        """Call a method of the agent; does not wait for it."""
        told = self._listener()
        function = getattr(told.agent, method).options(num_returns=0)
        function.remote(self._uid, told.place, *args)
        told.place += 1

    @staticmethod
    def _put(data: bytes) -> Any:
        import ray

        return ray.put(data)

    def remove(self, run: TaskRun) -> Entry | None:
        """Take a run back that the agent has not got, and return its entry."""
        entry = self._batches.remove(run)
        if entry is not None:
            self._open.pop(entry.data, None)
        return entry

    def take_back(self) -> list[Entry]:
        """Take everything back that the agent has not got."""
        entries = self._batches.take_back()
        for entry in entries:
            self._open.pop(entry.data, None)
        return entries

    # -- what comes home --------------------------------------------------------------------------------

    def letter(self, kind: int, content: Any, about: Any) -> None:
        """Take a letter from the agent."""
        if kind == ray_mailbox.TAILS:
            for number in about:
                self._open.pop(number, None)
            self._on_tails(content)
            return
        found = self._open.pop(about, None)
        if found is not None:
            self._on_failure(found[0], transport_errors.unpack(content))

    def _agent_died(self, agent: Any, error: BaseException) -> None:
        """On the mailbox's thread: what that agent had is lost."""
        lost = ConnectionError(
            "The process on the Ray cluster that calls this flow's tasks is gone, and they with "
            f"it: {str(error).strip() or type(error).__name__}"
        )
        with self._lock:
            for number, (entry, its_agent) in self._open.copy().items():
                if its_agent is agent:
                    del self._open[number]
                    self._on_failure(entry, lost)

    def fetch(self, handle: FarValue) -> Any:
        """Return the reply that a handle stands for; blocks."""
        import ray

        found = ray.get(self._connection.mailbox.actor.value.remote(self._uid, handle.number))
        if not found:
            raise MissingResult("What held the value on the cluster was lost.")
        return ray.get(found[0])

    def weigh(self, handles: list[FarValue], limit: int, seconds: float) -> list[int | None]:
        """Return how many bytes values have as pickles; ``None`` if more than ``limit``, or it is
        not known in time."""
        import ray

        numbers = [handle.number for handle in handles]
        answer = self._connection.mailbox.actor.weigh.remote(self._uid, numbers, limit, seconds)
        found: list[int | None] = ray.get(answer)
        return found

    # -- the end ----------------------------------------------------------------------------------------

    def cancel(self, entries: Iterable[Entry], *, force: bool) -> None:
        """Have Ray cancel tasks."""
        numbers = [entry.data for entry in entries if entry.data is not None]
        self._batches.flush()
        with self._lock, contextlib.suppress(Exception):  # Ray is gone
            if numbers and self._is_heard():
                self._call("cancel", numbers, force)

    def tick(self) -> None:
        """Tell the agent what is not wanted any more, if nothing else was to be told."""
        if self._released:
            with self._lock, contextlib.suppress(Exception):
                if self._is_heard():
                    self._tell([])

    def leave(self) -> None:
        """Have the agent forget the flow run, and end what is left of it."""
        import ray

        self._connection.mailbox.on_death(self._uid, None)
        with contextlib.suppress(Exception):
            with self._lock:
                if not self._is_heard():
                    return
                told = self._told
                answer = told.agent.leave.remote(self._uid, told.place)
            ray.get(answer, timeout=_LEAVING)

    def close(self) -> None:
        """Nothing follows tasks here."""


class _Told:
    """What an agent knows of a flow run."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        #: Of the next call of a method.
        self.place = 0
        # What is a key by its id is kept: the id must not be given to others.
        self._codes: dict[int, tuple[int, bytes]] = {}
        self._options: dict[bytes, int] = {}

    def code(self, code: bytes, new: dict[int, bytes]) -> int:
        """Return the number of a task's code; put it into ``new`` if the agent has not got it."""
        known = self._codes.get(id(code))
        if known is None:
            known = self._codes[id(code)] = len(self._codes), code
            new[known[0]] = code
        return known[0]

    def options(self, pickled: bytes, new: dict[int, bytes]) -> int:
        """Return the number of options; put them into ``new`` if the agent has not got them."""
        known = self._options.get(pickled)
        if known is None:
            known = self._options[pickled] = len(self._options)
            new[known] = pickled
        return known

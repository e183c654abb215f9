"""Calls of tasks through a Ray client server: by way of the agent on the cluster, many at a time.

Why: see :mod:`flowdeck.task_runners._ray.agent`.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.exceptions import MissingResult
from flowdeck.remote import errors
from flowdeck.remote.batches import Batches
from flowdeck.task_runners._ray import event_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck.remote.parts import Part
    from flowdeck.remote.payload import Payload
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.remote.remote_runs import RemoteRuns
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._ray.connection import Connection

#: Bytes of a task run from which on Ray gets it as an object: what it passes to an actor it copies.
_LARGE: Final = 256 * 1024
#: Seconds for the agent to end what is left of a flow run.
_LEAVING: Final = 5.0


class ClientValue:
    """Stands for the reply of a call; the agent keeps it for as long as this object lives.

    Args:
        number: the agent's.
        released: takes the number when this object goes.
    """

    __slots__ = ("_released", "number")

    def __init__(self, number: int, released: deque[int]) -> None:
        self.number = number
        self._released = released

    def __del__(self) -> None:
        self._released.append(self.number)


class ClientPart(ClientValue):
    """Stands for a value that was put on the cluster; the agent has it too, once it was told."""

    __slots__ = ("ref",)

    def __init__(self, number: int, released: deque[int], ref: Any) -> None:
        super().__init__(number, released)
        self.ref = ref


class _ClientCall(NamedTuple):
    """One task run on its way. What it needs lives at least as long as this."""

    remote_run: RemoteRun
    number: int
    payload: Payload
    #: Pickled.
    options: bytes

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.payload.head)


class ClientCalls:
    """Calls of one flow run: a :class:`~flowdeck.task_runners._ray.calls.TaskCalls`.

    Args:
        uid: of the flow run.
        connection: to Ray.
        runs: those of the flow run that Ray has.
        on_tails: called with the tails of tasks that have ended.
        on_failure: called with what Ray ended, and why.
    """

    def __init__(
        self,
        uid: str,
        connection: Connection,
        runs: RemoteRuns,
        on_tails: Callable[[list[bytes]], None],
        on_failure: Callable[[RemoteRun, BaseException], None],
    ) -> None:
        self._uid = uid
        self._connection = connection
        self._on_tails = on_tails
        self._on_failure = on_failure
        self._numbers = itertools.count()
        #: The calls that have not ended, and which agent has each; ``None``: none yet.
        self._open: dict[int, tuple[RemoteRun, Any]] = {}
        self._released: deque[int] = deque()
        self._lock = threading.RLock()  # of what the agent was told
        self._known = _AgentKnows(None)
        self._batches: Batches[_ClientCall] = Batches(self._send, soon=runs.call_soon)
        connection.channel.open()
        connection.channel.on_agent_loss(uid, self._agent_died)

    # -- submitting -----------------------------------------------------------------------------------

    def submit(self, remote_run: RemoteRun, payload: Payload, options: dict[str, Any]) -> None:
        """See :meth:`TaskCalls.submit`: within a moment, with others."""
        self._connection.function(options)  # the agent would find out too late
        pickled = pickle.dumps(options, 5)
        number = next(self._numbers)
        remote_run.data = number
        remote_run.handle = ClientValue(number, self._released)
        self._open[number] = remote_run, None
        self._batches.add(_ClientCall(remote_run, number, payload, pickled))

    def _send(self, calls: list[_ClientCall]) -> None:
        try:
            with self._lock:
                self._send_message(calls)
        except Exception as error:
            for call in calls:
                if self._open.pop(call.number, None) is not None:
                    self._on_failure(call.remote_run, error)

    def _send_message(self, calls: list[_ClientCall]) -> None:
        """Send the agent a message."""
        known = self._known_to_agent()
        # What is released now was in calls that it has got.
        released = [self._released.popleft() for _ in range(len(self._released))]
        codes: dict[int, bytes] = {}
        options: dict[int, bytes] = {}
        data: dict[int, Any] = {}
        parts: list[int] = []
        made = []
        for remote_run, number, payload, chosen in calls:
            head: bytes | None = payload.head
            if len(payload.head) > _LARGE:
                data[number] = _put(payload.head)
                head = None
            for value in payload.inputs:
                if type(value) is ClientPart and value.number not in known.parts:
                    known.parts.add(value.number)
                    parts.append(value.number)
                    data[value.number] = value.ref
            code = known.code(payload.code, codes)
            inputs = tuple(value.number for value in payload.inputs)
            made.append((number, code, known.options(chosen, options), head, inputs))
            self._open[number] = remote_run, known.agent
        known.parts.difference_update(released)
        message = pickle.dumps((made, codes, options, parts, released), 5)
        self._call("submit", message, data)

    def _known_to_agent(self) -> _AgentKnows:
        agent = self._connection.channel.actor
        if self._known.agent is not agent:
            self._known = _AgentKnows(agent)
        return self._known

    def _is_there(self) -> bool:
        """Say whether the agent that was told of the flow run is there."""
        agent = self._known.agent
        return agent is not None and agent is self._connection.channel.current

    def _call(self, method: str, *args: Any) -> None:
        """Call a method of the agent; does not wait for it."""
        known = self._known_to_agent()
        function = getattr(known.agent, method).options(num_returns=0)
        function.remote(self._uid, known.place, *args)
        known.place += 1

    def put_part(self, part: Part) -> ClientPart:
        """Put a value on the cluster that calls can have as an input."""
        return ClientPart(next(self._numbers), self._released, _put(part))

    def remove(self, run: TaskRun) -> RemoteRun | None:
        """Take a run back; ``None`` if the agent has it already."""
        remote_run = self._batches.remove(run)
        if remote_run is not None:
            self._open.pop(remote_run.data, None)
        return remote_run

    def take_back(self) -> list[RemoteRun]:
        """Take back everything that the agent has not got."""
        remote_runs = self._batches.take_back()
        for remote_run in remote_runs:
            self._open.pop(remote_run.data, None)
        return remote_runs

    # -- what comes home --------------------------------------------------------------------------------

    def receive(self, kind: int, content: Any, about: Any) -> None:
        """See :meth:`TaskCalls.receive`: it comes from the agent."""
        if kind == event_channel.TAILS:
            for number in about:
                self._open.pop(number, None)
            self._on_tails(content)
            return
        found = self._open.pop(about, None)
        if found is not None:
            self._on_failure(found[0], errors.unpack(content))

    def _agent_died(self, agent: Any, error: BaseException) -> None:
        """On the channel's thread: what that agent had is lost."""
        lost = ConnectionError(
            "The process on the Ray cluster that calls this flow's tasks is gone, and they with "
            f"it: {str(error).strip() or type(error).__name__}"
        )
        with self._lock:
            for number, (remote_run, its_agent) in self._open.copy().items():
                if its_agent is agent:
                    del self._open[number]
                    self._on_failure(remote_run, lost)

    def fetch(self, handle: ClientValue) -> Any:
        """Return the reply that a handle stands for; blocks.

        Raises:
            MissingResult: the agent has it no more.
            Exception: Ray's.
        """
        import ray

        found = ray.get(self._connection.channel.actor.value.remote(self._uid, handle.number))
        if not found:
            raise MissingResult("What held the value on the cluster was lost.")
        return ray.get(found[0])

    def weigh(self, handles: list[ClientValue], limit: int, seconds: float) -> list[int | None]:
        """See :meth:`TaskCalls.weigh`."""
        import ray

        numbers = [handle.number for handle in handles]
        answer = self._connection.channel.actor.weigh.remote(self._uid, numbers, limit, seconds)
        found: list[int | None] = ray.get(answer)
        return found

    # -- the end ----------------------------------------------------------------------------------------

    def cancel(self, remote_runs: Iterable[RemoteRun], *, force: bool) -> None:
        """Have Ray cancel tasks."""
        numbers = [remote_run.data for remote_run in remote_runs if remote_run.data is not None]
        self._batches.flush()
        with self._lock, contextlib.suppress(Exception):  # Ray is gone
            if numbers and self._is_there():
                self._call("cancel", numbers, force)

    def tick(self) -> None:
        """Tell the agent what is not wanted any more, if nothing else was to be told."""
        if self._released:
            with self._lock, contextlib.suppress(Exception):
                if self._is_there():
                    self._send_message([])

    def leave(self) -> None:
        """Have the agent forget the flow run, and end what is left of it."""
        import ray

        self._connection.channel.on_agent_loss(self._uid, None)
        with contextlib.suppress(Exception):
            with self._lock:
                if not self._is_there():
                    return
                known = self._known
                answer = known.agent.leave.remote(self._uid, known.place)
            ray.get(answer, timeout=_LEAVING)

    def close(self) -> None:
        """Nothing follows tasks here."""


def _put(data: bytes | Part) -> Any:
    import ray

    return ray.put(data)


class _AgentKnows:
    """What an agent knows of a flow run."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        #: Of the next call of a method.
        self.place = 0
        #: The numbers of the values that it has and that no call made.
        self.parts: set[int] = set()
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

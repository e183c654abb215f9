"""How event batches come home from Ray's workers while tasks run.

Workers push what they have to one actor, which takes no CPU of the cluster's and a few MB; one thread
here asks that actor for more, and the actor holds the question until there is something to tell.

Why an actor and a question that waits. Ray has no messages from a task to its driver. What it has was
tried with two events for each task: a call of an actor for each event made tasks three times as slow
and delivered out of order; ``ray.util.queue.Queue`` made them seven times as slow. A TCP connection of
our own took 1.1 times as long as no events, batches pushed to an actor 1.3 times; but it wants a port
that the workers can reach, which neither ``ray://`` nor most firewalls give. The actor works wherever
Ray does, and what is pushed to it arrives after 15 ms at the median.

Why the actor is made late. It is a process of its own, and most tasks end so soon that their events
ride home with the result (the *tail*, :mod:`flowdeck.remote.events`), which costs nothing. So it is
made when a task takes long enough that somebody may watch it. A worker that finds no actor yet keeps its
events, and tries again.

Why messages are numbered. An answer may be lost on its way, and the actor may be started again on
another node. So it forgets messages only when the next question says how many have arrived, and
says who it is: another actor has not had its messages seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for which the actor holds a question when it has nothing to tell.
_WAIT: Final = 10.0
#: Seconds for which a thread waits inside Ray without a look around.
_SLICE: Final = 1.0
#: Seconds until the next question after one that failed.
_AGAIN: Final = 0.5
#: Seconds for which an answer may be late.
_OVERDUE: Final = 30.0
#: Messages in the actor beyond which none is taken from workers: nobody asks for them any more.
_MOST: Final = 20_000

#: Answers that the actor keeps.
_ANSWERS: Final = 1_000

#: Of what travels between a flow and its workers; clusters with another one are refused.
PROTOCOL: Final = 5
#: Of the actors, whatever namespace the application uses for its own.
_NAMESPACE: Final = "flowdeck"

#: The flow run's uid, one of the kinds below, its content, and what is to be known about it.
Message = tuple[str, int, Any, Any]
#: A batch of events.
EVENTS: Final = 0
#: The last batches of executions; about them: the numbers of the calls. From an agent.
TAILS: Final = 1
#: Text that a task wrote; about it: whether to stderr.
TEXT: Final = 2
#: An error of Ray's, packed, that ended a call; about it: the number of the call. From an agent.
FAILURE: Final = 3
#: The last message of a flow run, which the flow's process itself has sent.
_LAST: Final = 4
#: Seconds for that one to arrive.
_LAST_TIMEOUT: Final = 5.0

#: Which actor it was, and how many of its messages have come home.
Seen = tuple[str, int]
NOTHING_SEEN: Final[Seen] = "", 0


class EventQueue:
    """The actor: a queue with a waiting reader."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex
        self._messages: deque[Message] = deque()
        self._gone = 0  # messages that have come home
        self._filled = asyncio.Event()
        self._answers: dict[str, deque[bytes]] = {}

    async def versions(self) -> tuple[str, int]:
        """Return which flowdeck this is, and which protocol it speaks."""
        from flowdeck.version import __version__

        return __version__, PROTOCOL

    async def push(self, messages: list[Message]) -> None:
        """Take messages of workers in, unless nobody has asked for any for too long."""
        if len(self._messages) < _MOST:
            self.add(messages)

    def add(self, messages: list[Message]) -> None:
        """Take messages in, on the thread of the coroutines."""
        self._messages.extend(messages)
        self._filled.set()

    async def pull(self, seconds: float, seen: Seen) -> tuple[Seen, list[Message]]:
        """Return what is there, or what comes within some time.

        Args:
            seconds: to wait.
            seen: what the last answer that arrived said; those messages are forgotten.

        Returns:
            What will have been seen then; the messages.
        """
        name, count = seen
        if name == self._id:
            for _ in range(count - self._gone):
                self._messages.popleft()
                self._gone += 1
        if not self._messages and seconds > 0:
            self._filled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._filled.wait(), seconds)
        messages = list(self._messages)
        return (self._id, self._gone + len(messages)), messages

    async def leave_answer(self, token: str, answer: bytes) -> None:
        """Keep the answer to a question until whoever asks looks for it: nobody can be told
        anything in Ray who does not ask."""
        self._answers.setdefault(token, deque(maxlen=_ANSWERS)).append(answer)
        while len(self._answers) > _ANSWERS:  # to questions that nobody asks any more
            del self._answers[next(iter(self._answers))]

    async def take_answer(self, token: str) -> bytes | None:
        """Return the next answer to a question, if there is one."""
        found = self._answers.get(token)
        return found.popleft() if found else None

    async def answer_after(self, seconds: float) -> None:
        """Answer after ``seconds``: who waits for that in Ray holds no CPU meanwhile."""
        await asyncio.sleep(seconds)


class EventChannel:
    """The driver's side: makes the actor when it is first needed, and asks it for messages.

    Args:
        agent_class: of the actor; takes its name. It is an :class:`EventQueue` that can more, and
            whatever it has besides messages is lost with it. ``None``: a plain queue, which Ray
            starts again if its node is lost.
    """

    def __init__(self, agent_class: type[EventQueue] | None) -> None:
        #: What workers find the actor by.
        self.name = _new_name()
        self._agent_class = agent_class
        self._readers: dict[str, Callable[[int, Any, Any], None]] = {}
        self._loss_callbacks: dict[str, Callable[[Any, BaseException], None]] = {}
        self._actor: Any = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def subscribe(self, uid: str, reader: Callable[[int, Any, Any], None]) -> None:
        """Have ``reader(kind, content, about)`` called with each message of a flow run, on the
        channel's thread."""
        self._readers[uid] = reader

    def on_agent_loss(
        self, uid: str, callback: Callable[[Any, BaseException], None] | None
    ) -> None:
        """Have ``callback(actor, error)`` called if the agent has died; ``None``: no more."""
        if callback is None:
            self._loss_callbacks.pop(uid, None)
        else:
            self._loss_callbacks[uid] = callback

    def open(self) -> None:
        """Make the actor, if there is none; does not wait for it."""
        if self._actor is not None:
            return
        with self._lock:
            if self._actor is None:
                self._actor = self._make()
                self._thread = threading.Thread(
                    target=self._read_all,
                    args=(self._actor,),
                    name="flowdeck-ray-events",
                    daemon=True,
                )
                self._thread.start()

    @property
    def current(self) -> Any:
        """The actor, if there is one."""
        return self._actor

    @property
    def actor(self) -> Any:
        """The actor, made now if there is none."""
        self.open()
        return self._actor

    def versions(self, timeout: float) -> tuple[str, int]:
        """Return which flowdeck the cluster has, and which protocol it speaks.

        Args:
            timeout: seconds for the actor to start and answer.

        Raises:
            Exception: Ray's, if the actor cannot start.
        """
        import ray

        found: tuple[str, int] = ray.get(self.actor.versions.remote(), timeout=timeout)
        return found

    def unsubscribe(self, uid: str) -> None:
        """Have the reader of a flow run called with what is there, then no more."""
        passed = threading.Event()
        reader = self._readers[uid]

        def last(kind: int, content: Any, about: Any) -> None:
            passed.set() if kind == _LAST else reader(kind, content, about)

        self._readers[uid] = last
        with contextlib.suppress(Exception):
            # It goes through the queue and the one thread that empties it, behind all others.
            if self._actor is not None:
                self._actor.push.remote([(uid, _LAST, None, None)])
                passed.wait(_LAST_TIMEOUT)
        self._readers.pop(uid, None)

    def _make(self) -> Any:
        import ray

        options = {"name": self.name, "namespace": _NAMESPACE, "num_cpus": 0}
        options["max_concurrency"] = 10_000  # answers that wait
        if self._agent_class is None:
            # Restarts: the node it is on may be lost, and the run goes on.
            options |= {"max_restarts": -1, "max_task_retries": -1}
            return ray.remote(EventQueue).options(**options).remote()
        # Where the client server is: with that node all is lost anyway.
        node = ray.get_runtime_context().get_node_id()
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=True)
        options["scheduling_strategy"] = strategy
        return ray.remote(self._agent_class).options(**options).remote(self.name)

    def _ask(self, actor: Any, seen: Seen) -> tuple[Seen, list[Message]]:
        import ray

        until = clock.monotonic() + _WAIT + _OVERDUE
        # Ray is not to ask again by itself: it says on the terminal that it does.
        answer = actor.pull.options(max_task_retries=0).remote(_WAIT, seen)
        while not self._closing.is_set():
            with contextlib.suppress(ray.exceptions.GetTimeoutError):
                # In slices: nobody may be inside Ray for long when it is shut down.
                found: tuple[Seen, list[Message]] = ray.get(answer, timeout=_SLICE)
                return found
            if clock.monotonic() > until:
                break
        return seen, []

    def _read_all(self, actor: Any) -> None:
        import ray

        seen = NOTHING_SEEN
        while not self._closing.is_set():
            try:
                seen, messages = self._ask(actor, seen)
            except ray.exceptions.RayActorError as error:
                unavailable = isinstance(error, ray.exceptions.ActorUnavailableError)
                if self._agent_class is not None and not unavailable:
                    self._lose_agent(actor, error)
                    return
                self._closing.wait(_AGAIN)  # it restarts
            except Exception:
                # Ray is going away, or was not to be reached for a moment.
                self._closing.wait(_AGAIN)
            else:
                self._hand_out(messages)

    def _hand_out(self, messages: list[Message]) -> None:
        for uid, kind, content, about in messages:
            reader = self._readers.get(uid)
            if reader is not None:
                reader(kind, content, about)

    def _lose_agent(self, actor: Any, error: BaseException) -> None:
        """The agent has died, and with it what it had: who needs one gets another."""
        with self._lock:
            self.name, self._actor = _new_name(), None
        for callback in list(self._loss_callbacks.values()):
            callback(actor, error)

    def close(self, *, is_lost: bool = False) -> None:
        """End actor and thread.

        Args:
            is_lost: Ray is gone, and the actor with it.
        """
        self._closing.set()
        actor, self._actor = self._actor, None
        if actor is not None and not is_lost:
            import ray

            with contextlib.suppress(Exception):
                # Wakes the question that waits there, so that the thread ends now.
                ray.get(actor.push.remote([]), timeout=_SLICE)
        if self._thread is not None:
            self._thread.join(_SLICE + 1.0)
        if actor is not None and not is_lost:
            with contextlib.suppress(Exception):
                ray.kill(actor)


def _new_name() -> str:
    return f"flowdeck-{uuid.uuid4().hex}"


def find_actor(name: str) -> Any:
    """Return the actor, in a worker.

    Raises:
        ValueError: it is not there (yet, or any more).
    """
    import ray

    return ray.get_actor(name, namespace=_NAMESPACE)

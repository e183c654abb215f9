"""How event batches come home from Ray's workers while tasks run.

One actor (no CPU, a few MB) takes in what workers push; one thread here asks it for more and
waits there for the answer. It works wherever Ray does: no port of ours is open, nothing needs to
be reachable but Ray itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final

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
#: Letters in the actor beyond which none is taken from workers: nobody fetches them any more.
_MOST: Final = 20_000

#: Of what travels between a flow and its workers; clusters with another one are refused.
PROTOCOL: Final = 2
#: Of the actors, whatever namespace the application uses for its own.
_NAMESPACE: Final = "flowdeck"

#: The flow run's uid, one of the kinds below, its content, and what is to be known about it.
Letter = tuple[str, int, Any, Any]
#: A batch of events.
EVENTS: Final = 0
#: The last batches of executions; about them: the numbers of the calls. From an agent.
TAILS: Final = 1
#: Text that a task wrote; about it: whether to stderr.
TEXT: Final = 2
#: An error of Ray's, packed, that ended a call; about it: the number of the call. From an agent.
FAILURE: Final = 3
_MARK: Final = 4
#: Seconds for the last letters of a flow run to arrive.
_LAST: Final = 5.0


#: Which actor it was, and how many of its letters have come home.
Seen = tuple[str, int]
NOTHING_SEEN: Final[Seen] = "", 0


class Letters:
    """The actor: a queue with a waiting reader."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex
        self._letters: deque[Letter] = deque()
        self._gone = 0  # letters that have come home
        self._filled = asyncio.Event()

    async def versions(self) -> tuple[str, int]:
        """Return which flowdeck this is, and which protocol it speaks."""
        import flowdeck

        return flowdeck.__version__, PROTOCOL

    async def put(self, letters: list[Letter]) -> None:
        """Take letters of workers in."""
        if len(self._letters) < _MOST:
            self.add(letters)

    def add(self, letters: list[Letter]) -> None:
        """Take letters in, on the thread of the coroutines."""
        self._letters.extend(letters)
        self._filled.set()

    async def take(self, seconds: float, seen: Seen) -> tuple[Seen, list[Letter]]:
        """Return what is there, or what comes within ``seconds``.

        Args:
            seconds: to wait.
            seen: what the last answer that arrived said.

        Returns:
            What will have been seen then; the letters.
        """
        name, count = seen
        if name == self._id:
            for _ in range(count - self._gone):
                self._letters.popleft()
                self._gone += 1
        if not self._letters and seconds > 0:
            self._filled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._filled.wait(), seconds)
        letters = list(self._letters)
        return (self._id, self._gone + len(letters)), letters

    async def nap(self, seconds: float) -> None:
        """Answer after ``seconds``: who waits for that in Ray holds no CPU meanwhile."""
        await asyncio.sleep(seconds)


class Mailbox:
    """The driver's side: makes the actor when it is first needed, and fetches from it.

    Args:
        with_agent: the actor is an :class:`~flowdeck.task_runners.ray_agent.Agent`.
    """

    def __init__(self, *, with_agent: bool) -> None:
        #: What workers find the actor by.
        self.name = _new_name()
        self._with_agent = with_agent
        self._readers: dict[str, Callable[[int, Any, Any], None]] = {}
        self._mourners: dict[str, Callable[[Any, BaseException], None]] = {}
        self._actor: Any = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def subscribe(self, uid: str, reader: Callable[[int, Any, Any], None]) -> None:
        """Have ``reader(kind, content, about)`` called with each letter of a flow run, on the
        mailbox's thread."""
        self._readers[uid] = reader

    def on_death(self, uid: str, mourner: Callable[[Any, BaseException], None] | None) -> None:
        """Have ``mourner(actor, error)`` called if the agent has died; ``None``: no more."""
        if mourner is None:
            self._mourners.pop(uid, None)
        else:
            self._mourners[uid] = mourner

    def open(self) -> None:
        """Make the actor, if there is none; does not wait for it.

        It is a process of its own, so it is made only when there is something to tell: tasks that
        end soon say everything with their results.
        """
        if self._actor is not None:
            return
        with self._lock:
            if self._actor is None:
                self._actor = self._make()
                self._thread = threading.Thread(
                    target=self._fetch,
                    args=(self._actor,),
                    name="flowdeck-ray-mailbox",
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
            passed.set() if kind == _MARK else reader(kind, content, about)

        self._readers[uid] = last
        with contextlib.suppress(Exception):
            # It goes through the queue and the one thread that empties it, behind all others.
            if self._actor is not None:
                self._actor.put.remote([(uid, _MARK, None, None)])
                passed.wait(_LAST)
        self._readers.pop(uid, None)

    def _make(self) -> Any:
        import ray

        options = {"name": self.name, "namespace": _NAMESPACE, "num_cpus": 0}
        options["max_concurrency"] = 10_000  # naps
        if not self._with_agent:
            # Restarts: the node it is on may be lost, and the run goes on.
            options |= {"max_restarts": -1, "max_task_retries": -1}
            return ray.remote(Letters).options(**options).remote()
        from flowdeck.task_runners.ray_agent import Agent

        # Where the client server is: with that node all is lost anyway.
        node = ray.get_runtime_context().get_node_id()
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=True)
        options["scheduling_strategy"] = strategy
        return ray.remote(Agent).options(**options).remote(self.name)

    def _ask(self, actor: Any, seen: Seen) -> tuple[Seen, list[Letter]]:
        import ray

        until = time.monotonic() + _WAIT + _OVERDUE
        # Ray is not to ask again by itself: it says on the terminal that it does.
        answer = actor.take.options(max_task_retries=0).remote(_WAIT, seen)
        while not self._closing.is_set():
            with contextlib.suppress(ray.exceptions.GetTimeoutError):
                # In slices: nobody may be inside Ray for long when it is shut down.
                found: tuple[Seen, list[Letter]] = ray.get(answer, timeout=_SLICE)
                return found
            if time.monotonic() > until:
                break
        return seen, []

    def _fetch(self, actor: Any) -> None:
        import ray

        seen = NOTHING_SEEN
        while not self._closing.is_set():
            try:
                seen, letters = self._ask(actor, seen)
            except ray.exceptions.RayActorError as error:
                if self._with_agent and not isinstance(error, ray.exceptions.ActorUnavailableError):
                    self._bury(actor, error)
                    return
                self._closing.wait(_AGAIN)  # it restarts
            except Exception:
                # Ray is going away, or was not to be reached for a moment.
                self._closing.wait(_AGAIN)
            else:
                self._hand_out(letters)

    def _hand_out(self, letters: list[Letter]) -> None:
        for uid, kind, content, about in letters:
            reader = self._readers.get(uid)
            if reader is not None:
                reader(kind, content, about)

    def _bury(self, actor: Any, error: BaseException) -> None:
        """The agent has died, and with it what it had: who needs one gets another."""
        with self._lock:
            self.name, self._actor = _new_name(), None
        for mourner in list(self._mourners.values()):
            mourner(actor, error)

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
                ray.get(actor.put.remote([]), timeout=_SLICE)
        if self._thread is not None:
            self._thread.join(_SLICE + 1.0)
        if actor is not None and not is_lost:
            with contextlib.suppress(Exception):
                ray.kill(actor)


def _new_name() -> str:
    return f"flowdeck-{uuid.uuid4().hex}"


def find(name: str) -> Any:
    """Return the actor, in a worker.

    Raises:
        ValueError: it is not there (yet, or any more).
    """
    import ray

    return ray.get_actor(name, namespace=_NAMESPACE)

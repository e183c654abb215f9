"""How event batches come home from Ray's workers while tasks run.

One actor (no CPU, a few MB) takes in what workers push; one thread here asks it for more and
waits there for the answer. It works wherever Ray does: no port of ours is open, nothing needs to
be reachable but Ray itself.
"""

from __future__ import annotations

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
#: Letters in the actor beyond which the oldest are dropped: nobody fetches them any more.
_MOST: Final = 20_000

#: Of what travels between a flow and its workers; clusters with another one are refused.
PROTOCOL: Final = 1
#: Of the actors, whatever namespace the application uses for its own.
_NAMESPACE: Final = "flowdeck"

#: The flow run's uid, one of the kinds below, its content, and what is to be known about it.
Letter = tuple[str, int, Any, Any]
#: A batch of events.
EVENTS: Final = 0
#: The last batch of an execution.
TAIL: Final = 1
#: Text that a task wrote; about it: whether to stderr.
TEXT: Final = 2
_MARK: Final = 3
#: Seconds for the last letters of a flow run to arrive.
_LAST: Final = 5.0


class Letters:
    """The actor: a queue with a waiting reader."""

    def __init__(self) -> None:
        import asyncio

        self._letters: deque[Letter] = deque(maxlen=_MOST)
        self._filled = asyncio.Event()

    async def versions(self) -> tuple[str, int]:
        """Return which flowdeck this is, and which protocol it speaks."""
        import flowdeck

        return flowdeck.__version__, PROTOCOL

    async def put(self, letters: list[Letter]) -> None:
        """Take letters in."""
        self._letters.extend(letters)
        self._filled.set()

    async def take(self, seconds: float) -> list[Letter]:
        """Return what is there, or what comes within ``seconds``."""
        import asyncio

        if not self._letters and seconds > 0:
            self._filled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._filled.wait(), seconds)
        taken = list(self._letters)
        self._letters.clear()
        return taken

    async def nap(self, seconds: float) -> None:
        """Answer after ``seconds``: who waits for that in Ray holds no CPU meanwhile."""
        import asyncio

        await asyncio.sleep(seconds)


class Mailbox:
    """The driver's side: makes the actor when it is first needed, and fetches from it."""

    def __init__(self) -> None:
        #: What workers find the actor by.
        self.name = f"flowdeck-{uuid.uuid4().hex}"
        self._readers: dict[str, Callable[[int, Any, Any], None]] = {}
        self._actor: Any = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def subscribe(self, uid: str, reader: Callable[[int, Any, Any], None]) -> None:
        """Have ``reader(kind, content, about)`` called with each letter of a flow run, on the
        mailbox's thread."""
        self._readers[uid] = reader

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
                    target=self._fetch, name="flowdeck-ray-mailbox", daemon=True
                )
                self._thread.start()

    def versions(self, timeout: float) -> tuple[str, int]:
        """Return which flowdeck the cluster has, and which protocol it speaks.

        Raises:
            Exception: Ray's, if the actor cannot start.
        """
        import ray

        self.open()
        found: tuple[str, int] = ray.get(self._actor.versions.remote(), timeout=timeout)
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

        # Restarts: the node it is on may be lost, and the run goes on. Concurrency: naps.
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Letters)
        return actor.options(name=self.name, namespace=_NAMESPACE, max_concurrency=10_000).remote()

    def _ask(self, seconds: float, timeout: float) -> list[Letter]:
        import ray

        until = time.monotonic() + timeout
        answer = self._actor.take.remote(seconds)
        while not self._closing.is_set():
            with contextlib.suppress(ray.exceptions.GetTimeoutError):
                # In slices: nobody may be inside Ray for long when it is shut down.
                letters: list[Letter] = ray.get(answer, timeout=_SLICE)
                return letters
            if time.monotonic() > until:
                break
        return []

    def _fetch(self) -> None:
        while not self._closing.is_set():
            try:
                letters = self._ask(_WAIT, timeout=_WAIT + 30.0)
            except Exception:
                # The actor restarts, or Ray is going away. States come by the tasks' own results.
                self._closing.wait(_AGAIN)
                continue
            self._hand_out(letters)

    def _hand_out(self, letters: list[Letter]) -> None:
        for uid, kind, content, about in letters:
            reader = self._readers.get(uid)
            if reader is not None:
                reader(kind, content, about)

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


def find(name: str) -> Any:
    """Return the actor, in a worker.

    Raises:
        ValueError: it is not there (yet, or any more).
    """
    import ray

    return ray.get_actor(name, namespace=_NAMESPACE)

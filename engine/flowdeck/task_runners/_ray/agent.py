"""What stands on a cluster for a flow that reaches it through a Ray client server.

Each call through such a server is messages there and back, and work for two processes: 400 tasks a
second were all that went through, where a process of the cluster makes 1,700. So a flow sends its calls
many at a time to one actor, the agent, which makes them where they cost little, follows them as
:mod:`flowdeck.task_runners._ray.direct_calls` does, and sends home what became of them, many at a time
too. It is the actor of the event channel as well, as one more would be one more process.

What it has made is its own, as far as Ray is concerned: calls and values go when the agent goes. The flow
holds numbers instead of references, and says with its next message which ones it has let go of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.exceptions import MissingResult
from flowdeck.remote import errors
from flowdeck.remote.values import pickling_of, weigh
from flowdeck.task_runners._ray import event_channel, worker
from flowdeck.task_runners._ray.calls import cause_of
from flowdeck.task_runners._ray.completions import Completions
from flowdeck.task_runners._ray.options import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

#: Bytes of a task's code from which on it is put on the cluster once instead of sent each time.
LARGE: Final = 64 * 1024

#: A task run on its way: its number; the numbers of the task's code and of the options; the run, see
#: :mod:`flowdeck.remote.payload` (``None``: it is too large); the numbers of its upstreams.
Call = tuple[int, int, int, bytes | None, tuple[int, ...]]
#: The calls; code that is new, and pickled options that are new, by their numbers; the numbers of
#: values that no call made, and that are new; the numbers of the values that nobody wants any more.
CallsMessage = tuple[list[Call], dict[int, bytes], dict[int, bytes], list[int], list[int]]


class _Key(NamedTuple):
    uid: str
    number: int


class _Flow:
    """What the agent has of one flow run."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.codes: dict[int, Any] = {}
        self.functions: dict[int, Any] = {}
        #: What Ray has for each call: its value for as long as somebody wants it, and its tail,
        #: which stands for the task itself, until that has ended.
        self.values: dict[int, Any] = {}
        self.running: dict[int, Any] = {}
        self._following = 0
        self._turns: dict[int, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def turn(self, place: int) -> AsyncIterator[None]:
        """Wait until it is the turn of what has this place, and be done with it then.

        Ray may start the methods of an actor in another order than they were called in.
        """
        if place != self._following:
            turn = self._turns[place] = asyncio.Event()
            await turn.wait()
        try:
            yield
        finally:
            self._following += 1
            following = self._turns.pop(self._following, None)
            if following is not None:
                following.set()


class Agent(event_channel.EventQueue):
    """The actor.

    Its methods get the uid of a flow run and, where the order matters, the place of the call among
    those of the flow run, from 0 on.

    Args:
        name: its own, by which workers find it.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        # Ray warns of what waits in an actor of coroutines; a thread does so here, and may.
        os.environ["RAY_WARN_BLOCKING_GET_INSIDE_ASYNC"] = "0"
        self._name = name
        self._pickling = pickling_of(worker.PICKLING)
        self._flows: dict[str, _Flow] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._completions = Completions(self._ended, self._failed, on_slow=lambda: None)

    async def submit(self, uid: str, place: int, message: bytes, data: dict[int, Any]) -> None:
        """Call tasks.

        Args:
            uid: of the flow run.
            place: of this call.
            message: a pickled :data:`CallsMessage`.
            data: by number, what was too large for it: of calls, and values that no call made.
        """
        async with self._flow(uid).turn(place):
            self._make_calls(uid, pickle.loads(message), data)

    async def cancel(self, uid: str, place: int, numbers: list[int], force: bool) -> None:
        """Have Ray cancel tasks, unless they have ended.

        Args:
            uid: of the flow run.
            place: of this call.
            numbers: of the tasks.
            force: end their workers, instead of interrupting their functions.
        """
        flow = self._flow(uid)
        async with flow.turn(place):
            self._cancel(flow, numbers, force)

    async def value(self, uid: str, number: int) -> list[Any]:
        """Return where a task's reply is, in a list: Ray would send the reply itself; nothing, if
        it is not known here."""
        found = self._flow(uid).values.get(number)
        return [] if found is None else [found]

    async def weigh(
        self, uid: str, numbers: list[int], limit: int, seconds: float
    ) -> list[int | None]:
        """Return how many bytes values have as pickles, in order; ``None`` for what is not known.

        Args:
            uid: of the flow run.
            numbers: of the values.
            limit: bytes; what has more is as good as unknown.
            seconds: that this may take.
        """
        import ray

        weighing = ray.remote(max_retries=0)(weigh)
        values = self._flow(uid).values
        asked = {
            number: asyncio.ensure_future(weighing.remote(values[number], limit))
            for number in numbers
            if number in values
        }
        if asked:
            await asyncio.wait(asked.values(), timeout=max(seconds, 0.01))
        return [_or_none(asked.get(number)) for number in numbers]

    async def leave(self, uid: str, place: int) -> None:
        """Forget a flow run; end what is left of it."""
        flow = self._flow(uid)
        async with flow.turn(place):
            self._cancel(flow, list(flow.running), force=True)
            del self._flows[uid]

    # -- calling --------------------------------------------------------------------------------------

    def _flow(self, uid: str) -> _Flow:
        self._loop = asyncio.get_running_loop()
        flow = self._flows.get(uid)
        if flow is None:
            flow = self._flows[uid] = _Flow(worker.address(uid, self._name))
        return flow

    def _make_calls(self, uid: str, message: CallsMessage, data: dict[int, Any]) -> None:
        calls, codes, options, parts, released = message
        flow = self._flow(uid)
        self._learn(flow, codes, options)
        flow.values.update((number, data[number]) for number in parts)
        for call in calls:
            key = _Key(uid, call[0])
            try:
                value, tail = self._call(flow, call, data.get(key.number))
            except Exception as error:
                self._failed(key, error)
                continue
            flow.values[key.number], flow.running[key.number] = value, tail
            self._completions.follow(tail, key)
        for number in released:
            flow.values.pop(number, None)

    @staticmethod
    def _learn(flow: _Flow, codes: dict[int, bytes], options: dict[int, bytes]) -> None:
        import ray

        for number, code in codes.items():
            flow.codes[number] = code if len(code) < LARGE else ray.put(code)
        for number, chosen in options.items():
            every = {**DEFAULTS, **pickle.loads(chosen), "num_returns": 2}
            flow.functions[number] = ray.remote(**every)(worker.run_task)

    @staticmethod
    def _call(flow: _Flow, call: Call, data: Any) -> Any:
        _, code_number, function, head, inputs = call
        code = flow.codes[code_number]
        apart = []
        if type(code) is not bytes:
            apart.append(code)
            code = None
        if head is None:
            apart.append(data)
        return flow.functions[function].remote(
            worker.packed(flow.where, code, head), *apart, *_values(flow, inputs)
        )

    @staticmethod
    def _cancel(flow: _Flow, numbers: list[int], force: bool) -> None:
        import ray

        for number in numbers:
            ref = flow.running.get(number)
            if ref is not None:
                with contextlib.suppress(Exception):  # it has ended
                    ray.cancel(ref, force=force)

    # -- what becomes of it: on the thread of the completions, or that of the coroutines ---------------------------

    def _ended(self, pairs: list[tuple[_Key, bytes]]) -> None:
        by_flow: dict[str, tuple[list[int], list[bytes]]] = {}
        for (uid, number), tail in pairs:
            numbers, tails = by_flow.setdefault(uid, ([], []))
            numbers.append(number)
            tails.append(tail)
            if uid in self._flows:
                self._flows[uid].running.pop(number, None)
        self._post(
            [
                (uid, event_channel.TAILS, tails, numbers)
                for uid, (numbers, tails) in by_flow.items()
            ]
        )

    def _failed(self, key: _Key, error: BaseException) -> None:
        if key.uid in self._flows:
            self._flows[key.uid].running.pop(key.number, None)
        packed = errors.pack(cause_of(error), self._pickling)
        self._post([(key.uid, event_channel.FAILURE, packed, key.number)])

    def _post(self, messages: list[event_channel.Message]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.add, messages)


def _values(flow: _Flow, numbers: Iterable[int]) -> list[Any]:
    try:
        return [flow.values[number] for number in numbers]
    except KeyError:
        raise MissingResult(
            "The value of an upstream is not on the cluster any more: what held it there was lost."
        ) from None


def _or_none(asked: asyncio.Future[int | None] | None) -> int | None:
    if asked is None or not asked.done() or asked.exception() is not None:
        return None
    return asked.result()

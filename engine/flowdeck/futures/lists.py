"""The futures of the runs of one ``.map``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowdeck.futures.future import TaskFuture, not_in_time, runs_of, seconds, value_of
from flowdeck.inputs import nested
from flowdeck.runs import waiting
from flowdeck.values.unawaited import named, to_be_awaited

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flowdeck.states import State

R = TypeVar("R")

#: Futures that a notebook shows of a list.
_SHOWN: Final = 20


@nested.is_a_list_of_results
class FutureList(list[TaskFuture[R]]):
    """What ``.map`` gives: a list of futures, and what is often wanted of all of them."""

    def _repr_html_(self) -> str:
        from collections import Counter

        from flowdeck.values import html

        states = self.states
        counts = Counter((state.name, state.type.value) for state in states)
        head = " &nbsp; ".join(f"{html.badge(*kind)} {n:,}" for kind, n in counts.most_common())
        rows = [
            (html.escaped(future.name), html.badge(state.name, state.type.value),
             html.escaped(state.message or "", 200))
            for future, state in zip(self[:_SHOWN], states, strict=False)
        ]  # fmt: skip
        more = max(0, len(self) - _SHOWN)
        return f"<div>{head}</div>" + html.table(("task run", "state", "message"), rows, more)

    @property
    def states(self) -> list[State[R]]:
        """The states now, final or not, in order."""
        return [future.state for future in self]

    def wait(self, timeout: float | None = None) -> list[State[R]]:
        """Wait for all runs to end, and return the states in order.

        Args:
            timeout: seconds for all together; after it some states are not final.
        """
        waiting.wait(runs_of(self), seconds(timeout))
        return self.states

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """Wait for all runs to end and return what they returned, in order.

        Args:
            timeout: seconds for all together.
            raise_on_failure: ``False`` gives exceptions in the place of values.

        Raises:
            TimeoutError: some had not ended in time; they go on.
            Exception: whatever the first one in order raised that did not complete.
        """
        ended = waiting.wait(runs_of(self), seconds(timeout))
        if not ended:
            raise not_in_time(self)
        return [value_of(state, raise_on_failure) for state in self.states]


@nested.is_a_list_of_results
class AsyncFutureList(FutureList[R]):
    """What ``.map`` of an async task gives in an async flow: what its methods give is to be awaited."""

    def wait(  # type: ignore[override]
        self, timeout: float | None = None
    ) -> Coroutine[Any, Any, list[State[R]]]:
        """As :meth:`FutureList.wait`, to be awaited."""
        return named(self._wait_async(seconds(timeout)), "wait")

    def result(  # type: ignore[override]
        self, timeout: float | None = None, raise_on_failure: bool = True
    ) -> Coroutine[Any, Any, list[R]]:
        """As :meth:`FutureList.result`, to be awaited."""
        return named(self._result_async(seconds(timeout), raise_on_failure), "result")

    @to_be_awaited
    async def _wait_async(self, timeout: float | None) -> list[State[R]]:
        await waiting.wait_async(runs_of(self), timeout)
        return self.states

    @to_be_awaited
    async def _result_async(self, timeout: float | None, raise_on_failure: bool) -> list[R]:
        if not await waiting.wait_async(runs_of(self), timeout):
            raise not_in_time(self)
        return [await state.value_async(raise_on_failure) for state in self.states]

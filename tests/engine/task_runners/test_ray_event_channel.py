"""How news comes home from Ray: nothing is lost, nothing comes twice, and each in its turn."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from flowdeck.task_runners._ray.agent import _Flow
from flowdeck.task_runners._ray.completions import _WINDOW, Completions
from flowdeck.task_runners._ray.event_channel import _MOST, EVENTS, NOTHING_SEEN, TAILS, EventQueue

pytestmark = pytest.mark.anyio


def _events(*contents: Any) -> list[Any]:
    return [("run", EVENTS, content, None) for content in contents]


async def test_letters_are_kept_until_their_arrival_is_known() -> None:
    messages = EventQueue()
    await messages.push(_events("a", "b"))
    seen, first = await messages.pull(0, NOTHING_SEEN)
    assert first == _events("a", "b")

    await messages.push(_events("c"))
    _, again = await messages.pull(0, NOTHING_SEEN)  # the first answer was lost on its way
    assert again == _events("a", "b", "c")

    seen, rest = await messages.pull(0, seen)
    assert rest == _events("c")
    assert (await messages.pull(0, seen))[1] == []


async def test_an_answer_that_is_confirmed_late_confirms_nothing_newer() -> None:
    messages = EventQueue()
    await messages.push(_events("a"))
    early, _ = await messages.pull(0, NOTHING_SEEN)
    await messages.push(_events("b"))
    late, _ = await messages.pull(0, early)
    await messages.push(_events("c"))
    assert (await messages.pull(0, early))[1] == _events("b", "c")
    assert (await messages.pull(0, late))[1] == _events("c")
    assert (await messages.pull(0, early))[1] == _events("c")


async def test_an_actor_that_was_restarted_has_not_seen_anything() -> None:
    before, after = EventQueue(), EventQueue()
    await before.push(_events("a", "b"))
    seen, _ = await before.pull(0, NOTHING_SEEN)
    await after.push(_events("c"))
    assert (await after.pull(0, seen))[1] == _events("c")


async def test_a_question_waits_for_the_next_letter() -> None:
    messages = EventQueue()
    question = asyncio.create_task(messages.pull(60, NOTHING_SEEN))
    await asyncio.sleep(0)
    await messages.push(_events("a"))
    assert (await question)[1] == _events("a")


async def test_a_reader_that_is_gone_does_not_fill_the_memory_but_no_end_of_a_task_is_dropped() -> (
    None
):
    messages = EventQueue()
    await messages.push(_events(*range(_MOST)))
    await messages.push(_events("too much"))
    messages.add([("run", TAILS, [b"end"], [7])])
    _, found = await messages.pull(0, NOTHING_SEEN)
    assert len(found) == _MOST + 1
    assert found[-1][1] == TAILS


async def test_calls_that_arrive_out_of_order_are_made_in_order() -> None:
    flow, made = _Flow("where"), []

    async def make(place: int) -> None:
        async with flow.turn(place):
            made.append(place)

    await asyncio.wait_for(asyncio.gather(*(make(place) for place in (3, 1, 0, 4, 2))), 10)
    assert made == [0, 1, 2, 3, 4]


async def test_a_call_that_fails_does_not_keep_the_following_ones_waiting() -> None:
    flow = _Flow("where")

    async def fail() -> None:
        async with flow.turn(0):
            raise RuntimeError("of this call")

    async def following() -> str:
        async with flow.turn(1):
            return "made"

    outcome = await asyncio.wait_for(
        asyncio.gather(following(), fail(), return_exceptions=True), 10
    )
    assert outcome[0] == "made"
    assert str(outcome[1]) == "of this call"


@pytest.mark.parametrize("count", [1, 2 * _WINDOW + 100])
def test_a_task_that_takes_long_is_noticed_however_many_are_open(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def wait(metas: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        return [], metas

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(wait=wait))
    noticed = threading.Event()
    completions = Completions(lambda pairs: None, lambda entry, error: None, noticed.set)
    try:
        for number in range(count):
            completions.follow(number, number)
        assert noticed.wait(20)
    finally:
        completions.stop()

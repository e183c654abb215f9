"""How news comes home from Ray: nothing is lost, nothing comes twice, and each in its turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowdeck.task_runners.ray_agent import _Flow
from flowdeck.task_runners.ray_mailbox import _MOST, EVENTS, NOTHING_SEEN, TAILS, Letters

pytestmark = pytest.mark.anyio


def _events(*contents: Any) -> list[Any]:
    return [("run", EVENTS, content, None) for content in contents]


async def test_letters_are_kept_until_their_arrival_is_known() -> None:
    letters = Letters()
    await letters.put(_events("a", "b"))
    seen, first = await letters.take(0, NOTHING_SEEN)
    assert first == _events("a", "b")

    await letters.put(_events("c"))
    _, again = await letters.take(0, NOTHING_SEEN)  # the first answer was lost on its way
    assert again == _events("a", "b", "c")

    seen, rest = await letters.take(0, seen)
    assert rest == _events("c")
    assert (await letters.take(0, seen))[1] == []


async def test_an_answer_that_is_confirmed_late_confirms_nothing_newer() -> None:
    letters = Letters()
    await letters.put(_events("a"))
    early, _ = await letters.take(0, NOTHING_SEEN)
    await letters.put(_events("b"))
    late, _ = await letters.take(0, early)
    await letters.put(_events("c"))
    assert (await letters.take(0, early))[1] == _events("b", "c")
    assert (await letters.take(0, late))[1] == _events("c")
    assert (await letters.take(0, early))[1] == _events("c")


async def test_an_actor_that_was_restarted_has_not_seen_anything() -> None:
    before, after = Letters(), Letters()
    await before.put(_events("a", "b"))
    seen, _ = await before.take(0, NOTHING_SEEN)
    await after.put(_events("c"))
    assert (await after.take(0, seen))[1] == _events("c")


async def test_a_question_waits_for_the_next_letter() -> None:
    letters = Letters()
    question = asyncio.create_task(letters.take(60, NOTHING_SEEN))
    await asyncio.sleep(0)
    await letters.put(_events("a"))
    assert (await question)[1] == _events("a")


async def test_a_reader_that_is_gone_does_not_fill_the_memory_but_no_end_of_a_task_is_dropped() -> (
    None
):
    letters = Letters()
    await letters.put(_events(*range(_MOST)))
    await letters.put(_events("too much"))
    letters.add([("run", TAILS, [b"end"], [7])])
    _, found = await letters.take(0, NOTHING_SEEN)
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

"""The scheduler on random graphs: nothing starts early, everything is decided exactly once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowdeck.runs import scheduler
from flowdeck.runs.scheduler import UpstreamEnd, Verdict


class Item:
    def __init__(self, number: int) -> None:
        self.number = number
        self.outcome = UpstreamEnd.WAITING
        self.unfinished = 0
        self.dependents: list[tuple[Any, bool]] | None = None
        self.upstreams: list[tuple[Item, bool]] = []


_ENDS = [UpstreamEnd.OK, UpstreamEnd.OK, UpstreamEnd.BAD]


@st.composite
def graphs(draw: Any) -> list[tuple[list[tuple[int, bool]], UpstreamEnd]]:
    n = draw(st.integers(1, 25))
    graph = []
    for i in range(n):
        edges = draw(st.lists(st.tuples(st.integers(0, max(i - 1, 0)), st.booleans()), max_size=4))
        graph.append((edges if i else [], draw(st.sampled_from(_ENDS))))
    return graph


@settings(max_examples=200, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_each_item_is_decided_once_and_only_when_its_inputs_are(
    graph: list[tuple[list[tuple[int, bool]], UpstreamEnd]], rng: Any
) -> None:
    items = [Item(i) for i in range(len(graph))]
    ready: list[Item] = []
    decided: dict[int, Verdict] = {}

    def decide(item: Item, verdict: Verdict) -> None:
        assert item.number not in decided
        decided[item.number] = verdict
        ends = [up.outcome for up, _ in item.upstreams]
        passes = [scheduler.passes(up.outcome, allow) for up, allow in item.upstreams]
        if verdict is Verdict.READY:
            assert all(passes)
            ready.append(item)
        else:
            assert any(
                e is not UpstreamEnd.WAITING and not p for e, p in zip(ends, passes, strict=True)
            )

    def finish(item: Item, outcome: UpstreamEnd) -> None:
        work = [(item, outcome)]
        while work:
            current, how = work.pop()
            for dependent, verdict in scheduler.finish(current, how):
                decide(dependent, verdict)
                if verdict is Verdict.BLOCKED:
                    work.append((dependent, UpstreamEnd.BAD))

    def run_some(count: int) -> None:
        for _ in range(count):
            if ready:
                item = ready.pop(rng.randrange(len(ready)))
                finish(item, graph[item.number][1])

    for item, (edges, _) in zip(items, graph, strict=True):
        item.upstreams = [(items[up], allow) for up, allow in edges]
        verdict, _blocker = scheduler.add(item, item.upstreams)
        if verdict is not Verdict.WAIT:
            decide(item, verdict)
            if verdict is Verdict.BLOCKED:
                finish(item, UpstreamEnd.BAD)
        run_some(rng.randrange(3))
    while ready:
        run_some(1)
    assert len(decided) == len(items)
    assert all(item.outcome is not UpstreamEnd.WAITING for item in items)

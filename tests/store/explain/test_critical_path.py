"""Which chain of task runs decided how long a run took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowdeck_store.explain.critical_path import critical_path
from flowdeck_store.read.paths import Span

MS = 1000


def numbers(spans: list[Span], upstreams: dict[int, list[int]], end: int) -> list[int]:
    path = critical_path(spans, lambda no: upstreams.get(no, ()), 0, end)
    return [link.no for link in path.links]


def test_the_slow_branch_is_the_path() -> None:
    spans = [
        Span(1, 0, 0, 100 * MS),
        Span(2, 0, 0, 300 * MS),
        Span(3, 0, 300 * MS, 400 * MS),
    ]
    assert numbers(spans, {3: [1, 2]}, 400 * MS) == [2, 3]


def test_calls_of_the_flows_own_code_follow_what_it_can_have_waited_for() -> None:
    spans = [Span(1, 0, 0, 100 * MS), Span(2, 150 * MS, 160 * MS, 200 * MS)]
    path = critical_path(spans, lambda no: (), 0, 220 * MS)
    first, second = path.links
    assert (first.no, second.no, second.after, second.is_upstream) == (1, 2, 1, False)
    assert (second.code_us, second.queue_us, second.run_us) == (50 * MS, 10 * MS, 40 * MS)
    assert (path.run_us, path.queue_us, path.code_us) == (140 * MS, 10 * MS, 70 * MS)


def test_waiting_for_a_worker_is_on_the_path() -> None:
    spans = [Span(1, 0, 0, 100 * MS), Span(2, 0, 400 * MS, 500 * MS)]
    (_, second) = critical_path(spans, lambda no: [1] if no == 2 else [], 0, 500 * MS).links
    assert second.is_upstream
    assert second.queue_us == 300 * MS


def test_waits_between_tries_are_not_running() -> None:
    path = critical_path([Span(1, 0, 0, 100 * MS)], lambda no: (), 0, 100 * MS)
    paused = path.with_pauses({1: 60 * MS, 7: 5})
    assert (paused.run_us, paused.pause_us, paused.code_us) == (40 * MS, 60 * MS, 0)


def test_what_has_not_ended_ends_now() -> None:
    path = critical_path([Span(1, 0, 10 * MS, None)], lambda no: (), 0, 90 * MS)
    assert path.links[0].run_us == 80 * MS


def test_a_run_without_task_runs_is_all_its_own_code() -> None:
    path = critical_path([Span(1, 0, None, None)], lambda no: (), 0, 50 * MS)
    assert path.links == ()
    assert path.code_us == path.total_us == 50 * MS


def test_a_long_chain_is_walked_without_recursion_and_in_time() -> None:
    count = 20_000
    spans = [Span(n, 0, n * MS, (n + 1) * MS) for n in range(1, count + 1)]
    found = numbers(spans, {n: [n - 1] for n in range(2, count + 1)}, (count + 1) * MS)
    assert found == list(range(1, count + 1))


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Span], dict[int, list[int]], int]:
    """Task runs as an engine makes them: none starts before its upstreams have ended."""
    spans: list[Span] = []
    upstreams: dict[int, list[int]] = {}
    for no in range(1, draw(st.integers(1, 12)) + 1):
        above = draw(st.lists(st.integers(1, no - 1), max_size=3, unique=True)) if no > 1 else []
        upstreams[no] = above
        created = draw(st.integers(0, 500))
        ready = max([created, *(spans[up - 1].ended_us or 0 for up in above)])
        started = ready + draw(st.integers(0, 50))
        spans.append(Span(no, created, started, started + draw(st.integers(0, 200))))
    spans = [span._replace(created_us=span.created_us * MS, started_us=(span.started_us or 0) * MS, ended_us=(span.ended_us or 0) * MS) for span in spans]  # fmt: skip
    return spans, upstreams, max(span.ended_us or 0 for span in spans)


@given(runs())
def test_the_parts_of_a_path_do_not_overlap_and_make_up_the_run(
    run: tuple[list[Span], dict[int, list[int]], int],
) -> None:
    spans, upstreams, end = run
    path = critical_path(spans, lambda no: upstreams[no], 0, end)
    assert path.links[-1].ended_us == end
    assert [link.after for link in path.links] == [None, *(link.no for link in path.links[:-1])]
    for before, link in zip(path.links, path.links[1:], strict=False):
        assert before.ended_us <= link.started_us + 2 * MS
        if link.is_upstream:
            assert before.no in upstreams[link.no]
    assert path.run_us + path.queue_us + path.code_us == path.total_us

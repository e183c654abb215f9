"""Recorded runs played again with another number of workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowdeck_store.explain.what_if import PlannedCall, RunPlan, plan_of, played
from flowdeck_store.read.paths import Span

MS = 1000
S = 1_000_000


def four_calls(runner: str = "concurrent") -> RunPlan:
    """Four calls in a row that took a second each, all at the same time."""
    spans = [Span(no, no * 100, no * 100, no * 100 + S) for no in range(1, 5)]
    return plan_of(spans, {}, 0, S + 500, runner=runner)


def test_fewer_workers_take_longer_and_more_than_there_are_calls_do_not_help() -> None:
    plan = four_calls()
    took = [round(played(plan, workers) / S, 2) for workers in (1, 2, 3, 4, 100)]
    assert took == [4.0, 2.0, 2.0, 1.0, 1.0]
    assert played(plan, None) == played(plan, 100)
    assert plan.peak == 4
    assert round(played(plan, 1, inline=True) / S, 2) == 4.0


def test_what_needs_another_waits_for_it_and_the_order_is_that_of_the_calls() -> None:
    spans = [Span(1, 0, 0, 3 * S), Span(2, 1, 1, S), Span(3, 2, 3 * S, 4 * S)]
    plan = plan_of(spans, {3: [1]}, 0, 4 * S, runner="concurrent")
    assert round(played(plan, 2) / S, 2) == 4.0
    assert round(played(plan, 1) / S, 2) == 5.0


def test_the_flows_code_waits_for_what_ended_right_before_it_went_on() -> None:
    # first = slow.submit(); first.result(); then two more at the same time; then code for a second
    spans = [
        Span(1, 0, 0, 2 * S),
        Span(2, 2 * S + MS, 2 * S + MS, 3 * S),
        Span(3, 2 * S + 2 * MS, 2 * S + 2 * MS, 3 * S),
    ]
    plan = plan_of(spans, {}, 0, 4 * S, runner="concurrent")
    assert [call.after for call in plan.calls] == [None, 0, None]
    assert plan.tail_us == S
    assert round(played(plan, None) / S, 2) == 4.0
    assert round(played(plan, 1) / S, 2) == 5.0


def test_code_that_computed_between_two_calls_is_no_waiting() -> None:
    spans = [Span(1, 0, 0, S), Span(2, 3 * S, 3 * S, 4 * S)]
    plan = plan_of(spans, {}, 0, 4 * S, runner="concurrent")
    assert plan.calls[1].after is None
    assert plan.calls[1].code_us == 3 * S


def test_calls_of_a_sequential_run_need_not_have_waited_for_each_other() -> None:
    spans = [Span(1, 0, 0, S), Span(2, S + MS, S + MS, 2 * S), Span(3, 2 * S, 2 * S, 3 * S)]
    plan = plan_of(spans, {}, 0, 3 * S, runner="sequential")
    assert played(plan, 3) < 1.1 * S
    assert abs(played(plan, 1, inline=True) - 3 * S) < 10 * MS


def test_a_run_without_task_runs_is_its_own_code() -> None:
    assert played(plan_of([], {}, 0, 5 * S), 4) == 5 * S


@st.composite
def plans(draw: st.DrawFn) -> RunPlan:
    calls = []
    for index in range(draw(st.integers(0, 12))):
        before = st.integers(0, index - 1) if index else st.nothing()
        after = draw(st.none() | before)
        needs = draw(st.lists(before, max_size=3, unique=True)) if index else []
        busy, code = draw(st.integers(0, 50)), draw(st.integers(0, 10))
        calls.append(PlannedCall(busy, code, after, tuple(needs)))
    return RunPlan(1, "concurrent", tuple(calls), draw(st.integers(0, 10)), 0, 1)


@given(plans(), st.integers(1, 5))
def test_whatever_was_recorded_it_comes_to_an_end_between_its_bounds(
    plan: RunPlan, workers: int
) -> None:
    took = played(plan, workers)
    code = sum(call.code_us for call in plan.calls) + plan.tail_us
    assert plan.busy_us / workers <= took + plan.busy_us * 0
    assert max((call.busy_us for call in plan.calls), default=0) <= took
    assert took <= plan.busy_us + code
    assert played(plan, None) <= plan.busy_us + code

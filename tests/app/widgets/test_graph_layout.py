"""Where the nodes of a graph lie: levels, loops, what is implied, what lies straight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowdeck_app.views.graph.layers import Extent, layout, reduced, spread


def test_a_chain_lies_on_one_line_whatever_the_heights() -> None:
    targets, order = reduced("abc", [("a", "b"), ("b", "c")])
    extents = {"a": Extent(9, 4, 1), "b": Extent(9, 12, 1), "c": Extent(9, 3, 1)}
    laid = layout(extents, targets, order)
    assert {y for _, y in laid.places.values()} == {0}
    assert all(one.y0 == one.y1 == 1 for one in laid.stretches)


def test_a_fan_opens_to_both_sides_of_what_it_comes_from() -> None:
    targets, order = reduced("abcd", [("a", "b"), ("a", "c"), ("a", "d")])
    laid = layout({key: Extent(9, 3, 1) for key in "abcd"}, targets, order)
    assert laid.places["a"][1] == laid.places["c"][1]
    assert laid.places["b"][1] < laid.places["c"][1] < laid.places["d"][1]


def test_edges_of_different_sources_change_rows_in_different_lanes() -> None:
    targets, order = reduced("abxy", [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")])
    laid = layout({key: Extent(5, 3, 1) for key in "abxy"}, targets, order)
    turns = {one.edge[0]: one.turn for one in laid.stretches if one.y0 != one.y1}
    assert turns["a"] != turns["b"]


def test_loops_are_cut_and_what_a_longer_way_implies_is_left_out() -> None:
    assert reduced("abc", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a"), ("b", "b")]) == (
        {"a": ["b"], "b": ["c"], "c": []},
        ["a", "b", "c"],
    )


@given(st.lists(st.tuples(st.floats(-50, 50), st.integers(1, 6)), max_size=12))
def test_nothing_overlaps_however_near_it_wants_to_be(found: list[tuple[float, int]]) -> None:
    heights = [height for _, height in found]
    tops = spread([want for want, _ in found], heights)
    for place in range(1, len(tops)):
        assert tops[place] >= tops[place - 1] + heights[place - 1] + 1

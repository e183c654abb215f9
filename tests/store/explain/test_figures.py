"""The numbers in the texts of results."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_store.explain.figures import numbers_in


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.5", {"result": 0.5}), ("-3", {"result": -3.0}), ("True", {}), ("'x'", {}), ("[1, 2]", {}),
        ("{'loss': 0.1, 'ok': True, 'name': 'x', 'n': -2}", {"loss": 0.1, "n": -2.0}),
        ("{'a': {'b': {'c': 1, 'd': {'e': 2}}}}", {"a.b.c": 1.0}),
        ("Score(acc=np.float64(0.9), n=np.int64(3), w=array([1]))", {"acc": 0.9, "n": 3.0}),
        ("np.float32(0.25)", {"result": 0.25}), ("inf", {"result": math.inf}), ("{'x': -inf}", {"x": -math.inf}),
        ("{'loss': 0.1, 'x': <object at 0x1>}", {}), ("{'loss': 0.1, …", {}), ("", {}), ("x" * 5000, {}),
        ("f(1)", {}), ("__import__('os').system('x')", {}), ("{'x': 1" + "0" * 400 + "}", {}),
        ("{1: 2}", {"1": 2.0}), ("(" * 3000, {}),
    ],
)  # fmt: skip
def test_numbers(text: str, numbers: dict[str, float]) -> None:
    assert numbers_in(text) == numbers


@given(
    st.dictionaries(
        st.text(max_size=5), st.floats() | st.integers() | st.none() | st.text(max_size=3)
    )
)
def test_what_a_dict_holds_is_read_back(value: dict[str, object]) -> None:
    wanted = {k: v for k, v in value.items() if isinstance(v, (int, float)) and abs(v) < 1e300}
    found = numbers_in(repr(value))
    assert {k: v for k, v in found.items() if abs(v) < 1e300} == {
        k: float(v) for k, v in wanted.items()
    }

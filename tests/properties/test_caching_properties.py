"""Cache keys tell values apart exactly as far as the values differ."""

from __future__ import annotations

import copy
import itertools
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowdeck.caching import exponential_backoff, task_input_hash


def work(x: Any) -> Any:
    return x


def key(value: Any) -> str | None:
    return task_input_hash(SimpleNamespace(task=SimpleNamespace(fn=work, key="work")), {"x": value})


atoms = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False)
)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
        | st.frozensets(atoms, max_size=4)
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """The value with its types, so that 1, 1.0 and True are not equal."""
    if isinstance(value, dict):
        return ("dict", frozenset((typed(k), typed(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(typed(item) for item in value))
    if isinstance(value, frozenset):
        return ("frozenset", frozenset(typed(item) for item in value))
    return (type(value).__name__, repr(value))


@given(values, values)
def test_keys_are_equal_exactly_when_values_are(one: Any, other: Any) -> None:
    assert (key(one) == key(other)) == (typed(one) == typed(other))


@given(values)
def test_a_copy_has_the_same_key(value: Any) -> None:
    assert key(copy.deepcopy(value)) == key(value) is not None


@given(st.floats(0, 1e6), st.integers(0, 200))
def test_delays_double_and_are_bounded(factor: float, retries: int) -> None:
    delays = exponential_backoff(factor)(retries)
    assert len(delays) == min(retries, 50)
    assert delays[:1] == [factor][: len(delays)]
    assert all(later == 2 * delay for delay, later in itertools.pairwise(delays))

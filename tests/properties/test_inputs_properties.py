"""Finding and replacing futures in any nested structure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowdeck import allow_failure, quote, unmapped
from flowdeck.inputs import nested
from flowdeck.states import Completed, State

_HASHABLE = st.one_of(st.integers(), st.text(max_size=3), st.none(), st.booleans())


def _state(number: int) -> State[Any]:
    return Completed(data=("value", number), name=f"s{number}")


_LEAVES = st.one_of(_HASHABLE, st.integers(0, 9).map(_state))


def _nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(_HASHABLE, children, max_size=4),
        st.dictionaries(_HASHABLE, children, max_size=3).map(OrderedDict),
        children.map(allow_failure),
        children.map(unmapped),
        children.map(quote),
    )


STRUCTURES = st.recursive(_LEAVES, _nested, max_leaves=25)


def _walk(value: Any, allowed: bool = False) -> list[tuple[Any, bool]]:
    """The plain definition of what is to be found, in order."""
    if isinstance(value, State):
        return [(value, allowed)]
    if isinstance(value, quote):
        return []
    if isinstance(value, (allow_failure, unmapped)):
        return _walk(value.value, allowed or isinstance(value, allow_failure))
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    else:
        return []
    return [found for part in parts for found in _walk(part, allowed)]


def _expected(value: Any) -> Any:
    """The plain definition of what takes the place of a value."""
    if isinstance(value, State):
        return value.data
    if isinstance(value, quote):
        return value.value
    if isinstance(value, (allow_failure, unmapped)):
        return _expected(value.value)
    if isinstance(value, dict):
        return type(value)((k, _expected(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(_expected(v) for v in value)
    return value


@given(STRUCTURES)
def test_everything_is_found_once_for_each_place(value: Any) -> None:
    found = nested.find(value)
    plain = _walk(value)
    # An object that is in several places is found in each, unless the container is shared too.
    assert {(id(s), a) for s, a in found} == {(id(s), a) for s, a in plain}
    assert len(found) <= len(plain)


@given(STRUCTURES)
def test_values_take_the_places_and_nothing_else_changes(value: Any) -> None:
    before = repr(value)
    got = nested.replace(value, lambda item: item.data)
    assert got == _expected(value)
    assert type(got) is type(_expected(value))
    assert repr(value) == before
    assert nested.find(got) == nested.find(_expected(value))


@given(STRUCTURES)
def test_putting_everything_back_gives_the_same_object(value: Any) -> None:
    assert nested.replace(value, lambda item: item, unwrap=False) is value


@given(STRUCTURES)
def test_without_unwrapping_the_marks_stay(value: Any) -> None:
    got = nested.replace(value, lambda item: item.data, unwrap=False)
    assert nested.replace(got, lambda item: item.data) == nested.replace(
        value, lambda item: item.data
    )

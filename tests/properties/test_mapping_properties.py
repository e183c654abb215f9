"""How `.map` splits arguments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowdeck import allow_failure, unmapped
from flowdeck.calls import mapping
from flowdeck.exceptions import MappingLengthMismatch, MappingMissingIterable

_ITEMS = st.lists(st.integers(), max_size=5)
_ITERABLES = st.one_of(
    _ITEMS,
    _ITEMS.map(tuple),
    _ITEMS.map(lambda x: dict.fromkeys(x)),
    _ITEMS.map(allow_failure),
)
_STATIC = st.one_of(st.integers(), st.text(), st.binary(), st.none(), _ITEMS.map(unmapped))
_NAMES = st.sampled_from("abcdef")


@given(st.dictionaries(_NAMES, _STATIC))
def test_nothing_iterable_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(MappingMissingIterable):
        mapping.split(parameters)


@given(st.dictionaries(_NAMES, _ITERABLES, min_size=1), st.dictionaries(_NAMES, _STATIC))
def test_each_argument_is_either_mapped_or_whole(
    iterables: dict[str, Any], statics: dict[str, Any]
) -> None:
    parameters = {**statics, **iterables}
    lengths = {len(v.value if isinstance(v, allow_failure) else v) for v in iterables.values()}
    if len(lengths) > 1:
        with pytest.raises(MappingLengthMismatch):
            mapping.split(parameters)
        return
    mapped, static = mapping.split(parameters)
    assert mapped.keys() | static.keys() == parameters.keys()
    assert not mapped.keys() & static.keys()
    assert mapped.keys() == iterables.keys()
    for name, items in mapped.items():
        value = parameters[name]
        if isinstance(value, allow_failure):
            assert items == [allow_failure(item) for item in value.value]
        else:
            assert items == list(value)
    for name, value in static.items():
        original = parameters[name]
        assert value is (original.value if isinstance(original, unmapped) else original)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=4))
def test_lengths_must_be_the_same(lengths: list[int]) -> None:
    assume(len(set(lengths)) > 1)
    parameters = {f"p{i}": [0] * n for i, n in enumerate(lengths)}
    with pytest.raises(MappingLengthMismatch) as caught:
        mapping.split(parameters)
    assert str(dict(zip(parameters, lengths, strict=True))) in str(caught.value)

"""Inputs of recorded task runs: whatever is restored is what was given, or looks like it throughout."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowdeck.debugging.inputs import Lost, Restored, restore
from flowdeck.debugging.texts import value_in
from flowdeck.values.previews import params_reprs

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.dates() | st.datetimes() | st.timedeltas() | st.decimals(allow_nan=False) | st.uuids()
)  # fmt: skip
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def text_of(value: Any) -> str:
    return params_reprs({"x": value})["x"]


def equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


@given(VALUES)
def test_a_value_read_from_its_text_is_the_value(value: Any) -> None:
    found = value_in("x", text_of(value))
    if found is not None:
        assert equal(found[0], value)
    elif len(repr(value)) < 100 and type(value) in (int, str, bytes, bool, float):
        assert "<hidden>" in text_of(value)


@given(st.text())
def test_any_text_is_a_value_or_not_and_never_an_error(text: str) -> None:
    found = value_in("x", text)
    assert found is None or text_of(found[0]) == text


@given(VALUES, st.lists(VALUES, max_size=4))
def test_what_is_restored_has_the_recorded_text(value: Any, returned: list[Any]) -> None:
    text = text_of(value)
    results = [Restored(each, f"the kept result of t-{n}") for n, each in enumerate(returned)]
    found = restore("x", text, results)
    assert isinstance(found, Lost) or text_of(found.value) == text


@given(VALUES)
def test_a_result_passed_as_it_is_is_always_found(value: Any) -> None:
    found = restore("x", text_of(value), [Restored(value, "the kept result of t-0")])
    assert isinstance(found, Restored) or text_of(value) == "<hidden>"

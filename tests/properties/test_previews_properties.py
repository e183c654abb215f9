"""Whatever the value: texts are bounded, encodable, and true for what fits."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowdeck.values.previews import params_json, params_reprs, safe_repr
from flowdeck.values.redaction import is_secret, without_secrets

atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.binary(max_size=20)
)
keys = st.text(max_size=10) | st.integers() | st.booleans() | st.none()
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=5)
        | st.frozensets(atoms, max_size=5)
    ),
    max_leaves=20,
)
open_names = st.text(min_size=1, max_size=10).filter(lambda name: not is_secret(name))
open_texts = st.text(max_size=20).filter(
    lambda text: without_secrets(text) == text and not is_secret(text)  # ["pwd", 5] is a form field
)
strict = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**100), 10**100) | open_texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(open_names, inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(values, st.integers(1, 300), st.integers(1, 6))
def test_a_repr_keeps_within_its_limit_and_can_be_encoded(
    value: Any, limit: int, depth: int
) -> None:
    text = safe_repr(value, limit, depth)
    text.encode()
    assert len(text) <= limit


@given(values)
def test_a_repr_with_room_enough_is_the_built_in_one(value: Any) -> None:
    assert safe_repr(value, 100_000, 50) == repr(value)


@given(values, st.integers(5, 200))
def test_a_cut_repr_begins_like_the_full_one(value: Any, limit: int) -> None:
    text, full = safe_repr(value, limit, 50), safe_repr(value, 100_000, 50)
    if text != full:
        assert text.endswith("…")
        assert full.startswith(text[: len(text) // 2].rstrip("'\"bx\\"))


@given(st.dictionaries(st.text(min_size=1, max_size=10), values, max_size=5), st.integers(0, 500))
def test_parameters_are_always_strict_encodable_json(
    parameters: dict[str, Any], limit: int
) -> None:
    text = params_json(parameters, limit)
    text.encode()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert isinstance(json.loads(text, parse_constant=refuse), dict)


@given(st.dictionaries(open_names, strict, max_size=5))
def test_json_values_come_back_from_json_unchanged(parameters: dict[str, Any]) -> None:
    assert json.loads(params_json(parameters, 100_000)) == parameters


@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_every_parameter_has_a_bounded_repr(parameters: dict[str, Any]) -> None:
    reprs = params_reprs(parameters)
    assert list(reprs) == list(parameters)
    assert all(len(text) <= 200 for text in reprs.values())


@given(st.text())
def test_hiding_twice_hides_no_more(text: str) -> None:
    once = without_secrets(text)
    assert without_secrets(once) == once


@given(
    st.sampled_from(["password", "api_key", "Authorization", "token"]),
    st.text("abcdef0123456789", min_size=8, max_size=8),
    st.integers(0, 1),
)
def test_a_secret_in_nested_dicts_is_never_shown(name: str, secret: str, wrap: int) -> None:
    value: Any = {name: f"s3cr3t-{secret}"}
    for _ in range(wrap):
        value = [value]
    assert "s3cr3t" not in safe_repr(value, hides=is_secret)

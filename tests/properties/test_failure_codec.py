"""Cutting a failure in two and joining it gives the failure back, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_store import failures

TEXT = st.text(max_size=12)
LOCALS = st.lists(
    st.fixed_dictionaries(
        {"name": TEXT, "type": TEXT, "repr": TEXT}, optional={"size": st.integers()}
    ),
    max_size=3,
)
FRAMES = st.lists(
    st.fixed_dictionaries(
        {"file": TEXT, "lineno": st.integers(0, 99), "is_user": st.booleans()},
        optional={"locals": LOCALS, "source": st.tuples(st.integers(), st.lists(TEXT)).map(list)},
    ),
    max_size=3,
)


def exceptions() -> st.SearchStrategy[dict[str, Any]]:
    def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries(
            {"type": TEXT, "message": TEXT},
            optional={
                "notes": st.lists(TEXT, max_size=2),
                "frames": FRAMES,
                "cause": st.none() | inner,
                "context": st.none() | inner,
                "group": st.lists(inner, max_size=3),
                "suppress_context": st.booleans(),
                "truncated": TEXT,
            },
        )

    leaf = st.fixed_dictionaries({"type": TEXT, "message": TEXT, "frames": FRAMES})
    return st.recursive(leaf, deeper, max_leaves=6)


@given(exceptions())
def test_join_undoes_split(exception: dict[str, Any]) -> None:
    before = json.dumps(exception)
    structure, variables = failures.split(exception)
    assert failures.join(structure, variables) == exception
    assert json.dumps(exception) == before, "the record that was given is not touched"
    assert (structure + variables).isascii()


@given(exceptions(), TEXT)
def test_equal_failures_share_a_structure_whatever_their_messages_and_locals(
    exception: dict[str, Any], text: str
) -> None:
    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = {"message": text, "notes": [text], "locals": [{"name": text}]}
        return {key: keys.get(key, changed(item)) for key, item in value.items()}

    other = changed(exception)
    assert failures.split(other)[0] == failures.split(exception)[0]
    assert failures.join(*failures.split(other)) == other


@given(exceptions())
def test_keys_in_another_order_give_the_same_structure(exception: dict[str, Any]) -> None:
    turned = dict(reversed(exception.items()))
    assert failures.split(turned) == failures.split(exception)


@given(st.text(max_size=30), st.text(max_size=30))
def test_joining_nonsense_is_a_value_error(structure: str, variables: str) -> None:
    with pytest.raises(ValueError):
        failures.join(structure, variables)


@pytest.mark.parametrize(
    ("structure", "variables"),
    [
        ("{}", '{"locals": [[]]}'),
        ('{"frames": []}', '{"locals": [[]]}'),
        ("{}", '{"cause": {}}'),
        ('{"cause": null}', '{"cause": {}}'),
        ('{"group": [{}]}', '{"group": []}'),
        ('{"frames": [3]}', '{"locals": [[]]}'),
        ("[]", "{}"),
        ("{}", "null"),
    ],
)
def test_halves_that_do_not_belong_together_are_refused(structure: str, variables: str) -> None:
    with pytest.raises(ValueError):
        failures.join(structure, variables)


def test_a_very_deep_chain_is_cut_only_once_and_comes_back() -> None:
    exception: dict[str, Any] = {"type": "E", "message": "0"}
    for depth in range(300):
        exception = {"type": "E", "message": str(depth), "cause": exception}
    assert failures.join(*failures.split(exception)) == exception


def test_lone_surrogates_go_through() -> None:
    exception = {"type": "E", "message": "\ud800", "frames": []}
    assert failures.join(*failures.split(exception)) == exception

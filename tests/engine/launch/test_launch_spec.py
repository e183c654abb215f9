"""What is asked for goes through a file into another process, and arrives as it was."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.runs.launch_spec import LaunchSpec, requested, take_requested

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=3)
SPECS = st.builds(
    LaunchSpec,
    target=st.text(),
    values=st.dictionaries(st.text(), VALUES, max_size=3),
    texts=TEXTS,
    runner=st.none() | st.text(),
    runner_options=TEXTS,
    name=st.none() | st.text(),
    tags=st.lists(st.text(), max_size=3).map(tuple),
    rerun_of=st.none() | st.text(),
    reuse=st.booleans(),
    uid=st.none() | st.text(),
)


@given(SPECS)
def test_a_spec_arrives_as_it_was(spec: LaunchSpec) -> None:
    assert LaunchSpec.from_json(spec.to_json()) == spec


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LaunchSpec(target="a.py:f").target = "b.py:f"  # type: ignore[misc]


def test_what_is_asked_for_is_used_up_by_the_first_run() -> None:
    asked = LaunchSpec(target="a.py:f", name="one")
    with requested(asked):
        assert take_requested() is asked
        assert take_requested() == LaunchSpec()
    assert take_requested() == LaunchSpec()

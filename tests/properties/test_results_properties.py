"""Whatever is kept comes back; whatever is damaged is not taken for a value."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.exceptions import MissingResult
from flowdeck.runs.results import ResultStore
from flowdeck.serializers import NAMES

folder = Path(tempfile.mkdtemp(prefix="flowdeck-test-"))
atexit.register(shutil.rmtree, folder, ignore_errors=True)
store = ResultStore(folder)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(plain, st.sampled_from(NAMES))
def test_every_plain_value_comes_back_by_every_serializer(value: Any, name: str) -> None:
    location, _ = store.write(value, name)
    found = store.read(location)
    store.discard(location)
    assert found == value
    assert type(found) is type(value)


@given(st.binary(min_size=1), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_is_noticed(value: bytes, at: int, change: int) -> None:
    location, _ = store.write(value)
    path = store.folder / location
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= change
    path.write_bytes(content)
    try:
        found = store.read(location)
    except MissingResult:
        found = None
    store.discard(location)
    assert found is None


@given(st.text())
def test_a_text_that_is_no_location_is_refused(location: str) -> None:
    with pytest.raises(MissingResult, match="is no location"):
        store.read(location)

"""Names of any text: bounded, checked, hashed."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from flowdeck.exceptions import InvalidNameError
from flowdeck.runs.names import BANNED_CHARACTERS, check_name, slug, task_key_hash
from flowdeck.values.statics import bound

texts = st.text(st.characters())


@given(texts, st.integers(0, 50))
def test_bound_keeps_within_the_limit_and_begins_the_same(text: str, limit: int) -> None:
    short = bound(text, limit)
    assert len(short) <= max(limit, 0)
    assert short == text or text.startswith(short[:-1])


@given(texts)
def test_exactly_names_with_banned_characters_are_refused(name: str) -> None:
    try:
        check_name(name, "task name")
    except InvalidNameError:
        refused = True
    else:
        refused = False
    assert refused == any(character in name for character in BANNED_CHARACTERS)


@given(texts)
def test_every_key_has_a_hash_of_eight_hex_digits(key: str) -> None:
    assert re.fullmatch("[0-9a-f]{8}", task_key_hash(key))


@given(st.integers())
def test_slugs_repeat_with_their_generator(seed: int) -> None:
    assert slug(random.Random(seed)) == slug(random.Random(seed))

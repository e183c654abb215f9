"""Texts are stored so that they can be read again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowdeck_store import events as ev
from flowdeck_store.text import bounded_event, clean, clip

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY_TEXT)
def test_a_clean_text_is_utf8_without_nul(text: str) -> None:
    done = clean(text)
    assert "\0" not in done
    assert done.encode("utf-8").decode("utf-8") == done


@given(st.text().filter(lambda text: "\0" not in text))
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@given(ANY_TEXT.map(lambda text: text * 20), st.integers(min_value=41, max_value=90))
def test_a_clipped_text_keeps_its_start_and_says_what_is_missing(text: str, limit: int) -> None:
    done = clip(text, limit)
    whole = text.encode("utf-8", "backslashreplace")
    if len(whole) <= limit:
        assert done == text
        return
    kept, _, rest = done.rpartition("… ")
    assert whole.startswith(kept.encode())
    assert limit - 44 < len(kept.encode()) <= limit - 40
    assert len(done.encode()) <= limit
    assert rest == f"{len(whole) - len(kept.encode()):,} more bytes"


def test_lone_surrogates_count_as_what_they_are_stored_as() -> None:
    done = clip("\ud800" * 20, 80)
    assert done.endswith("more bytes")
    assert len(done.encode()) <= 80


def test_the_mark_counts_bytes_not_characters() -> None:
    assert clip("ä" * 100, 60) == "ä" * 10 + "… 180 more bytes"


def test_json_that_is_too_large_is_left_out_rather_than_broken() -> None:
    huge = '{"a":"' + "x" * 5_000_000 + '"}'
    event = ev.failure("run", 1, 2, 1, "E", "m" * 100_000, huge, '{"b":1}')
    done = bounded_event(event)
    assert done[7:] == ("{}", '{"b":1}')
    assert done[6].endswith("more bytes")
    medium = '{"a":"' + "x" * 500_000 + '"}'
    assert bounded_event(ev.artifact("run", 1, 2, "table", None, medium))[6] == medium

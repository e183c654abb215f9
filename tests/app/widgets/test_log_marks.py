"""What of a log filter is marked in the lines."""

from __future__ import annotations

import pytest

from flowdeck_app.views.logs import texts_in


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("", ()),
        ("level:warning", ()),
        ("timeout level:warning", ("timeout",)),
        ('"two words" more', ("two words", "more")),
        ("this,that -other", ("this,that",)),
        ("page=*", ()),
        ('"a*b"', ("a*b",)),
        ("level:", ()),
    ],
)
def test_plain_texts_are_marked_and_nothing_else(query: str, marked: tuple[str, ...]) -> None:
    assert texts_in(query) == marked

"""Every theme shows every state; ours with enough contrast; no glyph is wider than a cell."""

from __future__ import annotations

import unicodedata

import pytest
from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from flowdeck_app.drawing import signs, theme
from flowdeck_app.drawing.signs import Kind, kind_of, word_of
from flowdeck_store import states

STATE_VARIABLES = [name for name in theme.VARIABLES if name in theme._DARK_STATES]


@pytest.mark.parametrize("own", theme.THEMES, ids=lambda t: t.name)
def test_state_colours_of_our_themes_can_be_read(own: Theme) -> None:
    assert own.background is not None
    for name in (*STATE_VARIABLES, "fd-muted", "fd-accent", "fd-strong"):
        assert theme.contrast(own.variables[name], own.background) >= 4.5, name
        assert theme.contrast(own.variables[name], own.variables["fd-cursor"]) >= 3.8, name


@pytest.mark.parametrize("known", [*theme.THEMES, *BUILTIN_THEMES.values()], ids=lambda t: t.name)
def test_every_theme_has_a_colour_for_everything_views_name(known: Theme) -> None:
    variables = {**theme.variables_for(known), **known.variables}
    assert set(theme.VARIABLES) <= set(variables)
    for name in theme.VARIABLES:
        Color.parse(variables[name])


def test_the_colour_blind_theme_has_four_groups() -> None:
    colours = {theme._BLIND_STATES[name] for name in STATE_VARIABLES}
    assert len(colours) == 5  # good, bad, waiting, active, and problems that may still pass
    assert theme._BLIND_STATES["fd-completed"] == theme._BLIND_STATES["fd-cached"]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_one_cell_sign_without_emoji_presentation(kind: Kind) -> None:
    sign = signs.SIGNS[kind]
    assert cell_len(sign.glyph) == len(sign.glyph) == 1
    assert sign.ascii.isascii()
    assert len(sign.ascii) == 1
    assert unicodedata.east_asian_width(sign.glyph) not in "WF"


def test_both_sets_of_signs_have_the_same_widths() -> None:
    for name in signs.Symbols.__dataclass_fields__:
        one, other = getattr(signs.UNICODE, name), getattr(signs.ASCII, name)
        if isinstance(one, str) and name != "spinner":
            assert cell_len(one) == cell_len(other), name
            assert other.isascii(), name


def test_names_of_states_decide_over_their_types() -> None:
    assert kind_of(states.COMPLETED, "Cached") is Kind.CACHED
    assert kind_of(states.PENDING, "NotReady") is Kind.SKIPPED
    assert kind_of(states.SCHEDULED, "AwaitingRetry") is Kind.RETRYING
    assert kind_of(states.FAILED, "TimedOut") is Kind.FAILED
    assert word_of(states.FAILED, "TimedOut") == "timed out"
    assert word_of(states.COMPLETED) == "completed"
    assert word_of(states.PENDING, "NotReady") == "skipped"


def test_each_bucket_has_a_kind() -> None:
    assert len(signs.BUCKET_KINDS) == len(states.BUCKETS)


@pytest.mark.parametrize("name", [theme.DARK, theme.COLOUR_BLIND])
def test_dark_backgrounds_differ_in_256_colours(name: str) -> None:
    own = next(found for found in theme.THEMES if found.name == name)
    shades = [own.background, own.surface, own.panel, own.variables["fd-cursor"]]
    numbers = [
        RichColor.parse(shade or "").downgrade(ColorSystem.EIGHT_BIT).number for shade in shades
    ]
    assert all(number is not None and number >= 232 for number in numbers), "greys, not black"
    assert len(set(numbers)) == len(numbers)

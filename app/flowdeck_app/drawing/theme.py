"""Themes: two of our own, one for colour-blind readers, and state colours for all the others.

Every theme, Textual's own and the terminal's (``ansi-…``) included, gets the ``$fd-…`` variables
that views use, so a state has its colour everywhere. The values of our own themes have a contrast
of at least 4.5 to their background (a test computes it). The backgrounds of the dark ones have so
little colour that terminals of 256 colours (most, over ssh) show them as greys that differ, and not
all as black.
"""

from __future__ import annotations

from typing import Final

from textual.color import Color
from textual.theme import Theme

DARK: Final = "flowdeck-dark"
LIGHT: Final = "flowdeck-light"
COLOUR_BLIND: Final = "flowdeck-colour-blind"

_DARK_STATES: Final = {
    "fd-waiting": "#8b949e",
    "fd-running": "#6cb6ff",
    "fd-retrying": "#e0af68",
    "fd-completed": "#5fb88f",
    "fd-cached": "#56b6c2",
    "fd-failed": "#f2727f",
    "fd-crashed": "#ff9e64",
    "fd-cancelled": "#a38fc7",
}
_LIGHT_STATES: Final = {
    "fd-waiting": "#636c76",
    "fd-running": "#0a5fc2",
    "fd-retrying": "#8f5d00",
    "fd-completed": "#1a7f4b",
    "fd-cached": "#0f7681",
    "fd-failed": "#c1272d",
    "fd-crashed": "#b04a00",
    "fd-cancelled": "#6f52a8",
}
#: Four groups that stay apart in every kind of colour blindness: good, bad, waiting, active.
_BLIND_STATES: Final = {
    "fd-waiting": "#9aa3ad",
    "fd-running": "#ffffff",
    "fd-retrying": "#e8c547",
    "fd-completed": "#6fb1f0",
    "fd-cached": "#6fb1f0",
    "fd-failed": "#ff9640",
    "fd-crashed": "#ff9640",
    "fd-cancelled": "#9aa3ad",
}
_ANSI_STATES: Final = {
    "fd-waiting": "ansi_bright_black",
    "fd-running": "ansi_blue",
    "fd-retrying": "ansi_yellow",
    "fd-completed": "ansi_green",
    "fd-cached": "ansi_cyan",
    "fd-failed": "ansi_red",
    "fd-crashed": "ansi_bright_red",
    "fd-cancelled": "ansi_magenta",
    "fd-muted": "ansi_bright_black",
    "fd-faint": "ansi_bright_black",
    "fd-line": "ansi_bright_black",
    "fd-accent": "ansi_blue",
    "fd-cursor": "ansi_default",
    "fd-cursor-blurred": "ansi_default",
    "fd-match": "ansi_yellow",
    "fd-match-text": "ansi_black",
    "fd-strong": "ansi_default",
}

_DARK: Final = Theme(
    name=DARK,
    primary="#6cb6ff",
    secondary="#8fb3d9",
    accent="#6cb6ff",
    warning="#e0af68",
    error="#f2727f",
    success="#5fb88f",
    foreground="#c9d1d9",
    background="#14171b",
    surface="#181c20",
    panel="#20252b",
    boost="#ffffff0a",
    dark=True,
    variables={
        **_DARK_STATES,
        "fd-muted": "#8b949e",
        "fd-faint": "#5c6570",
        "fd-line": "#343b45",
        "fd-accent": "#6cb6ff",
        "fd-cursor": "#2b3239",
        "fd-cursor-blurred": "#1f2429",
        "fd-match": "#e0af68",
        "fd-match-text": "#14171b",
        "fd-strong": "#f0f3f6",
        "border": "#6cb6ff",
        "border-blurred": "#343b45",
        "footer-background": "#14171b",
        "footer-key-foreground": "#6cb6ff",
        "footer-description-foreground": "#8b949e",
        "block-cursor-background": "#2b4a6b",
        "block-cursor-foreground": "#f0f3f6",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#2b3239",
        "block-cursor-blurred-foreground": "#c9d1d9",
        "input-selection-background": "#2f4d6e",
        "screen-selection-background": "#2f4d6e",
        "scrollbar": "#2c3239",
        "scrollbar-hover": "#3c444f",
        "scrollbar-active": "#6cb6ff",
        "scrollbar-background": "#14171b",
        "scrollbar-background-hover": "#14171b",
        "scrollbar-background-active": "#14171b",
        "scrollbar-corner-color": "#14171b",
        "button-color-foreground": "#14171b",
    },
)
_LIGHT: Final = Theme(
    name=LIGHT,
    primary="#0a5fc2",
    secondary="#3d6ea5",
    accent="#0a5fc2",
    warning="#8f5d00",
    error="#c1272d",
    success="#1a7f4b",
    foreground="#1f2328",
    background="#fafafa",
    surface="#f3f4f6",
    panel="#e9ebef",
    boost="#0000000a",
    dark=False,
    variables={
        **_LIGHT_STATES,
        "fd-muted": "#59636e",
        "fd-faint": "#8c959f",
        "fd-line": "#cdd3da",
        "fd-accent": "#0a5fc2",
        "fd-cursor": "#dfe9f5",
        "fd-cursor-blurred": "#eef0f3",
        "fd-match": "#ffd866",
        "fd-match-text": "#1f2328",
        "fd-strong": "#000000",
        "border": "#0a5fc2",
        "border-blurred": "#cdd3da",
        "footer-background": "#fafafa",
        "footer-key-foreground": "#0a5fc2",
        "footer-description-foreground": "#59636e",
        "block-cursor-background": "#cfe1f7",
        "block-cursor-foreground": "#1f2328",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e4e8ed",
        "block-cursor-blurred-foreground": "#1f2328",
        "input-selection-background": "#b6d4f7",
        "screen-selection-background": "#b6d4f7",
        "scrollbar": "#d5dae0",
        "scrollbar-hover": "#b9c1ca",
        "scrollbar-active": "#0a5fc2",
        "scrollbar-background": "#fafafa",
        "scrollbar-background-hover": "#fafafa",
        "scrollbar-background-active": "#fafafa",
        "scrollbar-corner-color": "#fafafa",
        "button-color-foreground": "#fafafa",
    },
)
_BLIND: Final = Theme(
    name=COLOUR_BLIND,
    primary="#6fb1f0",
    secondary="#9aa3ad",
    accent="#6fb1f0",
    warning="#e8c547",
    error="#ff9640",
    success="#6fb1f0",
    foreground="#d5dae1",
    background="#14171b",
    surface="#181c20",
    panel="#20252b",
    boost="#ffffff0a",
    dark=True,
    variables={
        **_DARK.variables,
        **_BLIND_STATES,
        "fd-muted": "#9aa3ad",
        "fd-accent": "#6fb1f0",
        "fd-match": "#e8c547",
        "border": "#6fb1f0",
        "footer-key-foreground": "#6fb1f0",
        "footer-description-foreground": "#9aa3ad",
        "scrollbar-active": "#6fb1f0",
    },
)

#: Our own themes, the first is the default.
THEMES: Final[tuple[Theme, ...]] = (_DARK, _LIGHT, _BLIND)
#: Names of every variable that views may use.
VARIABLES: Final[tuple[str, ...]] = tuple(sorted(_ANSI_STATES))


def variables_for(theme: Theme) -> dict[str, str]:
    """Return the ``fd-…`` variables of any theme; a theme's own values win over these.

    For a theme that is not ours the state colours of the fitting palette are taken and the greys
    are mixed from its foreground and background.
    """
    if theme.ansi:
        return dict(_ANSI_STATES)
    colours = theme.to_color_system().generate()
    background, foreground = (Color.parse(colours[n]) for n in ("background", "foreground"))
    if background.ansi is not None or foreground.ansi is not None:
        return dict(_ANSI_STATES)
    primary = Color.parse(colours["primary"])

    def mixed(factor: float) -> str:
        return background.blend(foreground, factor).hex

    return {
        **(_DARK_STATES if theme.dark else _LIGHT_STATES),
        "fd-muted": mixed(0.65),
        "fd-faint": mixed(0.42),
        "fd-line": mixed(0.2),
        "fd-accent": primary.hex,
        "fd-cursor": background.blend(primary, 0.18).hex,
        "fd-cursor-blurred": mixed(0.06),
        "fd-match": "#e0af68" if theme.dark else "#ffd866",
        "fd-match-text": "#14171b",
        "fd-strong": foreground.hex,
    }


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio (WCAG, 1 to 21) of two colours."""
    lights = sorted((_luminance(Color.parse(c)) for c in (first, second)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def _luminance(colour: Color) -> float:
    def linear(channel: int) -> float:
        value = channel / 255
        return value / 12.92 if value <= 0.03928 else float(((value + 0.055) / 1.055) ** 2.4)

    return 0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b)

"""What must not be shown: values whose name says that they are secret, and secrets inside texts.

The patterns are :mod:`flowdeck_store.secrets.redaction`'s, for the engine, the record and the views alike.
Which names are secret is the setting ``redact``; its default is what :func:`is_secret` knows. An
empty list hides nothing at all.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from typing import TYPE_CHECKING, Any

from flowdeck.settings import REDACT, get_settings
from flowdeck_store.secrets.redaction import (
    HIDDEN,
    is_clean,
    is_secret,
    names_a_secret,
    without_secrets,
    without_shapes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "HIDDEN",
    "concealed",
    "has_hidden",
    "is_clean",
    "is_hidden",
    "is_secret",
    "names_a_secret",
    "names_in_force",
    "recorded_message",
    "without_secret_arguments",
    "without_secrets",
    "without_shapes",
]


def concealed(text: str) -> str:
    """Return a text that is about to be recorded or shown without what is secret in it.

    Raises:
        ConfigurationError: the settings cannot be read.
    """
    if is_clean(text):
        return text
    hides = names_in_force()
    return text if hides is None else without_secrets(text, hides)


def recorded_message(message: Any) -> Any:
    """Return what is recorded of a state's message, which may be ``None``."""
    return concealed(message) if type(message) is str else message


def names_in_force() -> Callable[[str], bool] | None:
    """Return what says by a name whether to hide its value, as the setting ``redact`` has it.

    The patterns of a changed setting are used as they are: they replace the default. ``None``: the
    setting is empty, nothing is to be hidden.

    Raises:
        ConfigurationError: the settings cannot be read.
    """
    patterns = get_settings().redact
    return is_secret if patterns is REDACT else _names(patterns)


@functools.lru_cache(maxsize=16)
def _names(patterns: tuple[str, ...]) -> Callable[[str], bool] | None:
    if patterns == REDACT:
        return is_secret
    if not patterns:
        return None
    matches = re.compile("|".join(map(fnmatch.translate, patterns)), re.IGNORECASE).match
    return functools.lru_cache(maxsize=2048)(lambda name: matches(name.lstrip("-")) is not None)


def is_hidden(name: str, value: object, hides: Callable[[str], bool] | None) -> bool:
    """Say whether to hide a value; that a secret is missing, or a switch, is shown."""
    return hides is not None and value is not None and type(value) is not bool and hides(name)


def without_secret_arguments(
    words: Iterable[str], hides: Callable[[str], bool] | None
) -> list[str]:
    """Return a command line without the values of options and ``name=value`` words.

    >>> without_secret_arguments(["run", "-p", "api_key=a b", "--token", "x"], is_secret)
    ['run', '-p', 'api_key=<hidden>', '--token', '<hidden>']
    """
    if hides is None:
        return list(words)
    shown: list[str] = []
    option = False  # the word before is an option whose value must not be shown
    for word in words:
        name, equals, _ = word.partition("=")
        is_option = word.startswith("-")
        if option and not is_option:
            shown.append(HIDDEN)
        elif equals and re.fullmatch(r"[\w.-]+", name) and hides(name):
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(without_secrets(word, hides))
        option = is_option and not equals and hides(word)
    return shown


def has_hidden(value: Any) -> bool:
    """Say whether a recorded value (of JSON) lacks something that was hidden."""
    if isinstance(value, str):
        return HIDDEN in value
    if isinstance(value, dict):
        return any(map(has_hidden, value.values()))
    return isinstance(value, list) and any(map(has_hidden, value))

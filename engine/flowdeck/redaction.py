"""What must not be shown: values whose name says that they are secret.

Which names those are is the setting ``redact``; its default is what :func:`is_secret` knows.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from typing import TYPE_CHECKING, Any, Final

from flowdeck.settings import REDACT, get_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HIDDEN: Final = "<hidden>"

_NAME: Final = (
    r"token|secret|passw|passphrase|pwd|(?:api|access|private)[_-]?key|auth(?!or(?!i[sz]))"
    r"|cookie|credential"
)

_secret_name: Final = re.compile(_NAME, re.IGNORECASE)
# In texts made by others: a quoted key and a colon, or a name and an equals sign. A quoted path or
# sentence before a colon is no key.
_key: Final = re.compile(
    r"""(?P<quote>["'])(?P<quoted>[\w .$-]+)(?P=quote)\s*:\s*|(?<![\w-])(?P<name>[\w-]+)="""
)
_value: Final = re.compile(
    r"""(?!None\b|True\b|False\b|null\b|true\b|false\b|<hidden>)"""
    r"""(?:"[^"]*"?|'[^']*'?|[^\s,;&)}\]"']+)"""
)
_url_password: Final = re.compile(r"(://[^/\s:@'\"]*:)[^@\s/'\"]+@")


@functools.lru_cache(maxsize=2048)
def is_secret(name: str) -> bool:
    """Say whether a variable, field or key of this name holds something secret.

    >>> is_secret("DB_PASSWORD"), is_secret("authorization"), is_secret("author")
    (True, True, False)
    """
    return _secret_name.search(name) is not None


def names_in_force() -> Callable[[str], bool]:
    """Return what says by a name whether to hide its value, as the setting ``redact`` has it.

    The patterns of a changed setting are used as they are: they replace the default.

    Raises:
        ConfigurationError: the settings cannot be read.
    """
    return _names(get_settings().redact)


@functools.lru_cache(maxsize=16)
def _names(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if patterns == REDACT:
        return is_secret
    if not patterns:
        return lambda name: False
    matches = re.compile("|".join(map(fnmatch.translate, patterns)), re.IGNORECASE).match
    return functools.lru_cache(maxsize=2048)(lambda name: matches(name.lstrip("-")) is not None)


def is_hidden(name: str, value: object, hides: Callable[[str], bool]) -> bool:
    """Say whether to hide a value; that a secret is missing, or a switch, is shown."""
    return value is not None and type(value) is not bool and hides(name)


def is_clean(text: str) -> bool:
    """Say whether nothing in a text even looks like a secret's name or a URL."""
    return "://" not in text and _secret_name.search(text) is None


def without_secrets(text: str, hides: Callable[[str], bool] = is_secret) -> str:
    """Return a text made by others with the values of secret-looking pairs and URLs replaced.

    >>> without_secrets("Login(user='ann', password='x') at postgres://ann:x@host/db")
    "Login(user='ann', password=<hidden>) at postgres://ann:<hidden>@host/db"
    """
    if hides is is_secret and is_clean(text):
        return text
    text = _url_password.sub(rf"\1{HIDDEN}@", text)
    pieces: list[str] = []
    at = 0
    for key in _key.finditer(text):
        # In a value that is hidden already, or of another name.
        if key.start() < at or not hides(key["quoted"] or key["name"]):
            continue
        value = _value.match(text, key.end())
        if value is not None:
            pieces += text[at : key.end()], HIDDEN
            at = value.end()
    return "".join([*pieces, text[at:]])


def without_secret_arguments(words: Iterable[str], hides: Callable[[str], bool]) -> list[str]:
    """Return a command line without the values of options and ``name=value`` words.

    >>> without_secret_arguments(["run", "-p", "api_key=a b", "--token", "x"], is_secret)
    ['run', '-p', 'api_key=<hidden>', '--token', '<hidden>']
    """
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

r"""Hiding what is secret in texts: the one place that every recorded or exported text passes.

What looks like a secret by itself is hidden (:data:`_SHAPES`: user info of URLs, bearer tokens, JWTs,
PEM keys, AWS keys), and what stands beside a name that says so (``password=X``, ``"token": "X"``,
``--password X``, ``Authorization: X``), in JSON, in JSON within JSON, in YAML, in reprs, in command
lines, in the queries of URLs. A text in which nothing can be secret costs a few searches for single
characters (:func:`without_secrets` is on the path of every log line).

It errs on the side of hiding where a value stands beside the name of a secret as data, and on the
side of showing in sentences: "unexpected token: name" says nothing secret.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.secrets.names import HIDDEN, is_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = [
    "HIDDEN",
    "is_clean",
    "is_secret",
    "json_without_secrets",
    "lines_without_secrets",
    "names_a_secret",
    "without_secrets",
    "without_shapes",
]

#: Characters that are looked through; no message that is stored is longer.
_MOST: Final = 131_072


@cache
def _texts() -> ModuleType:
    """Return the module with the patterns, which only a text that may hold a secret needs."""
    from flowdeck_store.secrets import texts as secret_texts

    return secret_texts


def is_clean(text: str) -> bool:
    """Say whether nothing in a text can be secret, by a few searches for single characters."""
    return not (
        ":" in text
        or "=" in text
        or "--" in text
        or "eyJ" in text
        or "AKIA" in text
        or "ASIA" in text
        or "earer " in text
        or "ghp_" in text
        or "sk-" in text
    )


def without_secrets(
    text: str, hides: Callable[[str], bool] = is_secret, *, code: bool = False
) -> str:
    r"""Return a text with what is secret in it replaced by ``<hidden>``.

    Args:
        text: any text; of one that is longer than what is ever stored, only the beginning is kept
            where it holds a secret.
        hides: says which names hold secrets.
        code: the text is source code: only literals are hidden, not the names of variables.

    >>> without_secrets("Login(user='ann', password='x') at postgres://ann:x@host/db")
    "Login(user='ann', password=<hidden>) at postgres://ann:<hidden>@host/db"
    >>> without_secrets("unexpected token: name, author=ann, monkey: 5")
    'unexpected token: name, author=ann, monkey: 5'
    """
    if is_clean(text):
        return text
    if len(text) > _MOST:
        head = without_secrets(text[:_MOST], hides, code=code)
        return text if head == text[:_MOST] else f"{head}… {len(text) - _MOST:,} more characters"
    text = _texts().without_shapes(text, code)
    if hides is is_secret and not _texts().names_a_secret(text):
        return text
    shown: str = _texts().without_named(text, hides, code)
    return shown


def lines_without_secrets(text: str, hides: Callable[[str], bool] = is_secret) -> str:
    """Return a text, all of it and in as many lines, with what is secret in it hidden."""
    if is_clean(text):
        return text
    text = _texts().without_shapes(text, True)
    shown: str = _texts().without_named(text, hides, False, in_lines=True)
    return shown


def names_a_secret(text: str) -> bool:
    """Say whether a word of a text can be the name of a secret: what is quick to tell."""
    names: bool = _texts().names_a_secret(text)
    return names


def without_shapes(text: str) -> str:
    """Return a text in which no name of a secret is without what looks like a secret by itself."""
    shown: str = _texts().without_shapes(text, False)
    return shown


def json_without_secrets(document: str) -> str:
    """Return a JSON text with what is secret in its texts hidden: it stays JSON.

    Names of fields hide nothing here: what they hide was never recorded.
    """
    if not _texts().has_signs(document):
        return document
    import json

    try:
        return json.dumps(_json_without_secrets(json.loads(document)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return without_secrets(document)


def _json_without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list):
        return [_json_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_without_secrets(item) for key, item in value.items()}
    return value

"""What must not be shown: values whose name says that they are secret."""

from __future__ import annotations

import functools
import re
from typing import Final

HIDDEN: Final = "<hidden>"

_NAME: Final = r"token|secret|passw|pwd|api_?key|access_?key|private_?key|auth(?!or(?!i[sz]))|cookie|credential"

_secret_name: Final = re.compile(_NAME, re.IGNORECASE)
# In texts made by others: a quoted key and a colon, or a name and an equals sign, and the value.
_secret_pair: Final = re.compile(
    rf"""(?P<key>["'][^"'\n]*(?:{_NAME})[^"'\n]*["']\s*:\s*|\b\w*(?:{_NAME})\w*=)"""
    r"""(?!None\b|True\b|False\b|null\b|true\b|false\b|<hidden>)"""
    r"""(?:"[^"]*"?|'[^']*'?|[^\s,;&)}\]"']+)""",
    re.IGNORECASE,
)
_url_password: Final = re.compile(r"(://[^/\s:@'\"]*:)[^@\s/'\"]+@")


@functools.lru_cache(maxsize=2048)
def is_secret(name: str) -> bool:
    """Say whether a variable, field or key of this name holds something secret.

    >>> is_secret("DB_PASSWORD"), is_secret("authorization"), is_secret("author")
    (True, True, False)
    """
    return _secret_name.search(name) is not None


def is_clean(text: str) -> bool:
    """Say whether nothing in a text even looks like a secret's name or a URL."""
    return "://" not in text and _secret_name.search(text) is None


def without_secrets(text: str) -> str:
    """Return a text made by others with the values of secret-looking pairs and URLs replaced.

    >>> without_secrets("Login(user='ann', password='x') at postgres://ann:x@host/db")
    "Login(user='ann', password=<hidden>) at postgres://ann:<hidden>@host/db"
    """
    if is_clean(text):
        return text
    return _secret_pair.sub(rf"\g<key>{HIDDEN}", _url_password.sub(rf"\1{HIDDEN}@", text))

"""Which names say that what they name is secret: of variables, fields, keys, options, columns.

Names are looked at word by word (``apiKey``, ``X-Api-Key``, ``API_KEY``): a part of another word is
no hint (``monkey``, ``author``), nor is a name that says something *about* a secret
(``token_count``, ``password_file``, ``secret_name``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: What stands in the place of a secret.
HIDDEN: Final = "<hidden>"
#: Words that are specific enough to be looked for anywhere in a name: ``pgpassword``, ``clientsecret``.
_ANYWHERE: Final = (
    r"passw(?:or)?d|passwort|passphrase|passcode|pwd|secret(?!ar)|token(?!i[sz]|ise|ology)|apikey"
    r"|credential|cookie(?!cutter)|(?:access|private)key"
)
#: What makes a key one that locks something.
_LOCKS: Final = (
    "api|access|account|admin|aes|app|application|auth|client|consumer|decrypt|decryption|deploy"
    "|encrypt|encryption|gpg|hmac|instrumentation|jwt|kms|licen[cs]e|login|master|pgp|private|root"
    "|rsa|secret|service|session|shared|sign|signing|ssh|ssl|subscription|tls|vault|webhook"
)
_WORDS: Final = (
    rf"(?:{_LOCKS})_?keys?"
    r"|pass_?keys?|bearer|jwt|t?otp"
    r"|(?:o?auth2?|authori[sz]ation)(?=$|_(?:header|headers|value|data|code|string|basic|bearer)s?$)"
    r"|(?<!gpio_)(?<!led_)pin(?=$|_?(?:code|number)$)|pincode"
    r"|(?:db|database|user|usr|smtp|imap|mail|email|mysql|pg|postgres|redis|mongo|ftp|ssh|admin|root"
    r"|login|auth|http|proxy|my)_?pass$|^pass$"
)
_SECRET: Final = rf"{_ANYWHERE}|(?<![a-z])(?:{_WORDS})(?![a-z])"
#: What is said about a secret is none.
_ABOUT: Final = (
    r"_(?:count|counts|limit|limits|length|len|size|sizes|type|types|kind|url|urls|uri|endpoint|path"
    r"|paths|file|files|filename|dir|folder|name|names|field|policy|ttl|expiry|expires|expires_at"
    r"|expires_in|expiration|lifetime|age|budget|usage|used|env|env_var|required|present|valid"
    r"|per_second|per_minute|per_request|s_per_second)$"
    r"|(?:^|_)(?:max|min|num|n|no|total|prompt|completion|input|output|new|cached|reasoning|used|many"
    r"|remaining|avg|mean|stop|special|count|context|train|text)_(?:\w+_)?tokens$"
    r"|(?:^|_)(?:eos|bos|pad|unk|sep|cls|mask|stop|start|end|special|next|last|prev|current|unexpected)"
    r"_token$"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")
#: Names of a URL's query whose value opens something.
_OF_QUERY: Final = re.compile(r"(?:^|_)(?:keys?|sig|sign|signature|hmac|verifier)$")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Say whether a variable, field or key of this name holds something secret.

    >>> is_secret("DB_PASSWORD"), is_secret("X-Api-Key"), is_secret("signingKey"), is_secret("pin")
    (True, True, True, True)
    >>> is_secret("author"), is_secret("monkey"), is_secret("max_tokens"), is_secret("primary_key")
    (False, False, False, False)
    """
    # Compiled at the first use, by re's own cache: `import flowdeck` needs none of this.
    words = _as_words(name)
    return re.search(_SECRET, words) is not None and re.search(_ABOUT, words) is None


@lru_cache(maxsize=1024)
def is_secret_in_query(name: str) -> bool:
    """Say so of a name in a URL's query: ``?key=``, ``&X-Amz-Signature=``, ``&sig=``."""
    return is_secret(name) or _OF_QUERY.search(_as_words(name)) is not None


@lru_cache(maxsize=1024)
def is_password(name: str) -> bool:
    """Say whether a name can mean nothing but a secret, also in a sentence (``token`` can)."""
    return (
        re.search(r"pass(?!e|i)|pwd|api_?key|secret_?key|access_?key", _as_words(name)) is not None
    )


@lru_cache(maxsize=1024)
def is_header(name: str) -> bool:
    """Say whether the value of this name is all that follows in the line: of HTTP headers."""
    words = _as_words(name)
    return words.endswith(("authorization", "cookie", "authorisation"))


def _as_words(name: str) -> str:
    """Return ``api_key`` for ``apiKey``, ``API-KEY``, ``--api-key``."""
    return _NOT_A_WORD.sub("_", _CAMEL.sub("_", name[:200]).lower()).strip("_")

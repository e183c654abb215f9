"""Redaction both ways: no secret that stands beside its name is shown, no ordinary text is changed."""

from __future__ import annotations

import json
import string

from hypothesis import given
from hypothesis import strategies as st

from flowdeck.values.previews import params_reprs, preview
from flowdeck_store.secrets.redaction import HIDDEN, is_secret, without_secrets

NAMES = [
    "password", "db_password", "DB_PASSWORD", "dbPassword", "passwd", "passcode", "pin", "api_key",
    "apiKey", "X-Api-Key", "token", "access_token", "accessToken", "client_secret", "signing_key",
    "ssh_key", "encryption_key", "private_key", "bearer", "authorization", "credentials",
]  # fmt: skip
secrets = st.text(string.ascii_letters + string.digits, min_size=6, max_size=30).map(
    lambda text: f"Zq9{text}"
)
#: How a value stands beside its name, in texts that real programs make.
SHAPES = [
    "{name}={value}",
    "{name} = '{value}'",
    '{name}="{value}"',
    "{name}: {value}",
    "a: 1\n  {name}: {value}\nb: 2",
    "connecting to x:5432 with {name}={value} as ann",
    "https://host/path?a=1&{name}={value}&b=2",
    "{{'user': 'ann', '{name}': '{value}'}}",
    '{{"user": "ann", "{name}": "{value}"}}',
    '{{\\"{name}\\": \\"{value}\\"}}',
    "Login(user='ann', {name}='{value}')",
    "['tool', '--{name}', '{value}', '-v']",
    "tool --{name} {value} -v",
    "tool --{name}={value} -v",
    "export {name}={value}; run",
    "{name}: str = '{value}'",
]
words = st.sampled_from(
    [
        "the",
        "a",
        "monkey",
        "keyboard",
        "author",
        "authority",
        "turkey",
        "hockey",
        "whiskey",
        "opinion",
        "spin",
        "ping",
        "mapping",
        "compass",
        "passenger",
        "bypass",
        "tokenizer",
        "secretary",
        "keynote",
        "pinned",
        "donkey",
        "jockey",
        "passes",
        "forty",
        "key",
        "value",
        "row",
        "table",
        "run",
        "task",
        "user",
        "host",
        "port",
        "file",
        "name",
        "path",
        "time",
        "count",
        "error",
        "retry",
        "page",
        "limit",
        "total",
    ]
)
marks = st.sampled_from(
    [" ", "=", ": ", ", ", " -> ", "/", " 12 ", "='x' ", ": 3.5, ", "?a=", "--"]
)


@given(st.sampled_from(NAMES), st.sampled_from(SHAPES), secrets)
def test_a_secret_beside_its_name_is_hidden(name: str, shape: str, secret: str) -> None:
    text = shape.format(name=name, value=secret)
    for made in (text, repr(text), json.dumps({"log": text}), json.dumps(json.dumps([text]))):
        hidden = without_secrets(made)
        assert secret not in hidden
        assert HIDDEN in hidden


@given(st.sampled_from(NAMES), secrets, st.integers(0, 3))
def test_a_secret_in_a_structure_is_hidden(name: str, secret: str, wraps: int) -> None:
    value: object = {name: secret, "other": 1}
    for _ in range(wraps):
        value = [value, 2]
    assert secret not in preview(value)
    assert secret not in params_reprs({"given": value})["given"]


@given(
    secrets, st.sampled_from(["postgres", "https", "amqp+ssl"]), st.text("abcx.@:/-", max_size=10)
)
def test_the_password_of_a_url_is_hidden(secret: str, scheme: str, rest: str) -> None:
    assert secret not in without_secrets(f"{scheme}://ann:{secret}@host/{rest}")
    assert secret not in without_secrets(f"could not reach {scheme}://:{secret}@host:1 ({rest})")


@given(st.lists(st.tuples(words, marks), max_size=15))
def test_ordinary_texts_are_untouched(parts: list[tuple[str, str]]) -> None:
    text = "".join(word + mark for word, mark in parts)
    if "?" not in text:  # in the query of a URL a key opens something
        assert without_secrets(text) == text


@given(st.lists(words, min_size=1, max_size=4))
def test_names_of_ordinary_words_are_not_secret(parts: list[str]) -> None:
    names = ["_".join(parts), "".join(map(str.capitalize, parts)), "-".join(parts)]
    assert not any(is_secret(name) for name in names if "user_pin" not in name)


@given(st.text(), st.sampled_from(NAMES), st.sampled_from(["=", ": ", "':'", '": "']))
def test_any_text_can_be_looked_through_twice(text: str, name: str, mark: str) -> None:
    once = without_secrets(f"{text}{name}{mark}{text}")
    assert without_secrets(once) == once

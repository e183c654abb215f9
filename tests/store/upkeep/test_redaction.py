"""What is hidden in texts, and what is not: shapes of secrets, values beside names that say so."""

from __future__ import annotations

import json
import time

import pytest

from flowdeck_store.secrets.redaction import (
    HIDDEN,
    is_secret,
    json_without_secrets,
    without_secrets,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.hunter2hunter2hunter2"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEhunter2\nhunter2==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        "postgres://ann:hunter2@host/db",
        "postgres://ann:hu/hunter2@host/db",
        "redis://:hunter2@cache:6379/0",
        "at 'amqps://u:p@ss-hunter2@h/x'",
        "postgres://ann:hunter2…",
        "amqps://hunter2abcdef01234567@errors.example/1",
        "Authorization: Bearer hunter2",
        "authorization: Basic hunter2",
        "Authorization=Bearer hunter2",
        "{'Authorization': 'Bearer hunter2'}",
        "b'authorization': b'hunter2'",
        "sent Bearer hunter2.abc",
        "Cookie: a=1; b=hunter2",
        "Set-Cookie: sid=hunter2; Path=/",
        "GET https://x/y?api_key=hunter2&z=1",
        "https://x/?key=hunter2",
        "https://x/?a=1&X-Amz-Signature=hunter2",
        "https://x/?a=1&X-Amz-Security-Token=hunter2&b=2",
        "token=hunter2",
        "curl -u me:hunter2 https://x",
        "['curl', '--user', 'me:hunter2', 'https://x']",
        '["--password", "hunter2"]',
        "['mysql', '--password', 'hunter2']",
        "mysql --password hunter2",
        "mysql --password=hunter2",
        "password: hunter2",
        "- name: x\n  password: hunter2 # the old one\n  host: b",
        repr("a: 1\n  password: hunter2\nb: 2"),
        "password: |\n  hunter2\n",
        "user: ann, password: hunter2, port: 1",
        "login failed with password: hunter2",
        '{"a": {"password": "hunter2"}}',
        json.dumps(json.dumps({"password": "hunter2"})),
        json.dumps(json.dumps({"x": json.dumps({"token": "hunter2"})})),
        "password='hunter2 hunter2'",
        "it can't log in with password='hunter2'",
        r"password='it\'s hunter2'",
        "passwords: ['hunter2', 'b']",
        '{"secrets": {"a": "hunter2", "b": ["x"]}, "n": 1}',
        'secret = "hunter2"',
        "def f(user: str, password: str = 'hunter2')",
        "Server=db;User Id=sa;Pwd=hunter2;Timeout=3",
        "AccountName=x;AccountKey=hunter2==;EndpointSuffix=y",
        "PGPASSWORD=hunter2 psql",
        "x-api-key: hunter2",
        "ssh_key: hunter2",
        "{'pin': hunter2}",
        "bearer=hunter2",
        JWT,
        f"the jwt {JWT} is old",
        PEM,
        repr(PEM),
        repr(PEM[:50]),
        json.dumps({"key": PEM}),
    ],
)
def test_secrets_are_hidden_and_hiding_again_hides_no_more(text: str) -> None:
    hidden = without_secrets(text)
    assert "hunter2" not in hidden
    assert HIDDEN in hidden
    assert without_secrets(hidden) == hidden


def test_keys_of_aws_are_hidden() -> None:
    assert without_secrets("id AKIAIOSFODNN7EXAMPLE, region") == f"id {HIDDEN}, region"
    assert "wJalrXUtnFEMI" not in without_secrets("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG")


@pytest.mark.parametrize(
    "text",
    [
        "unexpected token: 'x' at http://host/path?a=1, author='ann'",
        "Unexpected token: identifier",
        "monkey=5, keyboard: qwerty, author: ann, turkey='gobble', hockey: 3",
        "sorted(key=len), primary_key=5, cache key=abc-1234, sort_key: 3",
        "SyntaxError: '/lib/tokenizedata/bad_coding.py': uft-8",
        "open('/etc/auth/x.conf'): no such file",
        "a 'cookie, or so': ten",
        "The option --token is required",
        "max_tokens=512, n_tokens: 3, token_count: 3, total_tokens=7",
        "KeyError: 'password'",
        "getpass('Password: ', stream=None, x='y')",
        'print("Token: " + repr(token))',
        "password: is required",
        "Please enter your password:",
        "http://localhost:8080/a@b and https://example.com:443/@me",
        "bearer of bad news: Bearer token is missing",
        "signature 'user: str, password: str' but received args: (1, 2)",
        "WHERE token = ? AND password = %s",
        "PASSWORD=$DB_PASSWORD PASSWORD=${DB_PASSWORD}",
        "login(password=password, token=self.token)",
        "spinning: 5, mapping=3, shopping: 4, ping=ok, pinned: 3",
        "password=None token=null secret=False",
        "auth=disabled cookies=enabled, token: missing, {'auth': 'none'}",
        "The secret: the sauce is great",
        "sk-learn 1.5: fitted",
        "git push -u origin:main, docker run -u 1000:1000",
        "ssh://git@github.com/x and git@github.com:o/r.git",
        "secret_name=prod/db, token_url: https://x/y, password_file=/run/x",
        "https://x?sort=key&page=2",
        "12:30:45 | INFO | Finished in state Failed('Task run encountered an exception: boom 12')",
        "<object at 0x7f3a: not shown>",
        "x" * 200 + ": y",
    ],
)
def test_ordinary_texts_are_untouched(text: str) -> None:
    assert without_secrets(text) == text


def test_of_source_code_only_literals_are_hidden() -> None:
    code = "connect(password=os.environ['PW'], token=find(), api_key='hunter2', port=1)"
    shown = "connect(password=os.environ['PW'], token=find(), api_key=<hidden>, port=1)"
    assert without_secrets(code, code=True) == shown
    lines = f'KEY = """{PEM}"""\nnext = 1'
    assert without_secrets(lines, code=True).count("\n") == lines.count("\n")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ('connect("Server=db;Password=hunter2;")', 'connect("Server=db;Password=<hidden>;")'),
        ("get('https://x/?token=hunter2&n=1')", "get('https://x/?token=<hidden>&n=1')"),
        ('run(["curl", "--token=hunter2"])', 'run(["curl", "--token=<hidden>"])'),
        ('run("mysql --password hunter2 -h x")', 'run("mysql --password <hidden> -h x")'),
        ('E("login: password=hunter2")', 'E("login: password=<hidden>")'),
        ('f(d["a"], """x=1 token=hunter2""")', 'f(d["a"], """x=1 token=<hidden>""")'),
    ],
)
def test_of_literals_in_source_code_what_they_say_is_hidden(code: str, shown: str) -> None:
    assert without_secrets(code, code=True) == shown


@pytest.mark.parametrize(
    "code",
    ['f"password={self.word}"', "f'{url}?token={find(1)}'", 'f("a", token=tok, secret=s.x)',
     "'password=%s' % word", '"--token={}".format(x)', 'd["it\\"s"], password=word',
     "'token: is missing'", 'run(["--password", word])', "'use `token=` for it'"],
)  # fmt: skip
def test_code_without_secrets_is_untouched(code: str) -> None:
    assert without_secrets(code, code=True) == code


def test_names_of_the_users_own_are_hidden_in_texts() -> None:
    assert without_secrets("iban: 'DE00' x=1", "iban".__eq__) == f"iban: {HIDDEN} x=1"


def test_json_stays_json() -> None:
    document = json.dumps(
        {"url": "postgres://ann:hunter2@host/db", "n": [1, None, {"note": "password=hunter2"}]}
    )
    shown = json.loads(json_without_secrets(document))
    assert shown["url"] == f"postgres://ann:{HIDDEN}@host/db"
    assert shown["n"][2] == {"note": f"password={HIDDEN}"}
    assert json_without_secrets('{"pin": 1234}') == '{"pin": 1234}'


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWD", "api_key", "apiKey", "X-Api-Key", "PGPASSWORD", "clientSecret", "token",
     "refreshToken", "pin", "userPin", "PIN_CODE", "passcode", "bearer", "signing_key", "signingKey",
     "ssh_key", "encryption_key", "encryptionKey", "SECRET_KEY", "db_pass", "smtpPass", "auth",
     "Proxy-Authorization", "oauth2", "cookies", "jwt", "otp", "AccountKey", "license_key",
     "webhook_secret", "session_key", "--token", "passphrase", "aws_credentials"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["monkey", "keyboard", "author", "authority", "authors", "turkey", "key", "keys", "sort_key",
     "primary_key", "public_key", "hotkey", "spin", "pinned", "mapping", "ping", "opinion", "compass",
     "passenger", "bypass", "first_pass", "passes", "passport", "tokenizer", "tokenize", "secretary",
     "max_tokens", "num_tokens", "token_count", "password_file", "secret_name", "token_url",
     "auth_method", "cookiecutter", "eos_token", "result_storage_key", "partition_key"],
)  # fmt: skip
def test_ordinary_names(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    "piece",
    ["a=", "password", "://a:", "://a:b", '"', "-----BEGIN ", "\\", "password: ", "'key':", "--a ",
     "password=[", "a:", "eyJ", "eyJabcdefgh.", "bearer ", "key: str ", "curl -u a:", "AKIA", "sk-",
     "password='", "token ", "password: \\n", "?key="],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    text = f"{piece * (60_000 // len(piece))} key: ="
    started = time.process_time()
    without_secrets(text)
    assert time.process_time() - started < 2.0  # some hundredths; a quadratic one takes minutes


def test_of_a_text_longer_than_any_that_is_stored_the_beginning_is_looked_through() -> None:
    text = "password=hunter2 " + "x" * 1_000_000
    assert without_secrets(text).startswith(f"password={HIDDEN} xxx")
    assert without_secrets("x" * 1_000_000) == "x" * 1_000_000

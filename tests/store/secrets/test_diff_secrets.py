"""Secrets in unified diffs: each line begins with a sign, and a secret may have several lines."""

from __future__ import annotations

import difflib

import pytest

from flowdeck_store.secrets.diffs import diff_without_secrets
from flowdeck_store.secrets.redaction import without_secrets

LINES = (
    'API_KEY = "hunter2-base"',
    'API_KEY ="hunter2-base"',
    'API_KEY="hunter2-base"',
    "API_KEY=hunter2-base",
    'export API_KEY="hunter2-base"',
    'password: str = "hunter2-base"',
    "password : str = 'hunter2-base'",
    "password: hunter2-base",
    "- password: hunter2-base",
    "    token: hunter2-base-1",
    '"password": "hunter2-base",',
    'connect("postgres://ann:hunter2-base@host/db")',
    "url=amqp://ann:hunter2-base@host/db",
    "run --token hunter2-base",
    "--token hunter2-base",
    "Authorization: Bearer hunter2-base",
    "SECRET_KEY: Final[str] = 'hunter2-base'",
)
BODY = [f"{letter}{'hunter2Ab+/' * 5}{letter}" for letter in "abcdefghijkl"]
PEM = ["-----BEGIN RSA PRIVATE KEY-----", *BODY, "hunter2short==", "-----END RSA PRIVATE KEY-----"]


def _diff(before: list[str], now: list[str], context: int = 3) -> str:
    lines = difflib.unified_diff(before, now, "a/x.py", "b/x.py", lineterm="", n=context)
    return "\n".join(["diff --git a/x.py b/x.py", *lines, ""])


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("sign", ["+", "-", " "])
def test_a_secret_is_hidden_whatever_the_sign_before_its_line(line: str, sign: str) -> None:
    without, with_it = ["x = 1", "y = 2"], ["x = 1", line, "y = 2"]
    diff = {
        "+": _diff(without, with_it),
        "-": _diff(with_it, without),
        " ": _diff(with_it, [*with_it, "z = 3"]),
    }[sign]
    assert f"\n{sign}{line}\n" in diff
    shown = diff_without_secrets(diff)
    assert "hunter2" not in shown
    assert [text[:1] for text in shown.split("\n")] == [text[:1] for text in diff.split("\n")]
    assert shown.count("<hidden>") == 1


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("before", ["-", "+", "> ", "E   -", "| ", "< ", "  - "])
def test_lines_with_something_before_them_hide_their_secrets_in_any_text(
    line: str, before: str
) -> None:
    shown = without_secrets(f"they differ:\n{before}{line}\n{before}x = 1\n")
    assert "hunter2" not in shown
    assert f"{before}x = 1\n" in shown


def test_a_removed_name_is_no_option_of_a_command_line() -> None:
    diff = _diff(['API_KEY = "hunter2-base"'], ["API_KEY = load()", "x = 1"])
    assert '-API_KEY = <hidden>\n' in diff_without_secrets(diff)  # fmt: skip
    assert "+x = 1\n" in diff_without_secrets(diff)


@pytest.mark.parametrize("context", [1, 3, 30])
@pytest.mark.parametrize("place", range(len(PEM)))
def test_a_key_of_several_lines_is_hidden_wherever_it_changed(place: int, context: int) -> None:
    other = "q" + "hunter2Zz+/" * 5
    before = ["first = 1", *PEM, "last = 1"]
    now = [*before]
    now[place + 1] = other
    now[-1] = "last = 2"
    for diff in (_diff(before, now, context), _diff(now, before, context)):
        shown = diff_without_secrets(diff)
        assert "hunter2" not in shown
        assert len(shown.split("\n")) == len(diff.split("\n"))


@pytest.mark.parametrize("sign", ["+", "-"])
def test_a_key_that_came_or_went_leaves_the_next_hunk_and_file_alone(sign: str) -> None:
    without, with_it = ["x = 1"], ["x = 1", *PEM[:3]]
    texts = (without, with_it) if sign == "+" else (with_it, without)
    shown = diff_without_secrets(_diff(*texts) + _diff(["one = 1"], ["two = 2"]))
    assert "hunter2" not in shown
    assert "-one = 1\n+two = 2\n" in shown


def test_a_value_in_the_lines_below_an_unchanged_name_is_hidden_old_and_new() -> None:
    shown = diff_without_secrets(
        _diff(["password: |", "  hunter2-old", "x: 1"], ["password: |", "  hunter2-new", "x: 1"])
    )
    assert "hunter2" not in shown
    assert "\n x: 1\n" in shown


@pytest.mark.parametrize("quote", ['"""', "'''"])
@pytest.mark.parametrize("value", ["hunter2", "\nhunter2\n", "hunter2 with a ' and a \"\nhunter2"])
@pytest.mark.parametrize("begins", ["password = ", "password: str = ", "API_KEY=r", "f(token="])
def test_a_literal_with_three_quotes_is_hidden(begins: str, value: str, quote: str) -> None:
    text = f"x = 1\n{begins}{quote}{value}{quote}\ny = 2"
    diff = _diff(text.split("\n"), ["x = 1", "z = 3"])
    shown = diff_without_secrets(diff)
    code = without_secrets(text, code=True)
    for found in (shown, code, without_secrets(text)):
        assert "hunter2" not in found
        assert "y = 2" in found
    assert code.count("\n") == text.count("\n")
    assert shown.count("\n") == diff.count("\n")


def test_an_empty_literal_and_the_end_of_a_text_hide_nothing() -> None:
    for text in (
        'password = ""\nx = "hello"', "f(password='', other='x')", 'x = """password: """\ny = "a"',
        'ask("""Password: """, "a")', '{"password":"","x":""}', 'password = """"""\nx = 1',
    ):  # fmt: skip
        assert without_secrets(text, code=True) == text
        assert without_secrets(text) == text


def test_the_head_of_a_hunk_names_a_line_too() -> None:
    for line in ('API_KEY = "hunter2-base"', 'API_KEY = "hunter2-ba', "hunter2" * 9):
        diff = f"@@ -9,2 +9,2 @@ {line}\n x = 1\n-y = 1\n+y = 2\n"
        shown = diff_without_secrets(diff)
        assert "hunter2" not in shown
        assert shown.startswith("@@ -9,2 +9,2 @@ ")
        assert shown.endswith("\n x = 1\n-y = 1\n+y = 2\n")


def test_lines_that_look_like_heads_are_lines() -> None:
    diff = '@@ -1,2 +1,1 @@\n--- a = 1\n-API_KEY = "hunter2-base"\n+++ b = 2\ndiff --git a/y b/y\n'
    shown = diff_without_secrets(diff)
    assert shown == diff.replace('"hunter2-base"', "<hidden>")


def test_a_diff_without_secrets_stays_as_it_is() -> None:
    diff = _diff(
        ["a = 1", "", "def f(x: int) -> int:", "  return x"], ["a = 2", "", "b: str = 'x'"]
    )
    assert diff_without_secrets(diff) == diff
    assert diff_without_secrets("\\ No newline at end of file") == "\\ No newline at end of file"

"""How secrets look in texts, and how values stand beside their names: what is behind
:func:`flowdeck_store.secrets.redaction.without_secrets`, loaded with the first text that may hold one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowdeck_store.secrets.names import (
    HIDDEN,
    is_header,
    is_password,
    is_secret,
    is_secret_in_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: What any of the names known to :func:`is_secret` contains, for a quick look.
_HINTS: Final = (
    "pass", "token", "secret", "key", "auth", "cookie", "credential", "pwd", "pin", "bearer", "otp",
    "jwt",
)  # fmt: skip

# -- what looks like a secret by itself -----------------------------------------------------------

_SHAPES: Final[tuple[tuple[str, re.Pattern[str], str], ...]] = (
    # scheme://user:password@host; a password may hold "@" and, if nothing else fits, "/"
    (
        "@",
        re.compile(
            r"(://[^/\s:@'\"]{0,256}:)(?!(?:<hidden>|\{[^}]*\}|%s|\$\w+|\*+)@)"
            r"(?:[^\s/'\"]{1,256}(?=@)|(?!\d{0,5}[/?#])[^\s'\"@]{1,256}(?=@))"
        ),
        rf"\1{HIDDEN}",
    ),
    # scheme://token@host
    ("@", re.compile(r"(://)(?=[^@/\s]*\d)[\w.~+-]{16,256}(?=@)"), rf"\1{HIDDEN}"),
    # a text that was cut in the middle of one
    (
        "…",
        re.compile(r"(://[^/\s:@'\"]{0,256}:)(?!<hidden>)[^\s/'\"@]{1,256}(?=…$)"),
        rf"\1{HIDDEN}",
    ),
    (
        "earer ",
        re.compile(
            r"\b([Bb]earer\s{1,4})(?=[\w.~+/-]*[\d._~+/]|[\w-]{20}|[a-z]+[A-Z])"
            r"[\w.~+/-]{4,}+={0,2}(?<!\.)"
        ),
        rf"\1{HIDDEN}",
    ),
    ("eyJ", re.compile(r"(?<![\w-])eyJ[\w-]{6,}\.(?:[\w-]{6,}(?:\.[\w-]*)?|[\w-]*…$)"), HIDDEN),
    (
        "--",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}-----|\Z)"
        ),
        HIDDEN,
    ),
    (
        "IA",
        re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)(?:[A-Z0-9]{16}(?![A-Z0-9])|[A-Z0-9]*…$)"),
        HIDDEN,
    ),
    ("ghp_", re.compile(r"(?<!\w)ghp_\w{16,}"), HIDDEN),
    ("sk-", re.compile(r"(?<![\w-])sk-[\w-]{16,}"), HIDDEN),
    (
        "curl",
        re.compile(
            r"""(?<![\w-])((?:-u|--user|--proxy-user)(?:["']\s*,\s*|[ =]{1,3}|(?=\w))["']?"""
            r"""[^\s:'"]{1,128}:)(?!<hidden>)[^\s'"]+"""
        ),
        rf"\1{HIDDEN}",
    ),
)

_SIGNS: Final = tuple(dict.fromkeys(sign for sign, _, _ in _SHAPES))
_SHAPES_OF: Final = {
    sign: [(shape, replacement) for of, shape, replacement in _SHAPES if of == sign]
    for sign in _SIGNS
}

# -- what stands beside a name ---------------------------------------------------------------------

#: A name and what joins it to its value.
_NAMED: Final = re.compile(
    # "name": of JSON and reprs; \"name\": of JSON in JSON; b'name': of headers
    r"""(?P<quote>\\{0,15}["'])(?P<quoted>[\w .$-]{1,64})(?P=quote)(?P<colon>\s{0,4}:\s{0,4})"""
    # '--name', 'value' of an argv, --name value of a command line (not "-name = value" of a diff)
    r"""|(?<![\w-])(?P<option>-{1,3}[A-Za-z][\w-]*+)(?:(?P<listed>["']\s{0,4},\s{0,4})|\s{1,4}(?=[^\s=-])(?!:\s))"""
    # name=value, name = value, name: str = value; name: value
    r"""|(?<![\w.$-])(?P<name>[\w.$-]++)"""
    r"""(?:(?P<equals>(?:[ \t]?:[ \t]?[\w.\[\]| ]{1,40}?[ \t](?==))?[ \t]{0,2}=(?![=~>])[ \t]{0,2})"""
    r"""|(?P<says>[ \t]?:(?![:/])[ \t]{0,8}(?:[|>][+-]?(?:\n|\\n)\s{0,16})?))"""
)
_QUERY: Final = re.compile(r"(?i)[?&][\w.%-]{0,64}(?:key|sig|sign|signature|hmac|verifier)s?=")
_SPACED: Final = re.compile(r"""["'][\w .$-]{1,60} keys?\\{0,15}["']""")
_WORD: Final = re.compile(r"[\w.$-]{3,64}")
_BREAK: Final = r"\n|\\+[nr]"
#: What says that there is no secret, or stands for one that comes from elsewhere.
_NONE: Final = re.compile(
    r"""(?:None|True|False|null|true|false|NULL|nil)\b|<|\*{3}|\.\.\.|…|\?|%[s(]|:\w|\$|\{\{?\w*\}|`(?!\w)"""
)
_QUOTED: Final = re.compile(
    r"""[bBrRuUfF]{0,2}(?P<quote>\"{3}|'{3}|\\{0,15}["'])"""
    r"""(?P<inside>(?:(?!(?<!\\)(?P=quote))(?s:.))*+)(?:(?P=quote))?"""
)
_BARE: Final = re.compile(rf"""(?:(?!{_BREAK})[^\s,;&)}}\]"'])++""")
_QUOTES: Final = re.compile(r"""(?<!\\)(?:\"{3}|'{3}|["'])""")
_LINE: Final = re.compile(rf"""(?:(?!{_BREAK}|\s+#\s)[^"'])++""")
_REST_OF_HEADER: Final = re.compile(rf"""(?:(?!{_BREAK})[^"'}}])++""")
#: Where a line begins, or an item of YAML or of a JSON-like text without quotes.
_BEGINS: Final = re.compile(r"""(?:^|\n|\\+[nr]|[{,])[ \t]*(?:-[ \t]+)?["']?$""")
_SCHEMES: Final = frozenset({"bearer", "basic", "token", "digest", "negotiate", "apikey"})
#: Words that follow the name of a secret in a sentence, and types in a signature.
_PROSE: Final = frozenset(
    (
        "a", "an", "and", "any", "are", "argument", "as", "at", "be", "been", "bool", "but", "by",
        "bytes", "can", "cannot", "could", "default", "dict", "did", "disabled", "does", "enabled",
        "expected", "expired", "failed", "failure", "field", "flag", "float", "for", "from", "had",
        "has", "have", "header", "if", "in", "incorrect", "int", "invalid", "is", "it", "its",
        "key", "length", "limit", "list", "may", "missing", "must", "no", "none", "not", "object",
        "of", "off", "ok", "on", "only", "option", "optional", "options", "or", "parameter",
        "please", "present", "provided", "required", "returned", "same", "secretbytes", "secretstr",
        "set", "should", "so", "str", "string", "success", "text", "that", "the", "there", "this",
        "to", "too", "too_long", "tuple", "unexpected", "union", "unknown", "unset", "valid",
        "value", "values", "was", "were", "when", "which", "will", "with", "without", "wrong",
        "yes", "you", "your",
    )
)  # fmt: skip


def without_shapes(text: str, code: bool) -> str:
    """Return a text without what looks like a secret by itself; of ``code`` in as many lines."""
    for sign in _SIGNS:
        if sign in text:
            for shape, replacement in _SHAPES_OF[sign]:
                lines = code and sign == "--"
                text = shape.sub(_in_as_many_lines if lines else replacement, text)
    return text


def _in_as_many_lines(found: re.Match[str]) -> str:
    return HIDDEN + "\n" * found[0].count("\n")


def has_signs(text: str) -> bool:
    """Say whether to look closer at a JSON text, which is full of quotes and colons anyway."""
    return names_a_secret(text) or any(sign in text for sign in _SIGNS)


def names_a_secret(text: str) -> bool:
    """Say whether a word of the text can be the name of a secret: what is quick to tell."""
    small = text.lower()
    hints = [hint for hint in _HINTS if hint in small]
    if ("?" in text or "&" in text) and _QUERY.search(text):
        return True
    if not hints:
        return False
    if " key" in small and _SPACED.search(small):
        return True
    for word in _WORD.findall(text):
        lower = word.lower()
        for hint in hints:
            if hint in lower:  # first, so that the cache of names is not full of other words
                if is_secret(word):
                    return True
                break
    return False


def without_named(
    text: str, hides: Callable[[str], bool], code: bool, in_lines: bool = False
) -> str:
    """Return a text without the values that stand beside the names of secrets; ``in_lines``, or
    of ``code``: in as many lines."""
    pieces: list[str] = []
    at = 0
    for found in _NAMED.finditer(text):
        if found.start() < at:  # in a value that is hidden already
            continue
        name = found["quoted"] or found["option"] or found["name"]
        if hides(name) or (found["equals"] and _is_of_query(text, found, name)):
            end = _end_of_value(text, found, name, code)
            if end > found.end():
                lines = text.count("\n", found.end(), end) if code or in_lines else 0
                pieces += text[at : found.end()], HIDDEN + "\n" * lines
                at = end
    return "".join([*pieces, text[at:]]) if pieces else text


def _is_of_query(text: str, found: re.Match[str], name: str) -> bool:
    before = text[found.start() - 1 : found.start()]
    return before in {"?", "&"} and is_secret_in_query(name)


def _end_of_value(text: str, found: re.Match[str], name: str, code: bool) -> int:
    """Return where the value ends that is to be hidden; not beyond its start: there is none."""
    start = found.end()
    if _NONE.match(text, start):
        return start
    quoted = _QUOTED.match(text, start)
    in_sentence = found["says"] is not None and not _BEGINS.search(
        text[max(0, found.start() - 40) : found.start()]
    )
    if quoted is not None:
        inside = quoted["inside"]
        if found["quoted"] is None and _closes(text, found.start(), quoted):
            return start
        if not inside or _NONE.fullmatch(inside) or _says_about(name, inside, found):
            return start
        unsure = in_sentence and not is_password(name) and not is_header(name)
        return start if unsure and not _looks_secret(quoted["inside"]) else quoted.end()
    if code and not _in_literal(text, start):
        return start  # the name of a variable, or a call
    if text[start : start + 1] in {"[", "{", "("}:
        return start if code else _end_of_bracket(text, start)  # of code: a field of an f-string
    if found["says"] is not None or found["quoted"] is not None:
        if is_header(name):
            rest = _REST_OF_HEADER.match(text, start)
            return rest.end() if rest is not None else start
    bare = _BARE.match(text, start)
    if bare is None:
        return start
    word = bare[0]
    if word.lower() in _SCHEMES:  # Authorization=Bearer X
        more = _BARE.match(text, bare.end() + 1)
        return more.end() if more is not None else bare.end()
    if found["says"] is not None:
        return _end_in_yaml_or_sentence(text, bare, name, in_sentence)
    if found["option"] is not None:
        return start if word.lower().strip(".:") in _PROSE else bare.end()
    if _says_about(name, word, found):
        return start
    # password=password, token=self.token: the name of a variable in a call
    return start if word.rpartition(".")[2].lower() == name.lower() else bare.end()


def _in_literal(code: str, at: int) -> bool:
    """Say whether a place in source code is inside a text that begins in the same line."""
    quote = None
    for sign in _QUOTES.finditer(code, code.rfind("\n", 0, at) + 1, at):
        if quote is None:
            quote = sign[0]
        elif quote == sign[0]:
            quote = None
    return quote is not None


def _says_about(name: str, value: str, found: re.Match[str]) -> bool:
    """Say whether a value is a word about a secret: ``auth=disabled``, ``password: 'str' = ...``."""
    return value.lower() in _PROSE and (found["says"] is not None or not is_password(name))


def _closes(text: str, name: int, quoted: re.Match[str]) -> bool:
    """Say whether what looks like the quote before a value ends a text that the name is in:
    ``getpass('Password: ', stream)``."""
    following = text[quoted.start("inside") : quoted.start("inside") + 1]
    if following and following not in ",)]}; \n":
        return False
    line = text.rfind("\n", 0, name) + 1
    return text.count(quoted["quote"], line, name) % 2 == 1


def _end_in_yaml_or_sentence(text: str, bare: re.Match[str], name: str, in_sentence: bool) -> int:
    """``name: value`` without quotes is YAML at the start of a line, else it may be a sentence."""
    word = bare[0]
    if word.lower().strip(".") in _PROSE:
        return bare.start()
    if not in_sentence:
        line = _LINE.match(text, bare.start())
        if line is not None and is_password(name) and "," not in line[0]:
            return line.end()
        alone = line is None or line.end() <= bare.end()
        return bare.end() if alone or _looks_secret(word) or is_password(name) else bare.start()
    return bare.end() if is_password(name) or _looks_secret(word) else bare.start()


def _looks_secret(value: str) -> bool:
    """Say whether a value is no ordinary word: digits among letters, symbols, or very long."""
    if len(value) >= 20 and " " not in value:
        return True
    digits = any(c.isdigit() for c in value)
    if len(value) >= 4 and digits and " " not in value:
        return True
    return len(value) >= 8 and any(c in "!@#$%^&*+=~" for c in value)


_BRACKETS: Final = re.compile(r"""[\[{(]|[\]})]|\\{0,15}["']""")


def _end_of_bracket(text: str, start: int) -> int:
    """Return the end of what begins with a bracket: its partner, or the end of the text."""
    depth, quote = 0, None
    for sign in _BRACKETS.finditer(text, start):
        found = sign[0]
        if quote is not None:
            quote = None if found == quote else quote
        elif found in "[{(":
            depth += 1
        elif found in "]})":
            depth -= 1
            if depth == 0:
                return sign.end()
        else:
            quote = found
    return len(text)

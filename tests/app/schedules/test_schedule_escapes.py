"""What is written for systemd and cron means the very words again, whatever is in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowdeck_app.schedules.crontab import crontab_line
from flowdeck_app.schedules.definition import ScheduleError
from flowdeck_app.schedules.systemd import command_line

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.lists(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12), max_size=4
)
HOSTILE = [
    "a b",
    '"q"',
    "it's",
    "%h 100%",
    "$HOME ${X} $$",
    "\\n \\",
    "line\nbreak",
    "tab\t",
    "",
    "#",
    "é\u200b",
]
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_CODES = {"n": b"\n", "t": b"\t", "r": b"\r", "\\": b"\\", '"': b'"'}


def as_systemd_reads(line: str) -> list[str]:
    """Split, unquote and expand a line as systemd.syntax(7) and systemd.service(5) say."""
    assert "\n" not in line
    assert line.isprintable()
    words = []
    for place, quoted in enumerate(re.findall(r'"((?:\\.|[^"\\])*)"', line)):
        parts, end = [], 0
        for found in _ESCAPE.finditer(quoted):
            parts.append(quoted[end : found.start()].encode())
            code = found[1]
            parts.append(
                bytes([int(code[1:], 16)]) if code[0] == "x" and len(code) == 3 else _CODES[code]
            )
            end = found.end()
        text = b"".join([*parts, quoted[end:].encode()]).decode()
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", text)
        text = text.replace("%%", "%")
        if place:  # no variables are replaced in the program's name
            assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", text)
            text = text.replace("$$", "$")
        words.append(text)
    return words


@settings(max_examples=150, deadline=None)
@given(words=WORDS)
@example(words=HOSTILE)
def test_a_unit_file_means_the_words(words: list[str]) -> None:
    assert as_systemd_reads(command_line(["/usr/bin/python3", *words])) == [
        "/usr/bin/python3",
        *words,
    ]


def test_a_program_that_systemd_takes_no_name_of_is_started_by_a_shell() -> None:
    read = as_systemd_reads(command_line(['/opt/it\'s "mine"/python', "-m", "x"]))
    assert read == ["/bin/sh", "-c", 'exec "$@"', "sh", '/opt/it\'s "mine"/python', "-m", "x"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("folder", ["with space", "%h $x", "it's", '"q" \\ z'])
def test_systemd_finds_the_program_and_takes_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    program = tmp_path / folder / "python"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "x.service"
    unit.write_text(
        f"[Service]\nType=oneshot\nExecStart={command_line([str(program), *HOSTILE])}\n"
    )
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def as_cron_does(line: str) -> str:
    """Return what Debian's cron hands to the shell (do_command.c): up to the first bare ``%``."""
    command, taken, escaped = line.split(" ", 5)[5], "", False
    for char in command:
        if escaped:
            if char in "%\\":
                taken = taken[:-1]
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "%":
            break
        taken += char
    return taken


@settings(max_examples=40, deadline=None)
@given(words=WORDS)
@example(words=[word for word in HOSTILE if "\n" not in word and "\t" not in word])
def test_a_crontab_line_means_the_words_or_is_refused(words: list[str]) -> None:
    try:
        line = crontab_line("0 6 * * *", ["printf", "%s\\0", *words], "# flowdeck schedule x 1")
    except ScheduleError:
        assert any(re.search(r"[\x00-\x1f\x7f]|\\[\\%]", word) for word in words)
        return
    assert "\n" not in line
    told = subprocess.run(
        ["/bin/sh", "-c", as_cron_does(line)], capture_output=True, check=True
    ).stdout
    assert told.decode().split("\0")[:-1] == (words or [""])

"""``--host``: the words that ssh gets, with an ssh that only notes them, and what is said of its ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowdeck import settings
from flowdeck.exceptions import ConfigurationError
from flowdeck.version import __version__
from flowdeck_app.cli import errors
from flowdeck_app.cli.away import ssh
from flowdeck_app.cli.away.remote_words import (
    CALLED_BY,
    Machine,
    needs_stdin,
    place_of,
    quoted,
    script,
    ssh_words,
)
from flowdeck_app.cli.errors import Trouble

HOSTILE = [
    "", " ", "a b", "it's", '"', "\\", "\\\\", "\\'", "'\\''", "$HOME", "${x}", "`id`", "$(id)", ";", "&&",
    "|", ">x", "<x", "*", "?", "[a]", "{a,b}", "~", "~root", "!", "!!", "#", "-", "--", "-oProxyCommand=x",
    "\n", "a\nb", "\t", "☃", "%s", "a=b", "\x1b[31m", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "ksh", "mksh"])
def test_a_login_shell_reads_every_word_as_it_is(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    line = " ".join(map(quoted, ["printf", "%s\\0", *HOSTILE]))
    found = subprocess.run([shell, "-c", line], capture_output=True, check=True).stdout
    assert [os.fsdecode(word) for word in found.split(b"\0")[:-1]] == HOSTILE


def there(tmp_path: Path, place: Machine, *words: str, **environ: str) -> list[str]:
    """Do what the other machine would do, with a flowdeck that prints how it was called."""
    program = tmp_path / ".local" / "bin" / "flowdeck"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nprintf "%s\\0" "$PWD" "${CALLED_BY}" "$COLORTERM" "$@"\n')
    program.chmod(0o755)
    line = ssh_words(
        "ssh", place, words, terminal=False, said="said", environ=environ, version="1.2"
    )[-1]
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


def test_flowdeck_is_found_there_without_a_login_shell(tmp_path: Path) -> None:
    hostile = [word for word in HOSTILE if "\udcff" not in word]
    found = there(tmp_path, Machine("far", "far"), "run", *hostile, COLORTERM="truecolor")
    assert found == [str(tmp_path), "1.2", "truecolor", "run", *hostile]


def test_what_the_settings_say_of_a_machine_is_used(tmp_path: Path) -> None:
    (tmp_path / "my work").mkdir()
    place = Machine("far", "far", "~/.local/bin/flowdeck -x", "~/a record", "~/my work")
    found = there(tmp_path, place, "runs", COLORTERM="$(id)")
    assert found == [
        f"{tmp_path}/my work", "1.2", "", "-x", "--home", f"{tmp_path}/a record", "runs",
    ]  # fmt: skip
    assert "--home" not in script(place, ["--home", "x", "runs"], {}, "1").replace(' "$@"', "")


@pytest.mark.parametrize("name", ["", "-oProxyCommand=id", "a b", "a\nb", "-"])
def test_what_ssh_would_take_for_an_option_is_no_machine(cli: Any, name: str) -> None:
    assert place_of(name, {}) is None
    assert place_of("big", {"big": {"address": name}}) is None if name else True
    if name:
        result = cli("--host", name, "runs")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "is not the name of a machine" in result.stderr


def test_stdin_is_left_alone_by_verbs_that_do_not_read_it() -> None:
    assert not needs_stdin(["show", "@last"])
    assert needs_stdin(["run", "x.py:f", "--params", "@-"])
    near = {"terminal": False, "said": "s", "environ": {}, "version": "1"}
    assert "-n" in ssh_words("ssh", Machine("a", "a"), ["runs"], **near)  # type: ignore[arg-type]
    near["terminal"] = True
    words = ssh_words("ssh", Machine("a", "a"), [], **near)  # type: ignore[arg-type]
    assert "-t" in words
    assert "-n" not in words


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``fake(code, said)``: an ssh that notes its words, says something and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(code: int, said: str = "") -> Path:
        (tmp_path / "said").write_text(said)
        (folder / "ssh").write_text(
            f"#!/bin/sh\nprintf '%s\\0' \"$@\" > {tmp_path}/words\n"
            f'while [ "$1" != -E ]; do shift; done; cp {tmp_path}/said "$2"; exit {code}\n'
        )
        (folder / "ssh").chmod(0o755)
        return tmp_path / "words"

    return make


def test_general_options_before_the_verb_and_all_after_it_go_there(cli: Any, fake: Any) -> None:
    words = fake(0)
    result = cli("--home", "x", "--host", "me@far", "--color", "never", "show", "7", "--json")
    assert result.exit_code == 0
    said = words.read_text().split("\0")
    assert said[said.index("--") + 1] == "me@far"
    assert said[said.index("--") + 2].endswith("flowdeck --home x --color never show 7 --json")


@pytest.mark.parametrize(
    ("code", "said", "message"),
    [
        (127, "", "flowdeck was not found on far"),
        (255, "ssh: connect to host far port 22: Connection refused\r\n", "far refuses the connection"),
        (255, "Host key verification failed.\r\n", "ssh does not know the host key of far"),
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
         "far has another host key"),
        (255, "me@far: Permission denied (publickey).\r\n", "does not let you in: me@far: Permission"),
        (255, "ssh: connect to host far port 22: Connection timed out", "far does not answer"),
        (255, "something \x1b[31mnew\n", "ssh to far failed: something \\x1b[31mnew"),
        (255, "", "the connection to far was lost"),
    ],
)  # fmt: skip
def test_what_ssh_says_becomes_a_sentence(
    cli: Any, fake: Any, code: int, said: str, message: str
) -> None:
    fake(code, said)
    result = cli("--host", "far", "runs")
    assert (result.exit_code, result.stdout) == (255, "")
    assert result.stderr.startswith("flowdeck: ")
    assert message in result.stderr
    assert "\x1b" not in result.stderr
    error = json.loads(cli("--host", "far", "runs", "--json").stderr)
    assert error["exit_code"] == 255


@pytest.mark.parametrize("code", [0, 1, 2, 3, 124, 130])
def test_exit_codes_of_verbs_come_through(cli: Any, fake: Any, code: int) -> None:
    fake(code)
    assert cli("--host", "far", "wait", "1").exit_code == code


def test_without_ssh_it_is_said(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = cli("--host", "far", "runs")
    assert result.exit_code == 2
    assert "--host needs ssh" in result.stderr


def test_the_app_needs_a_terminal_there_too(cli: Any, fake: Any) -> None:
    fake(0)
    for words in ([], ["ui"], ["--home", "x"]):
        assert "the app needs a terminal" in cli("--host", "far", *words).stderr
    assert not ssh.opens_app(["--version"])
    assert not ssh.opens_app(["ui", "--serve"])


def test_the_host_goes_before_the_verb(cli: Any) -> None:
    result = cli("runs", "--host", "far")
    assert result.exit_code == 2
    assert result.stderr == (
        "flowdeck: --host goes before the verb.\n  `flowdeck --host far runs ...`\n"
    )


def test_errors_there_tell_that_the_versions_differ(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_caller", "9.9")
    assert f"This is flowdeck {__version__}; the one that called it has 9.9." in cli("rnus").stderr
    monkeypatch.setattr(errors, "_caller", __version__)
    assert "called it" not in cli("rnus").stderr


def test_a_project_may_not_say_what_is_called_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text('[tool.flowdeck.hosts.big]\ncommand = "rm -rf ~"\n')
    with pytest.raises(ConfigurationError, match="which only your own file may"):
        settings.reload()
    Path("pyproject.toml").unlink()
    monkeypatch.setenv("FLOWDECK_HOSTS", '{"big": {"port": "22"}}')
    with pytest.raises(ConfigurationError, match="any of address, command, home, folder"):
        settings.reload()
    monkeypatch.setenv("FLOWDECK_HOSTS", '{"big": {"address": "me@big"}}')
    settings.reload()
    assert place_of("big", settings.get_settings().hosts) == Machine("big", "me@big")


def test_trouble_keeps_its_own_hint() -> None:
    assert errors.with_other_version("do this") == "do this"
    assert Trouble("x").hint is None


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_variable_is_no_machine(cli: Any, name: str) -> None:
    refused = cli("--host", name, "runs")
    assert refused.exit_code == 2
    assert "--host names no machine" in refused.stderr

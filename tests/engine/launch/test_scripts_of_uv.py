"""Files with a script block (PEP 723), with a uv that does what we know of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from flowdeck.exceptions import ConfigurationError
from flowdeck.launch import interpreters, scripts
from flowdeck.launch.inspection import inspect_target

BLOCK = "# /// script\n# requires-python = '>=3.11'\n#\n# dependencies = ['x']\n# ///\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text(f"{BLOCK}from flowdeck import flow\n@flow\ndef job(n: int): ...\n")
    return path


def answers(python: Path, text: str) -> None:
    """Write what answers as a Python does that is asked what it is."""
    python.write_text(f"#!/bin/sh\necho '{text}'\n")
    python.chmod(0o755)


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``uv(body)``: a program that answers so; it has an environment, and notes how it is called."""
    bin_ = tmp_path / "tools"
    bin_.mkdir()
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    environment = tmp_path / "cache" / "job-1"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    answers(environment / "bin" / "python", '{"version": "3.12.1", "flowdeck": "0.1.0"}')

    def make(body: str = f'[ "$1" = sync ] || echo {environment}/bin/python') -> Path:
        (bin_ / "uv").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{body}\n')
        (bin_ / "uv").chmod(0o755)
        return environment

    return make


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (BLOCK, True),
        (BLOCK.replace("\n", "\r\n"), True),
        ("# /// script\n# ///\n", False),  # the standard wants a line between
        ("# /// script\n# x = 1\n", False),
        ("# /// other\n# x = 1\n# ///\n", False),
        ("text = '''\n # /// script\n # x = 1\n # ///\n'''", False),
        ("", False),
    ],
)
def test_a_block_is_found_as_the_standard_has_it(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "a.py").write_bytes(text.encode())
    assert scripts.is_script(tmp_path / "a.py") is found
    assert not scripts.is_script(tmp_path / "gone.py")


def test_a_script_runs_in_the_environment_that_uv_has_made_ready(
    script: Path, uv: Any, tmp_path: Path
) -> None:
    environment = uv()
    chosen = interpreters.usable(f"{script}:job")
    assert chosen.python == environment / "bin" / "python"
    assert chosen.why == "the script block of job.py"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"sync --quiet --script {script}", f"python find --script {script}"]


def test_what_is_asked_for_goes_before_the_block_and_a_retry_makes_it_ready_again(
    script: Path, uv: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = uv()
    recorded = str(environment / "bin" / "python")
    assert interpreters.usable(f"{script}:job", asked=recorded).script == script
    assert "sync" in (tmp_path / "calls").read_text()
    (tmp_path / "calls").unlink()
    assert interpreters.usable(str(script), asked=sys.executable).is_own
    monkeypatch.setenv("FLOWDECK_PYTHON", sys.executable)
    assert interpreters.usable(str(script)).is_own
    assert "sync" not in (tmp_path / "calls").read_text()


def test_without_uv_one_sentence_says_what_to_do(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"job\.py says in its script block .* no uv here"):
        interpreters.usable(str(script))
    assert "Install uv, or name a Python" in str(inspect_target(str(script)).error)
    assert interpreters.usable(str(script), asked=sys.executable).is_own


def test_what_uv_says_when_it_fails_is_in_the_sentence(script: Path, uv: Any) -> None:
    uv("echo 'error: No solution found: nosuch was not found.' >&2; exit 1")
    with pytest.raises(ConfigurationError, match=r"No solution found: nosuch was not found\. `uv "):
        interpreters.usable(str(script))
    uv("exit 0")
    with pytest.raises(ConfigurationError, match="uv has made no environment"):
        interpreters.usable(str(script))


def test_how_flowdeck_is_added_to_a_script_is_said(script: Path, uv: Any) -> None:
    environment = uv()
    (environment / "bin" / "python").unlink()
    program = environment / "bin" / "python"
    program.write_text('#!/bin/sh\necho \'{"version": "3.12.1"}\'\n')
    program.chmod(0o755)
    with pytest.raises(ConfigurationError, match=rf"`uv add --script {script} "):
        interpreters.usable(str(script))

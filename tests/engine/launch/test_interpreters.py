"""Which Python a flow runs in, and what is said where it cannot."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from flowdeck.exceptions import ConfigurationError
from flowdeck.launch import interpreters
from flowdeck.launch.interpreters import Interpreter, choose, refusal
from flowdeck.runs.launch_spec import LaunchSpec


def environment(folder: Path) -> Path:
    """Make what looks like an environment, and return its Python."""
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.symlink_to(sys.executable)
    return python


def says(path: Path, answer: Any) -> Interpreter:
    """Return a program that answers as a Python would that is asked what it is."""
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    return Interpreter(path, "--python")


def test_what_lies_nearest_to_the_file_is_taken(tmp_path: Path) -> None:
    above = environment(tmp_path / ".venv")
    folder = tmp_path / "jobs" / "daily"
    folder.mkdir(parents=True)
    assert choose(folder, environ={}).python == above
    beside = environment(folder / ".venv")
    found = choose(folder, environ={})
    assert (found.python, found.why) == (beside, f"the .venv in {folder}")
    assert found.environment == folder / ".venv"


def test_what_is_active_goes_before_what_lies_there(tmp_path: Path) -> None:
    environment(tmp_path / ".venv")
    active, conda = environment(tmp_path / "active"), environment(tmp_path / "conda")
    environ = {"VIRTUAL_ENV": str(tmp_path / "active"), "CONDA_PREFIX": str(tmp_path / "conda")}
    assert choose(tmp_path, environ=environ).python == active
    del environ["VIRTUAL_ENV"]
    assert choose(tmp_path, environ=environ).python == conda
    # Every shell of a user of conda has that one.
    base = choose(tmp_path, environ={**environ, "CONDA_DEFAULT_ENV": "base"})
    assert base.python == tmp_path / ".venv" / "bin" / "python"


def test_the_project_says_it_then_the_setting(tmp_path: Path) -> None:
    environment(tmp_path / ".venv")
    own, other = environment(tmp_path / "envs" / "a"), environment(tmp_path / "b")
    environ = {"VIRTUAL_ENV": str(tmp_path / "b")}
    chosen = choose(tmp_path, setting=str(tmp_path / "b"), environ=environ)
    assert (chosen.python, chosen.why) == (other, "the setting python")
    (tmp_path / "pyproject.toml").write_text('[tool.flowdeck]\npython = "envs/a"\n')
    (tmp_path / "jobs").mkdir()
    assert choose(tmp_path / "jobs", setting=str(other), environ=environ).python == own
    environ["FLOWDECK_PYTHON"] = str(other)  # the setting comes from there
    assert choose(tmp_path / "jobs", setting=str(other), environ=environ).python == other
    assert choose(tmp_path, asked=str(own), setting=str(other), environ=environ).python == own


def test_nothing_anywhere_is_this_python(tmp_path: Path) -> None:
    found = choose(tmp_path, environ={"VIRTUAL_ENV": str(tmp_path / "gone")})
    assert found.is_own
    assert refusal(found) is None


def test_a_link_to_the_folder_of_our_environment_is_our_environment(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    assert choose(tmp_path, environ={}).is_own


@pytest.mark.parametrize("asked", ["no-such-python", "./nothing/python", "."])
def test_a_python_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"--python is '") as caught:
        choose(tmp_path, asked=asked)
    assert asked in str(caught.value)


def test_poetry_is_asked_in_its_own_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment(tmp_path / "cache" / "proj-py3")
    poetry = tmp_path / "tools" / "poetry"
    poetry.parent.mkdir()
    poetry.write_text(f"#!/bin/sh\necho {python.parent.parent}\n")
    poetry.chmod(0o755)
    monkeypatch.setenv("PATH", f"{poetry.parent}{os.pathsep}{os.environ['PATH']}")
    project = tmp_path / "project"
    (project / "jobs").mkdir(parents=True)
    assert choose(project / "jobs", environ={}).is_own
    (project / "poetry.lock").touch()
    assert choose(project / "jobs", environ={}) == Interpreter(python, "Poetry")


def test_each_reason_why_flows_cannot_run_there_has_its_sentence(tmp_path: Path) -> None:
    python = environment(tmp_path / ".venv")
    empty = Interpreter(python, "the .venv in it")
    old = says(tmp_path / "old", {"version": "3.9.2", "flowdeck": "0.1.0", "schema": 5})
    behind = says(tmp_path / "behind", {"version": "3.12.1", "flowdeck": "0.1.0", "schema": 3})
    without = says(tmp_path / "without", {"version": "3.12.1"})
    fits = says(tmp_path / "fits", {"version": "3.12.1", "flowdeck": "0.1.0", "schema": 5})
    assert refusal(fits, schema=5) is None
    assert "is Python 3.9.2, but flowdeck needs 3.11" in str(refusal(old))
    assert "knows version 3, the record has 5" in str(refusal(behind, schema=5))
    assert f"flowdeck is not installed in {tmp_path}" in str(refusal(without))
    assert f"--python {sys.executable}" in str(refusal(without))
    assert "does not answer as a Python" in str(refusal(says(tmp_path / "what", ["?"])))
    gone = Interpreter(tmp_path / "gone", "--python")
    assert "cannot be started: No such file or directory" in str(refusal(gone))
    python.unlink()
    python.touch()
    assert "cannot be started: Permission denied" in str(refusal(empty))


@pytest.mark.parametrize(
    ("lock", "says_how"), [("uv.lock", "uv --directory"), ("poetry.lock", "poetry add")]
)
def test_how_to_add_it_is_said_in_the_words_of_the_project(
    tmp_path: Path, lock: str, says_how: str
) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    there = says(tmp_path / ".venv" / "bin" / "python", {"version": "3.12.1"})
    assert "-m pip install" in str(refusal(there))
    (tmp_path / lock).touch()
    assert says_how in str(refusal(there))


def test_what_is_installed_meanwhile_is_seen(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    there = says(tmp_path / "bin" / "python", {"version": "3.12.1"})
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    assert refusal(there) is not None
    says(there.python, {"version": "3.12.1", "flowdeck": "0.1.0"})
    os.utime(packages, (1, 1))
    assert refusal(there) is None
    assert interpreters.examine(there).flowdeck == "0.1.0"


def test_what_is_asked_for_travels_without_what_is_usual() -> None:
    assert LaunchSpec(target="a.py:f").to_json() == '{"target": "a.py:f"}'
    spec = LaunchSpec(target="a.py:f", tags=("x",), force=("y",), reuse=True, texts={"n": "1"})
    assert LaunchSpec.from_json(spec.to_json()) == spec

"""Records of tests of users: one for each, by the fixture or by a variable."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flowdeck import flow
from flowdeck.runs import recorder as recording
from flowdeck.settings import get_settings
from flowdeck_store.read.reader import Reader

ROOT = Path(__file__).parents[3]

SUITE = """
import os, subprocess, sys
import pytest
from flowdeck import flow, get_run_logger
from flowdeck_store.read.reader import Reader

@flow
def f(name):
    get_run_logger().info("hello %s", name)

def names(home):
    with Reader.open(home) as reader:
        return [run.params for run in reader.runs()]

@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_by_fixture(flowdeck_home, name):
    f(name)
    assert names(flowdeck_home) == ['{"name":"%s"}' % name]

@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_by_variable(tmp_path, monkeypatch, name):
    monkeypatch.setenv("FLOWDECK_HOME", str(tmp_path))
    f(name)
    assert names(tmp_path) == ['{"name":"%s"}' % name]

def test_other_variables_hold_from_the_next_run_on(flowdeck_home, monkeypatch, capfd):
    monkeypatch.setenv("FLOWDECK_CONSOLE", "no")
    f("quiet")
    assert "hello" not in capfd.readouterr().err
    monkeypatch.delenv("FLOWDECK_CONSOLE")
    f("loud")
    assert "hello loud" in capfd.readouterr().err

def test_commands_see_the_same_record(flowdeck_home):
    f("x")
    out = subprocess.run([sys.executable, "-m", "flowdeck_app", "runs", "--json"],
                         capture_output=True, text=True, timeout=40)
    assert '"x"' in out.stdout

def test_the_variable_is_as_before():
    assert os.environ["FLOWDECK_HOME"] == os.environ["EXPECTED"]
"""


def test_each_test_of_a_suite_has_a_record_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    home = tmp_path / "unused"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "flowdeck_pytest"],
        cwd=tmp_path,
        env={**os.environ, "FLOWDECK_HOME": str(home), "EXPECTED": str(home)},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout
    assert not home.exists()


def test_the_plugin_is_known_to_pytest_and_loads_nothing(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"flowdeck_pytest": "flowdeck_pytest"}
    assert (
        "engine/flowdeck_pytest"
        in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    )
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert 'flowdeck_pytest' in sys.modules\n"
        "    assert not {'flowdeck', 'flowdeck_store', 'pydantic'} & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "flowdeck_pytest"],
        cwd=tmp_path, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_settings_stay_as_they_are_within_a_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    seen: list[Path] = []

    @flow
    def f() -> None:
        seen.append(get_settings().home)
        monkeypatch.setenv("FLOWDECK_HOME", str(other))
        seen.append(get_settings().home)

    f()
    assert seen == [home, home]
    assert get_settings().home == other
    f()
    assert seen[2:] == [other, other]
    for folder in (home, other):
        with Reader.open(folder) as reader:
            assert len(reader.runs()) == 1


def test_a_process_that_goes_from_home_to_home_keeps_no_session_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_STAYS_OPEN", 0.0)

    @flow
    def inner() -> None: ...

    @flow
    def f() -> None:
        with_a_run = set(recording._open)
        assert len(with_a_run) == 1

    for number in range(4):
        monkeypatch.setenv("FLOWDECK_HOME", str(tmp_path / str(number)))
        f()
        with Reader.open(tmp_path / str(number)) as reader:
            assert len(reader.runs()) == 1
    assert list(recording._open) == [tmp_path / "3"]

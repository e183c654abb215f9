"""Flows run in the environment of their project, whatever flowdeck itself is installed in."""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_builder import objects, write

import flowdeck
import flowdeck_app
import flowdeck_store

if TYPE_CHECKING:
    from cli_builder import Shell

FLOW = """
    import onlythere
    from flowdeck import flow, task

    @task(persist_result=True)
    def rows():
        return 3

    @task
    def load(count, fail):
        if fail:
            raise ValueError(onlythere.NAME)
        return onlythere.NAME

    @flow
    def etl(fail: bool = False):
        return load(rows(), fail)
"""
MISSING = "flowdeck is not installed in"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an environment of its own, which has a package that ours has not."""
    environment = tmp_path / "project" / ".venv"
    venv.create(environment, symlinks=True)
    (_packages(environment) / "onlythere.py").write_text("NAME = 'there'\n")
    write(str(tmp_path / "project" / "etl.py"), FLOW)
    return tmp_path / "project"


def _packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def add_flowdeck(project: Path) -> None:
    """Do what the sentence says that is shown without it."""
    ours = [
        Path(str(one.__file__)).parent.parent for one in (flowdeck, flowdeck_app, flowdeck_store)
    ]
    paths = [*ours, Path(sysconfig.get_path("purelib"))]
    (_packages(project / ".venv") / "flowdeck.pth").write_text("\n".join(map(str, paths)))


def test_run_detached_run_and_retry_are_in_the_project(shell: Shell, project: Path) -> None:
    add_flowdeck(project)
    target = str(project / "etl.py:etl")
    python = str(project / ".venv" / "bin" / "python")
    told = shell("run", target, "-p", "fail=yes", "--json")
    assert told.returncode == 1, told.stderr
    (run,) = objects(told)
    shown = shell("show", "@last", "--json")
    assert objects(shown)[0]["provenance"]["process"]["executable"] == python
    # The one that it ran in, also if another is active now; its code is the same there.
    away = {"VIRTUAL_ENV": str(Path(sys.executable).parent.parent)}
    told = shell("retry", str(run["id"]), "--failed", "-p", "fail=no", "--json", env=away)
    assert told.returncode == 0, told.stderr
    assert "reuse" in told.stderr
    assert shell("result", "@last").stdout == "'there'\n"
    told = shell("run", target, "--detach")
    assert told.returncode == 0, told.stderr
    assert shell("wait", "@last").returncode == 0
    assert (
        objects(shell("show", "@last", "--json"))[0]["provenance"]["process"]["executable"]
        == python
    )


@pytest.mark.parametrize("how", [[], ["--detach"]], ids=["here", "detached"])
def test_without_flowdeck_there_it_is_said_how_to_add_it_and_nothing_is_recorded(
    shell: Shell, project: Path, how: list[str]
) -> None:
    told = shell("run", str(project / "etl.py:etl"), *how)
    assert told.returncode == 2
    assert f"{MISSING} {project / '.venv'}" in told.stderr
    assert f"{project / '.venv' / 'bin' / 'python'} -m pip install" in told.stderr
    assert shell("runs", "--json").stdout == ""


def test_the_form_of_a_flow_is_read_in_its_project(project: Path) -> None:
    from flowdeck.launch.inspection import inspect_target

    target = str(project / "etl.py:etl")
    refused = inspect_target(target)
    assert MISSING in str(refused.error)
    add_flowdeck(project)
    found = inspect_target(target)
    assert found.ok, found.error
    assert [parameter["name"] for parameter in found.parameters] == ["fail"]
    assert found.python == str(project / ".venv" / "bin" / "python")
    ours = inspect_target(target, asked=sys.executable)
    assert "onlythere" in str(ours.error)


def test_another_python_can_be_asked_for(shell: Shell, project: Path) -> None:
    add_flowdeck(project)
    told = shell("run", str(project / "etl.py:etl"), "--python", sys.executable)
    assert told.returncode != 0
    assert "No module named 'onlythere'" in told.stderr
    told = shell("run", str(project / "etl.py:etl"), "--python", "python0.1")
    assert told.returncode == 2
    assert "--python is 'python0.1', but there is no such file or command." in told.stderr

"""A project whose environment has another flowdeck than the one that is called: really another one.

It is a copy of this one with another version, and where it matters with another version of the record.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import ROOT, write

from flowdeck.launch.inspection import inspect_target
from flowdeck.version import __version__
from flowdeck_store.file.schema import SCHEMA_VERSION, written_version

if TYPE_CHECKING:
    from cli_builder import Record, Shell

FLOWS = """
    import flowdeck.version
    from flowdeck import flow

    @flow
    def etl():
        return flowdeck.version.__version__

    if __name__ == "__main__":
        etl()
"""


@pytest.fixture
def tool(shell: Shell) -> Shell:
    """The command line as it is installed here: by no path that other Pythons would follow, too."""
    shell.env.pop("PYTHONPATH")
    return shell


def installed(folder: Path, version: str, schema: int) -> Path:
    """Make an environment with another flowdeck, beside a flow; return its Python."""
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for part, name in (
        ("engine", "flowdeck"),
        ("store", "flowdeck_store"),
        ("app", "flowdeck_app"),
    ):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part / name, packages / name, ignore=ignored)
    changed(packages / "flowdeck" / "version.py", rf'"{re.escape(__version__)}"', f'"{version}"')
    pattern = rf"(SCHEMA_VERSION: Final = ){SCHEMA_VERSION}"
    changed(packages / "flowdeck_store" / "file" / "schema.py", pattern, rf"\g<1>{schema}")
    # What both need; our own flowdeck is not there but behind a file of its own.
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    info = packages / f"flowdeck-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flowdeck\nVersion: {version}\n")
    return folder / "bin" / "python"


def changed(path: Path, pattern: str, text: str) -> None:
    before = path.read_text()
    after, count = re.subn(pattern, text, before)
    assert count == 1
    path.write_text(after)


def test_a_flowdeck_that_writes_older_records_is_refused_before_anything_is_recorded(
    cli: Any, home: Path
) -> None:
    write("etl.py", FLOWS)
    installed(Path(".venv"), "0.0.9", SCHEMA_VERSION - 1)
    said = f"The flowdeck 0.0.9 of {Path.cwd() / '.venv'}"
    rule = f"it knows version {SCHEMA_VERSION - 1}, the record has {SCHEMA_VERSION}"
    for words in (["run", "etl.py"], ["run", "etl.py", "--detach"]):
        result = cli(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert rule in result.stderr
        assert "-m pip install" in result.stderr
    assert rule in str(inspect_target("etl.py").error)  # what the app's form shows
    assert not home.exists()


def test_a_flowdeck_that_writes_newer_records_is_refused_while_ours_could_not_write_them(
    cli: Any, record: Record
) -> None:
    write("etl.py", FLOWS)
    installed(Path(".venv"), "9.0.0", SCHEMA_VERSION + 1)
    record.run()
    result = cli("run", "etl.py")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"would bring your record to version {SCHEMA_VERSION + 1}" in result.stderr
    assert f"({__version__} of " in result.stderr
    assert "--home" in result.stderr
    assert len(cli("runs", "--json").stdout.splitlines()) == 1


@pytest.mark.long  # a dozen processes
def test_the_record_decides_who_may_write_it(tool: Shell, home: Path, tmp_path: Path) -> None:
    write("etl.py", FLOWS)
    python = installed(Path(".venv"), "9.0.0", SCHEMA_VERSION + 1)
    subprocess.run([str(python), "etl.py"], check=True, capture_output=True)  # brings it up
    assert written_version(home / "flowdeck.db") == SCHEMA_VERSION + 1
    assert tool("runs").returncode == 0  # its writer says that ours can read it
    assert tool("run", "etl.py", "--quiet").returncode == 0  # written by the other one
    detached = tool("run", "etl.py", "--detach")  # would be recorded by ours
    assert detached.returncode == 3
    assert f"understands v{SCHEMA_VERSION} (written by 9.0.0): upgrade" in detached.stderr


@pytest.mark.long  # a dozen processes
def test_another_version_with_the_same_record_runs_there(
    tool: Shell, home: Path, tmp_path: Path
) -> None:
    write("etl.py", FLOWS)
    python = installed(Path(".venv"), "0.0.9", SCHEMA_VERSION)
    assert tool("run", "etl.py", "--quiet").returncode == 0
    assert tool("run", "etl.py", "--detach").returncode == 0
    assert tool("wait", "@last").returncode == 0
    again = tool("retry", "@last", "--quiet")
    assert again.returncode == 0, again.stderr
    for run in ("1", "2", "3"):
        shown = json.loads(tool("show", run, "--json").stdout)
        assert shown["provenance"]["process"]["executable"] == str(python.absolute())

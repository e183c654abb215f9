"""Wheel and sdist as a user gets them: built, and installed into environments that have nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Checked from the unpacked sdist: they read its pages, examples, Makefile, constraints and data.
CHOSEN = [
    "tests/test_repository.py", "tests/test_pages.py::test_links_lead_somewhere",
    "tests/engine/definitions/test_flows.py", "tests/engine/output/test_pytest_plugin.py",
]  # fmt: skip
TOOLS = ["pytest", "pytest-timeout", "hypothesis"]
FLOW = """
from flowdeck import flow, task

@task
def double(x):
    return 2 * x

@flow
def main(x: int = 21):
    return double(x)
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Environment:
    """An environment of Python, and a folder to work in that is not ours."""

    folder: Path

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of its programs with nothing of the caller's Python."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "FLOWDECK_"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{kept['PATH']}"
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]],
            cwd=cwd or self.folder,
            env={**kept, "PATH": path, "FLOWDECK_HOME": str(self.folder / "home")},
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip

    def says(self, *words: str) -> str:
        """Return what a program prints; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def refuses(self, *words: str) -> str:
        """Return what a program says that must fail."""
        done = self.run(*words)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def installed(folder: Path, *what: str) -> Environment:
    """Make an empty environment and install packages with what they need, as they are pinned."""
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    pip("--python", python, "install", "--quiet", "-c", str(ROOT / "constraints.txt"), *what)
    (folder / "flows.py").write_text(FLOW)
    return Environment(folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked beside itself, and a wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True)
    [sdist] = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    subprocess.run([*build, "wheel"], cwd=unpacked(folder), check=True, capture_output=True)
    return folder


def unpacked(built: Path) -> Path:
    [folder] = (path for path in built.iterdir() if path.is_dir())
    return folder


@pytest.fixture(scope="module")
def minimal(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without its extras."""
    [wheel] = built.glob("*.whl")
    return installed(tmp_path_factory.mktemp("minimal"), str(wheel))


def test_the_wheel_holds_the_packages_and_nothing_else(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
    [about] = (name for name in names if name.endswith(".dist-info"))
    assert names - {about} == {"flowdeck", "flowdeck_app", "flowdeck_pytest", "flowdeck_store"}


def test_a_flow_runs_where_only_the_wheel_is(minimal: Environment) -> None:
    assert "Usage: flowdeck" in minimal.says("flowdeck", "--help")
    minimal.says("flowdeck", "run", "flows.py:main", "-p", "x=4")
    assert "main" in minimal.says("flowdeck", "runs")
    minimal.says("flowdeck", "doctor")
    program = (
        "import flowdeck, flowdeck.record, flows\n"
        "assert flows.main(x=4) == 8\n"
        "import sys; print(*sorted(sys.modules))"
    )
    loaded = minimal.says("python", "-c", program).split()
    assert not {"dask", "distributed", "ray", "textual_serve"}.intersection(loaded)


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_runner_that_is_not_installed_says_how_to_install_it(
    minimal: Environment, runner: str
) -> None:
    told = f"pip install 'flowdeck[{runner}]'"
    assert told in minimal.refuses("flowdeck", "run", "flows.py:main", "--runner", runner)
    name = {"dask": "DaskTaskRunner", "ray": "RayTaskRunner"}[runner]
    program = (
        f"from flowdeck.task_runners import {name}\n"
        f"import flows; flows.main.with_options(task_runner={name}())(x=4)"
    )
    assert told in minimal.run("python", "-c", program).stderr.splitlines()[-1]


def test_serving_that_is_not_installed_says_how_to_install_it(minimal: Environment) -> None:
    assert "pip install 'flowdeck[serve]'" in minimal.refuses("flowdeck", "ui", "--serve")


def test_the_unpacked_sdist_passes_tests_of_its_own(
    built: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [sdist] = built.glob("*.tar.gz")
    environment = installed(tmp_path_factory.mktemp("from-sdist"), str(sdist), *TOOLS)
    words = ["python", "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHOSEN]
    done = environment.run(*words, cwd=unpacked(built))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_sdist_holds_what_git_holds(built: Path) -> None:
    """Only where the tests run in a clone: an sdist knows nothing of git."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("no clone")
    folder = unpacked(built)
    missing = [name for name in listed.stdout.splitlines() if not (folder / name).is_file()]
    assert missing == []

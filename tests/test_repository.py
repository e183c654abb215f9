"""Rules of the repository that no tool checks: who may import whom, sizes, what must not appear."""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "flowdeck_app": ROOT / "app" / "flowdeck_app",
    "flowdeck": ROOT / "engine" / "flowdeck",
    "flowdeck_store": ROOT / "store" / "flowdeck_store",
}

#: What each of our packages may know of the others.
KNOWS = {
    "flowdeck_app": {"flowdeck_app", "flowdeck", "flowdeck_store"},
    "flowdeck": {"flowdeck", "flowdeck_store"},
    "flowdeck_store": {"flowdeck_store"},
}

#: The only places that import a library, as patterns of paths below the repository.
ONLY = {
    "distributed": ["engine/flowdeck/task_runners/dask*"],
    "dask": ["engine/flowdeck/task_runners/dask*"],
    "ray": ["engine/flowdeck/task_runners/ray*"],
    "pydantic": ["engine/flowdeck/parameters*.py"],
    "click": ["app/flowdeck_app/*"],
    "textual": ["app/flowdeck_app/*"],
    "rich": ["app/flowdeck_app/*"],
    "textual_serve": ["app/flowdeck_app/*"],
    "sqlite_utils": ["store/flowdeck_store/*"],
    "sqlite3": ["store/flowdeck_store/*", "app/flowdeck_app/*"],
}

#: What every event passes on its way into the file: the standard library's sqlite3 only.
HOT = ("writer", "journal", "segment", "intake", "batch", "flusher", "ingest", "events")

MODULES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))

LINES = 400
FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the top-level packages that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)}:{node.lineno} imports relatively"
            found.add((node.module or "").partition(".")[0])
    return frozenset(found)


def test_imports_point_downwards() -> None:
    upward = [
        f"{name_of(path)} imports {imported}"
        for package, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
        for imported in imports_of(path)
        if imported in PACKAGES and imported not in KNOWS[package]
    ]
    assert upward == []


@pytest.mark.parametrize("library", ONLY)
def test_imports_of_a_library_are_in_one_place(library: str) -> None:
    elsewhere = [
        name_of(path)
        for path in MODULES
        if library in imports_of(path)
        and not any(fnmatch(name_of(path), pattern) for pattern in ONLY[library])
    ]
    assert elsewhere == []


def test_imports_on_the_hot_path_are_light() -> None:
    heavy = [
        f"{path.name} imports {imported}"
        for path in (PACKAGES["flowdeck_store"] / f"{stem}.py" for stem in HOT)
        for imported in imports_of(path)
        if imported not in {*sys.stdlib_module_names, "flowdeck_store"}
    ]
    assert heavy == []


def test_no_module_is_long() -> None:
    sizes = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > LINES} == {}


def test_no_function_is_long() -> None:
    """What counts is its body: a signature with many options and its description may be long."""
    long = {
        f"{name_of(path)}:{function.lineno} {function.name}": size
        for path in MODULES
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        if (size := body_lines(function)) > FUNCTION_LINES
    }
    assert long == {}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(tree_of(path))]
    assert [name_of(path) for path in silent if path.read_text("utf-8").strip()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_tell_type_checkers_that_they_are_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()


def texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of the files that belong to the repository."""
    folders = [*(path.parent for path in PACKAGES.values())]
    folders += [ROOT / name for name in ("tests", "examples", "docs", "benchmarks", ".ci")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    paths += [path for path in ROOT.iterdir() if path.is_file() and path.name != "LICENSE"]
    for path in sorted(paths):
        if "__pycache__" in path.parts or path.parent.name == "data":
            continue
        with_text = path.suffix in {"", ".py", ".md", ".toml", ".txt", ".sh", ".svg", ".tcss"}
        if with_text:
            yield name_of(path), path.read_text(encoding="utf-8")


def found(pattern: str) -> list[str]:
    return [
        f"{name}: {match[0]}"
        for name, text in texts()
        for match in re.finditer(pattern, text)
        if name != "tests/test_repository.py"
    ]


def test_no_file_names_a_place_in_the_network() -> None:
    """Addresses of this machine and those reserved for examples are fine."""
    fine = r"(?:127\.0\.0\.1|localhost|host|x|my-dask-cluster|[\w.-]*example(?:\.\w+)?|www\.w3\.org|[{$<])"
    assert found(rf"\b(?:https?|ftp)://(?!{fine})[^\s\"'`)>]+") == []
    assert found(r"\b(?:pypi|pythonhosted|anaconda|conda-forge|ghcr|docker\.io)\b[^\s]*") == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert found(r"(?<![\w.~)}/])/(?:root|work|home/(?!you\b|me\b)\w+|Users/\w+)/[^\s\"'`)]*") == []


def test_constraints_are_exact_versions_without_addresses() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_constraints_pin_every_declared_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {
        re.split(r"[\[><=]", requirement)[0].lower() for group in groups for requirement in group
    }
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert names - pinned == {"flowdeck"}


def test_the_version_is_the_same_everywhere() -> None:
    import tomllib

    import flowdeck

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert flowdeck.__version__ == project["version"]
    assert f"[{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_project_s_machine_runs_the_readme_s_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    assert "make test" in script
    assert "make test" in (ROOT / "README.md").read_text()

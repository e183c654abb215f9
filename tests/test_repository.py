"""Rules of the repository that no tool checks: sizes, names, what must not appear.

Who may import whom is import-linter's to check, see ``pyproject.toml``.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
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

MODULES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))

LINES = 400
FUNCTION_LINES = 60
FILES = 21  # with __init__.py
DEPTH = 2
#: Folders beside the packages whose files are looked through.
TEXTS = ("tests", "examples", "docs", "benchmarks", "versions", ".ci", ".github")
#: What all widgets, screens and the app stand on; it does not count as depth.
GROUND = {"Living", "LivingScreen", "LivingApp"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_no_module_is_long() -> None:
    sizes = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > LINES} == {}


@pytest.mark.parametrize("part", ["store", "engine", "app", "tests"])
def test_no_folder_is_crowded(part: str) -> None:
    """A stranger takes a folder in at a glance."""
    files = {path.parent: 0 for path in (ROOT / part).rglob("*.py")}
    for folder in files:
        files[folder] = len([x for x in folder.iterdir() if x.is_file() and x.suffix == ".py"])
    assert {name_of(folder): count for folder, count in files.items() if count > FILES} == {}


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


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the classes of all modules, each with its module's name."""
    for path in MODULES:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                yield name_of(path), node


def test_a_class_name_means_one_thing() -> None:
    counted = Counter(node.name for _, node in classes())
    twice = [f"{path} {node.name}" for path, node in classes() if counted[node.name] > 1]
    assert twice == []


def base_names(node: ast.ClassDef) -> list[str]:
    plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return [base.id for base in plain if isinstance(base, ast.Name)]


def test_classes_are_put_together_not_inherited_from_each_other() -> None:
    """At most two own classes stand above one: what a class can do is seen at once.

    The parts of the store's ``Reader`` are written as mixins of one another. ``Living`` and its two
    kin are not counted, like Textual's own bases: all widgets, screens and apps stand on them.
    """
    own = {node.name: base_names(node) for _, node in classes()}

    def depth(name: str) -> int:
        if name not in own or name in GROUND or "Protocol" in own[name]:
            return -1
        return 1 + max((depth(base) for base in own[name]), default=-1)

    deep = [
        f"{path} {node.name}"
        for path, node in classes()
        if depth(node.name) > DEPTH and not path.startswith("store/flowdeck_store/read/")
    ]
    assert deep == []


def module_path(name: str) -> Path | None:
    """Return the file of one of our modules, ``None`` if there is no such module."""
    package, _, rest = name.partition(".")
    if package not in PACKAGES:
        return None
    path = PACKAGES[package].joinpath(*rest.split(".")) if rest else PACKAGES[package]
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def foreign_private_names(path: Path) -> Iterator[str]:
    """Yield where a module imports or uses a name that another module keeps to itself."""
    modules: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            for alias in node.names:
                if module_path(f"{node.module}.{alias.name}") is not None:
                    modules.add(alias.asname or alias.name)
                elif private(alias.name):
                    yield f"{name_of(path)}:{node.lineno} {alias.name}"
        elif isinstance(node, ast.Import):
            modules |= {alias.asname for alias in node.names if alias.asname}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in modules and private(node.attr):
                yield f"{name_of(path)}:{node.lineno} {node.value.id}.{node.attr}"


def test_what_a_module_keeps_to_itself_nobody_else_uses() -> None:
    used = [place for path in MODULES for place in foreign_private_names(path)]
    assert used == []


def places(pattern: str, folder: Path, without: str = "") -> list[str]:
    """Return the lines of code below a folder that a pattern is found in."""
    return [
        f"{name_of(path)}:{number} {line.strip()}"
        for path in MODULES
        if path.is_relative_to(folder) and name_of(path) != without
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_screens_have_no_gaps_that_a_subclass_must_fill() -> None:
    gaps = places(r"\bNotImplementedError\b", PACKAGES["flowdeck_app"] / "screens")
    assert gaps == []


def test_what_is_packed_into_an_id_only_one_module_knows() -> None:
    packed = places(r"(?:<<|>>) ?24\b|0xFFFFFF\b|16777215", ROOT, "store/flowdeck_store/ids.py")
    assert packed == []


def test_fields_of_events_are_read_by_name() -> None:
    raw = places(r"\b(?:\w+_)?event\[-?\d+\]", ROOT, "store/flowdeck_store/events.py")
    assert raw == []


def test_the_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py)`", text)
    links = re.findall(r"\[`([\w/]+\.py)`\]\(\.\./([^)]+)\)", text)
    assert [name for name, target in links if not target.endswith(f"/{name}")] == []
    assert [target for _, target in links if not (ROOT / target).is_file()] == []
    assert named == [name for name, _ in links]  # each is a link
    assert named


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(tree_of(path))]
    assert [name_of(path) for path in silent if path.read_text("utf-8").strip()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_tell_type_checkers_that_they_are_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()


def texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of the files that belong to the repository."""
    folders = [*(path.parent for path in PACKAGES.values())]
    folders += [ROOT / name for name in TEXTS]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    paths += [
        path for path in ROOT.iterdir() if path.is_file() and path.name not in {"LICENSE", ".git"}
    ]
    for path in sorted(paths):
        if "__pycache__" in path.parts or path.parent.name == "data":
            continue
        with_text = path.suffix in {
            "",
            ".py",
            ".md",
            ".toml",
            ".txt",
            ".sh",
            ".svg",
            ".tcss",
            ".yml",
            ".yaml",
        }
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


def test_every_dependency_says_its_lowest_version() -> None:
    """``make test-lowest`` installs it, and the pinned one is not below."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    of_us = [one for group in groups for one in group if not one.startswith("flowdeck[")]
    bounds = [
        re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", one.partition(";")[0]) for one in of_us
    ]
    assert [one for one, bound in zip(of_us, bounds, strict=True) if bound is None] == []
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    below = [bound[0] for bound in bounds if bound and numbers(pins[bound[1]]) < numbers(bound[2])]
    assert below == []


def test_the_workflow_knows_only_targets_of_make() -> None:
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    makefile = (ROOT / "Makefile").read_text()
    runs = re.findall(r"run: (.*)", text)
    assert runs
    assert [line for line in runs if not line.startswith("make ")] == []
    targets = set(re.findall(r"target: \[?([\w-]+)", text))
    assert targets == {"test", "test-lowest", "test-packages"}
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
    for version in re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()):
        assert f'"{version}"' in text


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

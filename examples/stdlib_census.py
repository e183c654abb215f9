"""Count what is in the Python standard library that is installed here.

Every source file is read by one task and measured by another (lines, functions, classes), both
mapped over the files on the concurrent runner; a subflow on the sequential runner adds the figures
up. The library keeps a few files that are broken on purpose, for its own tests: their tasks fail,
really, and the record keeps each traceback with its local variables. The census goes on without
them and says which they were.

    flowdeck run examples/stdlib_census.py:census
    flowdeck run examples/stdlib_census.py:census -p package=asyncio -p top=3
    flowdeck task @last-failed/measure-      # with the name that `flowdeck show` printed
    python examples/stdlib_census.py
"""

from __future__ import annotations

import ast
import sysconfig
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowdeck import flow, get_run_logger, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

LIBRARY = Path(sysconfig.get_paths()["stdlib"])

#: Installed packages of other people, which live in the same folder.
NOT_OURS = {"site-packages", "dist-packages", "__pycache__"}

#: Where the library keeps sources that no parser of this Python accepts.
BROKEN = ("lib2to3/tests/data/*.py", "test/test_lib2to3/data/*.py", "test/**/bad*.py")

#: Texts that every library has and that are no Python, for installations without its tests.
NO_PYTHON = ("venv/scripts/common/*", "LICENSE.txt", "**/README*")

# Old sources are full of "\d" in plain strings; this census is about what parses, not about style.
warnings.filterwarnings("ignore", category=SyntaxWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)

Package = Literal["everything", "asyncio", "email", "encodings", "json", "test", "unittest", "xml"]


@dataclass(frozen=True)
class Measure:
    """What one source file holds."""

    name: str
    lines: int
    functions: int
    classes: int
    longest: str
    longest_lines: int


@task(task_run_name="read {name}")
def read(name: str) -> str:
    """Return the text of one source file, decoded as it says it is encoded."""
    with tokenize.open(LIBRARY / name) as file:
        return file.read()


@task(task_run_name="measure {name}")
def measure(name: str, source: str) -> Measure:
    """Parse one source and count what is in it."""
    tree = ast.parse(source, name)
    nodes = list(ast.walk(tree))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = [n for n in nodes if isinstance(n, ast.ClassDef)]
    sizes = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions}
    longest = max(sizes, key=sizes.__getitem__, default="")
    return Measure(
        name=name,
        lines=source.count("\n"),
        functions=len(functions),
        classes=len(classes),
        longest=longest,
        longest_lines=sizes.get(longest, 0),
    )


@task
def add_up(measures: list[Measure]) -> dict[str, int]:
    """Return the sums over all files."""
    return {
        "files": len(measures),
        "lines": sum(m.lines for m in measures),
        "functions": sum(m.functions for m in measures),
        "classes": sum(m.classes for m in measures),
    }


@task
def longest_functions(measures: list[Measure], top: int) -> list[str]:
    """Return the longest functions, longest first."""
    ranked = sorted(measures, key=lambda m: m.longest_lines, reverse=True)
    return [f"{m.longest} in {m.name}: {m.longest_lines} lines" for m in ranked[:top] if m.longest]


@flow(task_runner=SequentialTaskRunner())
def summarise(measures: list[Measure], top: int) -> dict[str, object]:
    """Add the measures up, one step after the other."""
    total = add_up.submit(measures)
    longest = longest_functions.submit(measures, top)
    return {**total.result(), "longest": longest.result()}


# Parsing is work for the processor: a few threads keep it busy, hundreds would only take turns.
@flow(task_runner=ConcurrentTaskRunner(max_workers=8))
def census(
    package: Package = "everything",
    limit: int = 400,
    top: int = 5,
    include_broken: bool = True,
) -> dict[str, object]:
    """Count lines, functions and classes of the installed standard library.

    Args:
        package: the part of the library to look at
        limit: how many files at most, spread evenly over the library; 0 means all
        top: how many of the longest functions to name
        include_broken: also files that are known not to parse, for some real failures
    """
    logger = get_run_logger()
    names = sources(package, limit)
    if include_broken:
        names = sorted({*names, *broken(package)})
    logger.info("Measuring %d files of %s", len(names), LIBRARY)
    measured = measure.map(names, read.map(names))
    states = [future.wait() for future in measured]
    good = [state.result() for state in states if state.is_completed()]
    lost = [name for name, state in zip(names, states, strict=True) if not state.is_completed()]
    for name in lost:
        logger.warning("%s could not be measured", name)
    summary = summarise(good, top)
    logger.info("%(files)d files, %(lines)d lines, %(functions)d functions", summary)
    return {**summary, "lost": lost}


def sources(package: Package, limit: int) -> list[str]:
    """Return the names of source files of a package, at most so many, evenly spread."""
    root = LIBRARY if package == "everything" else LIBRARY / package
    names = [
        path.relative_to(LIBRARY).as_posix()
        for path in sorted(root.rglob("*.py"))
        if not NOT_OURS.intersection(path.relative_to(LIBRARY).parts)
    ]
    if not limit or len(names) <= limit:
        return names
    return [names[i * len(names) // limit] for i in range(limit)]


def broken(package: Package) -> list[str]:
    """Return names of files that do not parse: kept for tests, or texts that are no Python."""
    if package not in {"everything", "test"}:
        return []
    for patterns in (BROKEN, NO_PYTHON):
        found = {path for pattern in patterns for path in LIBRARY.glob(pattern) if path.is_file()}
        names = [path.relative_to(LIBRARY).as_posix() for path in sorted(found)]
        if names:
            return [name for name in names if not NOT_OURS.intersection(Path(name).parts)]
    return []


if __name__ == "__main__":
    print(census())

"""Subflows: each part of the work on the runner that suits it.

The parent runs its tasks one after the other. It calls one subflow that hashes the files of a few
packages with four threads, and another that writes the report line by line, in order. Each is a
run of its own in the record, with a link to its parent.

    python examples/subflows.py
    flowdeck runs --subflows
"""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path

from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

LIBRARY = Path(sysconfig.get_paths()["stdlib"])


@task
def find(package: str) -> list[Path]:
    """Return the source files of a package."""
    return sorted((LIBRARY / package).glob("*.py"))


@task(task_run_name="digest {path.name}")
def digest(path: Path) -> str:
    """Return the SHA-256 of a file, with its name."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}  {path.name}"


@task
def write(line: str) -> None:
    """Write one line of the report."""
    print(line)


@flow(task_runner=ConcurrentTaskRunner(max_workers=4))
def hash_files(paths: list[Path]) -> list[str]:
    """Hash files, four at a time."""
    return [future.result() for future in digest.map(paths)]


@flow(task_runner=SequentialTaskRunner())
def report(title: str, lines: list[str]) -> None:
    """Write the report in order."""
    write.submit(title)
    for line in lines:
        write.submit(f"  {line}")


@flow(task_runner=SequentialTaskRunner())
def inventory(packages: tuple[str, ...] = ("json", "logging", "tomllib")) -> int:
    """Report the digest of every file of some packages; return how many there were."""
    count = 0
    for package in packages:
        lines = hash_files(find.submit(package))
        report(package, lines)
        count += len(lines)
    return count


if __name__ == "__main__":
    print(f"{inventory()} files")

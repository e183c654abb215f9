"""Run what the pages print: their files, their commands, and compare with the output they show.

In a page (README.md, docs/*.md)

- a fence such as ``python file=hello.py`` is a file of the page's folder,
- a fence ``console`` is a session in that folder: ``$ command`` lines and what each prints; a line
  ``...`` stands for any lines,
- a ``python`` fence without a file is a fragment: it must be valid Python, no more.

Times, random names, process numbers and column widths differ from run to run and are not compared.

    python docs/pages.py                  check all pages
    python docs/pages.py --write PAGE...  put the real output where what is printed is wrong
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
#: Programs in the place of those that would change this machine.
STAND_INS = ROOT / "docs" / "stand_ins"
FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: What is different in every run, and what stands for it while two outputs are compared.
VARIABLE = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "WHEN"),
    (r"\d\d:\d\d:\d\d(\.\d+)?", "WHEN"),
    (r"\b\d{1,2} [A-Z][a-z][a-z] \d\d:\d\d\b", "WHEN"),
    (r"\b[0-9a-f]{32}\b", "UID"),
    (r"\b[0-9a-f]{2}/[0-9a-f]{30}\b", "KEPT"),
    (r"-[0-9a-f]{8}-", "-HASH-"),
    (r"\b[0-9a-f]{8}\b", "GROUP"),
    (r"process +\d+ on \S+|pid \d+|process \d+", "PROCESS"),
    (r'"pid": \d+, "host": "[^"]*"', "PROCESS"),
    (r"\+?\b\d+(\.\d+)?(µs|ms|s|min|h)\b", "SECONDS"),
    (r"\b\d+(\.\d+)? (B|kB|MB|GB|KiB|MiB|GiB|bytes)\b", "SIZE"),
    (r'"(duration|size|cpu_seconds)": [\d.e-]+', "FIGURE"),
    (r"\b[a-z]{2,}-[a-z]{2,}\b", "NAME"),
    (r"0x[0-9a-f]+", "ADDRESS"),
    (r"[━─╌]+", "━"),
    (r"[ \t]+", " "),
]


@dataclass(frozen=True)
class Page:
    """One page: its text and where it is."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """The path below the repository."""
        return self.path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Command:
    """A command of a session, and where in the page's text its output is shown."""

    line: str
    start: int
    end: int


@dataclass(frozen=True)
class Difference:
    """A command that prints something else than its page shows."""

    page: Page
    command: Command
    printed: str

    def __str__(self) -> str:
        """Say what was expected and what came."""
        shown = self.page.text[self.command.start : self.command.end]
        return (
            f"{self.page.name}: `{self.command.line}` prints\n{self.printed}\n"
            f"but the page shows\n{shown}"
        )


def pages() -> list[Page]:
    """Return all pages of the repository."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [Page(path, path.read_text(encoding="utf-8")) for path in paths]


def check(page: Page, home: Path) -> list[Difference]:
    """Run a page; ``home`` is an empty folder that stands for the user's home folder."""
    folder = home / "flows"
    folder.mkdir(parents=True)
    wrong = []
    for fence in FENCE.finditer(page.text):
        language, file, body = fence.groups()
        if file:
            (folder / file).write_text(body, encoding="utf-8")
        elif language == "python":
            ast.parse(body, page.name)
        elif language == "console":
            for command in commands(body, fence.start(3)):
                printed = run(command.line, home)
                shown = page.text[command.start : command.end]
                if not fits(normalised(shown), normalised(printed)):
                    wrong.append(Difference(page, command, printed))
    return wrong


def corrected(page: Page, home: Path) -> str:
    """Return the page's text with the real output where it showed something else."""
    text = page.text
    for wrong in reversed(check(page, home)):
        text = text[: wrong.command.start] + wrong.printed + text[wrong.command.end :]
    return text


def commands(body: str, offset: int) -> Iterator[Command]:
    """Yield the commands of a session that begins at an offset of the page's text."""
    starts = [match.start() for match in re.finditer(r"^\$ ", body, flags=re.MULTILINE)]
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        output = body.index("\n", start) + 1
        while body[output - 2] == "\\":  # the command goes on in the next line
            output = body.index("\n", output) + 1
        yield Command(body[start + 2 : output - 1], offset + output, offset + end)


def run(command: str, home: Path) -> str:
    """Run a command as a user would in ``~/flows``; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWDECK_")}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=home / "flows",
        env={
            **kept,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            # As the entry point has it, also where the installation is older than that.
            "PYTEST_PLUGINS": "flowdeck_pytest",
            "PATH": os.pathsep.join(
                map(str, (STAND_INS, Path(sys.executable).parent, os.environ["PATH"]))
            ),
            "COLUMNS": "100",
            "PYTHONUNBUFFERED": "1",
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    for path in {str(home), str(home.resolve())}:
        text = text.replace(path, "/home/you")
    text = re.sub(r"[^\s\"']*/lib/(python3\.\d+)/", r"/usr/lib/\1/", text)
    host = re.escape(os.uname().nodename)
    return re.sub(rf'(\bon |"host": "){host}\b', r"\1laptop", text)


def normalised(text: str) -> list[str]:
    """Return the lines with what differs between runs replaced."""
    for pattern, stand_in in VARIABLE:
        text = re.sub(pattern, stand_in, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def fits(shown: list[str], printed: list[str]) -> bool:
    """Return whether the lines are as shown; ``...`` stands for any lines."""
    if not shown:
        return not printed
    first, *rest = shown
    if first == "...":
        return any(fits(rest, printed[i:]) for i in range(len(printed) + 1))
    return bool(printed) and first == printed[0] and fits(rest, printed[1:])


def main(arguments: list[str]) -> int:
    """Check or write the pages that are named (default: all); return the exit code."""
    write = "--write" in arguments
    wanted = {Path(a).resolve() for a in arguments if a != "--write"}
    bad = 0
    for page in pages():
        if wanted and page.path.resolve() not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            if write:
                text = corrected(page, Path(folder))
                if text != page.text:
                    page.path.write_text(text, encoding="utf-8")
                    print(f"{page.name}: written")
                continue
            for difference in check(page, Path(folder)):
                bad += 1
                print(f"{difference}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

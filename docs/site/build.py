"""Build the documentation site: ``make docs``.

The pages of ``docs`` are written to be read in the repository, and the tests run what they print. The
site is the same pages with an index, the reference of the command line and of the Python modules. A
link to a file of the repository (its code, an example) is no page of the site: its text stays.
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdeck import flow, task

if TYPE_CHECKING:
    from types import ModuleType

SITE = Path(__file__).parent
DOCS = SITE.parent
ROOT = DOCS.parent
#: Where the sources are put together, and the site is made; both are made anew.
SOURCES = ROOT / "build" / "docs"
HTML = ROOT / "build" / "site"

#: What users import, in the order of the reference.
MODULES = {
    "flowdeck.flows": "Flows",
    "flowdeck.tasks": "Tasks",
    "flowdeck.futures": "Futures",
    "flowdeck.states": "States",
    "flowdeck.task_runners": "Task runners",
    "flowdeck.annotations": "Annotations",
    "flowdeck.context": "Tags and context",
    "flowdeck.runtime": "The current run",
    "flowdeck.logging": "Logging",
    "flowdeck.caching": "Caching",
    "flowdeck.serializers": "Serializers",
    "flowdeck.concurrency": "Limits of code",
    "flowdeck.record": "The record",
    "flowdeck.testing": "Testing",
    "flowdeck.exceptions": "Exceptions",
}

_OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./|examples\b|CONTRIBUTING|CHANGELOG|LICENSE|SECURITY)[^)]*\)"
)
_FILE_FENCE = re.compile(r"^```(\w+) file=(\S+)$", re.MULTILINE)


def page(text: str) -> str:
    """Return a page of the repository as one of the site."""
    text = _OUTSIDE.sub(r"\1", text)
    return _FILE_FENCE.sub(r"```{code-block} \1\n:caption: \2\n", text)


def about() -> str:
    """Return what the README says before its first section, as the site's front page says it."""
    text = (ROOT / "README.md").read_text()
    _, _, rest = text.partition("\n")
    return page(rest.partition("\n## ")[0]).replace("(docs/", "(")


def api() -> str:
    """Return the page of the Python modules."""
    parts = ["# Python reference\n"]
    told: set[int] = set()
    for name, title in MODULES.items():
        module = importlib.import_module(name)
        parts.append(f"## {title}\n\n`{name}`: {(module.__doc__ or '').partition(chr(10))[0]}\n")
        for public in _public(module):
            value = getattr(module, public)
            if id(value) not in told:
                told.add(id(value))
                parts.append(_directive(f"{name}.{public}", value))
    return "\n".join(parts)


def _public(module: ModuleType) -> list[str]:
    """Return the names that a module offers: what it says, or what it defines."""
    said = getattr(module, "__all__", None)
    if said is not None:
        return list(said)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def _directive(path: str, value: Any) -> str:
    kind = "class" if isinstance(value, type) else "function" if callable(value) else "data"
    if value is flow or value is task:
        path += "(fn=None, /, **options)"  # their overloads say the same of every kind of function
    members = "   :members:\n   :inherited-members: Exception\n" if kind == "class" else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {path}\n{members}```\n"


def verbs() -> str:
    """Return the page of the command line: what each verb says of itself."""
    from click import Context

    from flowdeck_app.cli.root import VERBS, flowdeck

    parts = ["# Every verb\n", "What `flowdeck VERB --help` says; [more](command-line.md).\n"]
    root = Context(flowdeck, info_name="flowdeck")
    for verb in VERBS:
        command = flowdeck.get_command(root, verb)
        assert command is not None
        parts.append(_help(command, Context(command, info_name=verb, parent=root)))
    return "\n".join(parts)


def _help(command: Any, context: Any) -> str:
    parts = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
    for name, inner in getattr(command, "commands", {}).items():
        parts.append(_help(inner, type(context)(inner, info_name=name, parent=context)))
    return "\n".join(parts)


def gather() -> None:
    """Put the sources of the site together."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    SOURCES.mkdir(parents=True)
    for path in sorted(DOCS.glob("*.md")):
        (SOURCES / path.name).write_text(
            page(path.read_text()).replace("(../README.md", "(index.md")
        )
    for name in ("index.md", "conf.py"):
        shutil.copy(SITE / name, SOURCES)
    shutil.copytree(DOCS / "images", SOURCES / "images")
    (SOURCES / "about.md").write_text(about())
    (SOURCES / "api.md").write_text(api())
    (SOURCES / "verbs.md").write_text(verbs())


def main() -> int:
    gather()
    shutil.rmtree(HTML, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going"]
    done = subprocess.run([*command, str(SOURCES), str(HTML)], check=False)
    if not done.returncode:
        print(f"The site is in {HTML / 'index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

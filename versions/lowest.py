"""Print the lowest versions that ``pyproject.toml`` allows, one requirement a line.

    python versions/lowest.py > lowest.txt; pip install -r lowest.txt

Only what flowdeck asks for itself is taken to its lowest (``>=`` becomes ``==``): what these need in
turn comes as pip finds it, as it does for a user. What only the tests need comes in the versions of
``constraints.txt``: no user has it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: What runs the tests. Linters and type checkers are not needed for it.
TOOLS = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist", "sniffio")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+(?:\[[\w,-]+\])?)>=(?P<version>[\d.]+)")


def lowest(project: dict[str, Any]) -> list[str]:
    """Return the requirements of a project and of its extras at their lowest.

    Raises:
        ValueError: a requirement does not say from which version on.
    """
    extras = {
        name: asked
        for name, asked in project["optional-dependencies"].items()
        if name not in {"dev", "gpu"}  # gpu: of no use without a driver, and none is here
    }
    requirements = [*project["dependencies"], *chain.from_iterable(extras.values())]
    found = []
    for requirement in requirements:
        if requirement.startswith(f"{project['name']}["):
            continue  # an extra of extras
        match = _REQUIREMENT.fullmatch(requirement.partition(";")[0].strip())
        if match is None:
            raise ValueError(f"pyproject.toml: {requirement!r} is not of the form NAME>=VERSION")
        marker = "".join(requirement.partition(";")[1:])
        found.append(f"{match['name']}=={match['version']}{marker}")
    return found


def tools(constraints: str) -> list[str]:
    """Return what runs the tests, as ``constraints.txt`` pins it."""
    pins = dict(line.split("==") for line in constraints.split())
    return [f"{name}=={pins[name]}" for name in TOOLS]


def main() -> int:
    """Print both."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    print(*lowest(project), *tools((ROOT / "constraints.txt").read_text("utf-8")), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

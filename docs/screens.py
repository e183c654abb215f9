"""Draw the pictures in docs/images from a real run of the census example.

    make docs-screens

Each is what a command prints in colour, drawn as SVG; nothing in them is made up, and nothing in
them is loaded from the network.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pages
from pictures import slim
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

IMAGES = Path(__file__).parent / "images"
WIDTH = 100

#: Name of the picture: the command, and the first and last line of its output that are shown.
PICTURES = {
    "show": ("show @last", r"Completed", r"^Result"),
    "task": ("task FAILED --logs 0", r"Failed", r"^Last log lines"),
}


def census(home: Path) -> str:
    """Run the example in ``~/flows`` and return the number of a task run that failed."""
    folder = home / "flows" / "examples"
    folder.mkdir(parents=True)
    shutil.copy(pages.ROOT / "examples" / "stdlib_census.py", folder)
    command = "run examples/stdlib_census.py:census -p limit=50 --name brave-otter --quiet"
    pages.run(f"flowdeck {command}", home)
    failed = pages.run("flowdeck tasks @last state:failed task:measure --limit 1 --json", home)
    return str(json.loads(failed)["id"])


def lines_of(text: str, first: str, last: str) -> list[str]:
    """Return the lines from the first that matches to the one before the last pattern's."""
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in text.splitlines()]
    start = next(i for i, line in enumerate(plain) if re.search(first, line))
    end = next((i for i, line in enumerate(plain) if i > start and re.search(last, line)), None)
    return text.splitlines()[start:end]


def draw(name: str, command: str, lines: list[str]) -> None:
    """Draw lines with terminal colours as ``docs/images/NAME.svg``."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="ellipsis")
    IMAGES.mkdir(exist_ok=True)
    picture = console.export_svg(
        title=f"flowdeck {command}",
        theme=DIMMED_MONOKAI,
        unique_id=name,
    )
    (IMAGES / f"{name}.svg").write_text(slim(picture), encoding="utf-8")


def main() -> int:
    """Draw all pictures; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        failed = census(home)
        for name, (template, first, last) in PICTURES.items():
            command = template.replace("FAILED", failed)
            text = pages.run(f"flowdeck --color always {command}", home)
            draw(name, command, lines_of(text, first, last))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the key table of docs/terminal-app.md anew from the registry of actions.

python docs/app_keys.py            write it
python docs/app_keys.py --check    exit with 1 if it is not current
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from flowdeck_app.actions import key_table

PAGE = Path(__file__).parent / "terminal-app.md"
TABLE = re.compile(r"(?<=<!-- keys -->\n).*?(?=<!-- end of keys -->)", re.DOTALL)


def current() -> str:
    """Return the page with the key table as the registry has it."""
    table = key_table().replace("## ", "### ").rstrip()
    return TABLE.sub(lambda found: f"\n{table}\n\n", PAGE.read_text("utf-8"))


def main() -> int:
    """Write or check the page; return the exit code."""
    text = current()
    if "--check" in sys.argv:
        return 0 if text == PAGE.read_text("utf-8") else 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

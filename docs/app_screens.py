"""Draw the pictures in docs/images: real flows into a store of their own, then the app over it.

    python docs/app_screens.py [FOLDER]

Nothing is made up: the runs are those of the examples, recorded while this command runs.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
SIZE = (120, 36)

#: What an offline reader cannot load: web fonts, a link in a comment.
FROM_ELSEWHERE = re.compile(r"@font-face \{.*?\}|<!--.*?-->", re.DOTALL)

Step = Callable[[Any, Any], Awaitable[None]]


def run(home: Path, target: str, *options: str) -> None:
    """Run a flow with the command line; a flow that fails on purpose is fine."""
    command = [sys.executable, "-m", "flowdeck_app", "run", target, "--quiet", *options]
    env = {**os.environ, "FLOWDECK_HOME": str(home)}
    subprocess.run(command, cwd=EXAMPLES, env=env, check=False, capture_output=True)


def fill(home: Path) -> None:
    """Record some runs."""
    for limit in (40, 60, 50, 80, 70):
        run(home, "stdlib_census.py:census", "-p", f"limit={limit}")
        run(home, "retries.py")
    run(home, "async_flow.py")
    run(home, "caching.py")
    run(home, "subflows.py:inventory")
    run(home, "stdlib_census.py:census", "-p", "limit=-1")
    run(home, "stdlib_census.py:census", "-p", "limit=1200")


async def keys(pilot: Any, *pressed: str) -> None:
    """Press keys one after the other, each time until the screen is calm."""
    for key in pressed:
        await pilot.press(key)
        await calm(pilot)


async def calm(pilot: Any) -> None:
    """Wait until nothing is being read any more."""
    for _ in range(4):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause(0.15)


async def home_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "1")


async def launch_dialog(app: Any, pilot: Any) -> None:
    app.open_launch("stdlib_census.py:census")
    await calm(pilot)


async def run_screen(app: Any, pilot: Any) -> None:
    app.open_run(await newest(app, "flow:census tasks:>100"))
    await calm(pilot)


async def timeline(app: Any, pilot: Any) -> None:
    await run_screen(app, pilot)
    await keys(pilot, "right_square_bracket")


async def graph(app: Any, pilot: Any) -> None:
    await timeline(app, pilot)
    await keys(pilot, "right_square_bracket")


async def logs(app: Any, pilot: Any) -> None:
    await graph(app, pilot)
    await keys(pilot, "right_square_bracket")


async def task_screen(app: Any, pilot: Any) -> None:
    run_id = await newest(app, "flow:census")
    failed = await app.access.ask(lambda reader: reader.first_failures([run_id])[run_id])
    app.open_task(run_id, failed.no)
    await calm(pilot)


async def runs_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "2")


async def compare_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "2", "space", "j", "space", "equals_sign")


async def help_screen(app: Any, pilot: Any) -> None:
    await run_screen(app, pilot)
    await keys(pilot, "question_mark")


PICTURES: dict[str, Step] = {
    "home": home_screen,
    "launch": launch_dialog,
    "run": run_screen,
    "timeline": timeline,
    "graph": graph,
    "logs": logs,
    "task": task_screen,
    "runs": runs_screen,
    "compare": compare_screen,
    "help": help_screen,
}


async def newest(app: Any, query: str) -> int:
    """Return the number of the newest run that a filter lets through."""
    runs = await app.access.ask(lambda reader: reader.runs(query.split(" tasks:")[0], limit=20))
    return int(max(runs, key=lambda r: r.n_tasks).id)


async def draw(home: Path, name: str, folder: Path) -> None:
    """Draw one screen."""
    from flowdeck_app.app import FlowdeckApp

    app = FlowdeckApp(home, folder=EXAMPLES, remember=False)
    async with app.run_test(size=SIZE) as pilot:
        await calm(pilot)
        await PICTURES[name](app, pilot)
        await calm(pilot)
        picture = app.export_screenshot(title="flowdeck")
    # Textual puts a random number into class names: the same screen shall be the same file.
    picture = re.sub(r"terminal-\d+", f"terminal-{name}", picture)
    (folder / f"app-{name}.svg").write_text(FROM_ELSEWHERE.sub("", picture), encoding="utf-8")
    print(f"app-{name}.svg")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "images"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(EXAMPLES)
    with tempfile.TemporaryDirectory(prefix="flowdeck-screens-") as temporary:
        home = Path(temporary) / "home"
        os.environ["FLOWDECK_HOME"] = str(home)
        fill(home)
        for name in PICTURES:
            asyncio.run(draw(home, name, folder))


if __name__ == "__main__":
    main()

"""Draw docs/images/gallery and write docs/gallery.md: three real runs in every view, at three sizes.

    python docs/gallery.py [VIEW...]

Nothing is made up: the census of the standard library, a sweep with numpy on a Dask cluster and a run
of 5,000 task runs are executed while this command runs. The last two wait in the middle until what shows
them at work is drawn. Another view is one more line of :data:`VIEWS`, another run one of :data:`SCENES`.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gallery_flows
from app_screens import EXAMPLES, HERE, calm, keys, newest, run, wait_for_all
from pictures import slim, without_place

from flowdeck_store.read.reader import Reader
from flowdeck_store.states import BUCKETS

FOLDER = HERE / "images" / "gallery"
PAGE = HERE / "gallery.md"
SIZES = ((80, 24), (120, 36), (160, 45))
#: Files of the standard library that do not parse are named with it.
PYTHON = str(Path(sysconfig.get_paths()["stdlib"]).parent)
#: While this file is there the runs that can be held go no further.
HOLD = "hold"

Step = Callable[[Any, Any, str], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """A run: what is started, and what it is in a few words."""

    name: str
    title: str
    target: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """A view: how it is reached from the run of a scene, and what there is to see."""

    name: str
    title: str
    text: str
    step: Step | None  # None: a command's text
    scenes: tuple[str, ...]
    live: bool = False  # drawn while the runs are held


async def run_tab(app: Any, pilot: Any, scene: str, tab: str) -> None:
    """Open a tab of the newest run of a scene's flow."""
    from flowdeck_app.widgets.tabs import TabStrip

    app.open_run(await newest(app, f"flow:{scene}"))
    await calm(pilot)
    app.screen.query(TabStrip).first().choose(tab)
    await calm(pilot)
    await pilot.pause(0.5)
    await calm(pilot)


async def progress(app: Any, pilot: Any, scene: str) -> None:
    await run_tab(app, pilot, scene, "tasks")


async def graph(app: Any, pilot: Any, scene: str) -> None:
    await run_tab(app, pilot, scene, "graph")


async def workers(app: Any, pilot: Any, scene: str) -> None:
    await run_tab(app, pilot, scene, "workers")


async def artifacts(app: Any, pilot: Any, scene: str) -> None:
    await run_tab(app, pilot, scene, "artifacts")


async def table(app: Any, pilot: Any, scene: str) -> None:
    await artifacts(app, pilot, scene)
    await keys(pilot, "enter")
    await pilot.pause(0.5)


async def errors(app: Any, pilot: Any, scene: str) -> None:
    await keys(pilot, "3", "j")


async def launch(app: Any, pilot: Any, scene: str) -> None:
    target = next(one.target for one in SCENES if one.name == scene)
    app.open_launch(target)
    for _ in range(600):
        await calm(pilot)
        if app.screen.query("#command") and str(app.screen.query_one("#command").content):
            break
    await pilot.pause(1.0)
    await calm(pilot)


SCENES = (
    Scene("census", "the census of the standard library", "stdlib_census.py:census",
          ("-p", "limit=150", "-p", "top=3")),
    Scene("sweep", "a sweep with numpy on Dask", "sweep.py:sweep"),
    Scene("many", "a run of 5,000 task runs", "many.py:many"),
)  # fmt: skip
_ALL = tuple(scene.name for scene in SCENES)
VIEWS = (
    View("progress", "A run", "State, progress and time left; bars of tasks that say how far they are.",
         progress, _ALL, live=True),
    View("workers", "Workers", "What each worker uses and runs now.", workers, ("sweep", "many"),
         live=True),
    View("top", "What goes on", "`flowdeck top`: all runs of this machine that go on.", None, ("",),
         live=True),
    View("graph", "Graph", "A box for each task: how far, how often, how long; the critical path.",
         graph, _ALL),
    View("artifacts", "Artifacts", "What the tasks wanted shown.", artifacts, ("sweep", "many")),
    View("table", "An artifact", "A table, sorted and filtered like any other.", table, ("sweep",)),
    View("errors", "Errors", "The same error as one row, over all runs.", errors, ("",)),
    View("launch", "Launch", "A form from the signature; beside each runner how long it would take.",
         launch, _ALL),
)  # fmt: skip


def name_of(view: View, scene: str, size: tuple[int, int]) -> str:
    """Return the file name of a picture."""
    words = [view.name, *([scene] if scene else []), f"{size[0]}x{size[1]}"]
    return "-".join(words) + ".svg"


def names() -> list[str]:
    """Return the file names of all pictures."""
    return [name_of(v, scene, size) for v in VIEWS for scene in v.scenes for size in SIZES]


def page() -> str:
    """Return the page that shows them."""
    titles = {scene.name: scene.title for scene in SCENES} | {"": "all runs"}
    lines = [
        "# Pictures", "",
        ("Three runs in the views of [the terminal app](terminal-app.md): the census of "
        "`examples/stdlib_census.py`, a sweep with numpy on a Dask cluster, and 5,000 task runs on worker"),
        ("processes. Each is drawn at 120×36 here; the links lead to other sizes. "
        "`make docs-screens` runs them and draws all of it."),
    ]  # fmt: skip
    for view in VIEWS:
        lines += ["", f"## {view.title}", "", view.text]
        for scene in view.scenes:
            small, middle, large = (
                f"images/gallery/{name_of(view, scene, size)}" for size in SIZES
            )
            title = f"{view.title}: {titles[scene]}"
            lines += ["", f"![{title}]({middle})", "", (f"{titles[scene][:1].upper()}{titles[scene][1:]}; at "
                      f"[80×24]({small}), at [160×45]({large}).")]  # fmt: skip
    return "\n".join(lines) + "\n"


# -- drawing -----------------------------------------------------------------------------------------


async def draw(home: Path, view: View, scene: str, size: tuple[int, int]) -> str:
    """Return a view of the app as SVG."""
    from flowdeck_app.app import FlowdeckApp

    assert view.step is not None
    app = FlowdeckApp(home, folder=Path.cwd(), remember=False)
    async with app.run_test(size=size) as pilot:
        await calm(pilot)
        await view.step(app, pilot, scene)
        await calm(pilot)
        return str(app.export_screenshot(title="flowdeck"))


def printed(home: Path, size: tuple[int, int]) -> str:
    """Return what ``flowdeck top`` prints as SVG."""
    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI
    from rich.text import Text

    command = [sys.executable, "-P", "-m", "flowdeck_app", "top", "--once", "--color", "always"]
    env = {**os.environ, "FLOWDECK_HOME": str(home), "COLUMNS": str(size[0])}
    text = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    console = Console(record=True, width=size[0], file=io.StringIO(), force_terminal=True)
    for line in text.splitlines():
        console.print(Text.from_ansi(line), no_wrap=True, overflow="ellipsis")
    return console.export_svg(title="flowdeck top", theme=DIMMED_MONOKAI, unique_id="top")


def draw_all(home: Path, wanted: set[str], *, live: bool) -> None:
    """Draw the views that show runs at work, or the others."""
    for view in VIEWS:
        if view.live is not live or (wanted and view.name not in wanted):
            continue
        for scene in view.scenes:
            for size in SIZES:
                if view.step is None:
                    picture = printed(home, size)
                else:
                    picture = asyncio.run(draw(home, view, scene, size))
                name = name_of(view, scene, size)
                picture = without_place(slim(picture), PYTHON)
                (FOLDER / name).write_text(picture, encoding="utf-8")
                print(name, flush=True)


def held(home: Path, flow: str) -> None:
    """Wait until the newest run of a flow goes no further: two seconds without news."""
    seen, since, deadline = None, time.monotonic(), time.monotonic() + 300
    while time.monotonic() < deadline:
        with Reader.open(home) as reader:
            (one,) = reader.runs(f"flow:{flow}", limit=1)
        counts = dict(zip(BUCKETS, one.counts, strict=True))
        if one.counts != seen or not counts["running"]:
            seen, since = one.counts, time.monotonic()
        elif time.monotonic() - since > 2:
            return
        time.sleep(0.2)
    raise TimeoutError(f"{flow} does not come to where it is held")


def main() -> None:
    wanted = set(sys.argv[1:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flowdeck-gallery-") as temporary:
        home, flows = Path(temporary) / "home", Path(temporary) / "flows"
        flows.mkdir()
        os.chdir(flows)
        os.environ["FLOWDECK_HOME"] = str(home)
        shutil.copy(EXAMPLES / "stdlib_census.py", ".")
        Path("sweep.py").write_text(gallery_flows.SWEEP)
        Path("many.py").write_text(gallery_flows.MANY)
        census, *others = SCENES
        run(home, census.target, *census.options, "--quiet")
        Path(HOLD).touch()
        try:
            for scene in others:
                run(home, scene.target, *scene.options, "--detach")
            for scene in others:
                held(home, scene.name)
            draw_all(home, wanted, live=True)
        finally:
            Path(HOLD).unlink()
            wait_for_all(home)
        for scene in others:  # without the wait, which would be most of their time
            run(home, scene.target, *scene.options, "--quiet")
        draw_all(home, wanted, live=False)
        os.chdir(HERE)
    for old in FOLDER.glob("*.svg"):
        if old.name not in names():
            old.unlink()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

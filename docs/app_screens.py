"""Draw the pictures in docs/images: real flows into a store of their own, then the app over it.

    python docs/app_screens.py [FOLDER]

Nothing is made up: what is shown was recorded while this command ran. How fast the machine is does
not matter: the live run waits in the middle until its pictures are drawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pictures import slim
from textual.worker import WorkerCancelled

from flowdeck_store.read.reader import Reader
from flowdeck_store.states import BUCKETS

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
SIZE = (120, 36)

Step = Callable[[Any, Any], Awaitable[None]]

#: While this file is there the last pages keep the run waiting.
HOLD = "no-answer"
#: Tasks of the live run that are over by then, and all that there are.
HELD_AT = (27, 41)

#: A flow that takes its time, so that a picture shows it at work; one page never comes.
INVOICES = '''
"""Fetch the invoices of a day, page by page."""

import datetime
import time
from pathlib import Path
from typing import Literal

from flowdeck import flow, get_run_logger, task


class BadGateway(Exception):
    """The other side did not answer."""


def answered(page: int, first: int) -> None:
    """Wait until the other side has this page; the first ones it has at once."""
    while page >= first and Path("no-answer").exists():
        time.sleep(0.05)


def get(url: str, token: str, page: int, pace: float) -> list[dict]:
    answered(page, 14)
    time.sleep((0.5 + page % 5 * 0.6) * pace)
    if page == 7:
        raise BadGateway(f"502 for {url}")
    return [{"page": page, "cents": 100 * n} for n in range(40 + page)]


@task
def prepare(day: datetime.date) -> str:
    return f"invoices.example.com/{day}"


@task(retries=2, retry_delay_seconds=1, task_run_name="fetch page {page}")
def fetch(page: int, base: str, pace: float) -> list[dict]:
    """Return the invoices of one page."""
    url = f"{base}?page={page}"
    token = "a secret"
    rows = get(url, token, page, pace)
    get_run_logger().info("%d invoices from page %d", len(rows), page)
    return rows


@task(task_run_name="clean page {page}")
def clean(page: int, rows: list[dict], pace: float) -> int:
    """Drop what is worth nothing."""
    logger = get_run_logger()
    good = [row for row in rows if row["cents"]]
    logger.info("read %d invoices", len(rows))
    time.sleep((0.6 + page % 4) * pace)
    answered(page, 12)
    logger.warning("%d invoice is worth nothing, dropped", len(rows) - len(good))
    time.sleep((1 + page % 3) * pace)
    return sum(row["cents"] for row in good)


@task
def publish(day: datetime.date, cents: list[int], pace: float) -> int:
    time.sleep(pace)
    return sum(cents)


@flow
def invoices(
    day: datetime.date,
    pages: int = 12,
    mode: Literal["full", "new"] = "full",
    pace: float = 0.1,
    strict: bool = False,
    regions: list[str] = ["eu", "us"],
) -> int:
    """Fetch and add up the invoices of a day.

    Args:
        day: the day of the invoices
        pages: how many pages there are
        pace: how long everything takes
        strict: fail when a page is missing
    """
    numbers = list(range(pages))
    base = prepare.submit(day)
    fetched = fetch.map(numbers, base, pace=pace)
    cleaned = clean.map(numbers, fetched, pace=pace)
    states = [future.wait() for future in cleaned]
    good = [state.result() for state in states if state.is_completed()]
    if strict and len(good) < pages:
        raise RuntimeError(f"{pages - len(good)} of {pages} pages are missing")
    return publish.submit(day, good, pace).result()
'''


def run(home: Path, target: str, *options: str) -> None:
    """Run a flow with the command line; a flow that fails on purpose is fine."""
    command = [sys.executable, "-P", "-m", "flowdeck_app", "run", target, *options]
    env = {**os.environ, "FLOWDECK_HOME": str(home)}
    subprocess.run(command, env=env, check=False, capture_output=True)


def fill(home: Path) -> None:
    """Record some runs in the working folder, the last of which goes on."""
    Path("invoices.py").write_text(INVOICES)
    for example in ("retries", "caching", "async_flow", "stdlib_census"):
        shutil.copy(EXAMPLES / f"{example}.py", ".")
    run(home, "stdlib_census.py:census", "-p", "package=json", "--quiet")
    run(home, "retries.py", "--quiet")
    run(home, "async_flow.py", "--quiet")
    run(home, "caching.py", "--quiet")
    for pages in (18, 22, 5, 21):
        start(home, pages)
    start(home, 20, "-p", "strict=true")
    start(home, 20)
    wait_for_all(home)


def wait_for_all(home: Path) -> None:
    """Wait until no run goes on."""
    with Reader.open(home) as reader:
        while reader.runs("state:running,pending,scheduled", limit=1):
            time.sleep(0.2)


def start(home: Path, pages: int, *options: str, pace: float = 1.6, workers: int = 5) -> None:
    """Start a run in a process of its own."""
    run(home, "invoices.py", "-p", "day=2026-11-22", "-p", f"pages={pages}", "-p", f"pace={pace}",
        "--tag", "prod", "--runner-opt", f"max_workers={workers}", "--detach", *options)  # fmt: skip


async def keys(pilot: Any, *pressed: str) -> None:
    """Press keys one after the other, each time until the screen is calm."""
    for key in pressed:
        await pilot.press(key)
        await calm(pilot)


async def calm(pilot: Any) -> None:
    """Wait until nothing is being read any more."""
    for _ in range(3):
        with contextlib.suppress(WorkerCancelled):  # newer news took its place
            await pilot.app.workers.wait_for_complete()
        await pilot.pause(0.1)


async def home_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "1")


async def launch_dialog(app: Any, pilot: Any) -> None:
    app.open_launch("invoices.py:invoices")
    await calm(pilot)
    await pilot.press(*"2026-11-22")
    await calm(pilot)


async def run_screen(app: Any, pilot: Any) -> None:
    """The live run when nothing moves any more until its pictures are drawn: one task has failed,
    eight are running, the cursor is on one of these that has logged something."""
    run_id = await newest(app, "flow:invoices")
    while await app.access.ask(lambda reader: how_far(reader, run_id)) != (*HELD_AT, 8):  # noqa: ASYNC110 - another process ends the wait
        await asyncio.sleep(0.1)
    app.open_run(run_id)
    await calm(pilot)
    await keys(pilot, *"jjjjjjj")


def how_far(reader: Reader, run_id: int) -> tuple[int, int, int]:
    """Return how many tasks of a run are over, how many there are, how many are running."""
    counts = dict(zip(BUCKETS, reader.run(run_id).counts, strict=True))
    going = sum(counts[name] for name in ("scheduled", "pending", "running"))
    return sum(counts.values()) - going, sum(counts.values()), counts["running"]


async def timeline(app: Any, pilot: Any) -> None:
    await finished(app, pilot)
    await keys(pilot, "right_square_bracket")


async def graph(app: Any, pilot: Any) -> None:
    await timeline(app, pilot)
    await keys(pilot, "right_square_bracket")


async def logs(app: Any, pilot: Any) -> None:
    await graph(app, pilot)
    await keys(pilot, "right_square_bracket")


async def finished(app: Any, pilot: Any) -> None:
    """The newest run that is over; the live one has only waited for the most part."""
    app.open_run(await newest(app, "flow:invoices state:completed"))
    await calm(pilot)


async def task_screen(app: Any, pilot: Any) -> None:
    run_id = await newest(app, "flow:invoices state:failed")
    failed = await app.access.ask(lambda reader: reader.first_failures([run_id])[run_id])
    app.open_task(run_id, failed.no)
    await calm(pilot)


async def runs_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "2", "j")


async def errors_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "3", "j")


async def compare_screen(app: Any, pilot: Any) -> None:
    await keys(pilot, "2", "j", "space", "j", "space", "equals_sign", "d")


async def help_screen(app: Any, pilot: Any) -> None:
    await finished(app, pilot)
    await keys(pilot, "question_mark")


#: All are drawn while a run goes on.
PICTURES: dict[str, Step] = {
    "run": run_screen,
    "home": home_screen,
    "launch": launch_dialog,
    "timeline": timeline,
    "graph": graph,
    "logs": logs,
    "task": task_screen,
    "runs": runs_screen,
    "errors": errors_screen,
    "compare": compare_screen,
    "help": help_screen,
}


async def newest(app: Any, query: str) -> int:
    """Return the number of the newest run that a filter lets through."""
    runs = await app.access.ask(lambda reader: reader.runs(query, limit=1))
    return int(runs[0].id)


async def draw(home: Path, name: str, folder: Path) -> None:
    """Draw one screen."""
    from flowdeck_app.app import FlowdeckApp

    app = FlowdeckApp(home, folder=Path.cwd(), remember=False)
    async with app.run_test(size=SIZE) as pilot:
        await calm(pilot)
        await PICTURES[name](app, pilot)
        await calm(pilot)
        picture = app.export_screenshot(title="flowdeck")
    # Textual puts a random number into class names: the same screen shall be the same file.
    picture = re.sub(r"terminal-\d+", f"terminal-{name}", picture)
    (folder / f"app-{name}.svg").write_text(slim(picture), encoding="utf-8")
    print(f"app-{name}.svg")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "images").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flowdeck-screens-") as temporary:
        home, flows = Path(temporary) / "home", Path(temporary) / "flows"
        flows.mkdir()
        os.chdir(flows)
        os.environ["FLOWDECK_HOME"] = str(home)
        fill(home)
        Path(HOLD).touch()
        start(home, 20, pace=0.3, workers=9)  # one is free for what need not wait
        try:
            for name in PICTURES:
                asyncio.run(draw(home, name, folder))
        finally:
            Path(HOLD).unlink()
            wait_for_all(home)
        os.chdir(HERE)


if __name__ == "__main__":
    main()

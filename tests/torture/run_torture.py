"""Torture the record: random flows, killed, stopped, cancelled, locked out, on a full disk, beside
readers and deletions; then every invariant is checked (:mod:`invariants`).

    make torture                          ten minutes
    python tests/torture/run_torture.py --seconds 60 --seed 7

What goes on is drawn from the seed, which is printed; when it happens depends on the machine, so a
seed brings the same flows and the same kinds of faults again, not the same microsecond.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from invariants import Facts, broken

from flowdeck_store.errors import StoreError
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.control import CANCEL, request
from flowdeck_store.upkeep import liveness, retention

HERE = Path(__file__).parent
#: How many flows at once, and of which kinds.
AT_ONCE = 3
RUNNERS = ("concurrent", "concurrent", "concurrent", "sequential", "process")
#: Megabytes of the file system that is filled now and then.
DISK_MB = 64


@dataclass
class Child:
    """A process with one random flow."""

    process: subprocess.Popen[bytes]
    facts: Path
    until: float
    end: str


@dataclass
class Torture:
    """What goes on with one record for some time."""

    home: Path
    scratch: Path
    chance: random.Random
    mounted: bool
    did: Counter[str] = field(default_factory=Counter)
    children: list[Child] = field(default_factory=list)
    facts: list[Path] = field(default_factory=list)

    def run(self, seconds: float) -> list[str]:
        """Go on for so long; return what is broken then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while len(self.children) < AT_ONCE:
                self.start()
            time.sleep(self.chance.uniform(0.01, 0.15))
            self.disturb()
            self.look_after()
        for child in self.children:
            child.until = float("inf")
        deadline = time.monotonic() + 60
        while self.children and time.monotonic() < deadline:
            self.look_after()
            time.sleep(0.05)
        stuck = [f"a flow did not end by itself: {child.facts.name}" for child in self.children]
        for child in self.children:
            child.process.kill()
            child.process.wait()
        liveness.recover(self.home)
        return stuck + broken(self.home, self.seen())

    # -- flows ---------------------------------------------------------------------------------------

    def start(self) -> None:
        seed, kind = self.chance.randrange(10**9), self.chance.choice(RUNNERS)
        facts = self.scratch / f"{seed}-{kind}"
        process = subprocess.Popen(
            [sys.executable, str(HERE / "random_flow.py"), str(seed), kind, str(facts)],
            env={**os.environ, "FLOWDECK_HOME": str(self.home), "FLOWDECK_CONFIG": os.devnull},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.scratch,
        )  # fmt: skip
        end = self.chance.choices(["itself", "kill", "term", "cancel"], [4, 4, 1, 1])[0]
        until = time.monotonic() + self.chance.uniform(0.3, 4.0)
        self.children.append(Child(process, facts, until, end))
        self.facts.append(facts)

    def look_after(self) -> None:
        """End the flows whose time has come, in the way that was drawn for them."""
        for child in self.children.copy():
            if child.process.poll() is None and time.monotonic() > child.until:
                self.end(child)
            if child.process.poll() is not None:
                self.did[f"ended by {child.end}"] += 1
                self.children.remove(child)

    def end(self, child: Child) -> None:
        if child.end == "kill":
            child.process.kill()
            child.process.wait()
        elif child.end == "term":
            child.process.send_signal(signal.SIGTERM)
            child.until = float("inf")
        elif child.end == "cancel":
            self.cancel(child)
            child.until = float("inf")

    def cancel(self, child: Child) -> None:
        with contextlib.suppress(StoreError, sqlite3.Error), Reader(self.home) as reader:
            for run in reader.runs("state:running"):
                if run.pid == child.process.pid:
                    request(self.home, run.id, CANCEL)
                    self.did["cancelled"] += 1
                    return

    def seen(self) -> Facts:
        found: Facts = set()
        for path in self.facts:
            if path.exists():
                lines = path.read_text().split("\n")[:-1]
                found |= {(line.split(" ")[0], line.split(" ")[1]) for line in lines}
        return found

    # -- what disturbs them -----------------------------------------------------------------------------

    def disturb(self) -> None:
        kinds = {"nothing": 6, "stop": 1, "lock": 1, "read": 2, "recover": 1, "delete": 1}
        if self.mounted:
            kinds["full"] = 1
        kind = self.chance.choices(list(kinds), list(kinds.values()))[0]
        self.did[kind] += 1
        getattr(self, f"_{kind}")()

    def _nothing(self) -> None: ...

    def _stop(self) -> None:
        child = self.chance.choice(self.children)
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.0, 0.5))
            child.process.send_signal(signal.SIGCONT)

    def _lock(self) -> None:
        """Somebody else's program holds the file."""
        if (self.home / "flowdeck.db").exists():
            with contextlib.suppress(sqlite3.Error):
                conn = sqlite3.connect(self.home / "flowdeck.db", timeout=0.2)
                conn.execute("BEGIN IMMEDIATE")
                time.sleep(self.chance.uniform(0.1, 1.5))
                conn.rollback()
                conn.close()

    def _read(self) -> None:
        with contextlib.suppress(StoreError, sqlite3.Error), Reader(self.home) as reader:
            for run in reader.runs(limit=5):
                reader.tasks(run.id, limit=20)

    def _recover(self) -> None:
        liveness.recover(self.home, wait=0.5)

    def _delete(self) -> None:
        with contextlib.suppress(Exception), Reader(self.home) as reader:
            ended = [
                run.id for run in reader.runs("is:final", limit=200) if run.parent_task is None
            ]
            retention.delete_runs(self.home, self.chance.sample(ended, min(3, len(ended))))

    def _full(self) -> None:
        """No room for a while; nobody is killed meanwhile, what could be written nowhere is gone."""
        ballast = self.home / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))
        time.sleep(self.chance.uniform(0.1, 0.8))
        ballast.unlink()
        time.sleep(2.5)  # what waited in memory is written again within seconds


@contextlib.contextmanager
def disk(home: Path) -> Iterator[bool]:
    """A small file system for the record, where this process may mount one."""
    home.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(home)]
    can = (
        shutil.which("mount")
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )
    try:
        yield bool(can)
    finally:
        if can:
            subprocess.run(["umount", "--lazy", str(home)], check=True)


def torture(seed: int, seconds: float) -> tuple[list[str], Counter[str]]:
    """Return what was broken after so much time, and what was done how often."""
    with tempfile.TemporaryDirectory(prefix="flowdeck-torture-") as folder:
        home, scratch = Path(folder, "home"), Path(folder, "scratch")
        scratch.mkdir()
        with disk(home) as mounted:
            going = Torture(home, scratch, random.Random(seed), mounted)
            found = going.run(seconds)
            going.did["facts checked"] = len(going.seen())
            return found, going.did


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long in all")
    parser.add_argument("--round", type=float, default=30, help="how long with one record")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones count on")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    end, total, bad = time.monotonic() + given.seconds, Counter[str](), 0
    while time.monotonic() < end:
        found, did = torture(seed, min(given.round, max(end - time.monotonic(), 1)))
        total += did
        print(f"seed {seed}: {'all is well' if not found else f'{len(found)} broken'}", flush=True)
        for said in found[:20]:
            print(f"  {said}", flush=True)
        bad += bool(found)
        seed += 1
    print(", ".join(f"{what}: {count}" for what, count in sorted(total.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

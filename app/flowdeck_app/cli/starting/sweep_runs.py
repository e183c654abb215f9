"""``flowdeck run --grid``: one run for each combination of parameters, some at a time.

The runs are made by a few processes (:mod:`flowdeck_app.cli.starting.sweep_worker`), each with the flow
imported once; a run that takes its process with it (a segmentation fault, memory) costs that run only. All
have the tag ``sweep:NAME``, by which they are found again. A sweep that is stopped, or whose terminal is gone,
leaves no process behind: workers end when nobody feeds them any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.launch import interpreters
from flowdeck_app.cli.output import stream_look
from flowdeck_app.cli.streams import write_text
from flowdeck_app.drawing.signs import Kind
from flowdeck_app.drawing.times import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flowdeck.launch.interpreters import Interpreter
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_app.drawing.signs import Symbols

_WORKER: Final = "flowdeck_app.cli.starting.sweep_worker"
_SIGNS: Final = {
    "COMPLETED": Kind.COMPLETED,
    "FAILED": Kind.FAILED,
    "CRASHED": Kind.CRASHED,
    "CANCELLED": Kind.CANCELLED,
}
#: Seconds between two looks at whether somebody wants to stop, and two drawings of the line.
_LOOK: Final = 0.25
#: Processes in a row that end before they have done anything: then something is wrong with all.
_HOPELESS: Final = 3


@dataclass
class SweepWorker:
    """A process, and what it does.

    Attributes:
        process: it.
        answers: its pipe.
        spec: what it runs now; ``None``: nothing more.
        rest: what was read of an answer that is not whole yet.
        loaded: whether it has the flow.
    """

    process: subprocess.Popen[bytes]
    answers: int
    spec: LaunchSpec | None = None
    rest: bytes = b""
    loaded: bool = False

    def give(self, spec: LaunchSpec | None) -> None:
        """Have it run something; ``None``: it may end."""
        self.spec = spec
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: that is seen at its pipe
            if spec is None:
                self.process.stdin.close()
            else:
                self.process.stdin.write(spec.to_json().encode() + b"\n")
                self.process.stdin.flush()

    def read(self) -> list[dict[str, Any]] | None:
        """Return what it says; ``None``: it has ended."""
        data = os.read(self.answers, 65_536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> int:
        """Wait for its end and let go of it; return its exit code."""
        os.close(self.answers)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait()


class SweepRuns:
    """Makes the runs of a sweep.

    Args:
        specs: one a run, with uids.
        jobs: how many at a time.
        python: that they run in.
        log: file that gets what they print.
        live: draw a line that tells how far it is.
    """

    def __init__(
        self, specs: Sequence[LaunchSpec], jobs: int, python: Interpreter, log: Path, *, live: bool
    ) -> None:
        self._todo = list(reversed(specs))
        self._total = len(specs)
        self._jobs = max(1, min(jobs, len(specs)))
        self._python, self._log, self._live = python, log, live
        self._workers: dict[int, SweepWorker] = {}
        self._hopeless = 0
        self._stops = self._heard = 0
        self._began = time.monotonic()
        self.states: Counter[str] = Counter()
        self.fatal: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stops > 0

    def go(self) -> None:
        """Make them all, or those until it is stopped."""
        with _stop_signals(self._stop), selectors.DefaultSelector() as ready:
            try:
                for _ in range(self._jobs):
                    self._begin(ready)
                while self._workers:
                    for key, _ in ready.select(_LOOK):
                        self._hear(ready, self._workers[key.fd])
                    self._obey()
                    self._draw()
            finally:
                for worker in self._workers.values():  # a fault of ours: leave nothing behind
                    worker.process.kill()
                    worker.close()
                self._draw(end=True)

    def _begin(self, ready: selectors.BaseSelector) -> None:
        if not self._todo or self.stopped or self.fatal:
            return
        worker = self._start()
        self._workers[worker.answers] = worker
        ready.register(worker.answers, selectors.EVENT_READ)
        worker.give(self._todo.pop())

    def _start(self) -> SweepWorker:
        ours, theirs = os.pipe()
        command = [*interpreters.command(self._python, _WORKER), str(theirs)]
        environment = {**os.environ, "NO_COLOR": "1"}
        with open(self._log, "ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment,
                start_new_session=True, pass_fds=(theirs,),
            )  # fmt: skip
        os.close(theirs)
        return SweepWorker(process, ours)

    def _hear(self, ready: selectors.BaseSelector, worker: SweepWorker) -> None:
        answers = worker.read()
        if answers is None:
            self._bury(ready, worker)
            return
        for answer in answers:
            if "fatal" in answer:
                self.fatal = str(answer["fatal"])
                worker.spec = None
                continue
            if "loaded" in answer:
                worker.loaded, self._hopeless = True, 0
                continue
            self.states[str(answer["state"])] += 1
            stop = self.stopped or self.fatal is not None or not self._todo
            worker.give(None if stop else self._todo.pop())

    def _bury(self, ready: selectors.BaseSelector, worker: SweepWorker) -> None:
        ready.unregister(worker.answers)
        del self._workers[worker.answers]
        code = worker.close()
        if worker.spec is None:
            return
        self.states["CRASHED" if not self.stopped else "CANCELLED"] += 1
        if self.stopped:
            return
        self._hopeless += not worker.loaded
        if self._hopeless >= _HOPELESS:
            self.fatal = f"processes of the sweep end at once ({_how(code)}): see {self._log}."
        self._begin(ready)

    # -- stopping --------------------------------------------------------------------------

    def _stop(self) -> None:
        self._stops += 1

    def _obey(self) -> None:
        """Pass on what was asked: the first time runs are cancelled, the second time killed."""
        if self._heard == self._stops and self.fatal is None:
            return
        first, self._heard = self._heard == 0, self._stops
        for worker in self._workers.values():
            if self._stops > 1:
                worker.process.kill()
            elif self.fatal is None and first:
                worker.process.send_signal(signal.SIGINT)

    # -- the line --------------------------------------------------------------------------

    def _draw(self, *, end: bool = False) -> None:
        if not self._live:
            return
        seconds = time.monotonic() - self._began
        symbols = stream_look(sys.stderr).symbols
        line = progress_line(self.states, self._total, len(self._workers), seconds, symbols)
        write_text("\r\x1b[K" + ("" if end else line), sys.stderr)
        sys.stderr.flush()


def progress_line(
    states: Counter[str], total: int, running: int, seconds: float, symbols: Symbols
) -> str:
    """Return how far a sweep is, in one line.

    Args:
        states: how many runs ended in which.
        total: how many there are to be.
        running: how many go on.
        seconds: since it began.
        symbols: the signs to use.
    """
    done = sum(states.values())
    parts = [f"{done}/{total} runs"]
    parts += [f"{symbols.of(_SIGNS[state])} {states[state]}" for state in _SIGNS if states[state]]
    parts += [f"{running} running", duration(seconds)]
    if 0 < done < total:
        parts.append(f"about {duration(seconds / done * (total - done))} left")
    return "  ".join(parts)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


@contextlib.contextmanager
def _stop_signals(heard: Any) -> Iterator[None]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # else: nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: heard()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

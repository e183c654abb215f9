"""``flowdeck run --watch``: what starts a run again, and what becomes of the one that goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_builder import write

from flowdeck_app.cli.starting.watching import OWN, FileWatch, OwnFiles


class FakeRun:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        while self.code is None:
            time.sleep(0.001)
        return self.code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def kill(self) -> None:
        self.code = -9


class Bench:
    """A watch whose runs are :class:`FakeRun`."""

    def __init__(self, overlap: str) -> None:
        self.runs: list[FakeRun] = []
        self.watch = FileWatch(
            ["x"], [Path.cwd()], overlap=overlap, ignored=[], patience=60, begin=self.begin
        )
        self.watch.start()

    def begin(self, command: Any) -> FakeRun:
        self.runs.append(FakeRun())
        return self.runs[-1]

    def end(self) -> None:
        """Let the run end, and the watch hear of it."""
        number = len(self.runs)
        self.runs[-1].code = 0
        self.watch.take(number)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Any:
    made = Bench(request.param)
    yield made
    for run in made.runs:
        run.code = 0


@pytest.mark.parametrize("bench", ["skip", "queue", "cancel"], indirect=True)
def test_a_change_after_a_run_starts_the_next(bench: Bench, capsys: Any) -> None:
    bench.end()
    bench.watch.take({str(Path.cwd() / "a.py"), str(Path.cwd() / "b.py")})
    assert len(bench.runs) == 2
    assert "a.py and 1 more changed; it runs again." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bench", "signals", "runs"),
    [("skip", [], 1), ("queue", [], 2), ("cancel", [signal.SIGTERM], 2)],
    indirect=["bench"],
)
def test_a_change_while_a_run_goes_on(bench: Bench, signals: list[int], runs: int) -> None:
    bench.watch.take({"/a.py"})
    bench.watch.take({"/a.py"})  # once more makes no difference
    assert len(bench.runs) == 1
    assert bench.runs[0].signals == signals
    bench.end()
    assert len(bench.runs) == runs


def test_what_the_flow_writes_in_every_run_counts_no_more(tmp_path: Path) -> None:
    out, code = tmp_path / "out.csv", tmp_path / "a.py"
    out.touch()
    code.touch()
    os.utime(out, (100, 100))
    os.utime(code, (100, 100))
    own, both = OwnFiles(), {str(out), str(code)}
    for _ in range(OWN - 1):
        assert own.changed(both, 90, 110) == both
    assert own.changed(both, 90, None) == {str(code)}
    assert own.known == {str(out)}
    assert own.changed({str(out)}, 90, 110) == set()


def test_what_somebody_writes_now_and_then_goes_on_counting(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.touch()
    own = OwnFiles()
    for _ in range(OWN):
        for written in (100, 120):  # during the run, and after it
            os.utime(data, (written, written))
            assert own.changed({str(data)}, 90, 110) == {str(data)}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--watch", "gone"), "there is no file or folder gone to watch"),
        (("--overlap", "skip"), "--overlap goes with --watch"),
        (("--watch", ".", "-d"), "--detach does not go with it"),
    ],
)
def test_what_cannot_be_watched_is_said(cli: Any, args: tuple[str, ...], said: str) -> None:
    write("w.py", "from flowdeck import flow\n@flow\ndef w(): pass\n")
    result = cli("run", "w.py:w", *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_without_watchfiles_the_extra_is_named(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    write("w.py", "from flowdeck import flow\n@flow\ndef w(): pass\n")
    result = cli("run", "w.py:w", "--watch", "w.py")
    assert result.exit_code == 2
    assert "pip install 'flowdeck[watch]'" in result.stderr

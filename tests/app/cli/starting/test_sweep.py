"""``flowdeck run --grid`` and ``flowdeck sweep``: one run a combination, and the table of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import T0, objects, write

from flowdeck_app.cli.starting import sweep_runs
from flowdeck_app.cli.starting.sweep_runs import progress_line
from flowdeck_app.drawing.signs import ASCII, UNICODE
from flowdeck_app.views.sweeps import figure_text, read_sweep
from flowdeck_store import events
from flowdeck_store import states as st
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Record, Shell

TRAIN = """
    import os, sys
    from flowdeck import artifact, flow

    @flow
    def train(lr: float, depth: int = 2, cfg: dict = {"seed": 1}):
        print("noise", sys.stdin.read())
        if depth == 3:
            os._exit(7)
        if depth == 4:
            raise ValueError("too deep")
        artifact.number(lr * depth, key="loss")
        return {"acc": 1 - lr, "more": {"n": depth}}
"""


def test_a_run_for_each_combination_whatever_becomes_of_the_others(cli: Any, home: Path) -> None:
    write("t.py", TRAIN)
    result = cli("run", "t.py:train", "--grid", "lr=0.5", "--grid", "depth=2:5", "--name", "s")
    assert result.exit_code == 1
    heading, *rows = [line.split() for line in result.stdout.splitlines()]
    assert heading[:6] == ["Run", "depth", "State", "Time", "acc", "more.n"]
    assert [row[1:4] for row in rows] == [
        ["2", "✓", "Completed"], ["3", "!", "Crashed"], ["4", "✗", "Failed"], ["5", "✓", "Completed"],
    ]  # fmt: skip
    assert "ValueError: too deep" in result.stdout
    assert "noise" not in result.stdout
    assert "2 completed, 1 crashed, 1 failed; `flowdeck sweep s`" in result.stderr
    with Reader.open(home) as reader:
        runs = [row.run for row in read_sweep(reader, "s").rows]
    assert [run.name for run in runs] == [f"lr=0.5,depth={n}" for n in (2, 3, 4, 5)]
    assert len({run.pid for run in runs}) == 2  # a new process only where one died
    again = objects(cli("sweep", "s", "--json", "--sort", "-loss", "--limit", "1"))
    assert [(o["combination"], o["sweep"]) for o in again] == [({"depth": 5}, "s")]
    assert again[0]["figures"] == {"acc": 0.5, "more.n": 5.0, "loss": 2.5}


def test_what_does_not_fit_is_a_failed_run_and_what_cannot_be_imported_ends_all(cli: Any) -> None:
    write("t.py", TRAIN)
    result = cli("run", "t.py:train", "--grid", "lr=0.1,x", "--json", "-p", "cfg.seed=2")
    assert result.exit_code == 1
    assert sorted(o["state"] for o in objects(result)) == ["Completed", "Failed"]
    assert "lr: Input should be a valid number" in str(objects(result)[1]["message"])
    write("t.py", f"{TRAIN}\n    import nowhere_at_all\n")
    result = cli("run", "t.py:train", "--grid", "lr=1:2000")
    assert result.exit_code == 1
    assert (
        "given up after 0 of 2000 runs: t.py cannot be imported: ModuleNotFoundError"
        in result.stderr
    )


def test_processes_that_end_at_once_are_not_started_for_ever(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("t.py", TRAIN)
    monkeypatch.setattr(sweep_runs, "_WORKER", "flowdeck_app.no_such_module")
    result = cli("run", "t.py:train", "--grid", "lr=1:50")
    assert result.exit_code == 1
    assert "end at once (exit code 1)" in result.stderr


def test_ctrl_c_stops_all_of_it(shell: Shell, home: Path) -> None:
    write(
        "slow.py",
        "import time\nfrom flowdeck import flow\n@flow\ndef slow(x: int):\n    time.sleep(99)\n",
    )
    process = shell.start("run", "slow.py:slow", "--grid", "x=1:9", "--jobs", "2", "--json",
                          start_new_session=True)  # fmt: skip
    wait_for(lambda: len(live(home)) == 2)
    pids = {run.pid for run in live(home)}
    os.kill(process.pid, signal.SIGINT)
    output, said = process.communicate(timeout=40)
    assert process.returncode == 130
    assert [json.loads(line)["state"] for line in output.splitlines()] == ["Cancelled"] * 2
    assert "2 cancelled, 7 not begun" in said
    wait_for(lambda: not any(is_there(pid) for pid in pids))


def live(home: Path) -> Any:
    if not (home / "flowdeck.db").exists():
        return []
    with Reader.open(home) as reader:
        return reader.runs("state:running")


def is_there(pid: int | None) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--jobs", "2"), "--jobs goes with --grid"),
        (("--grid", "lr=1", "-d"), "--detach does not go with it"),
        (("--grid", "lr=1", "--watch", "."), "do not go with each other"),
        (("--grid", "lx=1"), "did you mean lr?"),
        (("--grid", "lr=1", "-p", "lr=2"), "--grid and by -p"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    cli: Any, home: Path, args: tuple[str, ...], said: str
) -> None:
    write("t.py", TRAIN)
    result = cli("run", "t.py:train", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (home / "flowdeck.db").exists()


def filled(record: Record) -> None:
    """Three runs of a sweep and one that only looks like it."""
    given = [
        ("0.1", "a", "{'loss': 0.5}"),
        ("0.01", "[/b]\n", "{'loss': nan}"),
        ("1e-3", "c", "{'loss': 0.25}"),
    ]
    for place, (lr, text, returned) in enumerate(given):
        params = json.dumps({"lr": float(lr), "cfg": {"text": text, "same": 1}})
        uid = record.run(f"r{place}", params=params, tags='["sweep:s"]', created=T0 + place,
                         code=st.FAILED if place == 1 else st.COMPLETED)  # fmt: skip
        record.emit(events.result(uid, 0, T0, "dict", None, returned, None))
    record.run("other", tags='["sweep:S", "xsweep:s"]', params="{}")


def test_columns_are_the_parameters_that_differ_and_the_numbers(record: Record, home: Path) -> None:
    filled(record)
    with Reader.open(home) as reader:
        found = read_sweep(reader, "s")
    assert found.columns == ("run", "lr", "cfg.text", "state", "time", "loss")
    assert [row.run.name for row in found.by("loss")] == ["r2", "r0", "r1"]
    assert [row.run.name for row in found.by("-loss")] == ["r0", "r2", "r1"]
    assert [row.run.name for row in found.by("lr")] == ["r2", "r1", "r0"]
    assert [row.run.name for row in found.by("state")] == ["r0", "r2", "r1"]


def test_the_newest_sweep_is_shown_and_what_is_missing_is_said(cli: Any, record: Record) -> None:
    result = cli("sweep")
    assert (result.exit_code, "there is no sweep" in result.stderr) == (2, True)
    filled(record)
    assert cli("sweep", "s", "--sort", "-lr", "--limit", "1").stdout.splitlines()[1].split()[
        :2
    ] == ["1", "0.1"]
    assert "[/b]\\n" in cli("sweep", "s").stdout
    assert "it has run, lr, cfg.text, state, time, loss" in cli("sweep", "s", "--sort", "x").stderr
    assert "there is no sweep 'nix'" in cli("sweep", "nix").stderr
    assert len(objects(cli("sweep", "--json"))) == 1  # of sweep:S


def test_how_far_it_is_in_a_line() -> None:
    states = Counter({"COMPLETED": 3, "FAILED": 1})
    assert progress_line(states, 8, 2, 10.0, UNICODE) == (
        "4/8 runs  ✓ 3  ✗ 1  2 running  10.0s  about 10.0s left"
    )
    assert progress_line(Counter(), 8, 2, 0.0, ASCII).isascii()


def test_numbers_have_six_digits_at_most() -> None:
    found = [
        figure_text(n) for n in (3.0, 0.1 + 0.2, 1e-9, float("nan"), float("inf"), 1e300, None)
    ]
    assert found == ["3", "0.3", "1e-09", "nan", "inf", "1e+300", ""]

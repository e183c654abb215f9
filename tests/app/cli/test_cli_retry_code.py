"""``flowdeck retry RUN --failed`` after an edit: what the edit concerns runs again, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import objects, write

from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from cli_builder import Shell

FLOW = """
    import os, signal
    from pathlib import Path
    from flowdeck import flow, task

    RATE = 2

    def did(what):
        with open("calls.txt", "a") as file:
            file.write(f"{what}\\n")

    def clean(text):
        return text.strip()

    @task
    def extract(name):
        did("extract")
        return f" a long enough text of {name} "

    @task
    def transform(text):
        did("transform")
        return clean(text) * RATE

    @task
    def other():
        did("other")
        return 7

    @task
    def load(text, number):
        did("load")
        if not Path("repaired").exists():
            raise ValueError("not yet")
        return len(text) + number

    @flow
    def etl(name: str = "sales"):
        return load(transform(extract(name)), other())
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def failed(shell: Shell) -> Path:
    """A flow whose last task has failed once, and would not now."""
    write("etl.py", FLOW)
    assert shell("run", "etl.py:etl", "-q").returncode == 1
    Path("calls.txt").unlink()
    Path("repaired").touch()
    return Path("calls.txt")


def edit(*pairs: tuple[str, str]) -> None:
    text = Path("etl.py").read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path = Path("etl.py")
    before = path.stat().st_mtime
    path.write_text(text)
    # Python takes the compiled file for current if size and second of the source are the same.
    os.utime(path, (before + 10, before + 10))


def called(file: Path) -> list[str]:
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def told(shell: Shell, *words: str) -> dict[str, tuple[str, str | None]]:
    [found] = objects(shell("retry", "1", "--failed", "-n", "--json", *words))
    return {
        item["name"].partition("-")[0]: (item["why"], item["detail"]) for item in found["again"]
    }


EDITS: dict[str, tuple[tuple[str, str], list[str], str]] = {
    "a comment": (("did(\"transform\")", "did(\"transform\")  # so"), ["load"], ""),
    "the function": (("clean(text) * RATE", "RATE * clean(text)"), ["transform", "load"], "etl.transform"),
    "a helper": (("text.strip()", "text.lstrip()"), ["transform", "load"], "etl.clean"),
    "a constant": (("RATE = 2", "RATE = 3"), ["transform", "load"], "etl.RATE"),
    "the first": (("a long enough", "a quite long enough"), ["extract", "transform", "load"], ""),
    "beside the others": (("return 7", "return 8"), ["other", "load"], "etl.other"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_runs_again_what_depends_on_it(shell: Shell, failed: Path, kind: str) -> None:
    change, again, part = EDITS[kind]
    edit(change)
    why = told(shell)
    assert list(why) == again
    if part:
        assert why[again[0]] == ("code_changed", part)
        assert why["load"] == ("failed", None)
    assert called(failed) == []  # nothing ran yet
    done = shell("retry", "1", "--failed", "-q")
    assert done.returncode == 0, done.stderr
    assert f"{4 - len(again)} reused, {len(again)} run" in done.stderr
    assert called(failed) == again
    if part:
        logs = shell("logs", "2").stdout
        assert f"but runs again: its code changed: {part}." in logs


def test_what_depends_on_a_changed_task_names_it(shell: Shell, failed: Path) -> None:
    edit(("a long enough", "a quite long enough"))
    why = told(shell)
    assert why["extract"][0] == "code_changed"
    assert why["transform"][0] == "depends"
    assert str(why["transform"][1]).startswith("extract-")
    text = shell("retry", "1", "--failed", "-n").stdout
    assert "completed, but the code changed: etl.extract" in text
    assert "reused" in text.splitlines()[-1]


def test_code_is_ignored_if_that_is_wanted(shell: Shell, failed: Path) -> None:
    edit(("text.strip()", "text.lstrip()"))
    assert list(told(shell, "--ignore-code")) == ["load"]
    assert shell("retry", "1", "--failed", "--ignore-code", "-q").returncode == 0
    assert called(failed) == ["load"]


@pytest.mark.parametrize(
    "name", ["transform", "etl.transform", "transform-{hash}-0", "transform-0", "transform[0]"]
)
def test_a_task_runs_again_when_it_is_asked_for(
    shell: Shell, home: Path, failed: Path, name: str
) -> None:
    full = next(n for n in names(shell) if n.startswith("transform"))
    name = full if "{" in name else name
    assert told(shell, "--task", name)["transform"] == ("asked_for", None)
    assert shell("retry", "1", "--task", name, "-q").returncode == 0
    assert called(failed) == ["transform", "load"]
    assert "but runs again: that was asked for." in shell("logs", "2").stdout


def names(shell: Shell) -> list[str]:
    return [row["name"] for row in objects(shell("tasks", "1", "--json"))]


def test_a_task_that_there_is_not_is_an_error_and_nothing_runs(shell: Shell, failed: Path) -> None:
    for words in (["-n"], ["-q"], ["--detach"]):
        done = shell("retry", "1", "--task", "transfrom", *words)
        assert done.returncode != 0
        assert "is called 'transfrom'" in done.stderr
    assert called(failed) == []


@pytest.mark.parametrize("way", [[], ["--detach"]])
def test_a_run_is_repeated_in_its_own_folder(
    shell: Shell, home: Path, failed: Path, tmp_path: Path, way: list[str]
) -> None:
    """What the flow opens by a relative path is there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    here = os.getcwd()
    done = shell("retry", "1", *way, cwd=elsewhere)
    assert f"in the folder of the run: {here}" in done.stderr
    if way:
        shell("wait", "2")
    (again,) = objects(shell("show", "2", "--json"))
    (first,) = objects(shell("show", "1", "--json"))
    assert again["provenance"]["process"]["cwd"] == first["provenance"]["process"]["cwd"] == here
    assert list(elsewhere.iterdir()) == []


def test_options_that_need_failed_say_so(shell: Shell, failed: Path) -> None:
    done = shell("retry", "1", "--ignore-code")
    assert done.returncode == 2
    assert "--ignore-code goes with --failed" in done.stderr


def test_a_detached_retry_compares_too(shell: Shell, home: Path, failed: Path) -> None:
    edit(("text.strip()", "text.lstrip()"))
    done = shell("retry", "1", "--failed", "--task", "other", "--detach")
    assert "1 reused, 3 run again" in done.stderr
    assert shell("wait", "2").returncode == 0
    assert sorted(called(failed)) == ["load", "other", "transform"]


def test_a_run_without_recorded_code_is_repeated_as_before(
    shell: Shell, home: Path, failed: Path
) -> None:
    assert shell("run", "etl.py:etl", "-q", env={"FLOWDECK_PROVENANCE": "0"}).returncode == 0
    called(failed)
    edit(("text.strip()", "text.lstrip()"))
    assert shell("retry", "2", "--failed", "-q").returncode == 0
    assert "transform" not in called(failed)


def test_a_script_s_run_is_repeated_by_the_command(shell: Shell, failed: Path) -> None:
    """``__main__`` there, a module here: the same code."""
    with open("etl.py", "a") as file:
        file.write('\n\nif __name__ == "__main__":\n    etl(return_state=True)\n')
    Path("repaired").unlink()
    subprocess.run(
        [sys.executable, "etl.py"], check=True, env={**os.environ, **shell.env}, capture_output=True
    )
    called(failed)
    Path("repaired").touch()
    done = shell("retry", "2", "--failed", "-q")
    assert done.returncode == 0, done.stderr
    assert called(failed) == ["load"]


def test_after_a_kill_what_was_kept_is_reused(shell: Shell, home: Path) -> None:
    write("etl.py", FLOW)
    edit(
        ("@flow", "@flow(persist_result=True)"),
        ('raise ValueError("not yet")', "os.kill(os.getpid(), signal.SIGKILL)"),
        ('return f" a long', 'return ["x"] * 500 and f" a long'),
    )
    assert shell("run", "etl.py:etl", "-q").returncode == -9
    calls = Path("calls.txt")
    assert called(calls) == ["extract", "transform", "other", "load"]
    Path("repaired").touch()
    done = shell("retry", "1", "--failed", "-q")
    assert done.returncode == 0, done.stderr
    assert called(calls) == ["load"]


def test_after_a_kill_a_truncated_result_is_not_loaded(shell: Shell, home: Path) -> None:
    write("etl.py", FLOW)
    edit(
        ("@flow", "@flow(persist_result=True)"),
        ('raise ValueError("not yet")', "os.kill(os.getpid(), signal.SIGKILL)"),
        ("clean(text) * RATE", "[clean(text)] * RATE"),
    )
    assert shell("run", "etl.py:etl", "-q").returncode == -9
    calls = Path("calls.txt")
    called(calls)
    Path("repaired").touch()
    files = list(StorePaths(home).results.glob("*/*"))
    assert len(files) == 3
    for file in files:
        data = file.read_bytes()
        file.write_bytes(data[: len(data) - 1])
    again = told(shell)
    assert {name: why for name, (why, _) in again.items()} == {
        "extract": "not_kept",
        "transform": "not_kept",
        "other": "not_kept",
        "load": "crashed",
    }
    assert shell("retry", "1", "--failed", "-q").returncode == 0
    assert called(calls) == ["extract", "transform", "other", "load"]
    [shown] = objects(shell("show", "2", "--json"))
    assert shown["state"] == "Completed"


def test_a_subflow_s_tasks_are_compared_too(shell: Shell, home: Path) -> None:
    write("etl.py", FLOW)
    edit(
        ('def etl(name: str = "sales"):', "def inner(name):"),
        ("return load(transform(extract(name)), other())", "return transform(extract(name))"),
    )
    with open("etl.py", "a") as file:
        file.write("\n\n@flow\ndef etl():\n    return load(inner('x'), 1)\n")
    assert shell("run", "etl.py:etl", "-q").returncode == 1
    calls = Path("calls.txt")
    called(calls)
    Path("repaired").touch()
    edit(("text.strip()", "text.lstrip()"))
    why: Any = told(shell)
    assert why["transform"] == ("code_changed", "etl.clean")
    assert "extract" not in why
    assert shell("retry", "1", "--failed", "-q").returncode == 0
    assert called(calls) == ["transform", "load"]

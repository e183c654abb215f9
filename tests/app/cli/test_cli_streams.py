"""Streams that are closed, full or gone; hang-ups; users without a home; colours; errors as JSON."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import Record, runs, until, write
from test_cli_display import SLOW, Terminal

if TYPE_CHECKING:
    from cli_builder import Shell

from flowdeck import settings

FLOW = """
    import os
    from flowdeck import flow, task

    @task
    def work(x):
        os.write(1, b"written past Python\\n")
        return x

    @flow
    def one():
        work.submit(1)
"""

needs_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


def through_sh(shell: Shell, redirected: str, *args: str) -> subprocess.CompletedProcess[str]:
    words = " ".join(f"'{word}'" for word in shell.command(*args))
    return subprocess.run(
        ["sh", "-c", f"{words} {redirected}"],
        capture_output=True, text=True, timeout=55, env={**os.environ, **shell.env},
    )  # fmt: skip


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_flow_runs_and_is_recorded_with_closed_streams(
    shell: Shell, home: Path, closed: str
) -> None:
    """Nothing that prints may land in a file of the record, which would get the free number."""
    write("one.py", FLOW)
    assert through_sh(shell, closed, "run", "one.py").returncode == 0
    result = through_sh(shell, closed, "show", "1")
    assert result.returncode == 0, result.stderr
    [run] = runs(home)
    assert run.state == "Completed"
    assert shell("doctor").returncode == 0
    for path in home.rglob("*"):
        assert not path.is_file() or b"written past Python" not in path.read_bytes()


@needs_full_device
@pytest.mark.parametrize("verb", ["runs", "runs --json", "config"])
def test_a_full_disk_behind_stdout_is_one_sentence(shell: Shell, record: Record, verb: str) -> None:
    record.log(record.run(), 0, "a line")
    result = through_sh(shell, ">/dev/full", *verb.split())
    assert result.returncode == 74
    assert "the output cannot be written: No space left on device." in result.stderr
    assert len(result.stderr.splitlines()) == 1


@needs_full_device
def test_a_flow_that_prints_nothing_runs_with_a_full_disk_behind_stdout(
    shell: Shell, home: Path
) -> None:
    write("quiet.py", "from flowdeck import flow\n@flow\ndef quiet(): pass\n")
    assert through_sh(shell, ">/dev/full", "run", "quiet.py").returncode == 0
    assert through_sh(shell, ">/dev/full", "run", "quiet.py", "--json").returncode == 74
    assert [run.state for run in runs(home)] == ["Completed", "Completed"]


@needs_full_device
def test_a_full_disk_behind_stderr_stops_nothing(shell: Shell, home: Path) -> None:
    write("one.py", FLOW)
    assert through_sh(shell, "2>/dev/full", "run", "one.py").returncode == 0
    assert through_sh(shell, "2>/dev/full", "show", "nothing").returncode == 2
    assert [run.state for run in runs(home)] == ["Completed"]


def test_a_reader_that_has_enough_is_no_error(shell: Shell, record: Record) -> None:
    uid = record.run()
    for _ in range(3000):
        record.session.emit((5, uid, 0, 0, 20, "flowdeck.flow_runs", "a line " * 20))
    record.session.flush()
    result = through_sh(shell, "| head -n 1", "logs", "1")
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == ""


# -- hang-ups ---------------------------------------------------------------------------------------


def test_a_hang_up_cancels_the_run(shell: Shell, home: Path) -> None:
    write("slow.py", SLOW)
    process = shell.start("run", "slow.py")
    until(lambda: [run.counts[2] for run in runs(home)] == [3])
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # the kernel and the shell both send one
    Path("go").touch()  # what executes may end by itself
    process.communicate(timeout=50)
    assert process.returncode == 130
    assert [run.state for run in runs(home)] == ["Cancelled"]


def test_a_terminal_that_is_closed_cancels_the_run(shell: Shell, home: Path) -> None:
    write("slow.py", SLOW)
    terminal = Terminal(shell, "run", "slow.py", session=True)
    terminal.see("▸ 3")
    os.close(terminal.master)
    Path("go").touch()
    assert terminal.process.wait(timeout=50) == 130
    assert [run.state for run in runs(home)] == ["Cancelled"]


def test_under_nohup_the_run_goes_on(shell: Shell, home: Path) -> None:
    write("slow.py", SLOW)
    process = subprocess.Popen(
        ["nohup", *shell.command("run", "slow.py", "-q")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **shell.env},
    )  # fmt: skip
    shell.started.append(process)  # type: ignore[arg-type]
    until(lambda: [run.counts[2] for run in runs(home)] == [3])
    process.send_signal(signal.SIGHUP)
    Path("go").touch()
    assert process.wait(timeout=50) == 1  # one of its tasks fails
    assert [run.state for run in runs(home)] == ["Failed"]


# -- where things are -----------------------------------------------------------------------------


NO_HOME = (
    "import pwd, sys\n"
    "def nobody(*_): raise KeyError('no such user')\n"
    "pwd.getpwuid = pwd.getpwnam = nobody\n"
    "from flowdeck_app.cli import main\n"
    "main()\n"
)


def test_a_user_without_home_needs_only_flowdeck_home(shell: Shell, home: Path) -> None:
    write("one.py", FLOW)
    kept = ("PATH", "FLOWDECK_HOME", "LANG")
    env = {**{name: os.environ[name] for name in kept if name in os.environ}, **shell.env}
    for args in (
        ["runs"],
        ["run", "one.py", "-q"],
        ["runs"],
        ["config"],
        ["flows"],
        ["cancel", "1"],
    ):
        result = subprocess.run(
            [sys.executable, "-c", NO_HOME, *args], capture_output=True, text=True, env=env
        )
        assert result.returncode == 0, (args, result.stderr)
    assert [run.state for run in runs(home)] == ["Completed"]
    del env["FLOWDECK_HOME"]
    result = subprocess.run(
        [sys.executable, "-c", NO_HOME, "runs"], capture_output=True, text=True, env=env
    )
    assert result.returncode == 2
    assert "Set FLOWDECK_HOME" in result.stderr


def test_python_m_flowdeck_is_the_command_line(shell: Shell) -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-m", "flowdeck", "--version"],
        capture_output=True, text=True, env={**os.environ, **shell.env},
    )  # fmt: skip
    assert result.stdout.startswith("flowdeck 0."), result.stderr


# -- colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "options", "coloured"),
    [
        ({}, (), False),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"CLICOLOR_FORCE": "1"}, (), True),
        ({"FORCE_COLOR": "0"}, (), False),
        ({"FORCE_COLOR": ""}, (), False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"FORCE_COLOR": "1"}, ("--color", "never"), False),
        ({"NO_COLOR": "1"}, ("--color", "always"), True),
        ({"FORCE_COLOR": "1", "FLOWDECK_COLOR": "never"}, (), False),
    ],
)
def test_colours_are_as_the_environment_and_the_options_say(
    cli: Any, record: Record, monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str], options: tuple[str, ...], coloured: bool,
) -> None:  # fmt: skip
    record.run()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.reload()
    for args in ((*options, "runs"), ("runs", *options)):
        assert ("\x1b[" in cli(*args).stdout) is coloured


def test_home_and_colour_may_follow_any_verb(cli: Any, record: Record, tmp_path: Path) -> None:
    record.run()
    assert "brave-otter" in cli("runs", "--home", str(record.home)).stdout
    assert "nothing is recorded" in cli("runs", "--home", str(tmp_path / "none")).stderr
    assert "\x1b[" in cli("config", "show", "--color", "always").stdout
    assert cli("runs", "--color", "blue").exit_code == 2


# -- errors as JSON ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "runs state:", "runs --limit x", "show nothing", "tasks nothing", "task 1.1", "logs nothing",
        "wait nothing", "run nothing.py", "run nothing.py --detach", "retry nothing", "flows nowhere",
        "runs --nope", "nope", "doctor --address x y", "config show extra", "config limit a b c",
        "retry nothing --failed --dry-run",
    ],
)  # fmt: skip
def test_with_json_an_error_is_an_object_on_stderr(cli: Any, words: str) -> None:
    result = cli(*words.split(), "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    *_, last = result.stderr.splitlines()
    error = json.loads(last)
    assert error.keys() == {"error", "hint", "exit_code"}
    assert error["exit_code"] == 2
    assert error["error"]


def test_a_record_that_cannot_be_read_is_such_an_error_too(cli: Any, home: Path) -> None:
    home.mkdir()
    (home / "flowdeck.db").write_bytes(b"this is not a database at all" * 100)
    result = cli("runs", "--json")
    assert json.loads(result.stderr)["exit_code"] == result.exit_code == 3


# -- completion -------------------------------------------------------------------------------------


class Bash:
    """An interactive bash that completes flowdeck's words."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        program = folder / "flowdeck"
        real = f"{sys.executable} -P -m flowdeck_app"
        program.write_text(
            "#!/bin/sh\n"
            f'case "$_FLOWDECK_COMPLETE$1" in bash_*|completion) exec {real} "$@";; esac\n'
            """printf '<%s>' "$@"\n"""
        )
        program.chmod(0o755)
        self.master, slave = pty.openpty()
        env = {**os.environ, **shell.env, "PATH": f"{folder}:{os.environ['PATH']}", "PS1": "> "}
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.type("bind 'set enable-bracketed-paste off'; source <(flowdeck completion bash)\n")
        self.type("echo rea''dy\n")
        self.see("ready")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def see(self, text: str) -> None:
        output, deadline = "", time.monotonic() + 50
        while text not in output:
            assert time.monotonic() < deadline, output
            if select.select([self.master], [], [], 0.1)[0]:
                output += os.read(self.master, 1 << 16).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_tab_completes_flows_and_runs_in_a_real_bash(
    shell: Shell, record: Record, tmp_path: Path
) -> None:
    """Bash takes ``:`` and ``@`` for ends of words, and replaces only what is behind them."""
    write("books.py", FLOW)
    record.run("brave-otter")
    record.run("two words")
    bash = Bash(shell, tmp_path)
    try:
        for typed, completed in (
            ("run books.py:o", "<run><books.py:one>"),
            ("show @last-", "<show><@last-failed>"),
            ("show bra", "<show><brave-otter>"),
            ("show two", "<show><two words>"),
            ("run --runner=seq", "<run><--runner=sequential>"),
            ("sho", "<show>"),
        ):
            bash.type(f"flowdeck {typed}\t\n")
            bash.see(completed)
    finally:
        bash.close()


def test_a_run_whose_end_could_be_written_nowhere_is_not_said_to_be_kept(
    shell: Shell, home: Path
) -> None:
    write("one.py", FLOW)
    assert shell("run", "one.py", "-q").returncode == 0
    write(
        "two.py",
        FLOW.replace(
            "import os",
            "import os, resource\n    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))",
            1,
        ),
    )
    told = shell("run", "two.py", "-q")
    assert "recorded nowhere" in told.stderr
    assert "kept in its journal" not in told.stderr

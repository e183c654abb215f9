"""``flowdeck --host`` through a real ssh and a real sshd: verbs, the app, errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pseudo_terminal import PseudoTerminal
from ssh_server import SshServer

from flowdeck_store.file.identity import host_name

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOWS = """
from flowdeck import flow

@flow
def echo(text: str = "", fail: bool = False) -> str:
    if fail:
        raise ValueError(text)
    return text
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    found = SshServer(tmp_path_factory.mktemp("ssh"))
    (found.home / "flows.py").write_text(FLOWS)
    yield found
    found.close()


@pytest.fixture
def far(server: SshServer, tmp_path: Path) -> Any:
    """``far("runs", "--json")``: the verb on that machine, called from a process of its own."""
    settings = tmp_path / "near.toml"

    def call(
        *words: str, host: str = "far", hosts: str = "", seconds: float = 50, **options: Any
    ) -> Any:
        settings.write_text(hosts or f'[hosts.far]\nfolder = "{server.home}"\n')
        env = dict(os.environ, FLOWDECK_CONFIG=str(settings))
        env["PATH"] = f"{server.bin}{os.pathsep}{env['PATH']}"
        command = [sys.executable, "-P", "-m", "flowdeck_app", "--host", host, *words]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=env,
            timeout=seconds,
            check=False,
            **options,
        )

    return call


def test_runs_are_launched_read_and_end_there_with_their_exit_codes(far: Any, home: Path) -> None:
    hostile = 'it\'s \\ "$HOME" `id` $(id) ; && !! {a,b} * ~ \n#☃'
    done = far("run", "flows.py:echo", "-p", f"text={hostile}", "--name", "nasty", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(far("show", "nasty", "--json").stdout)
    assert shown["parameters"]["text"] == hostile
    assert far("run", "flows.py:echo", "-p", "fail=true", "--quiet").returncode == 1
    names = [json.loads(line)["name"] for line in far("runs", "--json").stdout.splitlines()]
    assert "nasty" in names
    assert not home.exists()  # nothing was recorded here


@pytest.mark.long  # several processes and connections each
def test_stdin_goes_there_only_where_a_verb_reads_it(far: Any) -> None:
    given = far(
        "run", "flows.py:echo", "--params", "@-", "--name", "fed", "--quiet",
        input='{"text": "from stdin"}',
    )  # fmt: skip
    assert given.returncode == 0, given.stderr
    assert json.loads(far("show", "fed", "--json").stdout)["parameters"]["text"] == "from stdin"


@pytest.mark.long  # several processes and connections each
def test_a_detached_run_is_cancelled_from_here(far: Any, server: SshServer) -> None:
    (server.home / "slow.py").write_text(
        "import time\nfrom flowdeck import flow\n@flow\ndef slow():\n    time.sleep(600)\n"
    )
    launched = far("run", "slow.py:slow", "--name", "long", "--detach", "--json")
    assert launched.returncode == 0, launched.stderr
    assert far("cancel", "long").returncode in {0, 130}
    assert far("wait", "long").returncode == 130


def test_errors_of_ssh_are_sentences(far: Any, server: SshServer) -> None:
    closed = far("runs", host="closed")
    assert closed.returncode == 255
    assert closed.stderr.startswith("flowdeck: closed refuses the connection")
    known = server.known.read_text()
    try:
        server.known.write_text("")
        assert "does not know the host key of far" in far("runs").stderr
        key = (server.folder / "user.pub").read_text().split()[:2]
        server.known.write_text(f"[127.0.0.1]:{server.port} {' '.join(key)}\n")
        changed = far("runs", "--json")
        error = json.loads(changed.stderr)
        assert error["error"] == "far has another host key than ssh knows it by."
        assert error["exit_code"] == changed.returncode == 255
    finally:
        server.known.write_text(known)
    denied = far("runs", host="me@far", hosts="[hosts]")
    assert "does not let you in" in denied.stderr


def test_a_flowdeck_that_is_not_there_is_said_with_what_to_do(far: Any, server: SshServer) -> None:
    wrong = far("runs", hosts='[hosts.far]\ncommand = "/nowhere/flowdeck"\n')
    assert (wrong.returncode, wrong.stdout) == (255, "")
    assert "hosts.far.command is '/nowhere/flowdeck'" in wrong.stderr
    program = server.home / ".local" / "bin" / "flowdeck"
    program.rename(program.with_name("hidden"))
    try:
        missing = far("runs")
        assert missing.returncode == 255
        assert "flowdeck was not found on far" in missing.stderr
        named = far("--version", hosts='[hosts.far]\ncommand = "~/.local/bin/hidden"\n')
        assert named.stdout.startswith("flowdeck ")
    finally:
        program.with_name("hidden").rename(program)
    folder = far("runs", hosts='[hosts.far]\nfolder = "~/not there"\n')
    assert "there is no folder ~/not there on far" in folder.stderr


@pytest.mark.long  # several processes and connections each
def test_the_record_there_can_be_another_one(far: Any, server: SshServer) -> None:
    hosts = '[hosts.far]\nhome = "~/other record"\n'
    assert far("run", f"{server.home}/flows.py:echo", "--quiet", hosts=hosts).returncode == 0
    assert (server.home / "other record" / "flowdeck.db").exists()
    asked = far("--home", str(server.home / "third"), "runs", hosts=hosts)
    assert str(server.home / "third") in asked.stderr


@pytest.mark.long  # a real app on a real terminal through ssh: seconds
def test_the_app_opens_there_and_says_where_it_is(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{server.bin}{os.pathsep}{os.environ['PATH']}")
    command = [sys.executable, "-P", "-m", "flowdeck_app", "--host", "far"]
    app = PseudoTerminal(tmp_path / "home", tmp_path, command)
    try:
        app.until(f"on {host_name()}".encode())
        app.until(b"Health")
        app.send(b"q")
        assert app.ended() == 0
    finally:
        app.close()


@pytest.mark.long  # waits for a run that goes on without its connection
def test_a_run_goes_on_when_a_script_loses_its_connection(
    far: Any, server: SshServer, tmp_path: Path
) -> None:
    (server.home / "gate.py").write_text(
        "import pathlib, time\nfrom flowdeck import flow\n@flow(log_prints=True)\ndef gate():\n"
        "    print('begun')\n    while not pathlib.Path('gate').exists():\n        time.sleep(0.1)\n"
        "        print('waits')\n"
    )
    with pytest.raises(subprocess.TimeoutExpired):
        far("run", f"{server.home}/gate.py:gate", "--name", "alone", seconds=6)
    (server.home / "gate").touch()
    assert far("wait", "alone").returncode == 0

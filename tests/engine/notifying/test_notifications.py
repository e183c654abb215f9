"""Who is told of which runs, what they are told, and that no run waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.exceptions import ConfigurationError
from flowdeck.notifying import channels, sending
from flowdeck.notifying.channels import NotSent
from flowdeck.notifying.notices import Notice, filter_of, spoken
from flowdeck.record import Record
from flowdeck.runs.recorder import recorder
from flowdeck.settings import using

TELL = """
import os, sys
with open({path!r}, "a") as file:
    file.write(os.environ["FLOWDECK_RUN"] + " " + os.environ["FLOWDECK_STATE"] + " ")
    file.write(sys.stdin.read() + "\\n")
"""


class Heard:
    """A command that writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "heard.txt"
        script = folder / "tell.py"
        script.write_text(TELL.format(path=str(self.path)))
        self.way = f"command:{sys.executable} {script}"

    def lines(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Wait until all is sent and return number, state and JSON of each notice."""
        assert sending.wait(30)
        text = self.path.read_text() if self.path.exists() else ""
        parts = [line.split(" ", 2) for line in text.splitlines()]
        return [(run, state, json.loads(given)) for run, state, given in parts]


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    return Heard(tmp_path)


@pytest.fixture
def notice() -> Notice:
    return Notice("ended", 7, "u" * 32, "happy-owl", "etl", "Failed", "fetch-0 E: <b>;x", 3.24)


@task
def fetch(page: int) -> None:
    if page:
        raise ConnectionError(f"502 for page {page}, password=hunter2")


@flow
def etl(page: int) -> None:
    fetch(page)


@flow
async def etl_async(page: int) -> None:
    fetch(page)


@flow
def above() -> None:
    etl(0)


def warnings() -> list[str]:
    assert sending.wait(30)
    assert recorder().flush(30)
    with Record() as record:
        return [line.message for line in record.run().logs(level=logging.WARNING)]


def test_a_command_is_told_of_the_first_failure_without_secrets(heard: Heard) -> None:
    with using(notify=[heard.way]), pytest.raises(ConnectionError):
        etl(7)
    [(run, state, told)] = heard.lines()
    assert (run, state) == ("1", "Failed")
    assert (told["event"], told["run"], told["flow"], told["state"]) == (
        "ended",
        1,
        "etl",
        "Failed",
    )
    assert told["failure"] == "fetch-0 ConnectionError: 502 for page 7, password=<hidden>"
    assert told["duration"] >= 0
    assert told["text"].startswith("etl failed. Run 1 ")


def test_an_async_flow_is_told_of_as_well(heard: Heard) -> None:
    with using(notify=[heard.way]):
        asyncio.run(etl_async(0))
    [(_, state, told)] = heard.lines()
    assert (state, told["failure"], told["flow"]) == ("Completed", None, "etl-async")


def test_the_filter_chooses_among_runs_that_ended(heard: Heard) -> None:
    with using(notify=[heard.way], notify_filter="state:failed flow:et*"):
        etl(0)
        with pytest.raises(ConnectionError):
            etl(3)
    with using(notify=[heard.way], notify_filter="flow:other"):
        etl(0)
    assert [(run, state) for run, state, _ in heard.lines()] == [("2", "Failed")]


def test_subflow_runs_are_not_told_of(heard: Heard) -> None:
    with using(notify=[heard.way]):
        above()
    assert [told["flow"] for _, _, told in heard.lines()] == ["above"]


def test_a_run_that_goes_on_for_long_is_told_of_once_whatever_state_is_asked_for(
    heard: Heard,
) -> None:
    told = threading.Event()

    @flow
    def slow() -> None:
        def look() -> None:
            while not heard.path.exists() or not heard.path.read_text().endswith("\n"):
                if told.wait(0.02):
                    return

        look()

    with using(notify=[heard.way], notify_after=0.05, notify_filter="state:failed flow:slow"):
        slow()
    [(_, state, notice)] = heard.lines()
    assert (state, notice["event"], notice["failure"]) == ("Running", "running", None)


def test_of_a_run_that_goes_on_its_end_is_not_asked() -> None:
    kept = filter_of("state:failed flow:etl* duration:>5s", "running").terms
    assert [term.field for term in kept] == ["flow"]


def test_what_a_command_runs_in_turn_notifies_nobody(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(channels.INSIDE, "1")
    with using(notify=[heard.way]):
        etl(0)
    assert heard.lines() == []


def test_a_command_that_fails_is_one_warning_of_the_run_without_secrets(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("import sys\nsys.exit('password=hunter2 is wrong')\n")
    with using(notify=[f"command:{sys.executable} {script} --token abc"]):
        etl(0)
    [warning] = warnings()
    assert warning.startswith(
        f"No notification was sent by command:{sys.executable}: it ended with"
    )
    assert "<hidden>" in warning
    assert "hunter2" not in warning
    assert "abc" not in warning


def test_a_command_that_does_not_end_is_killed(notice: Notice) -> None:
    with pytest.raises(NotSent, match=r"did not end within 0\.2 seconds"):
        channels.send("command:sleep 60", notice, 0.2)


def test_a_command_that_is_not_there_is_said(notice: Notice) -> None:
    with pytest.raises(NotSent, match="cannot be executed: No such file"):
        channels.send("command:no-such-program", notice, 5)


# -- webhooks -------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(server.answer)
        if server.answer == 302:
            self.send_header("Location", "file:///etc/passwd")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("no_proxy", "*")
    made: Any = HTTPServer(("127.0.0.1", 0), _Handler)
    made.got, made.answer = [], 204
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_webhook_gets_the_json(server: Any) -> None:
    way = f"webhook:http://127.0.0.1:{server.server_port}/hook/s3cret"
    with using(notify=[way]):
        etl(0)
    assert sending.wait(30)
    [(path, kind, told)] = server.got
    assert (path, kind) == ("/hook/s3cret", "application/json")
    assert (told["run"], told["state"]) == (1, "Completed")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "it answered 500"),
        (302, "it answered 302: name the URL that it leads to"),
    ],
)
def test_a_webhook_that_refuses_or_leads_elsewhere_is_a_warning_without_its_path(
    server: Any, answer: int, said: str
) -> None:
    server.answer = answer
    with using(notify=[f"webhook:http://127.0.0.1:{server.server_port}/hook/s3cret"]):
        etl(0)
    assert warnings() == [f"No notification was sent by webhook:127.0.0.1: {said}"]
    assert len(server.got) == 1


# -- terminals ------------------------------------------------------------------------------------


def test_the_bell_rings_in_the_terminal_and_nowhere_else(
    notice: Notice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setattr(channels, "_TERMINAL", os.ttyname(theirs))
    channels.send("bell", notice, 1)
    assert os.read(ours, 100) == b"\a"
    os.close(theirs)
    os.close(ours)
    monkeypatch.setattr(channels, "_TERMINAL", "/nowhere")
    channels.send("bell", notice, 1)


def test_without_notify_send_and_terminal_the_desktop_is_out_of_reach(
    notice: Notice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_TERMINAL", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotSent, match="neither a desktop"):
        channels.send("desktop", notice, 1)


def test_notify_send_gets_text_that_is_no_markup(
    notice: Notice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "notify-send"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/shown\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    channels.send("desktop", notice, 10)
    shown = (tmp_path / "shown").read_text().split("|")[:-1]
    text = "Run 7 happy-owl, 3.2 s: fetch-0 E: &lt;b&gt;;x"
    assert shown == ["--app-name=flowdeck", "--", "etl failed", text]


def test_terminals_are_asked_in_the_words_that_they_know(notice: Notice) -> None:
    assert channels.to_terminal(notice, {}) == f"\x1b]9;etl failed. {notice.text}\a"
    shown = channels.to_terminal(notice, {"TERM": "foot"})
    assert shown == f"\x1b]777;notify;etl failed;{notice.text}\a"
    assert channels.to_terminal(notice, {"TMUX": "x"}).startswith("\x1bPtmux;\x1b\x1b]9;")


def test_durations_are_spoken() -> None:
    assert [spoken(1.44), spoken(720), spoken(11_520)] == ["1.4 s", "12 min", "3.2 h"]


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("notify", ["mail"], '"desktop", "bell", "webhook:URL"'),
        ("notify", ["bell", "webhook:ftp://example.org"], "an address of http or https"),
        ("notify", ["webhook:http://example.org:port/"], "an address of http or https"),
        ("notify", ["command:"], "there is none"),
        ("notify", ["command:tell 'me"], "No closing quotation"),
        ("notify_filter", "flow:a stat:failed", "state"),
        ("notify_filter", "cpu:>1s", "a filter of runs"),
        ("notify_after", -1, "a number of seconds"),
    ],
)
def test_a_bad_setting_says_what_is_allowed(setting: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught, using(**{setting: value}):
        pass
    assert said in str(caught.value)


def test_a_process_waits_for_what_is_to_be_sent(heard: Heard, tmp_path: Path) -> None:
    import subprocess

    script = tmp_path / "one.py"
    script.write_text("from flowdeck import flow\n@flow\ndef one(): pass\none()\n")
    environ = {**os.environ, "FLOWDECK_NOTIFY": heard.way}
    subprocess.run([sys.executable, script], env=environ, check=True, timeout=60)
    assert [(run, state) for run, state, _ in heard.lines()] == [("1", "Completed")]

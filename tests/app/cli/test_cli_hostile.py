"""No verb lets a control sequence through, whatever names, texts and values are in the record."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import T0, Record, exception_dict, write

from flowdeck_app.cli.root import VERBS
from flowdeck_app.drawing.look import CODES
from flowdeck_app.schedules.definition import Firing, Schedule, ScheduleFiles
from flowdeck_store import events
from flowdeck_store import states as st

if TYPE_CHECKING:
    from click.testing import Result

#: What terminals act on: title, clipboard, colours, C1 forms of the same, bells, deletes, bidi.
EVIL = "\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[31m\x9b32m\x90dcs\x9c\x7f\x08\r\u202eevil"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
OWN_COLOURS = re.compile(
    "\x1b\\[(?:0|" + "|".join(map(re.escape, filter(None, CODES.values()))) + ")m"
)


def assert_clean(result: Result, *args: str) -> None:
    assert "went wrong inside flowdeck" not in result.stderr, (args, result.stderr)
    assert result.exception is None or isinstance(result.exception, SystemExit), args
    for text in (result.stdout, result.stderr):
        found = CONTROL.search(text)
        assert found is None, (args, text[max(0, found.start() - 80) :][:200])


@pytest.fixture
def hostile(record: Record) -> str:
    """A failed run, a run that goes on and a subflow, with that in every text."""
    info = json.dumps({"target": f"{EVIL}:{EVIL}", "cwd": EVIL, "argv": [EVIL], "git": EVIL})
    uid = record.run(
        EVIL, flow=EVIL, code=st.FAILED, message=f"1/1 states failed.{EVIL}", runner=EVIL,
        params=json.dumps({EVIL: EVIL}), tags=json.dumps([EVIL]), info=info,
    )  # fmt: skip
    record.task(
        uid, 1, f"fetch-{EVIL}", code=st.FAILED, named=EVIL, message=EVIL, params={EVIL: EVIL}
    )
    record.task(uid, 2, f"fetch-{EVIL}", inputs=((EVIL, None, 1),))
    record.failure(uid, 1, exception_dict(type=EVIL, message=EVIL, module=EVIL, notes=[EVIL]))
    record.failure(uid, 0, exception_dict(type=EVIL, message=EVIL))
    for no in (0, 1, 2):
        record.emit(events.result(uid, no, T0, EVIL, None, EVIL, None))
    record.log(uid, 0, EVIL)
    record.log(uid, 1, EVIL, level=40)
    record.emit(events.log(uid, 1, T0, 20, EVIL, EVIL))
    live = record.run(
        EVIL, flow=EVIL, code=st.RUNNING, rerun_of=uid, tags=json.dumps([EVIL, f"sweep:{EVIL}"]),
        params=json.dumps({EVIL: EVIL}),
    )  # fmt: skip
    _schedule(record.home)
    record.task(live, 1, f"fetch-{EVIL}", code=st.RUNNING)
    return uid


def _schedule(home: Path) -> None:
    """Keep a schedule with that in every text, as who can write into the record may have made it."""
    files = ScheduleFiles(home)
    texts = {EVIL: EVIL}
    files.save(
        Schedule(
            name="x", target=EVIL, cron="0 6 * * *", every=EVIL, clockwork="crontab", folder=EVIL,
            python=EVIL, values=texts, texts=texts, runner=EVIL, tags=(EVIL,), overlap="skip",
            environment={"EVIL": EVIL}, starter=EVIL,
        )
    )  # fmt: skip
    files.note("x", Firing(us=T0, did=EVIL, run=EVIL, said=EVIL))


READING = (
    ("runs",), ("runs", "--subflows"), ("runs", EVIL), ("runs", f"state:{EVIL}"), ("show", "1"),
    ("show", "2"), ("show", EVIL), ("show", f"no{EVIL}"), ("show", EVIL[:5]), ("tasks", "1"),
    ("tasks", "1", EVIL), ("tasks", "1", "--order", "problems"), ("task", "1.1"), ("task", "1.2"),
    ("task", "1.1", "-a"), ("task", f"1/{EVIL}"), ("task", "1/fetch"), ("task", "1.99"),
    ("logs", "1"), ("logs", "1.1"), ("logs", "1", "-t", EVIL), ("logs", "1", "-l", EVIL),
    ("watch", "1"), ("watch", "1", "--plain"), ("wait", "1"), ("wait", "2", "--timeout", "0.05"),
    ("retry", "1", "--failed", "--dry-run"), ("retry", "1"), ("retry", "1", "-p", EVIL),
    ("retry", "2", "--failed"), ("run", EVIL), ("run", f"{EVIL}.py:{EVIL}"), ("flows", EVIL),
    ("config",), ("config", "limit", EVIL), ("config", "limit", EVIL, EVIL),
    ("config", "limit", EVIL, "3"), ("config", "limit"), ("doctor",), ("doctor", "--address", EVIL),
    ("prune", "--keep-last", "0", "--dry-run"), ("delete", "1"), ("delete", f"no{EVIL}"),
    ("import", EVIL), (EVIL,), ("runs", f"--{EVIL}"), ("cancel", "1"), ("cancel", "1.1"),
    ("cancel", "2.1"), ("cancel", "2"), ("cancel", "2", EVIL), ("export", "1"), ("export", "1"),
    ("backup", f"{EVIL}.db"), ("backup", f"{EVIL}.db"), ("backup", f"{EVIL}/x.db"),
    ("export", "1", f"{EVIL}.flowdeck"), ("export", "1", f"{EVIL}/x.flowdeck"),
    ("search", "evil"), ("search", EVIL), ("search", "a\udcff"), ("sweep",), ("sweep", EVIL),
    ("sweep", f"no{EVIL}"), ("sweep", "--sort", EVIL), ("schedule",), ("schedule", "show", "x"),
    ("schedule", "show", EVIL), ("schedule", "show", "../x"), ("schedule", "run", "x"),
    ("schedule", "run", EVIL), ("schedule", EVIL, "--every", EVIL), ("schedule", EVIL, "--every", "1h"),
    ("schedule", EVIL, "--cron", EVIL), ("schedule", "pause", "x"), ("schedule", "resume", "x"),
    ("schedule", "remove", EVIL), ("run", EVIL, "--grid", EVIL), ("run", EVIL, "--grid", f"{EVIL}=1,2"),
    ("run", EVIL, "--watch", EVIL), ("run", EVIL, "--python", EVIL), ("errors",), ("errors", EVIL),
    ("why", "1"), ("why", "1.1"), ("why", "2"), ("why", EVIL), ("top", "--once"), ("timeline", "1"),
    ("graph", "1"), ("diff", "1", "2"), ("diff", "1"), ("forecast", EVIL), ("forecast", "\udcff"),
    ("workers", "1"), ("artifacts", "1"), ("artifacts", "1", EVIL), ("result", "1"), ("result", "1.1"),
    ("result", EVIL), ("answer",), ("answer", "1"), ("answer", "2", EVIL), ("answer", EVIL, EVIL),
    ("note", "1"), ("note", "1", EVIL), ("tag", "1"), ("tag", "1", EVIL), ("debug", "1.1"),
    ("debug", EVIL), ("init", EVIL), ("completion", EVIL), ("demo", EVIL), ("--home", EVIL, "runs"),
    ("--host", EVIL, "runs"), ("ui", EVIL), ("mcp", EVIL),
)  # fmt: skip


def test_every_verb_is_among_those_that_meet_a_hostile_record() -> None:
    met = {word for args in READING for word in args}
    assert set(VERBS) - met == set()


def test_no_verb_writes_a_control_byte_of_the_record(cli: Any, hostile: str) -> None:
    for args in (*READING, ("delete", "1", "-y")):
        assert_clean(cli(*args), *args)


def test_no_verb_with_json_writes_a_control_byte(cli: Any, hostile: str) -> None:
    for verb in ("runs", "show 1", "tasks 1", "task 1.1", "logs 1", "wait 1", "config limit",
                 "config show", "retry 1 --failed --dry-run", "flows"):  # fmt: skip
        args = (*verb.split(), "--json")
        result = cli(*args)
        assert_clean(result, *args)
        for line in result.stdout.splitlines():
            json.loads(line)


def test_with_colours_there_are_only_our_own(cli: Any, hostile: str) -> None:
    for args in READING:
        result = cli("--color", "always", *args)
        for text in (result.stdout, result.stderr):
            rest = OWN_COLOURS.sub("", text)
            assert CONTROL.search(rest) is None, (args, rest)


def test_an_archive_cannot_bring_them_in(
    cli: Any, hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("export", "1", "evil.flowdeck").exit_code == 0
    other = str(tmp_path / "other")
    for args in (
        ("import", "evil.flowdeck"), ("import", "evil.flowdeck"), ("runs",), ("show", "1"),
        ("tasks", "1"), ("task", "1.1"), ("logs", "1"), ("retry", "1", "--failed", "--dry-run"),
        ("retry", "1"), ("export", "1"), ("cancel", "1"), ("delete", "1"),
    ):  # fmt: skip
        assert_clean(cli("--home", other, *args), *args)


FLOW = f"""
    from flowdeck import flow, get_run_logger, task

    EVIL = {EVIL!r}

    @task(task_run_name=EVIL + "{{x}}")
    def work(x):
        get_run_logger().warning(EVIL)
        raise ValueError(EVIL)

    @flow
    def bad(x=EVIL):
        get_run_logger().info(EVIL)
        work.submit(EVIL)
"""


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_a_running_flow_and_running_it_again_write_none(cli: Any, options: tuple[str, ...]) -> None:
    write("bad.py", FLOW)
    for args in (("run", "bad.py", "--name", EVIL), ("retry", "1"), ("retry", "1", "--failed")):
        result = cli(*args, *options)
        assert result.exit_code == 1, result.stderr
        assert_clean(result, *args)


def test_a_flow_that_cannot_be_imported_writes_none(cli: Any) -> None:
    Path("broken.py").write_text(
        f"from flowdeck import flow\n@flow\ndef f(): pass\nraise ValueError({EVIL!r})\n"
    )
    for args in (("run", "broken.py"), ("runs",), ("show", "1"), ("retry", "1")):
        assert_clean(cli(*args), *args)


def test_names_offered_to_a_shell_hold_none(hostile: str) -> None:
    import click

    from flowdeck_app.cli.options import complete_run
    from flowdeck_app.cli.root import flowdeck

    context = click.Context(flowdeck)
    for begin in ("", "1", EVIL[:2]):
        for item in complete_run(context, click.Argument(["ref"]), begin):
            assert CONTROL.search(f"{item.value}{item.help}") is None

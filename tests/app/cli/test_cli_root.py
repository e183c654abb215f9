"""The group: help, unknown words, exit codes of trouble, and what is imported when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from cli_builder import write

from flowdeck import settings
from flowdeck.exceptions import ConfigurationError
from flowdeck_app.cli.root import VERBS, flowdeck
from flowdeck_store.errors import StoreCorrupt, StoreTooNew

if TYPE_CHECKING:
    from cli_builder import Record, Shell


def test_help_lists_every_verb_without_importing_any(shell: Shell) -> None:
    code = (
        "import sys, runpy; sys.argv = ['flowdeck', '--help'];\n"
        "try: runpy.run_module('flowdeck_app', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = ('flowdeck', 'textual', 'rich', 'sqlite3', 'sqlite_utils', 'asyncio', 'json')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **shell.env},
    )
    assert result.stderr.strip() == "[]"
    for verb in VERBS:
        assert f"  {verb} " in result.stdout


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_with_an_example(cli: Any, verb: str) -> None:
    result = cli(verb, "--help")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert f"flowdeck {verb}" in result.stdout.partition("Example")[2]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_short_help_of_the_group_is_about_the_verb(verb: str) -> None:
    command = flowdeck.get_command(click.Context(flowdeck), verb)
    assert command is not None
    assert command.name == verb
    assert VERBS[verb].endswith(".")


def test_an_unknown_verb_gets_a_near_match(cli: Any) -> None:
    result = cli("rnus")
    assert result.exit_code == 2
    assert result.stderr == (
        "flowdeck: there is no verb 'rnus'.\n  did you mean `flowdeck runs`?\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hme"], "there is no option --hme."),
        (["runs", "--limt", "3"], "there is no option --limt."),
        (["runs", "--limit", "x"], "'x' is not a valid integer"),
        (["show"], "missing argument 'RUN'."),
        (["import", "nothing.flowdeck"], "does not exist"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_2(
    cli: Any, words: list[str], message: str
) -> None:
    result = cli(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("flowdeck: ")
    assert message in result.stderr
    assert "--help` shows the usage" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_version_is_that_of_the_package(cli: Any) -> None:
    assert cli("--version").stdout.startswith("flowdeck 0.")


def test_the_home_can_be_given_as_an_option(cli: Any, record: Record, tmp_path: Any) -> None:
    record.run()
    assert "brave-otter" in cli("--home", str(record.home), "runs").stdout
    elsewhere = cli("--home", str(tmp_path / "other"), "runs")
    assert elsewhere.stdout == ""
    assert str(tmp_path / "other") in elsewhere.stderr


def test_a_bad_setting_is_a_usage_error(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWDECK_COLOR", "blue")
    with pytest.raises(ConfigurationError):
        settings.reload()
    result = cli("runs")
    assert result.exit_code == 2
    assert result.stderr == (
        "flowdeck: FLOWDECK_COLOR is 'blue', but must be one of auto, always, never.\n"
    )


def test_a_file_that_is_no_store_is_exit_code_3_and_names_the_path(cli: Any, home: Any) -> None:
    home.mkdir()
    (home / "flowdeck.db").write_bytes(b"this is not a database at all" * 100)
    result = cli("runs")
    assert result.exit_code == 3
    assert str(home / "flowdeck.db") in result.stderr
    assert result.stderr.startswith("flowdeck: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "error", [StoreCorrupt(Path("/x.db"), "odd"), StoreTooNew(Path("/x.db"), 9, 1)]
)
def test_store_errors_have_exit_code_3(
    cli: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("flowdeck_store.read.reader.Reader.open", fail)
    result = cli("runs")
    assert result.exit_code == 3
    assert result.stderr == f"flowdeck: {error}\n"


def test_a_fault_of_ours_is_a_sentence_and_not_a_traceback(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("flowdeck_store.read.reader.Reader.open", fail)
    result = cli("runs")
    assert result.exit_code == 1
    assert "something went wrong inside flowdeck: RuntimeError: oops" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_in_a_reading_verb_is_exit_code_130(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flowdeck_store.read.reader.Reader.open", interrupt)
    result = cli("runs")
    assert (result.exit_code, result.output) == (130, "")


def test_a_reader_that_goes_away_is_no_error(shell: Shell, record: Record) -> None:
    for index in range(300):
        record.run(f"run-{index}")
    process = shell.start("runs", "--limit", "0", "--json")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    assert process.wait(timeout=50) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_without_a_terminal_the_app_says_so(cli: Any) -> None:
    for words in ([], ["ui"]):
        result = cli(*words)
        assert result.exit_code == 2
        assert "the app needs a terminal" in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_fits_the_encoding_of_the_stream(
    shell: Shell, record: Record, encoding: str
) -> None:
    record.run("otter-🦦")
    result = shell("runs", env={"PYTHONIOENCODING": encoding})
    assert result.returncode == 0
    assert "+ Completed" in result.stdout
    assert "otter-\\U0001f9a6" in result.stdout


def test_colours_only_where_they_are_wanted(cli: Any, record: Record) -> None:
    record.run()
    assert "\x1b[" not in cli("runs").stdout
    assert "\x1b[32m✓ Completed\x1b[0m" in cli("--color", "always", "runs").stdout
    assert "\x1b[" not in cli("--color", "never", "runs").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flowdeck ru", ["run", "runs"]),
        ("flowdeck show @", ["@last", "@last-failed"]),
        ("flowdeck show bra", ["brave-otter"]),
        ("flowdeck show 1", ["1"]),
        ("flowdeck run flo", ["flows.py:hello"]),
        ("flowdeck run x --runner se", ["sequential"]),
        ("flowdeck completion z", ["zsh"]),
        ("flowdeck runs --lim", ["--limit"]),
    ],
)
def test_the_shell_completes_verbs_runs_flows_and_options(
    shell: Shell, record: Record, words: str, expected: list[str]
) -> None:
    record.run()
    write("flows.py", "from flowdeck import flow\n@flow\ndef hello(): pass\n")
    env = {"_FLOWDECK_COMPLETE": "bash_complete", "COMP_WORDS": words}
    result = shell(env={**env, "COMP_CWORD": str(len(words.split()) - 1)})
    assert [line.partition(",")[2] for line in result.stdout.splitlines()] == expected


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(cli: Any, kind: str) -> None:
    result = cli("completion", kind)
    assert result.exit_code == 0
    assert f"_FLOWDECK_COMPLETE={kind}_complete" in result.stdout

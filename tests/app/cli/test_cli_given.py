"""What is given and asked for: parameters from files, tags, queries for delete and cancel, words."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import T0, Record, objects, runs, write

from flowdeck_app.cli.root import VERBS
from flowdeck_app.cli.words import hint_for
from flowdeck_store import states as st

if TYPE_CHECKING:
    from cli_builder import Shell

FLOW = """
    import datetime
    from flowdeck import flow, task

    @task
    def fail():
        raise ValueError("no page")

    @flow
    def etl(day: datetime.date = datetime.date(2026, 1, 1), n: int = 1, cfg: dict = {"flaky": 0.5}):
        fail.submit()
        return 1
"""


def parameters(cli: Any) -> dict[str, Any]:
    found: dict[str, Any] = objects(cli("show", "@last", "--json"))[0]["parameters"]
    return found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"day": "2026-11-22", "n": 2, "cfg": {"flaky": 0.25, "more": [1]}}'),
        ("p.toml", "day = 2026-11-22\nn = 2\n[cfg]\nflaky = 0.25\nmore = [1]\n"),
        ("p.yaml", "day: 2026-11-22\nn: 2\ncfg:\n  flaky: 0.25\n  more: [1]\n"),
        ("P.YML", "{day: 2026-11-22, n: 2, cfg: {flaky: 0.25, more: [1]}}"),
    ],
)
def test_parameters_come_from_a_file_and_p_goes_before_it(cli: Any, name: str, text: str) -> None:
    if name.lower().endswith(("yml", "yaml")):
        pytest.importorskip("yaml")
    write("etl.py", FLOW)
    Path(name).write_text(text)
    options = ("--params", f"@{name}", "-p", "n=5", "-p", "cfg.flaky=0")
    assert cli("run", "etl.py", "-q", *options).exit_code == 0
    assert parameters(cli) == {
        "day": "2026-11-22", "n": 5, "cfg": {"flaky": 0, "more": [1]},
    }  # fmt: skip
    assert cli("retry", "@last", "-q", "-p", "cfg.flaky=1").exit_code == 0
    assert parameters(cli)["cfg"] == {"flaky": 1, "more": [1]}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.toml", "a = ", "p.toml is not TOML: "),
        ("p.yaml", "a: [", "p.yaml is not YAML: "),
        ("p.yaml", "- a", "p.yaml must hold parameters by name"),
        ("p.yaml", "a: !!binary aGk=", "holds what no parameter can be given as: a bytes"),
        ("p.yaml", "a: !!python/object:os.system x", "p.yaml is not YAML: "),
        ("p.json", "- a", "p.json is not JSON: "),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    cli: Any, name: str, text: str, said: str
) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    write("etl.py", FLOW)
    Path(name).write_text(text)
    result = cli("run", "etl.py", "--params", f"@{name}")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not runs(Path(objects(cli("config", "--json"))[-1]["value"]))


def test_without_pyyaml_a_yaml_file_is_refused_in_words(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)  # importing it fails, as if it were not there
    write("etl.py", FLOW)
    Path("p.yaml").write_text("n: 1")
    result = cli("run", "etl.py", "--params", "@p.yaml")
    assert result.exit_code == 2
    assert "YAML needs the package PyYAML" in result.stderr
    assert importlib.util.find_spec("tomllib") is not None


def test_tags_may_be_joined_by_commas(cli: Any) -> None:
    write("etl.py", FLOW)
    cli("run", "etl.py", "-q", "--tag", "a, b", "--tag", "c", "--tag", "a,")
    [run] = objects(cli("runs", "--json"))
    assert run["tags"] == ["a", "b", "c"]


def test_a_tag_with_a_comma_that_code_gave_stays_one_when_the_run_is_done_again(
    shell: Shell, home: Path
) -> None:
    write(
        "tagged.py",
        """
        from flowdeck import flow, tags
        @flow
        def one(): pass
        if __name__ == "__main__":
            with tags("a,b"):
                one()
        """,
    )
    subprocess.run([sys.executable, "tagged.py"], env={**os.environ, **shell.env}, check=True)
    for way in ("-q", "-d"):
        assert shell("retry", "@last", way).returncode == 0
        assert shell("wait", "@last").returncode == 0
        assert runs(home)[0].tags == ("a,b",)


def test_quiet_says_that_a_completed_run_has_failed_tasks(cli: Any) -> None:
    write("etl.py", FLOW)
    result = cli("run", "etl.py", "-q", "--name", "calm")
    assert result.exit_code == 0
    assert result.stderr == (
        "flowdeck: calm (#1) completed, but 1 of 1 task run failed, "
        "first fail-0 ValueError: no page\n"
    )


def test_json_gives_all_unless_a_limit_is_asked_for(cli: Any, record: Record) -> None:
    for _ in range(25):
        uid = record.run()
    for no in range(1, 131):
        record.session.emit((3, uid, no, T0, "etl.fetch", f"fetch-{no}", None, None))
    record.flushed(uid)
    for verb, number in ((("runs",), 25), (("tasks", "25"), 130)):
        result = cli(*verb, "--json")
        assert (len(objects(result)), result.stderr) == (number, "")
        assert len(objects(cli(*verb, "--json", "--limit", "3"))) == 3
        assert len(objects(cli(*verb, "--json", "--limit", "0"))) == number
        assert "--limit 0 shows all" in cli(*verb).stderr


def test_config_as_json_is_that_of_show(cli: Any) -> None:
    assert cli("config", "--json").stdout == cli("config", "show", "--json").stdout
    assert objects(cli("config", "--json"))


# -- delete and cancel ------------------------------------------------------------------------------


@pytest.fixture
def several(record: Record) -> Record:
    record.run("one", code=st.FAILED, tags='["nightly"]')
    record.run("two", code=st.FAILED)
    record.run("three")
    record.run("four", code=st.RUNNING, tags='["nightly"]')
    return record


def names(cli: Any) -> list[str]:
    return [run["name"] for run in objects(cli("runs", "--json"))]


def test_delete_takes_a_query_and_leaves_what_goes_on(cli: Any, several: Record) -> None:
    shown = cli("delete", "tag:nightly", "--dry-run")
    assert shown.exit_code == 0
    assert [line.split()[1] for line in shown.stdout.splitlines()[1:]] == ["one"]
    assert "1 run of these go on and stay." in shown.stderr
    assert "would delete 1 run." in shown.stderr
    assert len(names(cli)) == 4
    assert cli("delete", "state:failed", "-tag:nightly", "-y").exit_code == 0
    assert names(cli) == ["four", "three", "one"]
    nothing = cli("delete", "state:crashed", "-y")
    assert nothing.exit_code == 2
    assert "no run matches" in nothing.stderr


def test_cancel_takes_a_query_and_asks_those_that_go_on(cli: Any, several: Record) -> None:
    shown = cli("cancel", "tag:nightly", "-n")
    assert [line.split()[1] for line in shown.stdout.splitlines()[1:]] == ["four"]
    assert "would cancel 1 run." in shown.stderr
    assert "no run that matches goes on" in cli("cancel", "state:failed").stderr
    result = cli("cancel", "tag:nightly")
    assert result.stderr == "flowdeck: asked four (#4) to cancel.\n"


def test_several_runs_can_be_cancelled_by_name(cli: Any, several: Record) -> None:
    result = cli("cancel", "four", "one")
    assert "asked four (#4) to cancel." in result.stderr
    assert "one (#1) is over already: Failed." in result.stderr


# -- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("compare", "mark both"),
        ("ls", "flowdeck runs"),
        ("STOP", "flowdeck cancel"),
        ("rerun", "flowdeck retry"),
        ("etl.py:etl", "flowdeck run etl.py:etl"),
        ("deploy", "flowdeck schedule"),
        ("rnus", "did you mean `flowdeck runs`?"),
        ("xyzzy", "--help"),
    ],
)
def test_a_verb_that_does_not_exist_points_to_what_does_it(cli: Any, word: str, says: str) -> None:
    result = cli(word, "1")
    assert result.exit_code == 2
    assert says in result.stderr


def test_hints_name_only_verbs_that_exist() -> None:
    import re

    from flowdeck_app.cli import words

    for hint in words._SAID_AS.values():
        for verb in re.findall(r"`flowdeck ([a-z]+)", hint):
            assert verb in VERBS, hint
    assert not words._SAID_AS.keys() & VERBS.keys()
    assert hint_for("", VERBS)


def test_importing_what_is_no_archive_says_what_one_is(cli: Any) -> None:
    write("etl.py", FLOW)
    Path("text.flowdeck").write_text("hello")
    for name in ("etl.py", "text.flowdeck"):
        result = cli("import", name)
        assert result.exit_code == 2
        assert "An archive is a file that `flowdeck export RUN FILE` wrote." in result.stderr
        assert "aside" not in result.stderr
    assert "`flowdeck run` runs" in cli("import", "etl.py").stderr


def test_what_the_record_hides_or_lacks_of_a_parameter_can_be_given_by_part(cli: Any) -> None:
    write(
        "secret.py",
        """
        from flowdeck import flow
        @flow
        def one(cfg: dict = {"api_key": "s3cret", "n": 1, "deep": [{"password": "x"}]}):
            print(cfg["api_key"], cfg["n"])
        """,
    )
    assert cli("run", "secret.py", "-q").exit_code == 0
    refused = cli("retry", "@last")
    assert refused.exit_code == 2
    assert "-p cfg.api_key=... -p cfg.deep.0.password=..." in refused.stderr
    again = cli("retry", "@last", "-q", "-p", "cfg.api_key=new", "-p", "cfg.deep.0.password=y")
    assert again.exit_code == 0, again.stderr
    assert again.stdout == "new 1\n"


def test_verbs_that_change_something_say_what_as_json(cli: Any, several: Record) -> None:
    [run] = objects(cli("delete", "state:failed", "tag:nightly", "--dry-run", "--json"))
    assert run["name"] == "one"
    assert objects(cli("delete", "one", "-y", "--json")) == [{"deleted": [1]}]
    [run] = objects(cli("cancel", "state:running", "--dry-run", "--json"))
    assert run["name"] == "four"
    [run] = objects(cli("cancel", "four", "--json"))
    assert run["name"] == "four"
    [made] = objects(cli("export", "three", "three.flowdeck", "--json"))
    assert (made["file"], made["run"]) == ("three.flowdeck", 3)
    assert made["bytes"] == Path("three.flowdeck").stat().st_size
    [plan] = objects(cli("prune", "--keep-last", "0", "--dry-run", "--json"))
    assert sorted(plan["would_delete"]) == [2, 3]
    [done] = objects(cli("prune", "--keep-last", "0", "-y", "--json"))
    assert sorted(done["deleted"]) == [2, 3]
    assert objects(cli("import", "three.flowdeck", "--json")) == [{"runs": [5], "results": 0}]

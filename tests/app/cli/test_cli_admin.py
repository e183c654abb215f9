"""flows, doctor, config, delete, prune, export and import."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import SECOND, T0, objects, write

from flowdeck_app.cli.checks import file_system_of, sqlite_check
from flowdeck_store import states as st
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Record

DAY = 86_400 * SECOND


def names(home: Path) -> list[str]:
    with Reader.open(home) as reader:
        return [run.name for run in reader.runs(limit=100)]


# -- flows ---------------------------------------------------------------------------------------

FLOWS = '''
    from flowdeck import flow
    raise SystemExit("never run")
    @flow(name="daily [bold]load[/bold]")
    def load(since: str, limit: int = 5, *rest, **more):
        """Load orders.

        More.
        """
    @flow
    async def train(): ...
'''


def test_flows_are_listed_without_running_their_file(cli: Any) -> None:
    write("flows/etl.py", FLOWS)
    result = cli("flows")
    assert (result.exit_code, result.stderr) == (0, "")
    heading, first, second = result.stdout.splitlines()
    assert heading.split() == ["Flow", "Target", "Runner", "Parameters", "About"]
    assert first.startswith("daily [bold]load[/bold]  flows/etl.py:load")
    assert "since, limit=5, *rest, **more  Load orders." in first
    assert second.startswith("train")


def test_flows_as_json(cli: Any) -> None:
    path = write("etl.py", FLOWS)
    load, train = objects(cli("flows", "etl.py", "--json"))
    assert load == {
        "name": "daily [bold]load[/bold]",
        "target": "etl.py:load",
        "file": str(path.absolute()),
        "line": 5,
        "function": "load",
        "async": False,
        "runner": "concurrent",
        "parameters": [
            {"name": "since", "annotation": "str", "default": None, "required": True},
            {"name": "limit", "annotation": "int", "default": "5", "required": False},
            {"name": "rest", "annotation": None, "default": None, "required": False},
            {"name": "more", "annotation": None, "default": None, "required": False},
        ],
        "tags": [],
        "doc": "Load orders.\n\nMore.",
    }
    assert train["async"] is True


def test_flows_reports_files_that_do_not_parse_and_goes_on(cli: Any) -> None:
    write("bad.py", "import flowdeck\ndef f(:\n")
    write("good.py", FLOWS)
    result = cli("flows")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert "bad.py:2: invalid syntax" in result.stderr


def test_flows_says_when_there_are_none_or_no_such_place(cli: Any) -> None:
    result = cli("flows")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no flows in . (0 Python files)" in result.stderr
    assert "Decorate a function with @flow" in result.stderr
    missing = cli("flows", "nowhere")
    assert missing.exit_code == 2
    assert missing.stderr == "flowdeck: there is no file or folder nowhere.\n"


# -- doctor --------------------------------------------------------------------------------------


def verdicts(result: Any) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in objects(result)}


def test_doctor_finds_everything_in_order(cli: Any, record: Record) -> None:
    record.run()
    result = cli("doctor")
    assert result.exit_code == 0
    for part in ("python", "sqlite", "extra dask", str(record.home), "1 runs", "no damage found"):
        assert part in result.stdout
    found = verdicts(cli("doctor", "--json"))
    assert found["record"] == found["integrity"] == found["folder"] == "ok"
    assert "permissions" not in found
    assert "1 process" in result.stdout


def test_doctor_before_the_first_run(cli: Any, home: Path) -> None:
    result = cli("doctor")
    assert result.exit_code == 0
    assert "not there yet" in result.stdout
    assert not home.exists()


def test_doctor_warns_of_a_folder_that_others_can_read(cli: Any, record: Record) -> None:
    record.home.chmod(0o755)
    result = cli("doctor")
    assert result.exit_code == 0
    assert verdicts(cli("doctor", "--json"))["permissions"] == "warning"
    assert f"chmod 700 {record.home}" in result.stdout


def test_doctor_names_a_file_that_is_no_store(cli: Any, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "flowdeck.db").write_bytes(b"no database " * 1000)
    result = cli("doctor")
    assert result.exit_code == 3
    assert str(home / "flowdeck.db") in result.stdout
    assert verdicts(cli("doctor", "--json"))["record"] == "bad"


def test_doctor_finds_damage_inside_the_file(cli: Any, record: Record) -> None:
    for index in range(50):
        record.run(f"run-{index}" * 50)
    record.session.close()
    import sqlite3

    path = record.home / "flowdeck.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    for page in range(20, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))
    result = cli("doctor", "--json")
    assert result.exit_code == 3
    assert "bad" in verdicts(result).values()


def test_doctor_says_when_the_home_is_in_the_way(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    result = cli("--home", str(tmp_path / "file"), "doctor")
    assert result.exit_code in {2, 3}
    assert str(tmp_path / "file") in result.output


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ((3, 36, 0), "bad"),
        ((3, 40, 1), "note"),
        ((3, 44, 5), "note"),
        ((3, 44, 6), "ok"),
        ((3, 45, 0), "note"),
        ((3, 50, 6), "note"),
        ((3, 50, 7), "ok"),
        ((3, 51, 2), "note"),
        ((3, 51, 3), "ok"),
        ((3, 60, 0), "ok"),
    ],
)
def test_versions_of_sqlite_are_judged(version: tuple[int, ...], verdict: str) -> None:
    assert sqlite_check(version).verdict == verdict


def test_the_file_system_of_a_path_is_that_of_its_deepest_mount() -> None:
    mounts = [
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
        "30 22 0:40 / /mnt/with\\040space rw - nfs4 server:/x rw",
        "31 22 0:41 / /mnt rw - tmpfs tmpfs rw",
        "broken line",
    ]
    assert file_system_of(Path("/srv/x"), mounts) == "ext4"
    assert file_system_of(Path("/mnt/other"), mounts) == "tmpfs"
    assert file_system_of(Path("/mnt/with space/deep"), mounts) == "nfs4"
    assert file_system_of(Path("/mnt2"), mounts) == "ext4"
    assert file_system_of(Path("/"), []) is None


def test_doctor_warns_of_network_file_systems(
    cli: Any, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flowdeck_app.cli.checks._mounts", lambda: ["1 0 0:1 / / rw - nfs4 server:/x rw"]
    )
    result = cli("doctor")
    assert result.exit_code == 0
    assert "nfs4, where locks and shared memory may not work" in result.stdout


# -- config --------------------------------------------------------------------------------------


def test_config_shows_values_and_where_they_come_from(
    cli: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowdeck import settings

    file = write("pyproject.toml", "[tool.flowdeck]\nlog_level = 'debug'\n").absolute()
    monkeypatch.setenv("FLOWDECK_LOGLEVEL", "x")
    settings.reload()
    for words in (["config"], ["config", "show"]):
        result = cli(*words)
        assert result.exit_code == 0
        rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
        assert rows["log_level"] == [str(file), "DEBUG"]
        assert rows["home"] == ["FLOWDECK_HOME", str(home)]
        assert rows["console"] == ["default", "yes"]
        row = next(line for line in result.stdout.splitlines() if line.startswith("console"))
        assert len(row) < len(str(file)) + 40  # a long value makes only its own line long
        assert result.stderr == (
            "flowdeck: FLOWDECK_LOGLEVEL is set but means nothing to flowdeck.\n"
        )
    found = {item["name"]: item for item in objects(cli("config", "show", "--json"))}
    assert found["log_level"] == {"name": "log_level", "value": "DEBUG", "from": str(file)}
    assert found["flow_paths"]["value"] == ["."]


def test_limits_are_set_shown_and_lifted(cli: Any) -> None:
    assert "there are no limits" in cli("config", "limit").stderr
    assert cli("config", "limit", "db", "4").exit_code == 0
    assert cli("config", "limit", "api", "0").exit_code == 0
    assert objects(cli("config", "limit", "--json")) == [
        {"tag": "api", "limit": 0, "in_use": 0, "per_second": None},
        {"tag": "db", "limit": 4, "in_use": 0, "per_second": None},
    ]
    assert cli("config", "limit", "db").stdout.splitlines()[1].split() == ["db", "4", "0"]
    assert cli("config", "limit", "db", "none").exit_code == 0
    assert "tag 'db' has no limit" in cli("config", "limit", "db").stderr


def test_a_rate_is_set_with_its_limit_and_one_without_is_refused(cli: Any) -> None:
    assert "or 2.5 in a second" in cli("config", "limit", "api", "9", "--per-second", "2.5").stderr
    [found] = objects(cli("config", "limit", "api", "--json"))
    assert found == {"tag": "api", "limit": 9, "in_use": 0, "per_second": 2.5}
    assert cli("config", "limit").stdout.splitlines()[1].split() == ["api", "9", "0", "2.5"]
    for words in (["api", "--per-second", "1"], ["api", "none", "--per-second", "1"],
                  ["api", "3", "--per-second", "0"], ["--per-second", "nan"]):  # fmt: skip
        assert "slots of a limit come free" in cli("config", "limit", *words).stderr


def test_of_one_limit_it_is_said_who_holds_its_slots(cli: Any) -> None:
    from flowdeck.concurrency import concurrency

    cli("config", "limit", "api", "9")
    with concurrency("api", occupy=2):
        lines = cli("config", "limit", "api").stdout.splitlines()
    assert lines[2].startswith("Held by a program in process ")
    assert lines[2].endswith(" (2 slots).")


@pytest.mark.parametrize("text", ["many", "1.5", "", "99999999999"])
def test_a_limit_that_is_no_number_is_refused(cli: Any, text: str) -> None:
    result = cli("config", "limit", "db", text)
    assert result.exit_code == 2
    assert f"{text!r} is not a limit" in result.stderr
    assert cli("config", "limit", "--", "db", "-1").exit_code == 2


# -- delete and prune ----------------------------------------------------------------------------


def test_delete_asks_unless_told_otherwise(cli: Any, record: Record) -> None:
    record.run("one")
    record.run("two")
    refused = cli("delete", "one", "two")
    assert refused.exit_code == 2
    assert "Delete one (#1), two (#2)? Nothing was done." in refused.stderr
    assert "--yes" in refused.stderr
    assert names(record.home) == ["two", "one"]
    result = cli("delete", "one", "2", "-y")
    assert (result.exit_code, result.stderr) == (0, "flowdeck: deleted 2 runs.\n")
    assert names(record.home) == []


def test_delete_deletes_nothing_when_one_is_unknown_or_goes_on(cli: Any, record: Record) -> None:
    record.run("done")
    record.run("going", code=st.RUNNING)
    assert cli("delete", "done", "nothing", "-y").exit_code == 2
    live = cli("delete", "done", "going", "-y")
    assert live.exit_code == 2
    assert "has not ended" in live.stderr
    assert names(record.home) == ["going", "done"]


def test_prune_needs_a_rule(cli: Any, record: Record) -> None:
    result = cli("prune", "-y")
    assert result.exit_code == 2
    assert "prune needs a rule" in result.stderr


def test_prune_deletes_by_age_number_and_state(cli: Any, record: Record) -> None:
    for index in range(4):
        code = st.FAILED if index == 0 else st.COMPLETED
        record.run(f"old-{index}", code=code, created=T0 - (400 - index) * DAY)
    record.run("live", code=st.RUNNING, created=T0 - 400 * DAY)
    dry = cli("prune", "--keep-last", "1", "--keep-failed", "--dry-run")
    assert dry.exit_code == 0
    assert "would delete 3 runs" in dry.stderr
    assert len(names(record.home)) == 5
    result = cli("prune", "--keep-last", "1", "--keep-failed", "--yes")
    assert result.exit_code == 0
    assert "deleted 3 runs" in result.stderr
    assert sorted(names(record.home)) == ["live", "old-0"]
    assert "nothing to delete" in cli("prune", "--keep-days", "9999", "-y").stderr


# -- export and import ---------------------------------------------------------------------------


def test_a_run_travels_in_a_file(
    cli: Any, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = record.run("odd/lynx", code=st.FAILED, message="it failed")
    record.task(uid, 1, "fetch-0")
    record.log(uid, 1, "a line")
    result = cli("export", "@last")
    assert result.exit_code == 0
    assert result.stderr.startswith("flowdeck: odd/lynx (#1) is in odd_lynx.flowdeck, with its ")
    assert "(--redact leaves values out)" in result.stderr
    again = cli("export", "@last")
    assert again.exit_code == 2
    assert "odd_lynx.flowdeck exists" in again.stderr
    assert cli("export", "@last", "--force").exit_code == 0
    other = ["--home", str(tmp_path / "other")]
    imported = cli(*other, "import", "odd_lynx.flowdeck")
    assert (imported.exit_code, imported.stderr) == (0, "flowdeck: imported #1.\n")
    [run] = objects(cli(*other, "runs", "--json"))
    assert (run["uid"], run["name"], run["message"]) == (uid, "odd/lynx", "it failed")
    assert [line["message"] for line in objects(cli(*other, "logs", "1", "--json"))] == ["a line"]


def test_importing_something_else_is_refused(cli: Any) -> None:
    Path("x.flowdeck").write_bytes(b"not an archive" * 100)
    result = cli("import", "x.flowdeck")
    assert result.exit_code == 2
    assert "x.flowdeck" in result.stderr
    assert "Traceback" not in result.stderr


def test_exporting_to_a_place_that_cannot_be_written_is_said(cli: Any, record: Record) -> None:
    record.run()
    result = cli("export", "@last", "gone/x.flowdeck")
    assert result.exit_code == 2
    assert "gone" in result.stderr


def test_the_record_is_copied_into_a_file(cli: Any, record: Record, tmp_path: Path) -> None:
    record.run("first")
    result = cli("backup", "copy.db")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("flowdeck: 1 run, ")
    assert cli("backup", "copy.db").exit_code == 2
    [made] = objects(cli("backup", "copy.db", "--force", "--json"))
    assert made == {"file": "copy.db", "bytes": Path("copy.db").stat().st_size, "runs": 1}
    (tmp_path / "restored").mkdir()
    Path("copy.db").rename(tmp_path / "restored" / "flowdeck.db")
    [run] = objects(cli("--home", str(tmp_path / "restored"), "runs", "--json"))
    assert run["name"] == "first"
    assert "no folder" in cli("backup", "gone/copy.db").stderr

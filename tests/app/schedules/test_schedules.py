"""``flowdeck schedule``: what is written, listed, paused and removed, by systemd and by cron."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from schedule_programs import DAILY, made, schedule

from flowdeck_app.cli.root import flowdeck
from flowdeck_app.schedules.definition import ScheduleFiles

if TYPE_CHECKING:
    from conftest import Machine

HOSTILE = 'a "b" %d $HOME\nit\'s #1'
LINE = "0 6 * * * "


def test_a_timer_and_a_service_of_systemd(home: Path, machine: Machine) -> None:
    found = made(*DAILY, "-p", f"day={HOSTILE}")
    assert (found["name"], found["with"], found["trouble"]) == ("etl", "systemd", None)
    service, timer = machine.units.values()
    name = next(iter(machine.units)).removesuffix(".service")
    assert "OnCalendar=*-*-* 06:00:00\n" in timer
    assert f"Unit={name}.service\n" in timer
    assert 'ExecStart="' in service
    assert f'"--home" "{home}" "schedule" "fire" "etl"\n' in service
    assert machine.asked[-3:] == [
        "--user daemon-reload", f"--user enable {name}.timer", f"--user restart {name}.timer",
    ]  # fmt: skip


def test_parameters_stand_in_a_file_of_the_user_alone(home: Path, machine: Machine) -> None:
    made(*DAILY, "-p", f"day={HOSTILE}", "--with", "crontab")
    made(*DAILY, "-p", f"day={HOSTILE}", "--name", "other")
    for text in (*machine.units.values(), *machine.crontab):
        assert "#1" not in text
    path = home / "schedules" / "etl.json"
    assert path.stat().st_mode & 0o077 == 0
    kept = ScheduleFiles(home).load("etl")
    assert kept.spec.texts == {"day": HOSTILE}
    assert (kept.folder, Path(kept.python).is_file()) == (str(Path.cwd()), True)


def test_a_line_of_the_crontab_beside_those_of_others(home: Path, machine: Machine) -> None:
    others = ["MAILTO=me", "# mine", "* * * * * true", ""]
    (machine.held / "crontab").write_text("\n".join([*others, ""]))
    made(*DAILY, "--with", "crontab")
    *before, line = machine.crontab
    assert before == others
    assert line.startswith(LINE)
    assert "schedule fire etl # flowdeck schedule etl " in line
    assert machine.units == {}
    schedule("pause", "etl")
    assert machine.crontab == others
    schedule("resume", "etl")
    assert machine.crontab == [*others, line]
    schedule("remove", "etl")
    assert machine.crontab == others
    assert schedule("list", "--json").stdout == ""


def test_a_crontab_that_cannot_be_read_is_not_written_over(home: Path, machine: Machine) -> None:
    (machine.held / "crontab").write_text("# mine\n")
    (machine.held / "refuses").touch()
    result = schedule(*DAILY, "--with", "crontab")
    assert result.exit_code == 2
    assert "the crontab cannot be read: you are not allowed" in result.stderr
    assert machine.crontab == ["# mine"]
    assert ScheduleFiles(home).names() == []


def test_what_is_said_again_stays_as_it_is(home: Path, machine: Machine) -> None:
    made(*DAILY)
    units, kept = machine.units, ScheduleFiles(home).load("etl")
    assert "as it was, with systemd" in schedule(*DAILY).stderr
    assert (machine.units, ScheduleFiles(home).load("etl")) == (units, kept)
    assert "changed, with systemd" in schedule("etl.py:etl", "--every", "10m").stderr
    assert list(machine.units) == list(units)
    assert machine.units != units


def test_another_clock_takes_the_schedule_over(home: Path, machine: Machine) -> None:
    made(*DAILY)
    made(*DAILY, "--with", "crontab")
    assert (machine.units, len(machine.crontab)) == ({}, 1)
    made(*DAILY, "--with", "systemd")
    assert (len(machine.units), machine.crontab) == (2, [])


def test_two_records_have_schedules_of_the_same_name(home: Path, machine: Machine) -> None:
    made(*DAILY)
    result = CliRunner().invoke(flowdeck, ["--home", str(home / "b"), "schedule", *DAILY])
    assert result.exit_code == 0
    assert len(machine.units) == 4
    schedule("remove", "etl")
    assert len(machine.units) == 2


def test_a_name_of_another_flow_is_not_taken(home: Path, machine: Machine) -> None:
    Path("b.py").write_text("from flowdeck import flow\n\n\n@flow\ndef etl():\n    pass\n")
    made(*DAILY)
    result = schedule("b.py:etl", "--every", "1h")
    assert result.exit_code == 2
    assert "another name (--name)" in result.stderr
    assert made("b.py:etl", "--every", "1h", "--name", "b")["name"] == "b"


def test_pause_stops_the_timer_and_resume_writes_it_anew(home: Path, machine: Machine) -> None:
    made(*DAILY)
    timer = list(machine.units)[1]
    paused = made("pause", "etl")
    assert (paused["paused"], paused["next"]) == (True, None)
    assert machine.asked[-1] == f"--user disable --now {timer}"
    (machine.config / "systemd" / "user" / timer).unlink()
    assert made("resume", "etl")["trouble"] is None
    assert timer in machine.units
    assert machine.asked[-1] == f"--user restart {timer}"


def test_what_somebody_changed_is_told(home: Path, machine: Machine) -> None:
    made(*DAILY)
    timer = machine.config / "systemd" / "user" / list(machine.units)[1]
    timer.write_text("[Timer]\n")
    told = schedule("list").stdout
    assert "not in force" in told
    assert "is not as flowdeck writes it" in told
    timer.unlink()
    assert json.loads(schedule("--json").stdout)["trouble"] == f"{timer.name} is gone"


def test_another_installation_finds_it_in_force_and_takes_it_over_when_it_resumes(
    home: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "pipx" / "python"
    other.parent.mkdir()
    other.touch()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("sys.executable", str(other))
        made(*DAILY)
    assert str(other) in next(iter(machine.units.values()))
    assert json.loads(schedule("--json").stdout)["trouble"] is None
    other.unlink()
    assert "is gone" in json.loads(schedule("--json").stdout)["trouble"]
    assert made("resume", "etl")["trouble"] is None
    assert str(other) not in next(iter(machine.units.values()))


def test_doctor_says_what_is_not_in_force(home: Path, machine: Machine) -> None:
    def said() -> list[str]:
        told = CliRunner().invoke(flowdeck, ["doctor"]).stdout
        return [line for line in told.splitlines() if "schedule" in line]

    assert said() == []
    made(*DAILY)
    made(*DAILY, "--name", "b")
    made("pause", "b")
    assert said() == ["✓ schedules      2, 1 of them paused"]
    (machine.config / "systemd" / "user" / list(machine.units)[3]).unlink()
    warning, advice = said()
    assert warning.startswith("! schedule etl   ")
    assert warning.endswith("is gone")
    assert "`flowdeck schedule resume etl`" in advice


@pytest.mark.parametrize("wanted", ["systemd", "crontab", None])
def test_without_what_starts_it_nothing_is_kept(
    home: Path, machine: Machine, wanted: str | None
) -> None:
    machine.remove("systemctl")
    machine.remove("crontab")
    result = schedule(*DAILY, *(["--with", wanted] if wanted else []))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    missing = {"systemd": ["systemctl"], "crontab": ["crontab"]}.get(
        wanted or "", ["systemctl", "crontab"]
    )
    assert all(f"there is no {program}" in result.stderr for program in missing)
    assert ScheduleFiles(home).names() == []


def test_cron_takes_it_where_there_is_no_systemd(home: Path, machine: Machine) -> None:
    machine.remove("systemctl")
    assert made(*DAILY)["with"] == "crontab"
    assert len(machine.crontab) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("etl.py:etl",), "say when"),
        ((*DAILY, "--every", "1h"), "say when"),
        ((*DAILY, "--name", "a b"), "cannot be the name"),
        ((*DAILY, "--name", "../x"), "cannot be the name"),
        ((*DAILY, "-p", "dya=1"), "did you mean day?"),
        (("gone.py:etl", "--every", "1h"), "There is no file gone.py"),
        ((*DAILY, "--python", "/nowhere/python"), "no such file"),
        ((*DAILY, "--runner", "dsk"), "dask"),
        (("show", "etl"), "there is no schedule 'etl'. There are none in this record."),
        (("remove", "../etl"), "cannot be the name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_written(
    home: Path, machine: Machine, args: tuple[str, ...], said: str
) -> None:
    result = schedule(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert (machine.units, machine.crontab) == ({}, [])


@pytest.mark.parametrize(
    "changes",
    [None, {"clockwork": "x"}, {"cron": "a"}, {"name": "b"}, {"environment": {"a=b": "c"}},
     {"environment": {"PATH": 3}}, {"tags": [1]}, {"values": 3}],
)  # fmt: skip
def test_a_damaged_schedule_can_be_removed(
    home: Path, machine: Machine, changes: dict[str, Any] | None
) -> None:
    made(*DAILY)
    path = home / "schedules" / "etl.json"
    kept = json.loads(path.read_text())
    path.write_text("{" if changes is None else json.dumps(kept | changes))
    assert "is damaged" in schedule("show", "etl").stderr
    assert schedule("remove", "etl").exit_code == 0
    assert (machine.units, ScheduleFiles(home).names()) == ({}, [])


def test_a_record_whose_path_no_crontab_can_hold(home: Path, machine: Machine) -> None:
    folder = str(home / "a\nb")
    result = CliRunner().invoke(
        flowdeck, ["--home", folder, "schedule", *DAILY, "--with", "crontab"]
    )
    assert result.exit_code == 2
    assert "cannot stand in a crontab" in result.stderr
    assert ScheduleFiles(Path(folder)).names() == []
    result = CliRunner().invoke(flowdeck, ["--home", folder, "schedule", *DAILY])
    assert result.exit_code == 0
    assert all(line.isprintable() for text in machine.units.values() for line in text.splitlines())


def test_the_help_shows_the_options_of_a_new_schedule_and_whole_sentences() -> None:
    shown = CliRunner().invoke(flowdeck, ["schedule", "--help"], terminal_width=80).stdout
    assert "TARGET|COMMAND" in shown
    assert all(option in shown for option in ("--cron EXPR", "--every T", "--overlap", "--with"))
    commands = shown.partition("Commands:")[2].splitlines()
    assert [line for line in commands if line.endswith("...")] == []


def test_secrets_among_the_parameters_are_not_shown(home: Path, machine: Machine) -> None:
    source = "from flowdeck import flow\n@flow\ndef etl(api_token: str, cfg: dict): ...\n"
    Path("etl.py").write_text(source)
    made(*DAILY, "-p", "api_token=s3cret", "--params", '{"cfg": {"password": "s3cret", "lr": 1}}')
    for args in (("show", "etl"), ("show", "etl", "--json"), ("list", "--json"), ()):
        assert "s3cret" not in schedule(*args).output
    assert '"lr": 1}, "api_token": "<hidden>"' in schedule("show", "etl").output


def test_a_full_disk_is_named_and_leaves_no_half_of_a_schedule(
    home: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flowdeck_app.schedules.definition.os.replace", full)
    result = schedule(*DAILY)
    assert "etl.json cannot be used: No space left on device." in result.stderr
    assert [path.name for path in (home / "schedules").iterdir()] == [".lock"]

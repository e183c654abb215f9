"""Settings: which place wins, what is refused, what is reported."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flowdeck import settings
from flowdeck.exceptions import ConfigurationError
from flowdeck.settings import get_settings, provenance, using
from flowdeck.settings import values as settings_values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [n for n in os.environ if n.startswith("FLOWDECK_") or n == "NO_COLOR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLOWDECK_CONFIG", os.devnull)
    monkeypatch.chdir(tmp_path)
    settings.reload()
    yield
    monkeypatch.undo()
    settings.reload()


def project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_the_defaults_stand_when_nothing_is_set() -> None:
    found = get_settings()
    assert found.log_level == "INFO"
    assert found.log_prints is False
    assert found.flow_paths == (".",)
    assert found.result_preview == 2000
    assert found.input_warning_seconds == 10.0
    assert found.color == "auto"
    assert found.home.is_absolute()
    assert found.home.name == "flowdeck"
    assert {where for _, where in provenance().values()} == {"default"}


def test_each_place_wins_over_the_one_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = tmp_path / "config.toml"
    user.write_text('log_level = "debug"\nresult_preview = 1\npersist_results = true\n')
    monkeypatch.setenv("FLOWDECK_CONFIG", str(user))
    file = project(tmp_path, "[tool.flowdeck]\nresult_preview = 2\npersist_results = false\n")
    monkeypatch.setenv("FLOWDECK_PERSIST_RESULTS", "yes")
    found = settings.reload()
    assert (found.log_level, found.result_preview, found.persist_results) == ("DEBUG", 2, True)
    assert provenance()["log_level"] == ("DEBUG", str(user))
    assert provenance()["result_preview"] == (2, str(file))
    assert provenance()["persist_results"] == (True, "FLOWDECK_PERSIST_RESULTS")
    with using(persist_results=False, result_preview=3):
        assert get_settings().persist_results is False
        with using(result_preview=4):
            assert (get_settings().result_preview, get_settings().persist_results) == (4, False)
        assert get_settings().result_preview == 3
        assert provenance()["result_preview"] == (3, "this process")
    assert get_settings() == found


def test_the_nearest_pyproject_that_speaks_of_flowdeck_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project(tmp_path, "[tool.flowdeck]\nflow_paths = ['flows', '/abs']\nhome = 'record'\n")
    project(tmp_path / "sub", "[tool.other]\nx = 1\n")
    (tmp_path / "sub" / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "sub" / "deeper")
    found = settings.reload()
    assert found.flow_paths == (str(tmp_path / "flows"), "/abs")
    assert found.home == tmp_path / "record"


def test_a_broken_pyproject_of_somebody_else_does_not_matter(tmp_path: Path) -> None:
    project(tmp_path, "this is [not toml")
    assert settings.reload().log_level == "INFO"


def test_a_broken_pyproject_with_our_table_is_named(tmp_path: Path) -> None:
    path = project(tmp_path, "[tool.flowdeck]\nhome = \n")
    with pytest.raises(ConfigurationError, match="is not valid TOML") as caught:
        settings.reload()
    assert str(path) in str(caught.value)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("FLOWDECK_LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("FLOWDECK_LOG_PRINTS", "maybe", "must be 1/true/yes/on or 0/false/no/off"),
        ("FLOWDECK_RESULT_PREVIEW", "-1", "a whole number of characters, 0 or more"),
        ("FLOWDECK_RESULT_PREVIEW", "many", "a whole number of characters, 0 or more"),
        ("FLOWDECK_INPUT_WARNING_SECONDS", "inf", "a number of seconds, 0 or more"),
        ("FLOWDECK_COLOR", "blue", "must be one of auto, always, never"),
        ("FLOWDECK_KEYS", "run.retry", "a table of texts"),
    ],
)
def test_a_bad_variable_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as caught:
        settings.reload()
    assert str(caught.value).startswith(f"{variable} is {text!r}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("log_prints = 'yes'", "must be true or false"),
        ("result_preview = true", "a whole number"),
        ("result_preview = 1.5", "a whole number"),
        ("redact = 'x'", "a list of texts"),
        ("home = 3", "the path of a folder"),
        ("keys = {a = 1}", "a table of texts"),
        ("theme = 4", "must be a text"),
    ],
)
def test_a_bad_value_in_a_file_is_named_with_file_and_key(
    tmp_path: Path, line: str, message: str
) -> None:
    path = project(tmp_path, f"[tool.flowdeck]\n{line}\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.reload()
    assert f"{line.split()[0]} in {path} is" in str(caught.value)
    assert message in str(caught.value)


def test_an_unknown_key_gets_a_near_match(tmp_path: Path) -> None:
    path = project(tmp_path, "[tool.flowdeck]\nlog_levle = 'INFO'\n")
    with pytest.raises(ConfigurationError, match="did you mean log_level") as caught:
        settings.reload()
    assert str(path) in str(caught.value)


def test_variables_hold_lists_paths_and_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWDECK_HOME", "rec/../here")
    monkeypatch.setenv("FLOWDECK_EXTRA_LOGGERS", "httpx, sqlalchemy")
    monkeypatch.setenv("FLOWDECK_FLOW_PATHS", os.pathsep.join(["a", "b,c"]))
    monkeypatch.setenv("FLOWDECK_KEYS", "run.retry=R,app.quit=Q")
    found = settings.reload()
    assert found.home == tmp_path / "here"
    assert found.extra_loggers == ("httpx", "sqlalchemy")
    assert found.flow_paths == ("a", "b,c")
    assert found.keys == {"run.retry": "R", "app.quit": "Q"}


def test_no_color_means_never_unless_our_own_variable_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert settings.reload().color == "never"
    monkeypatch.setenv("FLOWDECK_COLOR", "always")
    assert settings.reload().color == "always"


def test_a_misspelt_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWDECK_LOGLEVEL", "DEBUG")
    assert settings.unknown_variables() == ("FLOWDECK_LOGLEVEL",)


def test_a_config_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWDECK_CONFIG", "/no/such/file.toml")
    with pytest.raises(ConfigurationError, match="must be the path of a TOML file"):
        settings.reload()


def test_using_refuses_what_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="did you mean log_level"), using(loglevel="INFO"):
        pytest.fail("not reached")


def test_reading_again_reaches_through_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    with using(log_prints=True):
        monkeypatch.setenv("FLOWDECK_LOG_LEVEL", "ERROR")
        assert get_settings().log_level == "INFO"
        assert settings.reload().log_level == "ERROR"
        assert get_settings().log_prints is True


def test_settings_travel_to_workers() -> None:
    found = get_settings()
    assert pickle.loads(pickle.dumps(found)) == found


def test_importing_settings_reads_no_toml_and_no_folder_rules() -> None:
    code = (
        "import sys, flowdeck.settings; "
        "print([m for m in ('tomllib', 'platformdirs', 'pydantic', 'sqlite3') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == "[]"


def test_durability_is_one_of_two_levels_and_reaches_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from flowdeck.runs.recorder import StoreRecorder
    from flowdeck_store.journal.durability import LEVELS, POWER

    assert settings_values.DURABILITY == LEVELS
    assert get_settings().durability == "process"
    monkeypatch.setenv("FLOWDECK_DURABILITY", "Power")
    monkeypatch.setenv("FLOWDECK_SYNC_SECONDS", "0.25")
    settings.reload()
    assert (get_settings().durability, get_settings().sync_seconds) == (POWER, 0.25)
    recorder = StoreRecorder(tmp_path / "home")
    assert recorder.session._flusher._syncs.is_on
    assert recorder.close()
    monkeypatch.setenv("FLOWDECK_DURABILITY", "hope")
    with pytest.raises(ConfigurationError, match="process, power"):
        settings.reload()


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("notify", "notify = ['command:touch owned']"),
        ("editor", "editor = 'sh -c owned {file}'"),
        ("hosts", "hosts = {big = {command = 'owned'}}"),
    ],
)
def test_a_project_does_not_say_which_programs_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, line: str
) -> None:
    path = project(tmp_path, f"[tool.flowdeck]\nnotify_filter = 'state:failed'\n{line}\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.reload()
    assert f"{path} sets '{key}', which only your own file may ({os.devnull})" in str(caught.value)
    assert f"FLOWDECK_{key.upper()}" in str(caught.value)
    path.unlink()
    own = tmp_path / "config.toml"
    own.write_text(f"{line}\n")
    monkeypatch.setenv("FLOWDECK_CONFIG", str(own))
    assert provenance()[key] == (getattr(settings.reload(), key), str(own))

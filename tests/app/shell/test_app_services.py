"""Clipboard, editor, remembered state: what leaves the app and what comes back."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck import settings
from flowdeck_app.terminal.clipboard import MOST_OSC52, give_to_tool, native_tool, osc52
from flowdeck_app.terminal.editor import editor_command, pager_command
from flowdeck_app.ui_state import MOST_FLOWS, UiState, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

# -- clipboard -------------------------------------------------------------------------------


@given(st.text(max_size=50))
def test_osc52_carries_the_text_and_nothing_a_terminal_would_act_on(text: str) -> None:
    sequence = osc52(text, {})
    assert sequence is not None
    payload = sequence.removeprefix("\x1b]52;c;").removesuffix("\x07")
    assert base64.b64decode(payload).decode("utf-8") == text


def test_inside_tmux_the_sequence_reaches_the_outer_terminal_too() -> None:
    sequence = osc52("x", {"TMUX": "/tmp/tmux"})
    assert sequence == "\x1b]52;c;eA==\x07\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\"


def test_a_text_that_terminals_would_drop_is_not_sent() -> None:
    assert osc52("x" * (MOST_OSC52 + 1), {}) is None


@pytest.mark.parametrize(
    ("environment", "platform", "command"),
    [
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "linux", "wl-copy"),
        ({"DISPLAY": ":0"}, "linux", "xclip"),
        ({}, "darwin", "pbcopy"),
        ({"WSL_DISTRO_NAME": "x"}, "linux", "clip.exe"),
        ({}, "linux", None),
    ],
)
def test_the_computers_own_tool_is_found(
    environment: dict[str, str], platform: str, command: str | None
) -> None:
    found = native_tool(environment, platform, which=lambda name: f"/usr/bin/{name}")
    assert (found is None) == (command is None)
    if found is not None:
        assert found[0] == f"/usr/bin/{command}"


def test_a_tool_that_fails_or_is_missing_is_no_error(tmp_path: Path) -> None:
    assert not give_to_tool("x", ["false"])
    assert not give_to_tool("x", [str(tmp_path / "nothing")])
    assert give_to_tool("\ud800x", ["cat"])


# -- editor ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("editor", "argv", "in_terminal"),
    [
        ("vim", ("vim", "+57", "--", "/a b.py"), True),
        ("nano", ("nano", "+57", "/a b.py"), True),
        ("hx", ("hx", "/a b.py:57"), True),
        ("code --wait", ("code", "--wait", "--goto", "/a b.py:57"), False),
        ("/opt/zed", ("/opt/zed", "/a b.py:57"), False),
        ("pycharm", ("pycharm", "--line", "57", "/a b.py"), False),
        ("unheard-of", ("unheard-of", "/a b.py"), True),
    ],
)
def test_each_editor_is_told_the_line_its_own_way(
    editor: str, argv: tuple[str, ...], in_terminal: bool
) -> None:
    command = editor_command("/a b.py", 57, {"EDITOR": editor})
    assert command is not None
    assert (command.argv, command.in_terminal) == (argv, in_terminal)


def test_the_setting_wins_over_the_variables_and_none_is_none() -> None:
    variables = {"EDITOR": "vi", "VISUAL": "code"}
    command = editor_command("f", 1, variables, "hx")
    assert command is not None
    assert command.argv[0] == "hx"
    command = editor_command("f", 1, variables)
    assert command is not None
    assert command.argv[0] == "code"
    assert editor_command("f", 1, {}) is None


def test_places_in_the_setting_are_filled_without_a_shell() -> None:
    command = editor_command("x; rm -rf {line}", 3, {}, "my-edit {file} --at {line}")
    assert command is not None
    assert command.argv == ("my-edit", "x; rm -rf {line}", "--at", "3")
    assert command.in_terminal


def test_the_variable_of_the_setting_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWDECK_EDITOR", "hx")
    assert settings.reload().editor == "hx"
    assert settings.unknown_variables() == ()


def test_the_pager_is_less_unless_set() -> None:
    assert pager_command({}) == ("less", "-R")
    assert pager_command({"PAGER": "bat -p"}) == ("bat", "-p")


# -- remembered state ------------------------------------------------------------------------


def test_values_are_kept_by_path_and_wrong_types_are_ignored(tmp_path: Path) -> None:
    state = UiState(tmp_path / "ui.json")
    state.remember("run.tasks", "order", value="duration")
    state.remember("run.tasks", "wrap", value=True)
    state.save()
    again = UiState.load(tmp_path)
    assert again.get("run.tasks", "order", default="problems") == "duration"
    assert again.get("run.tasks", "order", default=7) == 7
    assert again.get("no", "such", "thing") is None
    again.remember("run.tasks", "order", value=None)
    assert again.get("run.tasks", "order", default="problems") == "problems"


def test_nothing_is_written_while_nothing_changed(tmp_path: Path) -> None:
    state = UiState(tmp_path / "ui.json")
    state.save()
    assert not (tmp_path / "ui.json").exists()
    state.remember("a", value=1)
    state.save()
    state.remember("a", value=1)
    assert not state.dirty


def test_a_value_taken_out_cannot_change_what_is_kept(tmp_path: Path) -> None:
    state = UiState()
    state.remember("list", value=[1])
    state.get("list").append(2)
    assert state.get("list") == [1]


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 99}', "\x00\xff"])
def test_a_file_that_makes_no_sense_counts_as_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "ui.json").write_text(content, "utf-8")
    state = UiState.load(tmp_path)
    assert state.get("theme") is None
    state.remember("theme", value="nord")
    state.save()
    assert json.loads((tmp_path / "ui.json").read_text())["theme"] == "nord"


def test_parameters_of_the_last_launches_are_kept_and_the_oldest_flow_goes(tmp_path: Path) -> None:
    state = UiState(tmp_path / "ui.json")
    for n in range(MOST_FLOWS + 5):
        state.remember_parameters(f"flow{n}", {"limit": n})
    assert state.last_parameters("flow0") == {}
    assert state.last_parameters(f"flow{MOST_FLOWS + 4}") == {"limit": MOST_FLOWS + 4}


def test_a_folder_that_cannot_be_written_only_means_nothing_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = UiState(tmp_path / "file" / "ui.json")
    state.remember("a", value=1)
    state.save()
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "ui.json", "x")


def test_a_failed_write_leaves_the_old_text_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "ui.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if "ui.json" in p.name] == ["ui.json"]

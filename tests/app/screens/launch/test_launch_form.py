"""The launch form without a screen: fields, problems, what is passed on, the command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
from app_data import run

from flowdeck_app.screens.launch.form import Form
from flowdeck_app.screens.launch.runner_fields import runner_fields
from flowdeck_app.screens.launch.specs import Field, fields_of, problem
from flowdeck_app.screens.launch.start import target_of

if TYPE_CHECKING:
    from pathlib import Path


def info(name: str, widget: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": name,
        "kind": "positional_or_keyword",
        "annotation": widget,
        "required": False,
        "default_json": None,
        "default_repr": None,
        "choices": None,
        "schema": {},
        "widget": widget,
        "doc": "",
        "nullable": False,
    }
    return {**values, **changes}


def form(*infos: dict[str, Any]) -> Form:
    return Form("flows/etl.py:etl", fields_of(infos))


def test_defaults_are_shown_as_users_would_type_them() -> None:
    found = form(
        info("limit", "int", default_json="500"),
        info("mode", "choice", default_json='"full"', choices=["full", "delta"]),
        info("regions", "list", default_json='["eu", "us"]'),
    )
    assert [found.text(f) for f in found.fields] == ["500", "full", '["eu", "us"]']


def test_a_value_that_the_record_hides_must_be_given_again() -> None:
    found = form(info("api_key", "text"), info("options", "json"), info("day", "text"))
    found.fill({"api_key": "<hidden>", "options": {"token": "<hidden>"}, "day": "x"})
    again = "hidden in the record: give it again"
    assert found.problems() == {"api_key": again, "options": again}
    found.texts["api_key"] = "k"
    assert found.problems() == {"options": again}


def test_secrets_are_not_remembered() -> None:
    found = form(info("api_key", "text"), info("options", "json"), info("day", "text"))
    found.fill({"api_key": "k", "options": {"token": "t"}, "day": "x"})
    assert found.memorable() == {"day": "x"}


def test_what_is_as_the_default_is_not_passed_on() -> None:
    found = form(info("limit", "int", default_json="500"), info("day", "date", required=True))
    found.texts = {"limit": "500", "day": "2026-11-22"}
    assert found.given() == {"day": "2026-11-22"}


def test_an_emptied_number_is_the_default_again_an_emptied_text_is_empty() -> None:
    limit = info("limit", "int", default_json="400")
    found = form(limit, info("text", "text", default_json='"x"'))
    found.texts = {"limit": "", "text": ""}
    assert found.given() == {"text": ""}


@pytest.mark.parametrize(
    ("widget", "good", "bad"),
    [
        ("int", "12", "12.5"),
        ("float", "0.9", "0.9x"),
        ("bool", "true", "yes"),
        ("choice", "a", "c"),
        ("date", "2026-11-22", "22.11.2026"),
        ("datetime", "2026-11-22T08:30", "yesterday"),
        ("list", "[1, 2]", "1, 2"),
        ("json", '{"a": 1}', "{a: 1}"),
    ],
)
def test_a_text_that_does_not_fit_is_a_problem(widget: str, good: str, bad: str) -> None:
    spec = Field("x", widget, widget, False, "", choices=("a", "b"))
    assert problem(spec, good) is None
    assert problem(spec, bad)


def test_a_missing_required_value_is_a_problem_and_an_empty_optional_one_is_not() -> None:
    assert problem(Field("x", "int", "int", True, ""), "") == "needs a value"
    assert problem(Field("x", "int", "int", False, ""), "") is None


def test_bounds_of_the_schema_are_kept() -> None:
    spec = Field("x", "int", "int", False, "", schema={"minimum": 1, "maximum": 9})
    assert problem(spec, "0") == "less than 1"
    assert problem(spec, "10") == "more than 9"
    assert problem(spec, "5") is None


def test_null_is_a_value_where_none_is_allowed() -> None:
    assert problem(Field("x", "date | None", "date", False, "", nullable=True), "null") is None


def test_a_list_field_refuses_another_json_type() -> None:
    spec = Field("x", "list[int]", "list", False, "", schema={"type": "array"})
    assert problem(spec, '{"a": 1}') == "not a JSON array"


def test_the_command_survives_a_shell() -> None:
    found = form(info("text", "text"), info("regions", "list"))
    found.texts = {"text": "it's $HOME; rm -rf /", "regions": '["a b"]'}
    found.runner, found.option_texts = "dask", {"address": "tcp://x:1", "more": ""}
    options = [{"name": "address", "annotation": "str | None", "default": "None", "doc": ""}]
    found.options = runner_fields("dask", options, {})
    found.name, found.tags = "my run", "prod, eu"
    assert shlex.split(found.command_line()) == [
        "flowdeck", "run", "flows/etl.py:etl", "-p", "text=it's $HOME; rm -rf /", "-p",
        'regions=["a b"]', "--runner", "dask", "--runner-opt", "address=tcp://x:1", "--name",
        "my run", "--tag", "prod", "--tag", "eu", "--detach",
    ]  # fmt: skip


def test_values_of_an_earlier_run_fill_only_what_the_flow_still_takes() -> None:
    found = form(info("limit", "int", default_json="5"), info("on", "bool", default_json="false"))
    found.fill({"limit": 7, "on": True, "gone": 1})
    assert found.texts == {"limit": "7", "on": "true"}


def test_a_run_is_repeated_by_what_started_it_then_and_by_its_code_where_that_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "main.py").touch()
    place = str(tmp_path / "lib.py:etl")  # where the function stands
    told = run(1, flow_key=place, info={"target": "main.py:etl", "cwd": str(tmp_path)})
    elsewhere = tmp_path / "elsewhere"
    assert target_of(place, told, elsewhere) == str(tmp_path / "main.py:etl")
    assert target_of(place, told, tmp_path) == "main.py:etl"
    moved = run(2, flow_key=place, info={"target": "gone.py:etl", "cwd": str(tmp_path)})
    assert target_of(place, moved, elsewhere) == place
    assert target_of("flows.py:etl", None, elsewhere) == "flows.py:etl"
    assert target_of(None, None, elsewhere) is None


@pytest.mark.parametrize("value", ["<Frame 3x4>", {"frame": "<Frame 3x4>"}, [1, "<lock>"]])
def test_what_stands_for_a_recorded_value_is_not_taken_for_it(value: Any) -> None:
    found = form(info("frame", "text"))
    found.fill({"frame": value})
    assert found.problems() == {}  # typed, or of another source: the user's own text
    found.recorded = dict(found.texts)
    assert "give it anew" in found.problems()["frame"]
    found.texts["frame"] = "other"
    assert found.problems() == {}


def test_a_default_that_looks_like_a_stand_in_is_the_default() -> None:
    found = form(info("name", "text", default_json='"<unknown>"'))
    found.fill({"name": "<unknown>"})
    found.recorded = dict(found.texts)
    assert found.problems() == {}

"""Lists and models as rows of the launch form; steps of dates and numbers; completed paths."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from flowdeck import parameters
from flowdeck_app.screens.launch.form import Form
from flowdeck_app.screens.launch.specs import Field as FormField
from flowdeck_app.screens.launch.specs import fields_of
from flowdeck_app.screens.launch.stepping import completed, stepped


class Source(BaseModel):
    path: Path
    mode: Literal["full", "fast"] = "full"
    day: datetime.date | None = None


class Config(BaseModel):
    retries: int = Field(3, ge=0)
    sources: list[Source] = []


@dataclasses.dataclass
class Window:
    start: datetime.date
    days: int = 7


def load(
    window: Window, config: Config = Config(), regions: list[str] = ["eu"],  # noqa: B008, B006
    more: Config | None = None, pairs: dict[str, int] = {},  # noqa: B006
) -> None:  # fmt: skip
    """Load."""


def form() -> Form:
    return Form("f.py:load", fields_of([dataclasses.asdict(p) for p in parameters.describe(load)]))


def row(found: Form, key: str) -> FormField:
    return next(r for f in found.fields for r in found.rows(f) if r.key == key)


def keys(found: Form, name: str) -> list[str]:
    return [r.key for f in found.fields if f.name == name for r in found.rows(f)]


def test_a_model_has_a_row_for_each_field_and_a_list_one_for_each_item_and_one_more() -> None:
    found = form()
    assert keys(found, "window") == ["window", "window.start", "window.days"]
    assert keys(found, "config") == [
        "config",
        "config.retries",
        "config.sources",
        "config.sources.0",
    ]
    assert keys(found, "regions") == ["regions", "regions.0", "regions.1"]
    assert keys(found, "more") == ["more"]  # None
    assert keys(found, "pairs") == ["pairs"]  # any keys: as JSON
    start = row(found, "window.start")
    assert (start.annotation, start.widget, start.required) == ("date", "date", True)
    assert row(found, "config.sources").annotation == "list[Source]"


def test_what_is_typed_into_a_part_is_in_the_value_that_is_passed_on() -> None:
    found = form()
    assert found.problems() == {"window.start": "needs a value"}
    found.edit(row(found, "window.start"), "2026-11-22")
    assert found.problems() == {}
    assert found.given() == {"window": '{"start": "2026-11-22"}'}
    found.edit(row(found, "regions.1"), "us")
    assert keys(found, "regions") == ["regions", "regions.0", "regions.1", "regions.2"]
    assert found.given()["regions"] == '["eu", "us"]'
    found.edit(row(found, "regions.0"), "")
    assert found.given()["regions"] == '["us"]'
    found.edit(row(found, "config.sources.0"), "true")
    source = ["config.sources.0.path", "config.sources.0.mode", "config.sources.0.day"]
    assert keys(found, "config")[4:] == [*source, "config.sources.1"]
    assert row(found, source[1]).choices == ("full", "fast")
    assert found.problems() == {source[0]: "needs a value"}
    found.edit(row(found, source[0]), "in.csv")
    found.edit(row(found, "config.sources.0"), "false")
    assert keys(found, "config")[3:] == ["config.sources.0"]


def test_a_text_that_does_not_fit_its_part_stays_and_is_marked() -> None:
    found = form()
    found.edit(row(found, "config.retries"), "many")
    assert found.text(row(found, "config.retries")) == "many"
    assert found.problems()["config.retries"] == "not a whole number: 'many'"
    found.edit(row(found, "config.retries"), "-1")
    assert found.problems()["config.retries"] == "less than 0"
    found.edit(row(found, "config.retries"), "")
    assert found.text(row(found, "config.retries")) == "3"


def test_what_may_be_none_is_given_or_not() -> None:
    found = form()
    found.edit(row(found, "more"), "true")
    assert keys(found, "more")[1:3] == ["more.retries", "more.sources"]
    assert found.given()["more"] == "{}"
    found.edit(row(found, "more"), "false")
    assert "more" not in found.given()


def test_json_that_the_rows_cannot_show_is_edited_as_json() -> None:
    found = form()
    for text in ('{"retries": 1, "other": 2}', "[1]", "{", '"x"'):
        found.texts["config"] = text
        assert keys(found, "config") == ["config"], text
    found.texts["regions"] = str(list(range(100)))
    assert keys(found, "regions") == ["regions"]


TODAY = datetime.date(2026, 11, 30)


@pytest.mark.parametrize(
    ("widget", "text", "by", "far", "then"),
    [
        ("int", "5", 1, False, "6"),
        ("int", "5", -1, True, "0"),
        ("int", "", 1, False, "0"),
        ("int", "x", 1, False, None),
        ("date", "", -1, False, "2026-11-30"),
        ("date", "2026-12-31", 1, False, "2027-01-01"),
        ("date", "2026-01-31", 1, True, "2026-02-28"),
        ("date", "0001-01-01", -1, False, None),
        ("date", "soon", 1, False, None),
        ("datetime", "2026-11-22T08:30", -1, False, "2026-11-21T08:30"),
        ("datetime", "", 1, False, "2026-11-30T00:00"),
        ("text", "5", 1, False, None),
    ],
)
def test_dates_and_numbers_step(
    widget: str, text: str, by: int, far: bool, then: str | None
) -> None:
    spec = FormField("x", widget, widget, False, "", schema={"minimum": 0})
    assert stepped(spec, text, by, far=far, today=TODAY) == then


def test_paths_complete_themselves(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "evil\x1b[2J").touch()
    assert completed(tmp_path, "da") == "data/"
    assert completed(tmp_path, "data/o") == "data/orders.csv"
    assert completed(tmp_path, f"{tmp_path}/da") == f"{tmp_path}/data/"
    assert completed(tmp_path, ".h") == ".hidden"
    for text in ("evil", "none", "nowhere/x", "data/orders.csv", "\0"):
        assert completed(tmp_path, text) is None, text

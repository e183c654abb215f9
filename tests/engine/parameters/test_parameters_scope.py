"""Text annotations are resolved where the decorator runs; what cannot be checked is said once.

This file has ``from __future__ import annotations``: all annotations in it are texts.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest

from flowdeck import flow
from flowdeck.exceptions import ParameterTypeError
from flowdeck.parameters import describe, from_texts
from flowdeck.testing import run_in_memory


def test_types_local_to_a_function_are_checked() -> None:
    @dataclass
    class Window:
        days: int

    @flow
    def f(window: Window, more: list["Window"] | None = None) -> Any:  # noqa: UP037
        return window.days, [each.days for each in more or []]

    assert f({"days": "3"}, more=[{"days": 1}]) == (3, [1])
    with pytest.raises(ParameterTypeError, match=r"window\.days: Input should be a valid integer"):
        f({"days": "three"})
    assert f.with_options(name="other")({"days": "3"}) == (3, [])
    assert describe(f.fn)[0].schema["title"] == "Window"
    assert from_texts(f.fn, {"window": '{"days": 4}'}) == {"window": Window(4)}


def test_types_local_to_a_class_in_a_function_are_checked() -> None:
    class Job:
        @dataclass
        class Window:
            days: int

        @flow
        def run(self, window: Window) -> int:
            return window.days

    assert Job().run({"days": "3"}) == 3


def test_what_only_type_checkers_know_is_said_once() -> None:
    def f(window: Missing, n: int = 0) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return window

    unchecked = flow(f)
    with run_in_memory() as record:
        assert unchecked({"days": 3}) == unchecked({"days": 3})
    (told,) = [text for text in record.logs if "is not checked" in text]
    assert told == (
        "Parameter 'window' is not checked: its annotation 'Missing' means nothing where the flow "
        "is defined (NameError: name 'Missing' is not defined). Import or define what it names there."
    )


def test_a_default_that_does_not_fit_is_said_once_and_none_is_fine() -> None:
    @flow
    def f(n: int = "notint", day: dt.date = None, s: str = "x") -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return n, day, s

    with run_in_memory() as record:
        assert f() == f() == ("notint", None, "x")
        assert f(n="5") == (5, None, "x")
    (told,) = [text for text in record.logs if "default" in text]
    assert told == (
        "The default of parameter 'n' does not fit its annotation and is taken as it is: Input "
        "should be a valid integer, unable to parse string as an integer"
    )
    with pytest.raises(ParameterTypeError):
        f(n="other")

"""What the pages for those who come from elsewhere say: names that are there, and names that are not."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from flowdeck.cache_policies import CachePolicy
from flowdeck.definitions.options import FlowOptions, TaskOptions

PAGE = Path(__file__).parents[3] / "docs" / "coming-from-prefect.md"
TEXT = PAGE.read_text("utf-8")


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


IMPORTS = sorted(set(re.findall(r"`(from flowdeck[\w.]* import [\w, ]+)`", TEXT)))
ABSENT = sorted(set(re.findall(r"`prefect\.([\w.]+)`", section("Absent, and why"))))


@pytest.mark.parametrize("line", IMPORTS)
def test_a_name_that_the_page_lists_is_there(line: str) -> None:
    (statement,) = ast.parse(line).body
    assert isinstance(statement, ast.ImportFrom)
    assert statement.module is not None
    for alias in statement.names:
        extra = {"DaskTaskRunner": "distributed", "RayTaskRunner": "ray", "remote_options": "ray"}
        if alias.name in extra and importlib.util.find_spec(extra[alias.name]) is None:
            continue
        module = importlib.import_module(statement.module)
        assert getattr(module, alias.name) is not None


def test_the_page_lists_many() -> None:
    assert len(IMPORTS) > 20
    assert {"serve", "blocks", "server"} <= set(ABSENT)


@pytest.mark.parametrize("name", ABSENT)
def test_a_name_that_the_page_calls_absent_says_so_itself(name: str) -> None:
    with pytest.raises(ImportError, match="flowdeck has no"):
        exec(f"from flowdeck import {name}", {})


@pytest.mark.parametrize(
    ("row", "options"), [("options of tasks", TaskOptions), ("options of flows", FlowOptions)]
)
def test_options_that_the_page_lists_are_taken(row: str, options: type) -> None:
    line = next(line for line in section("The same").splitlines() if line.startswith(f"| {row} "))
    named = re.findall(r"`(\w+)`", line)
    assert len(named) > 15
    assert set(named) <= set(options.__annotations__)


def test_policies_of_the_page_are_policies() -> None:
    module = importlib.import_module("flowdeck.cache_policies")
    for name in ("INPUTS", "TASK_SOURCE", "RUN_ID", "FLOW_PARAMETERS", "DEFAULT", "NO_CACHE"):
        assert isinstance(getattr(module, name), CachePolicy)

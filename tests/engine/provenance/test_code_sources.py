"""The source texts that are recorded of the functions of tasks and flows."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.provenance.code import Code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def plain(x: int) -> int:
    return x + 1


@functools.lru_cache
def decorated(x: int) -> int:
    """Has a text
    of several lines."""
    return x


async def later(x: int) -> int:
    return x


class Holder:
    def method(self) -> Any:
        return lambda: self


@pytest.mark.parametrize("fn", [plain, decorated.__wrapped__, later, Holder.method])
def test_the_source_is_what_stands_in_the_file(fn: Callable[..., Any]) -> None:
    assert next(iter(Code(fn).sources.values())) == inspect.getsource(fn)


def test_a_function_without_a_file_has_no_source() -> None:
    made: dict[str, Any] = {"__name__": __name__, "__file__": __file__}
    exec("def typed_in(x):\n    return x\n", made)
    assert Code(made["typed_in"]).sources == {}


def test_a_file_that_has_become_shorter_gives_no_source(tmp_path: Path) -> None:
    file = tmp_path / "flows_that_change.py"
    file.write_text("\n" * 20 + "def f(x):\n    return x\n")
    scope: dict[str, Any] = {"__name__": "flows_that_change", "__file__": str(file)}
    exec(compile(file.read_text(), str(file), "exec"), scope)
    file.write_text("x = (\n")
    assert Code(scope["f"]).sources == {}


def test_no_other_module_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    class Watched(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            looked.append(name)
            return super().__getattribute__(name)

    monkeypatch.setitem(sys.modules, "watched_by_a_test", Watched("watched_by_a_test"))
    assert Code(plain).sources
    assert looked == []

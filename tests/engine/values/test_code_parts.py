"""Which parts of the user's code a task is made of, and which edit changes which part."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from flowdeck.provenance.code import code_of
from flowdeck.values.code_parts import Parts

SOURCE = '''
import datetime, enum, functools, threading
from flowdeck import task

class Color(enum.Enum):
    RED = 1

class Base:
    def rate(self):
        return 1

class Model(Base):
    SIZE = 3
    def fit(self, x):
        return x + self.SIZE

RATE = 3
TABLE = {"a": [1, 2], "b": (3, {4})}
DAY = datetime.date(2024, 1, 1)
NOW = datetime.datetime.now()
LOCK = threading.Lock()
CALLS = []
COUNTS = {}
NESTED = {"x": {}}
total = 0

def helper(x, scale=2):
    return x * scale * RATE

def unused(x):
    return x

half = functools.partial(helper, scale=5)

@task
def other(x):
    return helper(x)

@task
def step(x):
    """Does it."""
    global total
    total += 1
    CALLS.append(x)
    COUNTS[x] = 1
    COUNTS[x] += len(TABLE)
    NESTED["x"][x] = 1
    with LOCK:
        found = {}
        found[x] = TABLE["a"]
    return helper(x), Model().fit(x), DAY, NOW, Color.RED, half, other
'''


def loaded(tmp_path: Path, *edits: tuple[str, str], name: str = "etl") -> types.ModuleType:
    text = SOURCE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "etl.py"
    file.write_text(text)
    module = types.ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    exec(compile(text, str(file), "exec", dont_inherit=True), vars(module))
    return module


@pytest.fixture(autouse=True)
def modules() -> Any:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("etl"):
            del sys.modules[name]


def digests(tmp_path: Path, *edits: tuple[str, str]) -> dict[str, str]:
    return Parts(loaded(tmp_path, *edits).step.fn).digests


def changed(tmp_path: Path, *edits: tuple[str, str]) -> set[str]:
    before, after = digests(tmp_path / "a"), digests(tmp_path / "b", *edits)
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_the_parts_are_the_functions_and_constants_that_are_reached(tmp_path: Path) -> None:
    found = digests(tmp_path)
    assert next(iter(found)) == "etl.step"
    assert {
        "etl.step", "etl.helper", "etl.RATE", "etl.TABLE", "etl.DAY", "etl.Model", "etl.Model.fit",
        "etl.Model.SIZE", "etl.Base.rate", "etl.half", "etl.other", "etl.Color",
    } <= found.keys()  # fmt: skip
    assert not {"etl.unused", "etl.NOW", "etl.LOCK"} & found.keys()


def test_what_the_code_changes_is_state_and_no_part(tmp_path: Path) -> None:
    found = digests(tmp_path)
    assert not {"etl.CALLS", "etl.COUNTS", "etl.NESTED", "etl.total"} & found.keys()


EDITS = {
    "a comment": (('"""Does it."""', '"""Does it."""  # so'), set()),
    "lines above": (("import datetime", "\n\nimport datetime"), set()),
    "what is not used": (("def unused(x):\n    return x", "def unused(x):\n    return 2"), set()),
    "state": (("CALLS = []", "CALLS = [1]"), set()),
    "the function": (("CALLS.append(x)", "CALLS.append(x + 1)"), {"etl.step"}),
    "a helper": (("x * scale * RATE", "x + scale * RATE"), {"etl.helper"}),
    "a default of it": (("scale=2", "scale=7"), {"etl.helper()"}),
    "a constant": (("RATE = 3", "RATE = 4"), {"etl.RATE"}),
    "deep in a table": (("{4}", "{5}"), {"etl.TABLE"}),
    "a date": (("2024, 1, 1", "2024, 1, 2"), {"etl.DAY"}),
    "a method": (("x + self.SIZE", "x - self.SIZE"), {"etl.Model.fit"}),
    "a field of a class": (("SIZE = 3", "SIZE = 4"), {"etl.Model.SIZE"}),
    "a base": (("return 1\n", "return 2\n"), {"etl.Base.rate"}),
    "what a partial gives": (("scale=5", "scale=6"), {"etl.half"}),
    "another task's function": (("return helper(x)\n\n", "return -helper(x)\n\n"), {"etl.other"}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_the_part_that_was_edited(tmp_path: Path, edit: str) -> None:
    change, parts = EDITS[edit]
    assert changed(tmp_path, change) == parts


def test_a_function_that_is_used_no_more_is_no_part_any_more(tmp_path: Path) -> None:
    gone = changed(tmp_path, ("Model().fit(x), ", ""))
    assert {"etl.step", "etl.Model.fit", "etl.Model.SIZE", "etl.Base.rate"} <= gone
    assert "etl.helper" not in gone


def test_calls_change_nothing(tmp_path: Path) -> None:
    module = loaded(tmp_path)
    before = Parts(module.step.fn).digests
    module.step.fn(2)
    assert (module.total, module.CALLS, module.COUNTS) == (1, [2], {2: 3})
    assert Parts(module.step.fn).digests == before


def test_what_a_closure_counts_is_state_and_what_it_only_reads_is_not() -> None:
    def make(factor: int) -> Any:
        seen: list[int] = []
        count = 0

        def work(x: int) -> int:
            nonlocal count
            count += 1
            seen.append(x)
            return x * factor

        return work

    work = make(3)
    before = Parts(work).digests
    work(1)
    assert Parts(work).digests == before
    assert Parts(make(4)).digests != before


def test_names_and_digests_are_the_same_in_a_script_and_when_it_is_imported(tmp_path: Path) -> None:
    imported = digests(tmp_path)
    program = SOURCE + (
        "\nimport atexit, json\n"
        "from flowdeck.values.code_parts import Parts\n"
        "atexit.register(lambda: print(json.dumps(Parts(step.fn).digests)))\n"
    )
    (tmp_path / "etl.py").write_text(program)
    out = subprocess.run(
        [sys.executable, str(tmp_path / "etl.py")], capture_output=True, text=True, check=True
    )
    import json

    assert json.loads(out.stdout) == imported


def test_code_is_found_out_once_while_globals_stay_bound(tmp_path: Path) -> None:
    module = loaded(tmp_path)
    first = code_of(module.step.fn)
    assert code_of(module.step.fn) is first
    module.CALLS.append(1)
    assert code_of(module.step.fn) is first
    exec("def helper(x, scale=2):\n    return 0", vars(module))  # as a cell of a notebook does
    assert code_of(module.step.fn).digests["etl.helper"] != first.digests["etl.helper"]
    module.RATE = 99
    assert code_of(module.step.fn).digests != first.digests


def test_what_is_known_of_a_function_does_not_keep_it_alive(tmp_path: Path) -> None:
    import gc
    import weakref

    class Large:
        pass

    def make() -> Any:
        data = Large()

        def work() -> Any:
            return data

        return work, weakref.ref(data)

    work, data = make()
    code_of(work)
    del work
    gc.collect()
    assert data() is None


def test_sources_are_those_of_the_functions_without_secrets(tmp_path: Path) -> None:
    text = ("return helper(x), Model", 'password = "hunter2"\n    return helper(x), Model')
    sources = code_of(loaded(tmp_path, text).step.fn).sources
    assert sources["etl.helper"] == "def helper(x, scale=2):\n    return x * scale * RATE\n"
    assert "hunter2" not in sources["etl.step"]
    assert "etl.RATE" not in sources


@pytest.mark.parametrize("strange", [len, print, "text".upper, type, 7])
def test_what_is_no_function_of_the_users_has_parts_too(strange: Any) -> None:
    assert isinstance(Parts(strange).digests, dict)


CONSTANT = """
import collections, dataclasses, datetime, fractions, functools, re, types
from typing import NamedTuple

class Point(NamedTuple):
    x: int

@dataclasses.dataclass(frozen=True)
class Config:
    x: int

class Holder:
    KEPT = None

def up(x):
    return x + 1

def down(x):
    return x - 1

VALUE = {value}

def step(x):
    return VALUE, x
"""

CONSTANTS = {
    "moment": ("datetime.datetime(2024, 1, 1)", "datetime.datetime(2024, 1, 2)"),
    "time": ("datetime.time(1)", "datetime.time(2)"),
    "pattern": ("re.compile('a')", "re.compile('b')"),
    "flags": ("re.compile('a')", "re.compile('a', re.I)"),
    "fraction": ("fractions.Fraction(1, 2)", "fractions.Fraction(1, 3)"),
    "named tuple": ("Point(1)", "Point(2)"),
    "frozen dataclass": ("Config(1)", "Config(2)"),
    "OrderedDict": ("collections.OrderedDict(a=1)", "collections.OrderedDict(a=2)"),
    "its order": ("collections.OrderedDict(a=1, b=1)", "collections.OrderedDict(b=1, a=1)"),
    "defaultdict": ("collections.defaultdict(int, a=1)", "collections.defaultdict(int, a=2)"),
    "proxy": ("types.MappingProxyType({'a': 1})", "types.MappingProxyType({'a': 2})"),
    "bytearray": ("bytearray(b'a')", "bytearray(b'b')"),
    "nested": ("[{'a': re.compile('a')}]", "[{'a': re.compile('b')}]"),
    "which function": ("{'f': up}", "{'f': down}"),
    "a lambda": ("{'f': lambda x: x + 1}", "{'f': lambda x: x + 2}"),
    "a lambda in a list": ("[(lambda x: x + 1,)]", "[(lambda x: x + 2,)]"),
    "beside a built-in": ("{'f': len, 'x': 1}", "{'f': len, 'x': 2}"),
    "which built-in": ("{'f': len}", "{'f': max}"),
    "a partial": ("[functools.partial(up, 1)]", "[functools.partial(up, 2)]"),
    "a default": ("collections.defaultdict(lambda: 1)", "collections.defaultdict(lambda: 2)"),
}


def constant(value: str, **edits: str) -> dict[str, str]:
    text = CONSTANT.replace("{value}", value)
    for old, new in edits.items():
        text = text.replace(old, new)
    module = types.ModuleType("etl")
    module.__file__ = "/somewhere/etl.py"
    sys.modules["etl"] = module
    exec(compile(text, "/somewhere/etl.py", "exec", dont_inherit=True), vars(module))
    return Parts(module.step).digests


@pytest.mark.parametrize("kind", CONSTANTS)
def test_constants_of_all_kinds_and_the_functions_in_them_are_parts(kind: str) -> None:
    one, other = CONSTANTS[kind]
    assert constant(one) == constant(one)
    assert constant(one) != constant(other)


@pytest.mark.parametrize("kind", CONSTANTS)
def test_constants_of_all_kinds_count_in_classes_too(kind: str) -> None:
    one, other = (
        f"type('Held', (), {{'KEPT': {text}, '__module__': 'etl'}})" for text in CONSTANTS[kind]
    )
    assert constant(one) == constant(one)
    assert constant(one) != constant(other)


@pytest.mark.parametrize("table", ["{'f': up}", "[up]", "{up}", "(1, {'f': [up]})"])
def test_an_edit_of_a_function_in_a_table_is_seen(table: str) -> None:
    before, after = constant(table), constant(table, **{"x + 1": "x + 5"})
    assert {name for name in before if before[name] != after[name]} == {"etl.up"}


def test_what_is_put_into_the_items_of_a_global_is_state(tmp_path: Path) -> None:
    edit = ("    COUNTS[x] = 1\n", "    COUNTS[x] = 1\n    GROUPS[x].append(x)\n")
    groups = ("LOCK = ", "import collections\nGROUPS = collections.defaultdict(list)\nLOCK = ")
    assert "etl.GROUPS" not in digests(tmp_path, edit, groups)

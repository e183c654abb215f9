"""Targets: how they are written, found without importing, loaded, and refused."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowdeck.exceptions import TargetError
from flowdeck.launch import targets
from flowdeck.launch.targets import TargetImportError, TargetSyntaxError, find, load, parse

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory of the test's own; what it imports is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    from cloudpickle import unregister_pickle_by_value

    for name, module in list(targets.BY_VALUE.items()):
        unregister_pickle_by_value(module)
        del targets.BY_VALUE[name]
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


FLOW = "from flowdeck import flow\n@flow\ndef f(): return __name__\n"


def test_a_file_target_has_a_file_and_a_flow(tmp_path: Path) -> None:
    write("flows/etl.py", FLOW)
    target = parse("flows/etl.py:f")
    assert (target.file, target.module, target.flow) == (tmp_path / "flows/etl.py", None, "f")
    assert target.place == "flows/etl.py"
    assert parse(str(tmp_path / "flows" / ".." / "flows" / "etl.py")).file == target.file
    assert parse("flows/etl.py").flow is None


def test_a_module_target_has_a_module_and_a_flow() -> None:
    target = parse("package.module:flow_function")
    assert (target.file, target.module, target.flow) == (None, "package.module", "flow_function")


def test_a_flow_is_found_without_importing_its_file(tmp_path: Path) -> None:
    write("etl_found.py", "raise SystemExit\n" + FLOW)
    found = find(parse("etl_found.py:f"))
    assert found is not None
    assert (found.name, found.file) == ("f", tmp_path / "etl_found.py")
    assert find(parse("etl_found.py")) == found
    assert find(parse("etl_found:f")) is not None
    assert find(parse("etl_found.py:g")) is None
    assert find(parse("nowhere_at_all:f")) is None
    assert "etl_found" not in sys.modules


def test_loading_runs_the_file_as_a_module_beside_its_neighbours(tmp_path: Path) -> None:
    write("flows/neighbour.py", "VALUE = 41\n")
    path = write(
        "flows/my_etl.py",
        """
        import neighbour
        from flowdeck import flow
        @flow
        def f(): return neighbour.VALUE + 1
        if __name__ == "__main__":
            raise SystemExit("main block")
        """,
    )
    loaded = load(parse("flows/my_etl.py:f"))
    assert loaded.flow.fn() == 42
    assert loaded.variable == "f"
    assert sys.path[0] == str(tmp_path / "flows")
    assert loaded.flow.fn.__module__ == "my_etl"
    assert Path(sys.modules["my_etl"].__file__ or "") == path.absolute()


def test_files_beside_the_flow_do_not_hide_pythons_own_modules(tmp_path: Path) -> None:
    for name in ("secrets.py", "colorsys.py", "flow_here.py"):
        write(name, FLOW)
    write("this.py", "raise AssertionError('nobody asked for it')")
    script = """if True:
        import sys
        from flowdeck.launch.targets import load, parse
        assert "colorsys" not in sys.modules
        assert load(parse(sys.argv[1])).flow.name == "f"
        import colorsys, secrets
        print(colorsys.rgb_to_hsv(0, 0, 0), len(secrets.token_hex(4)))
        """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("secrets.py", "flow_here.py"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / name)],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("(0.0, 0.0, 0) 8\n", "")


def test_a_file_named_like_a_known_module_does_not_replace_it() -> None:
    import json

    for name in ("json.py", "two words.py", "flowdeck.py"):
        write(name, FLOW)
        loaded = load(parse(f"{name}:f"))
        assert loaded.flow.fn().startswith("flowdeck_target_")
    assert sys.modules["json"] is json
    assert json.dumps(1) == "1"


def test_what_a_file_defines_is_pickled_by_value_for_workers_without_the_file() -> None:
    import cloudpickle

    write(
        "classes.py",
        """
        import dataclasses
        from flowdeck import flow, task
        @dataclasses.dataclass
        class Row:
            x: "int"
        def helper(x): return Row(x + 1)
        @flow
        def f(): ...
        """,
    )
    load(parse("classes.py:f"))
    data = cloudpickle.dumps(sys.modules["classes"].helper)
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())(1))"
    out = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, cwd="/"
    )
    assert out.stdout.strip() == b"Row(x=2)"


def test_a_module_is_imported_from_the_working_directory() -> None:
    write("pack/__init__.py", "")
    write("pack/inner.py", "from . import other\n" + FLOW)
    write("pack/other.py", "")
    assert load(parse("pack.inner:f")).flow.fn() == "pack.inner"


def test_the_only_flow_need_not_be_named() -> None:
    write("one.py", FLOW + "again = f\n")
    assert load(parse("one.py")).variable in {"f", "again"}


@pytest.mark.parametrize(
    ("name", "text", "target", "message"),
    [
        ("a.py", FLOW, "other.py:f", "There is no file other.py."),
        ("etl.py", FLOW, "elt.py:f", "did you mean etl.py?"),
        ("a.py", FLOW, "gone/x.py:f", "There is no file gone/x.py, nor the folder gone."),
        ("a/b.py", FLOW, "a:f", "a is a folder. A target is"),
        ("a/b.py", FLOW, "a", "a is a folder. A target is"),
        ("a.py", FLOW, "", "'' is not a target."),
        ("a.py", FLOW, ":", "':' is not a target."),
        ("a.py", FLOW, "a-b:f", "'a-b:f' is not a target."),
        ("a.py", FLOW, "a.py:f()", "'f()' in 'a.py:f()' is not the name of a flow."),
        ("a.py", "x = 1\n", "a.py", "There are no flows in a.py: decorate a function with @flow"),
        ("a.py", FLOW, "a.py:g", "There is no flow 'g' in a.py; it has f."),
        ("a.py", FLOW.replace("f()", "fetch()"), "a.py:fetsh", "did you mean a.py:fetch?"),
        ("a.py", FLOW.replace("@flow", "@flow(name='daily load')"), "a.py:daily_load",
         "did you mean a.py:f?"),
        ("a.py", FLOW + "g = flow(f.fn)\n", "a.py", "a.py has 2 flows, name one: a.py:f, a.py:g."),
        ("a.py", "def f(): ...\n", "a.py:f", "a.py:f is a bare function, not a flow: decorate"),
        ("a.py", "f = 1\n", "a.py:f", "a.py:f is not a flow but 'int'."),
        ("a.py", "class f: ...\n", "a.py:f", "a.py:f is not a flow but 'type'."),
        ("a.py", FLOW, "no_such_thing:f", "There is no module 'no_such_thing'"),
        ("a.py", FLOW, "json.no_such:f", "There is no module 'json.no_such'"),
    ],
)  # fmt: skip
def test_a_target_that_cannot_be_loaded_says_what_is_wrong(
    name: str, text: str, target: str, message: str
) -> None:
    write(name, text)
    with pytest.raises(TargetError) as caught:
        load(parse(target))
    assert message in str(caught.value)
    assert not isinstance(caught.value, TargetImportError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"import x\n\ndef f(:\n    pass\n", "bad.py:3: invalid syntax\n    def f(:"),
        (b"x = 1\x00", "bad.py"),
        (b"# coding: latin-9000\n", "bad.py"),
        (b"x = '\xff'\n", "bad.py"),
    ],
)
def test_a_file_that_does_not_compile_names_the_line_and_runs_nothing(
    content: bytes, message: str
) -> None:
    Path("bad.py").write_bytes(content)
    with pytest.raises(TargetSyntaxError) as caught:
        load(parse("bad.py:f"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("import nothing_of_that_name", ModuleNotFoundError),
        ("1 / 0", ZeroDivisionError),
        ("raise SystemExit(3)", SystemExit),
        ("exec('def f(:')", SyntaxError),
        ("import broken", SyntaxError),
    ],
)
def test_an_import_error_carries_the_exception_and_begins_in_the_users_file(
    line: str, kind: type[BaseException]
) -> None:
    write("broken.py", "def f(:\n")
    write("imp.py", line + "\n" + FLOW)
    with pytest.raises(TargetImportError) as caught:
        load(parse("imp.py:f"))
    assert str(caught.value).startswith("imp.py cannot be imported: " + kind.__name__)
    assert type(caught.value.error) is kind
    traceback = caught.value.error.__traceback__
    assert traceback is not None
    assert traceback.tb_frame.f_code.co_filename.endswith("imp.py")
    assert "imp" not in sys.modules


def test_a_module_that_needs_a_missing_package_is_an_import_error_and_not_a_missing_module() -> (
    None
):
    write("pack2/__init__.py", "")
    write("pack2/inner.py", "import nothing_of_that_name\n" + FLOW)
    with pytest.raises(TargetImportError, match="nothing_of_that_name"):
        load(parse("pack2.inner:f"))


def test_ctrl_c_while_importing_is_not_swallowed() -> None:
    write("interrupted.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(parse("interrupted.py:f"))

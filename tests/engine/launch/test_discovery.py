"""Flows are found in files without running a line of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from flowdeck.launch import discovery
from flowdeck.launch.discovery import FlowFinder, discover, find_in_file

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.launch.discovery import FoundFlow


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def flows_in(tmp_path: Path, text: str) -> list[FoundFlow]:
    return discover([write(tmp_path / "flows.py", text)])


def test_a_flow_is_described_as_it_is_written(tmp_path: Path) -> None:
    [flow] = flows_in(
        tmp_path,
        '''
        raise SystemExit("this file must not be run")
        from flowdeck import flow
        from flowdeck.task_runners import DaskTaskRunner

        @flow(name="daily", task_runner=DaskTaskRunner(address="x"), tags=["a", "b"])
        async def load_orders(since: "date", limit: int = 5, *rest, dry: bool = True, **more):
            """Load orders.

            Every day.
            """
        ''',
    )
    assert (flow.name, flow.function, flow.line) == ("daily", "load_orders", 7)
    assert flow.target == "flows.py:load_orders"
    assert flow.key == f"{tmp_path / 'flows.py'}:load_orders"
    assert flow.doc == "Load orders.\n\nEvery day."
    assert (flow.runner, flow.is_async, flow.tags) == ("dask", True, ("a", "b"))
    assert [(p.name, p.annotation, p.default, p.required) for p in flow.parameters] == [
        ("since", "'date'", None, True),
        ("limit", "int", "5", False),
        ("rest", None, None, False),
        ("dry", "bool", "True", False),
        ("more", None, None, False),
    ]


@pytest.mark.parametrize(
    ("imports", "decorator"),
    [
        ("from flowdeck import flow", "@flow"),
        ("from flowdeck import flow", "@flow()"),
        ("from flowdeck import flow as f", "@f(retries=1)"),
        ("from flowdeck import *", "@flow"),
        ("from flowdeck.flows import flow", "@flow"),
        ("from flowdeck import flows", "@flows.flow"),
        ("import flowdeck", "@flowdeck.flow(name=NAME)"),
        ("import flowdeck.flows", "@flowdeck.flows.flow"),
        ("import flowdeck as fd", "@fd.flow"),
        ("import flowdeck.flows as ff", "@ff.flow"),
        ("try:\n    import flowdeck\nexcept ImportError:\n    pass", "@flowdeck.flow"),
        ("import functools, flowdeck", "@functools.cache\n@flowdeck.flow"),
    ],
)
def test_every_spelling_of_the_decorator_is_known(
    tmp_path: Path, imports: str, decorator: str
) -> None:
    [flow] = flows_in(tmp_path, f"{imports}\n{decorator}\ndef my_flow_x(): pass\n")
    assert flow.name == "my-flow-x"
    assert flow.runner == "concurrent"


@pytest.mark.parametrize(
    "text",
    [
        "# flowdeck\nfrom prefect import flow\n@flow\ndef f(): pass\n",
        "import flowdeck\n@flowdeck.task\ndef f(): pass\n",
        "from flowdeck import task as flow\n@flow\ndef f(): pass\n",
        "from flowdeck import flow\ndef f(): pass\n",
        "from flowdeck import flow\ndef outer():\n    @flow\n    def f(): pass\n",
        "from flowdeck import flow\nif __name__ == '__main__':\n    @flow\n    def f(): pass\n",
        "from .flowdeck import flow\n@flow\ndef f(): pass\n",
        "from flowdeck import flow\n@flow\ndef f(): pass\ndef f(): pass\n",
    ],
)
def test_what_is_no_flow_of_ours_is_not_listed(tmp_path: Path, text: str) -> None:
    assert flows_in(tmp_path, text) == []


def test_flows_made_by_a_call_are_found_under_their_variable(tmp_path: Path) -> None:
    flows = flows_in(
        tmp_path,
        """
        from flowdeck import flow
        def work(x): ...
        quick = flow(work, name="quick one")
        slow = flow(retries=2)(work)
        """,
    )
    assert [(f.target, f.name) for f in flows] == [
        ("flows.py:quick", "quick one"),
        ("flows.py:slow", "work"),
    ]
    assert flows[0].key.endswith("flows.py:work")


@pytest.mark.parametrize(
    ("expression", "runner"),
    [
        ("RayTaskRunner", "ray"),
        ("flowdeck.task_runners.SequentialTaskRunner()", "sequential"),
        ("runner", "dask"),
        ("again", "dask"),
        ("None", "concurrent"),
        ("choose()", None),
        ("loop", None),
    ],
)
def test_the_runner_is_named_where_the_text_tells(
    tmp_path: Path, expression: str, runner: str | None
) -> None:
    [flow] = flows_in(
        tmp_path,
        f"""
        import flowdeck
        runner = DaskTaskRunner(n=1)
        again = runner
        loop = loop
        @flowdeck.flow(task_runner={expression})
        def f(): ...
        """,
    )
    assert flow.runner == runner


def test_folders_are_walked_without_other_peoples_code(tmp_path: Path) -> None:
    text = "from flowdeck import flow\n@flow\ndef f(): pass\n"
    for place in (
        "a.py", "deep/er/b.py", ".hidden/c.py", ".venv/d.py", "node_modules/e.py",
        "__pycache__/f.py", "lib/site-packages/g.py", "environment/lib/h.py", "notes.txt",
    ):  # fmt: skip
        write(tmp_path / place, text)
    write(tmp_path / "environment" / "pyvenv.cfg", "home = /usr/bin\n")
    assert [f.target for f in discover(["."])] == ["a.py:f", "deep/er/b.py:f"]
    assert [f.target for f in discover([".hidden"])] == [".hidden/c.py:f"]


def test_links_in_circles_and_repeated_paths_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "a.py", "from flowdeck import flow\n@flow\ndef f(): pass\n")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "sub" / "again.py").symlink_to(tmp_path / "sub" / "a.py")
    (tmp_path / "sub" / "self.py").symlink_to(tmp_path / "sub" / "self.py")
    scan = FlowFinder().scan([".", "sub", "sub/a.py"])
    assert [f.target for f in scan.flows] == ["sub/a.py:f"]
    assert scan.files == 1


def test_a_target_outside_the_working_directory_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a" / "x.py", "from flowdeck import flow\n@flow\ndef f(): pass\n")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert [f.target for f in discover(["../a"])] == [f"{path}:f"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"import flowdeck\ndef f(:\n", "invalid syntax"),
        (b"import flowdeck\nx = '\xff'\n", "utf-8"),
        (b"import flowdeck\n\x00\n", "null bytes"),
        (b"import flowdeck\nx = " + b"(" * 500 + b")" * 500 + b"\n", "parentheses"),
    ],
)
def test_a_file_that_does_not_parse_is_one_problem_and_not_the_end(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "bad.py").write_bytes(content)
    write(tmp_path / "good.py", "from flowdeck import flow\n@flow\ndef f(): pass\n")
    scan = FlowFinder().scan(["."])
    assert [f.target for f in scan.flows] == ["good.py:f"]
    [problem] = scan.problems
    assert problem.file.name == "bad.py"
    assert message in problem.message


def test_the_line_of_a_syntax_error_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.py", "import flowdeck\n\ndef f(:\n    pass\n")
    found, problem = find_in_file(path)
    assert found == []
    assert problem is not None
    assert (problem.line, problem.text) == (3, "def f(:")


def test_paths_that_do_not_exist_are_problems(tmp_path: Path) -> None:
    scan = FlowFinder().scan(["nowhere", "."])
    assert [(p.file.name, p.message) for p in scan.problems] == [
        ("nowhere", "No such file or directory")
    ]


def test_files_that_do_not_speak_of_flowdeck_are_not_even_parsed(tmp_path: Path) -> None:
    write(tmp_path / "broken.py", "def f(:\n")
    scan = FlowFinder().scan(["."])
    assert (scan.flows, scan.problems, scan.files) == ((), (), 1)


def test_a_second_look_reads_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.py", "from flowdeck import flow\n@flow\ndef f(): pass\n")
    b = write(tmp_path / "b.py", "from flowdeck import flow\n@flow\ndef g(): pass\n")
    finder = FlowFinder()
    assert [f.function for f in finder.scan(["."]).flows] == ["f", "g"]
    reads: list[str] = []
    real = discovery._read
    monkeypatch.setattr(
        discovery, "_read", lambda path, size: (reads.append(path), real(path, size))[1]
    )
    write(b, "from flowdeck import flow\n@flow\ndef longer_name(): pass\n")
    assert [f.function for f in finder.scan(["."]).flows] == ["f", "longer_name"]
    assert [os.path.basename(path) for path in reads] == ["b.py"]


def test_a_huge_tree_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_FILES", 3)
    for index in range(5):
        write(tmp_path / f"{index}.py", "from flowdeck import flow\n@flow\ndef f(): pass\n")
    scan = FlowFinder().scan(["."])
    assert (len(scan.flows), scan.truncated) == (3, True)


def test_discovery_imports_nothing_heavy() -> None:
    code = (
        "import sys, flowdeck.launch.discovery;"
        "print([m for m in ('pydantic', 'sqlite3', 'click', 'textual') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == "[]"

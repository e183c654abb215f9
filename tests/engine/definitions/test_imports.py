"""Importing flowdeck is cheap: what is heavy comes when it is first needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPTIONAL = {"dask", "distributed", "ray"}
HEAVY = {"textual", "rich", "click", "pydantic", "sqlite_utils", "anyio", "asyncio", "sqlite3"}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


#: Of the standard library, what only running flows need; each costs some milliseconds.
LATER = {"concurrent", "hashlib", "json", "platform", "random", "tempfile", "uuid"}


def test_import_flowdeck_loads_nothing_heavy() -> None:
    loaded = loaded_by("import flowdeck")
    assert "flowdeck" in loaded
    assert not loaded & (OPTIONAL | HEAVY | LATER)


def test_defining_flows_and_tasks_loads_nothing_heavy() -> None:
    code = (
        "from flowdeck import flow, task\n"
        "@task\ndef double(x): return 2 * x\n"
        "@flow\ndef run(x: int = 1): return double.submit(x)\n"
    )
    assert not loaded_by(code) & (OPTIONAL | {"textual", "sqlite_utils", "sqlite3", "anyio"})


def test_the_module_of_runners_works_without_dask_and_ray() -> None:
    code = (
        "import sys\n"
        "sys.modules['distributed'] = sys.modules['dask'] = sys.modules['ray'] = None\n"
        "from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner\n"
        "ConcurrentTaskRunner(); SequentialTaskRunner()\n"
        "for name in ('distributed', 'dask', 'ray'): del sys.modules[name]\n"
    )
    assert not loaded_by(code) & OPTIONAL


def test_the_reading_side_of_the_store_loads_no_terminal_library() -> None:
    loaded = loaded_by(
        "import flowdeck_store.read.reader, flowdeck_store.read.feed, flowdeck_store.query.language"
    )
    assert not loaded & (OPTIONAL | {"textual", "rich", "click", "pydantic", "anyio", "flowdeck"})


@pytest.mark.parametrize("verb", ["--help", "runs --help", "logs --help"])
def test_help_of_the_command_line_loads_no_terminal_app(verb: str) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['flowdeck', *{verb.split()!r}]\n"
        "from flowdeck_app.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
    )
    assert not loaded_by(code) & (OPTIONAL | {"textual", "pydantic", "sqlite_utils"})


def test_import_flowdeck_takes_little_processor_time() -> None:
    """The budget is 80 ms on a quiet machine; twice that leaves room for one that is busy."""
    code = (
        "import time; began = time.process_time(); import flowdeck\n"
        "print(time.process_time() - began)"
    )
    outputs = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(5)]
    assert min(map(float, outputs)) < 0.16


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("from flowdeck import serve", "flowdeck has no 'serve': there is no server"),
        ("from flowdeck import flow, get_client", "`flowdeck runs --json`"),
        ("from flowdeck import pause_flow_run", "`flowdeck retry RUN --failed`"),
        ("from flowdeck.engine import pause_flow_run", "`from flowdeck import ask, pause`"),
        ("from flowdeck.blocks.system import Secret", "there are no blocks"),
        ("import flowdeck.deployments", "`flowdeck run FILE:FLOW`"),
        ("from flowdeck import variables", "flowdeck has no 'variables'"),
        ("from flowdeck.client.orchestration import get_client", "there is no server to ask"),
    ],
)
def test_imports_of_what_is_not_there_say_what_to_use(statement: str, told: str) -> None:
    with pytest.raises(ImportError) as refused:
        exec(statement, {})
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_names_are_missing_as_usual() -> None:
    import flowdeck

    assert not hasattr(flowdeck, "nothing_like_this")
    with pytest.raises(ImportError, match="cannot import name 'nothing_like_this'"):
        exec("from flowdeck import nothing_like_this", {})
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'flowdeck.nothing'"):
        exec("import flowdeck.nothing", {})

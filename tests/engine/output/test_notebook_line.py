"""In a notebook one line that lives stands for the engine's lines; elsewhere nothing changes."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.output import notebook
from flowdeck.record import Record
from flowdeck.settings import using


class FakeIPython(types.ModuleType):
    """A kernel's IPython, as far as it is used: what was displayed, in order."""

    def __init__(self) -> None:
        super().__init__("IPython")
        self.shown: list[list[dict[str, str]]] = []
        self.display = types.SimpleNamespace(display=self._display)

    def get_ipython(self) -> Any:
        return types.SimpleNamespace(kernel=object())

    def _display(self, content: dict[str, str], raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        pictures = [content]
        self.shown.append(pictures)
        return types.SimpleNamespace(update=lambda content, raw: pictures.append(content))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeIPython:
    fake = FakeIPython()
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    return fake


@task
def double(x: int) -> int:
    return 2 * x


@flow(flow_run_name="<b>run</b>")
def work() -> None:
    get_run_logger().info("mine")
    get_run_logger().warning("careful")
    double.map([1, 2, 3]).result()


def test_a_flow_run_is_one_line_and_its_own_log_lines(
    kernel: FakeIPython, capsys: pytest.CaptureFixture[str]
) -> None:
    work()
    (pictures,) = kernel.shown
    last = pictures[-1]
    assert "3/3 tasks" in last["text/html"]
    assert "✓ Completed" in last["text/html"]
    assert "&lt;b&gt;run&lt;/b&gt; #1" in last["text/html"]
    assert last["text/plain"].startswith("Completed: work <b>run</b> #1, 3/3 tasks")
    said = capsys.readouterr().err
    assert [line.rpartition(" - ")[2] for line in said.splitlines()] == ["mine", "careful"]
    with Record() as record:  # all of them
        assert len(record.run().logs()) > 8


def test_a_subflow_has_no_line_of_its_own(kernel: FakeIPython) -> None:
    @flow
    def outer() -> None:
        work()

    outer()
    assert len(kernel.shown) == 1


def test_whoever_wants_all_lines_gets_them(
    kernel: FakeIPython, capsys: pytest.CaptureFixture[str]
) -> None:
    with using(log_level="DEBUG"):
        work()
    assert kernel.shown == []
    assert "Created flow run" in capsys.readouterr().err


def test_a_display_that_fails_disturbs_nobody(
    kernel: FakeIPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "display", None)
    assert work(return_state=True).is_completed()


def test_an_imported_ipython_is_no_notebook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console_of = FakeIPython()
    monkeypatch.setattr(console_of, "get_ipython", lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", console_of)
    assert not notebook.is_front_end()
    work()
    assert console_of.shown == []
    assert "Created flow run" in capsys.readouterr().err


@pytest.mark.long  # a kernel takes seconds to start; needs ipykernel and nbclient, 60 MB
def test_in_a_kernel() -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = (
        "import nbformat, warnings; warnings.simplefilter('ignore')\n"
        "from nbclient import NotebookClient\n"
        "cells = ['from flowdeck import flow\\n@flow\\ndef f():\\n    return 1\\nf()',"
        " 'state = f(return_state=True); state']\n"
        "new = nbformat.v4\n"
        "book = new.new_notebook(cells=[new.new_code_cell(c) for c in cells])\n"
        "NotebookClient(book, timeout=60).execute()\n"
        "print([o.output_type for c in book.cells for o in c.outputs])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = ["display_data", "execute_result", "display_data", "execute_result"]
    assert done.stdout.strip() == str(expected)

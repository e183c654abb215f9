"""Two type checkers say the same of the signatures of flows and tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


def _checked(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_mypy_accepts_correct_flows_and_refuses_wrong_calls() -> None:
    pytest.importorskip("mypy")
    assert _checked("mypy", str(_HERE / "signatures.py")) == ""


def test_pyright_accepts_correct_flows_and_refuses_wrong_calls() -> None:
    pytest.importorskip("basedpyright")
    assert _checked("basedpyright", "-p", str(_HERE / "pyrightconfig.json")) == ""

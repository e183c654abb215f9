"""Report a flow's form without importing its file into this process.

The file is imported in a child process (``python -m flowdeck.launch.inspection TARGET``), which answers
with one JSON object. So a file that prints, hangs, exits or fails at import cannot harm the app,
and a file that has changed is read anew. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import FlowdeckError
from flowdeck.launch import interpreters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowdeck.flows import Flow
    from flowdeck_store.read.provenance import CodeRecord

__all__ = ["Inspection", "RunnerForm", "inspect_target"]

SECONDS: Final = 15.0
MAX_ANSWER: Final = 4_000_000
TAIL: Final = 2_000


@dataclass(frozen=True, slots=True)
class RunnerForm:
    """A task runner that could be chosen, and its options."""

    name: str
    installed: bool
    hint: str  # what to do when it is not installed
    options: list[dict[str, str]] = field(default_factory=list)  # name, annotation, default, doc


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a target after its file was imported in a child process."""

    target: str
    name: str | None = None
    doc: str | None = None
    source: str | None = None  # <file>:<line>
    is_async: bool = False
    runner: str | None = None  # the one in the code
    runner_options: dict[str, str] = field(default_factory=dict)  # as written in the code: reprs
    parameters: list[dict[str, Any]] = field(default_factory=list)  # see parameters.describe
    runners: list[RunnerForm] = field(default_factory=list)
    code: dict[str, list[list[Any]]] = field(default_factory=dict)  # see code_of_tasks()
    python: str = ""  # the Python it was imported in, and would run in
    chosen_by: str = ""  # why in that one, as the end of a sentence
    error: str | None = None  # a sentence for the user; then nothing else is known
    traceback: str | None = None  # of the import that failed

    @property
    def ok(self) -> bool:
        return self.error is None

    def code_of_tasks(self) -> dict[str, tuple[CodeRecord, ...]] | None:
        """Return the code of the tasks that the flow reaches, by their keys; ``None``: not known."""
        from flowdeck_store.read.provenance import CodeRecord, ProvenancePart

        if not self.ok:
            return None
        try:
            return {
                key: tuple(
                    CodeRecord(key, str(python), {part[0]: ProvenancePart(*part) for part in parts})
                    for python, parts in records
                )
                for key, records in self.code.items()
            }
        except (TypeError, ValueError, LookupError):  # the file wrote its own answer
            return None


def inspect_target(
    target: str, *, seconds: float = SECONDS, cwd: Path | None = None, asked: str | None = None
) -> Inspection:
    """Import a target in a child process and report its form; never raises for what is in there.

    Args:
        target: ``file.py:flow`` or ``package.module:flow``.
        seconds: after that the child is killed.
        cwd: working directory of the child; default: this process's.
        asked: the Python to take instead of the one that is chosen for the target.
    """
    try:
        python = interpreters.usable(target, asked=asked, cwd=cwd)
    except FlowdeckError as error:
        return Inspection(target, error=str(error))
    command = interpreters.command(python, "flowdeck.launch.inspection", target)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            start_new_session=True,  # what the file starts at import is killed with it
        )
    except OSError as error:
        return Inspection(target, error=f"No Python could be started to look at it: {error}.")
    with child:
        try:
            answer, said = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # somebody else has its pipes
                child.communicate(timeout=1.0)
            why = f"Importing it took more than {seconds:g} s: does it do its work at import?"
            return Inspection(target, error=why)
    found = _read(target, answer, said, child.returncode)
    return dataclasses.replace(found, python=str(python.python), chosen_by=python.why)


def _read(target: str, answer: bytes, said: bytes, code: int) -> Inspection:
    try:
        if len(answer) > MAX_ANSWER:
            raise ValueError("that is no form")
        found: dict[str, Any] = json.loads(answer)
        found["runners"] = [RunnerForm(**runner) for runner in found["runners"]]
        known = {each.name for each in dataclasses.fields(Inspection)}
        return Inspection(**{k: v for k, v in found.items() if k in known})  # of another version
    except (ValueError, TypeError, KeyError):
        tail = said[-TAIL:].decode(errors="replace").strip()
        died = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return Inspection(
            target, error=f"Importing it ended its process {died}.", traceback=tail or None
        )


# -- in the child --------------------------------------------------------------------------------


def describe_flow(target: str, flow: Flow[..., Any]) -> Inspection:
    """Describe a loaded flow as the launch form needs it.

    Args:
        target: what was loaded, as the user gave it.
        flow: the flow.
    """
    from flowdeck.parameters import describe
    from flowdeck.values.previews import preview

    runner = flow.task_runner
    return Inspection(
        target,
        name=flow.name,
        doc=flow.description,
        source=flow.source,
        is_async=flow.isasync,
        runner=runner.name,
        runner_options={name: preview(value) for name, value in runner.options.items()},
        parameters=[dataclasses.asdict(parameter) for parameter in describe(flow.fn)],
        runners=[_runner_form(name) for name in _runner_names()],
        code=_code_below(flow),
    )


def _code_below(flow: Flow[..., Any]) -> dict[str, list[list[Any]]]:
    from flowdeck.provenance.code import tasks_below

    room = MAX_ANSWER // 4  # for sources, which only another Python needs

    def text(source: str | None) -> str | None:
        nonlocal room
        room -= len(source or "")
        return source if room > 0 else None

    return {
        key: [
            [one.python, [[p.name, p.digest, text(p.source)] for p in one.parts.values()]]
            for one in records
        ]
        for key, records in tasks_below(flow.fn).items()
    }


def _runner_names() -> tuple[str, ...]:
    from flowdeck.task_runners import runner_names

    return runner_names()


def _runner_form(name: str) -> RunnerForm:
    from flowdeck.task_runners import runner_options

    try:
        options = runner_options(name)
    except Exception as error:  # its extra is missing, or what it installed is broken
        return RunnerForm(name, False, str(error))
    return RunnerForm(
        name,
        True,
        "",
        [
            {"name": option, "annotation": annotation, "default": repr(default), "doc": doc}
            for option, annotation, default, doc in options
        ],
    )


def _answer(target: str) -> Inspection:
    from flowdeck.launch import targets

    try:
        return describe_flow(target, targets.load(targets.parse(target)).flow)
    except targets.TargetImportError as error:
        from flowdeck.failures.capture import capture

        return Inspection(target, error=str(error), traceback=capture(error.error).text)
    except FlowdeckError as error:
        return Inspection(target, error=str(error))


@contextlib.contextmanager
def _stdout_for_us_alone() -> Iterator[int]:
    """Give the answer a file descriptor of its own: what the user's file prints goes to stderr."""
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        yield ours
    finally:
        os.close(ours)


def _main() -> None:
    code = 1
    try:
        with _stdout_for_us_alone() as answer_to:
            text = json.dumps(dataclasses.asdict(_answer(sys.argv[1])), default=str)
            with os.fdopen(os.dup(answer_to), "w") as file:
                file.write(text)
        code = 0
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        # Threads or exit handlers that the file left at import must not keep the asker waiting.
        os._exit(code)


if __name__ == "__main__":
    _main()

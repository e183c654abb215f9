"""A process that runs one flow with one combination of parameters after the other, for a sweep.

The flow is imported once: libraries that take seconds to import take them once a process and not once a
run. What is to be run comes as lines of JSON on standard input, what became of it goes as such lines
into a pipe of its own; both are put away first, as flows may read and print what they like.
"""

from __future__ import annotations

import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdeck.flows import Flow
    from flowdeck.runs.launch_spec import LaunchSpec


def main(answers: int) -> int:
    """Work until there is nothing more to do, or Ctrl-C; return the exit code.

    Args:
        answers: descriptor of the pipe for what became of it.
    """
    asked = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.set_inheritable(answers, False)
    flow: Flow[..., Any] | None = None
    with os.fdopen(answers, "w") as said:
        try:
            for line in asked:
                from flowdeck.runs.launch_spec import LaunchSpec

                spec = LaunchSpec.from_json(line)
                if flow is None:
                    flow = _loaded(spec, said)
                if flow is None:
                    return 1
                state = _run(flow, spec)
                _say(said, {"uid": spec.uid, "state": state})
        except KeyboardInterrupt:
            return 130
    return 0


def _say(said: IO[str], answer: dict[str, Any]) -> None:
    said.write(json.dumps(answer) + "\n")
    said.flush()


def _loaded(spec: LaunchSpec, said: IO[str]) -> Flow[..., Any] | None:
    from flowdeck.exceptions import TargetError
    from flowdeck.launch import targets

    try:
        flow = targets.load(targets.parse(spec.target)).flow
        _say(said, {"loaded": True})
        return flow
    except TargetError as error:
        _say(said, {"fatal": str(error)})
        return None


def _run(flow: Flow[..., Any], spec: LaunchSpec) -> str:
    """Run it; return the type of the state that it ended in."""
    from flowdeck.exceptions import FlowdeckError
    from flowdeck_app.cli.errors import Trouble
    from flowdeck_app.cli.running import call_of, execute

    try:
        call = call_of(flow, spec)
    except (Trouble, FlowdeckError, TypeError, ValueError) as error:
        _record_refused(spec, str(error) or type(error).__name__)
        return "FAILED"
    end = execute(call, spec, str(spec.uid), quiet=True)
    if end.state is not None:
        return str(end.state.type.value)
    return "CANCELLED" if isinstance(end.error, KeyboardInterrupt) else "CRASHED"


def _record_refused(spec: LaunchSpec, message: str) -> None:
    """Record a run that cannot start with these parameters as failed."""
    from flowdeck.launch.process import record_launch
    from flowdeck_app.cli.record import home
    from flowdeck_store.upkeep import launches

    run_id = record_launch(spec, home())
    launches.fail_run(home(), run_id, f"The run could not be started: {message}", None)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

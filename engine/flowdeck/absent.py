"""What flowdeck does not have, and what to use instead: for those who come from elsewhere.

An import of one of these names says so in one sentence, instead of that it cannot be found.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from flowdeck import platforms

if TYPE_CHECKING:
    from collections.abc import Sequence

platforms.check()  # this is what `import flowdeck` imports first: the rest would fail without a word

_SERVER: Final = (
    "there is no server, and so there are no deployments and agents: start flows with "
    "`flowdeck run FILE:FLOW`, by the clock with `flowdeck schedule FILE:FLOW --cron ...`"
)
_RECORD: Final = (
    "there is no server to ask: read the record with `flowdeck runs --json`, `flowdeck show --json` "
    "and the like, or in Python with `from flowdeck.record import Record`"
)
_PAUSE: Final = (
    "use `from flowdeck import ask, pause`, which wait for `flowdeck answer RUN`; to go on another day, "
    "let the flow end, and `flowdeck retry RUN --failed` takes over what completed"
)
_BLOCKS: Final = (
    "there are no blocks: make clients in plain Python, and read secrets from environment variables "
    "or files"
)
_VARIABLES: Final = (
    "there are no variables: use parameters of the flow, or read environment variables"
)
_FILES: Final = "there are no storage blocks: results are kept in FLOWDECK_HOME, other files a task writes itself"
_ARTIFACTS: Final = "use `from flowdeck import artifact`: artifact.table(rows), artifact.markdown(text) and the like"
_EVENTS: Final = "there are no events: use the hooks of flows and tasks (on_failure=[...])"
#: Names of ``from flowdeck import ...`` that are no modules.
NAMES: Final = {
    "serve": _SERVER,
    "aserve": _SERVER,
    "deploy": _SERVER,
    "get_client": _RECORD,
    "pause_flow_run": _PAUSE,
    "suspend_flow_run": _PAUSE,
    "resume_flow_run": _PAUSE,
    "Transaction": "use `from flowdeck.transactions import transaction`",
}
#: Modules, and names of ``from flowdeck import ...``.
MODULES: Final = {
    "agent": _SERVER,
    "artifacts": _ARTIFACTS,
    "automations": _EVENTS,
    "blocks": _BLOCKS,
    "client": _RECORD,
    "deployments": _SERVER,
    "engine": _PAUSE,
    "events": _EVENTS,
    "filesystems": _FILES,
    "flow_runs": _PAUSE,
    "infrastructure": _SERVER,
    "input": _PAUSE,
    "orion": _SERVER,
    "runner": _SERVER,
    "server": _SERVER,
    "variables": _VARIABLES,
    "workers": _SERVER,
}


def what_instead(name: str) -> str | None:
    """Return the sentence about a name that flowdeck does not have, ``None`` if there is none."""
    text = NAMES.get(name) or MODULES.get(name)
    return None if text is None else f"flowdeck has no {name!r}: {text}."


class _Finder:
    """Asked by Python for modules that no other finder found."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        """Refuse the modules that somebody may look for here.

        Raises:
            ModuleNotFoundError: it is one of them.
        """
        package, _, module = name.partition(".")
        if package == "flowdeck" and module in MODULES:
            raise ModuleNotFoundError(what_instead(module), name=name)


def install() -> None:
    """Let Python ask for the sentence where it finds no module."""
    sys.meta_path.append(_Finder)

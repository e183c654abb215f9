"""Words that people type for verbs: what flowdeck calls it, or what does it here."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: By what was typed.
_SAID_AS: Final[dict[str, str]] = {
    word: hint
    for words, hint in (
        ("ls list ps history last", "`flowdeck runs` lists runs, `flowdeck flows` flows."),
        ("status info describe inspect get view", "`flowdeck show RUN` shows one."),
        ("compare difference", "`flowdeck diff RUN RUN` does; in the app mark both with space in Runs, then =."),
        ("dag gantt trace", "`flowdeck graph RUN` and `flowdeck timeline RUN` draw it, the app on tabs."),
        ("dashboard app tui open browse", "`flowdeck ui` opens the app, `--serve` in a browser."),
        ("server serve start-server orion", ("there is no server to start: `flowdeck run TARGET` runs, "
         "`flowdeck ui --serve` shows it in a browser.")),
        ("deploy deployment cron timer scheduler agent worker work-pool work-queue",
         "`flowdeck schedule TARGET --cron ...` has systemd or cron start it; nothing else has to run."),
        ("grid multirun tune sweeps", "`flowdeck run TARGET --grid NAME=0.1,0.01` runs each combination."),
        ("start exec execute launch submit", "`flowdeck run TARGET` does, `--detach` in the background."),
        ("rerun re-run again restart resume repeat", ("`flowdeck retry RUN` does; --failed runs only the "
         "rest.")),
        ("stop kill abort terminate interrupt", "`flowdeck cancel RUN` does; --kill ends its process."),
        ("rm remove del purge", "`flowdeck delete RUN` does, `flowdeck prune` by age and number."),
        ("clean cleanup gc vacuum", ("`flowdeck prune --keep-days N` deletes old runs and gives the space "
         "back.")),
        ("tail follow attach", "`flowdeck logs RUN -f` follows lines, `flowdeck watch RUN` progress."),
        ("output stdout print", "`flowdeck logs RUN` shows what was logged."),
        ("failures error traceback", ("`flowdeck errors` groups them, "
         "`flowdeck task TASK_RUN` shows the traceback.")),
        ("explain reason cause because", "`flowdeck why RUN` and `flowdeck why TASK_RUN` say it."),
        ("params parameters inputs", "`flowdeck show RUN` and `flowdeck task TASK_RUN` show them."),
        ("results value returned return", "`flowdeck result TASK_RUN` shows what it returned, --save writes it."),
        ("tags find filter query grep", ("`flowdeck runs tag:T` filters; `flowdeck search TEXT` finds "
         "words in log lines and failures.")),
        ("settings set profile", "`flowdeck config` shows settings and where they come from."),
        ("limit limits concurrency concurrency-limit", "`flowdeck config limit TAG N` sets one."),
        ("save dump archive", "`flowdeck export RUN FILE` writes one run, `flowdeck backup FILE` all."),
        ("load restore", "`flowdeck import FILE` reads what `flowdeck export` wrote."),
        ("check test validate verify health repair", "`flowdeck doctor` checks installation and record."),
        ("cache", "`flowdeck run` with FLOWDECK_REFRESH_CACHE=1 computes anew."),
        ("ssh remote host", "`flowdeck --host user@machine VERB` does it on another machine."),
        ("version", "`flowdeck --version` says it."),
        ("help", "`flowdeck --help` lists the verbs, `flowdeck VERB --help` explains one."),
        ("new create", "`flowdeck init` writes a small flow to start from, then `flowdeck run FILE.py`."),
    )
    for word in words.split()
}  # fmt: skip


def hint_for(word: str, verbs: Iterable[str]) -> str:
    """Return what to say to somebody who typed a verb that does not exist."""
    known = _SAID_AS.get(word.lower())
    if known is not None:
        return known
    if word.endswith(".py") or ".py:" in word:
        return f"`flowdeck run {word}` runs a flow of that file."
    near = difflib.get_close_matches(word, verbs, n=1)
    if near:
        return f"did you mean `flowdeck {near[0]}`?"
    close = difflib.get_close_matches(word.lower(), _SAID_AS, n=1, cutoff=0.85)
    return _SAID_AS[close[0]] if close else "`flowdeck --help` lists them."

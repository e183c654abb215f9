"""Calling verbs of the command line for an agent: ``flowdeck VERB --json`` in a process of its own.

So an agent gets the objects that are documented, with the errors that teach; a flow that is started
runs in its project's own environment; and nothing that a verb does to its process (its folder, its
streams, the settings) happens to the one that speaks the protocol. No file of the folder is imported
in place of what flowdeck imports: reading executes nothing of a project. Words of the agent's go behind
``--``, or are glued to their option: none of them becomes an option that nobody offered.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from flowdeck.launch import interpreters
from flowdeck_app.agents.bounds import ITEMS, WHOLE, Bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds that a verb gets beside those that it waits.
PATIENCE: Final = 60.0
#: Characters of one word.
_LONGEST: Final = 100_000


class VerbFailed(Exception):
    """A verb said what is wrong; the message is for the agent."""


class Verbs:
    """Calls verbs.

    Args:
        redact: leave all values out of what they say.
        folder: where they run; ``None``: here.
    """

    def __init__(self, *, redact: bool = False, folder: str | None = None) -> None:
        self.redact = redact
        self._folder = folder

    def objects(
        self,
        verb: str,
        options: Sequence[str] = (),
        words: Sequence[str] = (),
        *,
        seconds: float = 0.0,
        ok: Sequence[int] = (0,),
    ) -> dict[str, Any]:
        """Return what a verb writes with ``--json``, bounded.

        Args:
            verb: the verb.
            options: ours, words of the agent's glued to them (``--name=...``).
            words: the agent's own.
            seconds: that the verb may take beside :data:`PATIENCE`.
            ok: exit codes that are no failure.

        Returns:
            ``items`` (the objects), ``left_out`` (how many there are besides), ``exit_code``.

        Raises:
            VerbFailed: it did not work.
        """
        done = self._run([verb, *options, "--json", "--", *words], seconds)
        if done.returncode not in ok:
            raise VerbFailed(self._problem(done))
        lines = done.stdout.splitlines()
        bounds = Bounds(redact=self.redact)
        items = [bounds.value(json.loads(line)) for line in lines[:ITEMS]]
        found: dict[str, Any] = {"items": items, "exit_code": done.returncode}
        if len(lines) > ITEMS or bounds.is_cut:
            found["left_out"] = len(lines) - len(items)
            found["note"] = "Long texts and lists are cut; ask for less at a time to see more."
        return found

    def text(self, verb: str, options: Sequence[str] = (), words: Sequence[str] = ()) -> str:
        """Return what a verb writes for people, bounded.

        Raises:
            VerbFailed: it did not work.
        """
        done = self._run([verb, *options, "--", *words], 0.0)
        if done.returncode not in (0, 1):
            raise VerbFailed(self._problem(done))
        return Bounds().text(done.stdout, WHOLE)

    def _run(self, words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        for word in words:
            if len(word) > _LONGEST or "\0" in word:
                raise VerbFailed("an argument is too long, or has a zero byte in it")
        command = interpreters.command(interpreters.own(), "flowdeck_app", *words)
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,  # ours is the agent's
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds + PATIENCE,
                cwd=self._folder,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise VerbFailed(f"`flowdeck {words[0]}` took too long and was ended") from None

    @staticmethod
    def _problem(done: subprocess.CompletedProcess[str]) -> str:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        try:
            said = json.loads(last)
            text = f"{said['error']} {said.get('hint') or ''}"
        except (ValueError, KeyError, TypeError):
            text = done.stderr.strip() or f"it ended with exit code {done.returncode}"
        return Bounds().text(text.strip())

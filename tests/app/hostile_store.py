"""A store in which every text is something that must neither be parsed nor reach a terminal as it
is, recorded as the engine records: through the writer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app_data import HOSTILE, NOW, SECOND
from run_screen_store import exception, frame

from flowdeck_store import events as ev
from flowdeck_store import failures
from flowdeck_store.session import RecordingSession
from flowdeck_store.states import COMPLETED, FAILED, PENDING, RUNNING

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = (
    *HOSTILE,
    "[/] [@click=app.quit]quit[/] [link=http://x.example]link[/link] [bold",
    "\x1b]0;title\x07\x1b]8;;http://x.example\x07link\x1b]8;;\x07 \x9b31m \x90dcs\x9c \x7f",
    "zero\u200b\u200c\u200d\ufeffwidth \u2028line\u2029paragraph \u2066isolate\u2069 \u00ad",
    "many\nlines\r\nof\x0btext\x0c\x85end",
    "n" * 10_000,
    "$fd-failed $nothing {braces} %s \\[escaped] \\",
    "Z\u0351\u0352\u0353\u0354\u0355" * 200,
)
_SHORT = [text for text in TEXTS if len(text) < 200]
#: The same by threes, so that a walk through all task runs is not too long; the long ones alone.
TOGETHER = (
    *(" ".join(_SHORT[place : place + 3]) for place in range(0, len(_SHORT), 3)),
    *(text for text in TEXTS if len(text) >= 200),
    "",
)
#: Bytes of the longest line.
LONGEST = 10_000_000
UID = "f" * 32


def fill(home: Path) -> tuple[int, list[int]]:
    """Record the runs; return the number of the run that has it all, and of its task runs."""
    said: list[str] = []
    session = RecordingSession.open(home, version="tests", on_warning=said.append)
    for place, text in enumerate(TEXTS):
        _small(session, f"{place:032x}", text)
    _whole(session)
    session.flush()
    number = session.run_number(UID)
    session.close()
    assert number is not None
    assert not said, said
    return number, list(range(1, len(TOGETHER) + 1))


def _run(session: RecordingSession, uid: str, text: str, us: int) -> None:
    session.emit(
        ev.run(
            uid, us, flow_key=f"/flows/{text}:{text}", flow_name=text, name=text, source=f"{text}:1",
            doc=text, runner=text, params=json.dumps({text: text, "list": [text, {text: text}]}),
            tags=json.dumps([text, "prod"]),
            info=json.dumps({"target": f"{text}:{text}", "cwd": text, "argv": [text], "git": text,
                             "python": text, "version": text}),
        )
    )  # fmt: skip
    session.emit(ev.state(uid, 0, PENDING, RUNNING, us, text, text, 1, None, None))


def _small(session: RecordingSession, uid: str, text: str) -> None:
    """A run that is called so and failed so."""
    us = NOW - 100 * SECOND
    _run(session, uid, text, us)
    session.emit(ev.failure(uid, 0, us, 1, text or "E", text, *_failure(text)))
    session.emit(ev.state(uid, 0, RUNNING, FAILED, us + SECOND, text, text, 1, None, None))


def _failure(text: str) -> tuple[str, str]:
    bad = frame(
        file=text, func=text, module=text, source=[55, [text] * 4],
        locals=[{"name": text, "type": text, "repr": text}],
    )  # fmt: skip
    return failures.split(
        exception(
            text,
            text,
            frames=[bad, bad],
            notes=[text],
            module=text,
            context=exception(text, text, frames=[bad]),
            group=[exception(text, text)],
        )
    )


def _whole(session: RecordingSession) -> None:
    """A run with a task run for each text, and all else that is recorded."""
    us = NOW - 50 * SECOND
    _run(session, UID, " ".join(text[:300] for text in TEXTS), us)
    for no, text in enumerate(TOGETHER, 1):
        key = f"{text}:{no}"
        edges = ((text, None, no - 1),) if no > 1 else None
        session.emit(ev.task_def(key, text, f"{text}:{no}", json.dumps([text]), 1))
        session.emit(ev.task(UID, no, us, key, text, None, edges))
        data = json.dumps({"params": {text: text}})
        session.emit(ev.state(UID, no, PENDING, RUNNING, us, text, text, 1, text, data))
        session.emit(ev.log(UID, no, us, 40, text, text))
        session.emit(ev.result(UID, no, us, text, 7, text, text))
        session.emit(ev.artifact(UID, no, us, "markdown", text, json.dumps(text)))
        session.emit(ev.failure(UID, no, us, 1, text or "E", text, *_failure(text)))
        bucket, end = RUNNING, FAILED if no % 2 else COMPLETED
        session.emit(ev.state(UID, no, bucket, end, us + SECOND, text, text, 1, text, None))
    session.emit(ev.log(UID, 1, us, 20, "x", "[/foo]\x1b[2J" + "x" * LONGEST))
    session.emit(ev.log(UID, 0, us, 20, "x", "\x1b[31m[red]" * 10_000))
    text = "\n".join(text[:300] for text in TEXTS)
    session.emit(ev.state(UID, 0, RUNNING, FAILED, us + 9 * SECOND, text[:80], text, 1, None, None))

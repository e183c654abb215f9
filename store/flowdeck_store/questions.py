"""Questions that runs ask people: how they lie in the record, and how they are read.

Asked, refused and answered are artifacts of the run that asks, of three kinds, so a question is
exported, imported and deleted with its run without a table of its own. All have the key :data:`KEY`,
by which they are found among a hundred thousand others; a question and what came of it are tied
together by its token. Whether a question is open is not written anywhere: it has no answer, and its
run goes on. An imported record may hold anything: what is no question is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from flowdeck_store import events, json_text
from flowdeck_store.events import Event, now_us
from flowdeck_store.ids import MAX_NUMBER, ref, sql_id, task_run_id

#: Kinds of artifacts.
ASKED: Final = "question"
ANSWERED: Final = "answer"
REFUSED: Final = "refusal"
#: The key of all of these artifacts.
KEY: Final = "flowdeck:question"

#: What an answer is: ``pause`` is none, just that it goes on; ``json`` fits ``schema``.
FORMS: Final = ("pause", "bool", "int", "float", "text", "choice", "json")
#: How a question ended: somebody answered; nobody did in time; whoever asked was stopped.
BY_PERSON, BY_DEFAULT, WITHDRAWN = "answered", "default", "withdrawn"
#: What answers a question of the form ``pause``.
GO_ON: Final = "continue"

#: Characters of a question, of its key, and of an answer.
MAX_TEXT: Final = 2_000
MAX_KEY: Final = 80
MAX_ANSWER: Final = 100_000


#: Of the run ``r``, while it goes on, how many questions are open in it and in the subflow runs below
#: it. (A token has 16 characters and stands first in the data of both artifacts: no JSON is parsed.)
SQL_ASKS: Final = (
    "CASE WHEN r.ended_us IS NULL THEN (WITH RECURSIVE below(id) AS (SELECT r.id UNION "
    "SELECT c.id FROM below b JOIN flow_runs c ON c.ended_us IS NULL AND c.parent_task "
    f"BETWEEN ({sql_id('b.id', '0')}) AND ({sql_id('b.id', str(MAX_NUMBER))})) "
    f"SELECT count(*) FROM below b JOIN artifacts x ON x.key = '{KEY}' AND x.task "
    f"BETWEEN ({sql_id('b.id', '0')}) AND ({sql_id('b.id', str(MAX_NUMBER))}) "
    f"LEFT JOIN task_runs t ON t.id = x.task WHERE x.kind = '{ASKED}' AND t.ended_us IS NULL "
    f"AND NOT EXISTS (SELECT 1 FROM artifacts y WHERE y.key = '{KEY}' AND y.task = x.task "
    f"AND y.kind = '{ANSWERED}' AND substr(y.data, 1, 28) = substr(x.data, 1, 28))) ELSE 0 END"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question that a run asks, and what came of it."""

    run_id: int
    task_no: int  # 0: the flow function asks
    run_uid: str
    run_name: str
    token: str  # unique
    us: int  # when it was asked
    key: str  # what it is called in its run
    text: str
    form: str  # one of FORMS
    choices: tuple[Any, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict)
    has_default: bool = False
    default: Any = None  # as JSON has it
    due_us: int | None = None  # then it is not waited for any more
    how: str | None = None  # how it ended, BY_PERSON...; None: it has not
    answer: Any = None  # as JSON has it
    by: str | None = None  # who answered
    ended_us: int | None = None

    @property
    def ref(self) -> str:
        """Who asks, as users type it: ``1234`` or ``1234.17``."""
        return ref(task_run_id(self.run_id, self.task_no)) if self.task_no else str(self.run_id)

    @property
    def expected(self) -> str:
        """What an answer looks like, in a few words."""
        if self.choices:
            return ", ".join(map(_shown, self.choices))
        said = {
            "pause": GO_ON, "bool": "yes or no", "int": "a whole number", "float": "a number",
            "text": "a text",
        }  # fmt: skip
        fields = self.schema.get("properties")
        named = f" with {', '.join(map(str, fields))}" if isinstance(fields, dict) else ""
        return said.get(self.form) or f"JSON{named}"


def _shown(choice: Any) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


def question_of(
    place: tuple[int, int, str, str], us: int, text: str, end: tuple[int, str] | None = None
) -> Question | None:
    """Return a question as it was recorded; ``None``: nobody of ours wrote it.

    Args:
        place: number of the flow run and task run, uid and name of the flow run.
        us: when it was asked.
        text: the data of its artifact.
        end: time and data of the artifact that ended it.
    """
    data = _object(text)
    token, key, said = (_text(data.get(name)) for name in ("token", "key", "text"))
    if not token or not key or said is None:
        return None
    form, choices, schema = data.get("form"), data.get("choices"), data.get("schema")
    due = data.get("due_us")
    how, answer, by, ended_us = None, None, None, None
    if end is not None:
        last = _object(end[1])
        how, answer, by = _text(last.get("how")), last.get("value"), _text(last.get("by"))
        how, ended_us = how or WITHDRAWN, end[0]
    return Question(
        *place, token, us, key[:MAX_KEY], said[:MAX_TEXT],
        form if form in FORMS else "text",
        tuple(choices) if isinstance(choices, list) else (),
        schema if isinstance(schema, dict) else {},
        "default" in data, data.get("default"), due if isinstance(due, int) else None,
        how, answer, by, ended_us,
    )  # fmt: skip


def problem_of(text: str) -> tuple[int | None, str]:
    """Return which request a refusal is about, and what was wrong with it."""
    data = _object(text)
    number = data.get("request")
    return number if isinstance(number, int) else None, _text(data.get("problem")) or "refused"


def token_of(text: str) -> str | None:
    """Return the token in the data of any of the three artifacts."""
    return _text(_object(text).get("token"))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json_text.loads(text)
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


# -- as events ------------------------------------------------------------------------------------------


def asked(uid: str, no: int, data: dict[str, Any]) -> Event:
    """A run asks: ``data`` has token, key, text, form, choices, schema, default and due_us."""
    return events.artifact(uid, no, now_us(), ASKED, KEY, json.dumps(data))


def refused(uid: str, no: int, token: str, request: int | None, problem: str) -> Event:
    """An answer does not fit; the question stays open.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        token: of the question.
        request: number of the request that brought the answer.
        problem: what is wrong with it.
    """
    data = {"token": token, "request": request, "problem": problem}
    return events.artifact(uid, no, now_us(), REFUSED, KEY, json.dumps(data))


def answered(uid: str, no: int, token: str, how: str, value: Any, by: str | None) -> Event:
    """A question is over.

    Args:
        uid: of the flow run.
        no: of the task run, 0 for the flow run.
        token: of the question.
        how: :data:`BY_PERSON`, :data:`BY_DEFAULT` or :data:`WITHDRAWN`.
        value: the answer, as JSON can hold it.
        by: who gave it.
    """
    data = {"token": token, "how": how, "value": value, "by": by}
    return events.artifact(uid, no, now_us(), ANSWERED, KEY, json.dumps(data))

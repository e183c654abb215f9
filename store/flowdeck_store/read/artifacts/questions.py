"""Reading what runs ask people: the questions that are open, and those that were."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from flowdeck_store.ids import (
    MAX_NUMBER,
    number_of,
    run_of,
    span_with_run,
    sql_id,
    sql_run,
    task_run_id,
)
from flowdeck_store.questions import (
    ANSWERED,
    ASKED,
    KEY,
    REFUSED,
    Question,
    problem_of,
    question_of,
    token_of,
)
from flowdeck_store.read.base import ReaderBase, Row
from flowdeck_store.times import iso

#: All artifacts about questions of a run, by the index on keys.
_OF_RUN: Final = (
    "SELECT x.seq, x.task, r.uid, r.name, x.us, x.kind, x.data, r.ended_us, t.ended_us "
    f"FROM artifacts x JOIN flow_runs r ON r.id = {sql_run('x.task')} "
    "LEFT JOIN task_runs t ON t.id = x.task "
    f"WHERE x.key = '{KEY}' AND x.task BETWEEN ? AND ? ORDER BY x.seq"
)
#: The runs that go on and have asked anything.
_ASKING: Final = (
    "SELECT r.id FROM flow_runs r WHERE r.ended_us IS NULL AND EXISTS (SELECT 1 FROM artifacts x "
    f"WHERE x.key = '{KEY}' AND x.task BETWEEN ({sql_id('r.id', '0')}) "
    f"AND ({sql_id('r.id', str(MAX_NUMBER))})) ORDER BY r.id"
)
#: The flow runs below one, itself included.
_BELOW: Final = (
    "WITH RECURSIVE below(id) AS (SELECT ? UNION SELECT c.id FROM below b JOIN flow_runs c "
    f"ON c.parent_task BETWEEN ({sql_id('b.id', '0')}) AND ({sql_id('b.id', str(MAX_NUMBER))})) "
    "SELECT id FROM below ORDER BY id"
)


class QuestionReads(ReaderBase):
    """The reads of questions; part of :class:`flowdeck_store.read.reader.Reader`."""

    def open_questions(self, run_id: int | None = None) -> list[Question]:
        """Return the questions that wait for an answer, oldest first.

        Args:
            run_id: only those of this flow run and the subflow runs below it; ``None``: of all.
        """
        asking = {row[0] for row in self._rows(_ASKING)}
        if run_id is not None and asking:
            asking &= {row[0] for row in self._rows(_BELOW, (run_id,))}
        found = [question for each in asking for question in self._of_run(each, only_open=True)]
        return sorted(found, key=lambda question: question.us)

    def questions(self, run_id: int, no: int | None = None) -> list[Question]:
        """Return all that a flow run has asked, open or not, oldest first.

        Args:
            run_id: number of the flow run.
            no: only what this task run asked (0: the flow function itself).
        """
        found = self._of_run(run_id, only_open=False)
        return [question for question in found if no is None or question.task_no == no]

    def question(self, run_id: int, token: str) -> Question | None:
        """Return one question of a flow run by its token."""
        found = self._of_run(run_id, only_open=False)
        return next((question for question in found if question.token == token), None)

    def refusal(self, run_id: int, task_no: int, request: int) -> str | None:
        """Return what was wrong with an answer, by the number of the request that brought it;
        ``None``: nothing, as far as is known."""
        rows = self._rows(
            f"SELECT x.data FROM artifacts x WHERE x.key = '{KEY}' AND x.task = ? AND x.kind = ?",
            (task_run_id(run_id, task_no), REFUSED),
        )
        problems = dict(problem_of(data) for (data,) in rows)
        return problems.get(request)

    def _of_run(self, run_id: int, *, only_open: bool) -> list[Question]:
        ends: dict[str | None, tuple[int, str]] = {}
        asked: dict[tuple[int, str], list[Row]] = defaultdict(list)
        rows = self._rows(_OF_RUN, span_with_run(run_id))
        for row in rows:
            _, task, _, _, us, kind, data, _, _ = row
            if kind == ANSWERED:
                ends[token_of(data)] = us, data
            elif kind == ASKED:
                asked[task, token_of(data) or ""].append(row)
        found = []
        for (task, token), (row, *_) in asked.items():
            _, _, uid, name, us, _, data, run_ended, task_ended = row
            over = run_ended if run_ended is not None else task_ended
            end = ends.get(token) or (None if over is None else (over, "{}"))
            if only_open and end is not None:
                continue
            place = run_of(task), number_of(task), uid, name
            question = question_of(place, us, data, end)
            if question is not None:
                found.append(question)
        return found


def to_json(question: Question) -> dict[str, Any]:
    """Return a question as JSON; ``state`` is ``open`` or how it ended."""
    return {
        "flow_run": question.run_id,
        "task_run": question.ref if question.task_no else None,
        "key": question.key,
        "question": question.text,
        "state": question.how or "open",
        "type": question.form,
        "choices": list(question.choices) or None,
        "schema": question.schema or None,
        "has_default": question.has_default,
        "default": question.default,
        "asked_at": iso(question.us),
        "due_at": None if question.due_us is None else iso(question.due_us),
        "answer": question.answer,
        "by": question.by,
        "ended_at": None if question.ended_us is None else iso(question.ended_us),
    }

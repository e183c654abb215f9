"""``flowdeck answer``: answer what a run asks, or list what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import TIMED_OUT, Trouble
from flowdeck_app.cli.options import SECONDS, complete_run, json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import home, reading
from flowdeck_app.control.cancel import who
from flowdeck_store.record.answers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_store.questions import Question
    from flowdeck_store.read.reader import Reader


@click.command("answer", context_settings={"ignore_unknown_options": True})
@click.argument("ref", metavar="[RUN|TASK_RUN]", required=False, shell_complete=complete_run)
@click.argument("words", metavar="[KEY] [VALUE]", nargs=-1)
@click.option("--default", "by_default", is_flag=True, help="Answer with the question's default.")
@click.option(
    "--timeout",
    type=SECONDS,
    default=PATIENCE,
    metavar="SECONDS",
    help="How long to wait for the run to take the answer (10).",
)
@json_option
def command(
    ref: str | None, words: tuple[str, ...], by_default: bool, timeout: float, as_json: bool
) -> None:
    """Answer a question that a flow run or task run asks; without VALUE, list what is open.

    KEY is only needed where several questions are open. The run itself looks at the answer: one that
    does not fit is refused, and the question stays open. `continue` ends a pause.

    \b
    Examples:
      flowdeck answer
      flowdeck answer @last yes
      flowdeck answer 12 where eu
    """
    with reading() as reader:
        found = _open(reader, ref)
        if ref is None or (not words and not by_default):
            _show(found, ref, as_json=as_json)
            return
        question, value = _chosen(found, ref, words, by_default=by_default)
        taken = _answer(reader, question, value, timeout, is_text=not by_default)
        if as_json:
            from flowdeck_store.read.artifacts.questions import to_json

            echo_json([to_json(taken)])


def _open(reader: Reader, ref: str | None) -> list[Question]:
    """Return the open questions of all runs, of one with its subflows, or of one task run."""
    from flowdeck_app.cli.selection import run_or_task

    if ref is None:
        return reader.open_questions()
    run, no = run_or_task(reader, ref)
    found = reader.open_questions(run.id)
    if no is None:
        return found
    return [each for each in found if (each.run_id, each.task_no) == (run.id, no)]


def _show(found: Sequence[Question], ref: str | None, *, as_json: bool) -> None:
    from flowdeck_app.reports.questions import question_table
    from flowdeck_store.read.artifacts.questions import to_json

    if as_json:
        echo_json(map(to_json, found))
    elif found:
        echo(question_table(found, stream_look()))
    else:
        say(f"flowdeck: {'no run' if ref is None else ref} asks anything now.")


def _chosen(
    found: Sequence[Question], ref: str, words: Sequence[str], *, by_default: bool
) -> tuple[Question, object]:
    """Return the question that is meant, and the answer.

    Raises:
        Trouble: nothing is open, or it is not clear which question is meant.
    """
    if not found:
        raise Trouble(
            f"{ref} asks nothing now.",
            "`flowdeck answer` lists what is open; it may have been answered already.",
        )
    names, value = list(words), None
    if not by_default:
        value = names.pop()
    if len(names) > 1:
        raise click.UsageError("give RUN, KEY and VALUE; quote a VALUE of several words.")
    if names:
        fitting = [question for question in found if question.key == names[0]]
        if not fitting:
            keys = ", ".join(question.key for question in found[:10])
            raise Trouble(
                f"{ref} has no open question {names[0]!r}.",
                f"It has: {keys}. Quote a VALUE of several words.",
            )
    else:
        fitting = list(found)
    if len(fitting) > 1:
        places = ", ".join(f"{question.ref} {question.key}" for question in fitting[:10])
        raise Trouble(
            f"{ref} has {len(fitting)} such questions open.",
            f"Say which: `flowdeck answer TASK_RUN KEY VALUE`. Open are: {places}.",
        )
    question = fitting[0]
    if by_default:
        if not question.has_default:
            raise Trouble(f"{question.key!r} has no default.", f"It wants: {question.expected}.")
        value = question.default
    return question, value


def _answer(
    reader: Reader, question: Question, value: object, timeout: float, *, is_text: bool
) -> Question:
    """Answer, and wait for what the run says.

    Raises:
        Trouble: it refused the answer, said nothing, or the question is over.
    """
    from flowdeck_store.record.answers import give, verdict

    named = f"{question.key!r} of {question.run_name} (#{question.ref})"
    try:
        request = give(home(), question, value, is_text=is_text, by=who())
    except ValueError as error:
        raise Trouble(f"{error}.") from None
    found = verdict(reader, question, request, timeout)
    if found is None:
        raise Trouble(
            f"{named}: its process has not looked at the answer within {timeout:g} s.",
            "The answer waits there for it. `flowdeck show RUN` tells whether the process lives.",
            code=TIMED_OUT,
        )
    if found.problem is not None:
        raise Trouble(f"{named} is still open: {found.problem}.", f"It wants: {question.expected}.")
    if not found.is_taken:
        raise Trouble(f"{named} is not open any more: {found.question.how or 'deleted'}.")
    say(f"flowdeck: answered {named}.")
    return found.question

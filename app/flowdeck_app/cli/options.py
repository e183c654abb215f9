"""Arguments and options that several verbs have."""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any, Final

import click

from flowdeck_app.cli.record import home

if TYPE_CHECKING:
    from collections.abc import Callable


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
tree_option = click.option("--tree", "whole", is_flag=True, help="With all subflow runs below it.")
detach_option = click.option(
    "-d", "--detach", is_flag=True, help="Return at once; the run goes on by itself."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
python_option = click.option(
    "--python", metavar="P",
    help="The Python to run it in: a path, a command, the folder of an environment.",
)  # fmt: skip
runner_opt_option = click.option(
    "--runner-opt", "options", multiple=True, metavar="K=V", help="An option of the runner."
)


class Amount(click.FloatRange):
    """A number that is not negative, not infinite, and a number at all (``nan`` is none)."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | int:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


#: Days and seconds: more than anybody means (2,700 years, 30 years) is a mistake.
DAYS: Final = Amount(min=0, max=1e6)
SECONDS: Final = Amount(min=0, max=1e9)
_NEGATED: Final = re.compile(r"-[a-z_]+:")


class QueryCommand(click.Command):
    """A verb with a QUERY, in which ``-tag:test`` is a filter and not the option ``-t``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args:
            negated = [word for word in args if _NEGATED.match(word)]
            args = [*(word for word in args if not _NEGATED.match(word)), "--", *negated]
        return super().parse_args(ctx, args)


def complete_run(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Complete a run by name or number, newest first."""
    from click.shell_completion import CompletionItem

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.safe import one_line

    items = [
        CompletionItem(word, help="the newest run" if word == "@last" else "the newest failed run")
        for word in ("@last", "@last-failed")
    ]
    with contextlib.suppress(Exception), Reader.open(home()) as reader:
        for run in reader.runs(limit=100):
            word = str(run.id) if incomplete[:1].isdigit() else run.name
            if word.isprintable():  # a shell would take a line end for the end of the word
                items.append(CompletionItem(word, help=one_line(f"{run.flow} {run.state}")))
    return [item for item in items if str(item.value).startswith(incomplete)]


def run_argument(name: str = "run", *, many: bool = False) -> Callable[[Any], Any]:
    """Declare the argument RUN."""
    return click.argument(
        name,
        metavar="RUN..." if many else "RUN",
        nargs=-1 if many else 1,
        required=True,
        shell_complete=complete_run,
    )

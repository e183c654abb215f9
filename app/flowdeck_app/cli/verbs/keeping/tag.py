"""``flowdeck tag``: give tags to runs afterwards, and take them away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.given import tag_list
from flowdeck_app.cli.options import complete_run, json_option
from flowdeck_app.cli.output import echo, plural, say
from flowdeck_app.cli.record import home, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowdeck_store.read.records import FlowRunRecord

#: ``-tag:test`` in a query is a filter, not the tag ``tag:test``.
_NEGATED: Final = re.compile(r"-([a-z_]+):")
_HELP: Final = frozenset({"-h"})


class _TagCommand(click.Command):
    """The verb: a word with one dash is a tag to take away, so that it has no short options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args:
            dashed = [word for word in args if _is_dashed(word)]
            args = [*(word for word in args if not _is_dashed(word)), "--", *dashed]
        return super().parse_args(ctx, args)


def _is_dashed(word: str) -> bool:
    return word.startswith("-") and not word.startswith("--") and word not in _HELP


@click.command("tag", cls=_TagCommand)
@click.argument(
    "words", metavar="RUN...|QUERY [+TAG...] [-TAG...]", nargs=-1, required=True,
    shell_complete=complete_run,
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show the runs.")
@json_option
def command(words: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Add tags to flow runs (+TAG) and take tags from them (-TAG); without any, show them.

    Runs are named, or found by a QUERY (`flowdeck runs` takes the same); they may still go on.
    +a,b is two tags.
    A retry gets the tags that its run began with.

    \b
    Examples:
      flowdeck tag @last +looked-at -nightly
      flowdeck tag state:failed since:1d +incident-42
    """
    from flowdeck_app.cli.lists import show_runs
    from flowdeck_app.cli.selection import named_or_found
    from flowdeck_store.record import annotations

    add, remove, named = _sorted(words)
    if not named:
        raise click.UsageError("say which runs: `flowdeck tag RUN +TAG`.")
    with reading() as reader:
        runs = named_or_found(reader, named)
        add = [tag for word in add for tag in _parts(word)]
        remove = [tag for word in remove for tag in _removed(word, runs)]
        changed = [run for run in runs if _changes(run, add, remove)]
        if dry_run:
            show_runs(reader, runs, as_json=as_json)
            say(f"flowdeck: would change the tags of {plural(len(changed), 'run')}.")
            return
        if add or remove:
            try:
                annotations.change_tags(home(), [run.id for run in runs], add, remove)
            except ValueError as error:
                raise Trouble(f"{error}.") from None
            if changed:
                say(f"flowdeck: changed the tags of {plural(len(changed), 'run')}.")
            else:
                say("flowdeck: nothing to change: the tags are as asked for.")
        now = reader.runs_by_ids(run.id for run in runs)
        if as_json:
            show_runs(reader, now, as_json=True)
        else:
            echo(_line(run) for run in now)


def _parts(word: str) -> Sequence[str]:
    """Return the tags of a word such as ``a,b``; one without any as it is, for it to be refused."""
    return tag_list([word]) or [word.strip(" ,")]


def _removed(word: str, runs: Iterable[FlowRunRecord]) -> Sequence[str]:
    """Return the tags to take away: code can give a run one that holds a comma."""
    return [word] if any(word in run.tags for run in runs) else _parts(word)


def _changes(run: FlowRunRecord, add: Iterable[str], remove: Iterable[str]) -> bool:
    """Say whether the tags of a run will be others."""
    before = set(run.tags)
    return (before | {tag.strip() for tag in add}) - {tag.strip() for tag in remove} != before


def _line(run: FlowRunRecord) -> str:
    from flowdeck_store.safe import one_line

    tags = one_line(", ".join(run.tags), 1_000) or "no tags"
    return f"#{run.id}  {one_line(run.name, 80)}  {tags}"


def _sorted(words: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """Return the tags to add, the tags to take away, and what is left of the words."""
    from flowdeck_store.query.language import FIELDS

    add: list[str] = []
    remove: list[str] = []
    named: list[str] = []
    for word in words:
        filtered = _NEGATED.match(word)
        if word.startswith("+"):
            add.append(word[1:])
        elif word.startswith("-") and not (filtered and filtered[1] in FIELDS):
            remove.append(word[1:])
        else:
            named.append(word)
    return add, remove, named

"""``flowdeck errors``: what failed, as groups of the same error; retry on a group."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from flowdeck_app.cli.options import QueryCommand, json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.retry_group import Repairing, retry_group

if TYPE_CHECKING:
    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.reader import Reader

SHOWN: Final = 20
_GROUP: Final = re.compile(r"[0-9a-f]{4,8}|@last")


@click.command("errors", cls=QueryCommand)
@click.argument("words", nargs=-1, metavar="[GROUP] [QUERY]...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0),
    help="How many groups at most; 0: all (default: 20; with --json: all).",
)  # fmt: skip
@click.option("--since", metavar="TIME", help="Only of runs since then, as since:TIME.")
@click.option("--open", "only_open", is_flag=True, help="Only what no re-run has made good.")
@click.option(
    "--retry", is_flag=True,
    help="Of a GROUP: `retry --failed` for the newest failed run of each flow in it.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="With --retry: only say what would run again.")
@click.option("-d", "--detach", is_flag=True, help="With --retry: return at once.")
@click.option("-y", "--yes", is_flag=True, help="With --retry: do not ask.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    limit: int | None,
    since: str | None,
    only_open: bool,
    retry: bool,
    dry_run: bool,
    detach: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what failed in flow runs: the same exception at the same place is one group.

    QUERY filters runs, as in `flowdeck runs`. A GROUP is named by its id, or @last: that shows its
    messages, runs and newest traceback, and --retry repairs it.

    \b
    Examples:
      flowdeck errors since:7d flow:etl
      flowdeck errors @last --retry
    """
    named = words[0] if words and _GROUP.fullmatch(words[0]) else None
    query = " ".join(words[1:] if named else words) + (f" since:{_quoted(since)}" if since else "")
    if named is None:
        if retry or dry_run or detach or yes:
            raise click.UsageError("--retry repairs a GROUP: `flowdeck errors` lists them.")
        _list(query, limit, only_open=only_open, as_json=as_json)
        return
    if retry:
        from flowdeck_app.cli.verbs.acting.retry import command as verb

        how = Repairing(verb, dry_run=dry_run, detach=detach, yes=yes, as_json=as_json)
        retry_group(ctx, named, query, how)
        return
    with reading() as reader:
        _show(reader, reader.error_group(named, query), as_json=as_json)


def _quoted(text: str) -> str:
    from flowdeck_store.query.language import quote

    return quote(text)


def _list(query: str, limit: int | None, *, only_open: bool, as_json: bool) -> None:
    from flowdeck_store.read.errors.json_shape import error_group

    if limit is None:
        limit = 0 if as_json else SHOWN
    with reading() as reader:
        found = [group for group in reader.error_groups(query) if group.is_open or not only_open]
        shown = found[: limit or None]
        examples = reader.error_examples(shown)
    if as_json:
        echo_json(error_group(group, examples.get(group.id)) for group in shown)
        return
    if shown:
        from flowdeck_app.reports.errors import group_table

        echo(group_table(shown, examples, stream_look()))
    if len(found) > len(shown):
        say(f"flowdeck: {len(shown)} of {len(found)} groups; --limit 0 shows all.")
    elif not found:
        say(f"flowdeck: {_why_none(query, only_open=only_open)}")


def _why_none(query: str, *, only_open: bool) -> str:
    if only_open:
        return "no failed run waits to be repaired."
    return "no failure matches." if query else "nothing failed."


def _show(reader: Reader, group: ErrorGroup, *, as_json: bool) -> None:
    details = reader.error_details(group)
    if as_json:
        from flowdeck_store.read.errors.json_shape import error_details

        echo_json([error_details(details)])
        return
    from flowdeck_app.reports.errors import group_page

    echo(group_page(details, stream_look()))
    if group.is_open:
        say(f"flowdeck: `flowdeck errors {group.id} --retry` repairs it.")

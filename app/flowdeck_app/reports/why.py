"""Explanations as sentences: why a run, or a task run, went as it did. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck.stalls.sentences import clock_time
from flowdeck_app.drawing.times import duration
from flowdeck_app.reports.waiting import stall_sentences, waiting_sentences
from flowdeck_store.read.causes import plain
from flowdeck_store.safe import one_line
from flowdeck_store.states import BUCKETS, CACHED, COMPLETED, is_final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowdeck_store.explain.changes import Change
    from flowdeck_store.explain.critical_path import CriticalPath
    from flowdeck_store.explain.flow_run import RunWhy
    from flowdeck_store.explain.task_run import TaskWhy
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord
    from flowdeck_store.upkeep.slot_holders import SlotHolder

#: Values in sentences are cut after so many characters; changes after so many.
_VALUE = 40
_CHANGES = 5
#: Open questions that are told.
_QUESTIONS = 3
_WRONG = ("failed", "crashed")
_WORDS = {"not_ready": "not started", "cancelled": "cancelled", "crashed": "crashed"}


def run_sentences(why: RunWhy, now_us: int) -> list[str]:
    """Return why a flow run went as it did, one sentence each, the most important first."""
    return list(_of_run(why, now_us))


def headline_sentences(why: RunWhy) -> list[str]:
    """Return what stands below state and cause on the screen of a run that has ended: the sentences
    of :func:`run_sentences` that say more.

    Of a run that is not good: what followed, and what changed since the last good one. Of a good
    one: which task runs decided how long it took.
    """
    if not why.run.is_final:
        return []
    if _is_good(why.run):
        return list(_of_path_if_any(why))
    return [*_followed(why), *(() if why.before is None else _comparison(why))]


def _is_good(run: FlowRunRecord) -> bool:
    return run.code == COMPLETED and not any(run.counts[BUCKETS.index(name)] for name in _WRONG)


def _of_run(why: RunWhy, now_us: int) -> Iterator[str]:
    run = why.run
    name = f"{run.name} (#{run.id})"
    if why.cause is not None:
        yield _sentence(f"{name} is {run.state}: {why.cause.headline}")
    elif run.is_final:
        message = f": {run.message}" if run.message else ""
        yield _sentence(f"{name} is {run.state}{message}")
    else:
        yield f"{name} is {run.state}."
    if why.retry_us is not None:
        yield f"It is tried again at {clock_time(why.retry_us)}."
    for question in why.asks[:_QUESTIONS]:
        value = question.choices[0] if question.form == "pause" else "VALUE"
        how = f"`flowdeck answer {question.ref} {question.key} {value}`"
        yield f"It waits for an answer ({one_line(question.expected, 100)}), given by {how}: {one_line(question.text, 200)}"
    if why.stall is not None:
        yield from stall_sentences(why.stall, now_us)
    if why.repeats is not None:
        cached = run.counts[BUCKETS.index("cached")]
        taken = f" and took over {cached:,} of its results" if cached else ""
        yield f"It repeats {one_line(why.repeats.name)} (#{why.repeats.id}){taken}."
    yield from _followed(why)
    yield from _comparison(why)
    yield from _of_path_if_any(why)


def _followed(why: RunWhy) -> Iterator[str]:
    if why.followed:
        told = ", ".join(f"{n:,} {_WORDS[what]}" for what, n in why.followed.items())
        yield f"What followed from it for other task runs: {told}."


def _of_path_if_any(why: RunWhy) -> Iterator[str]:
    if why.path is not None and why.path.links:
        yield _of_path(why.path, why.tasks, is_over=why.run.is_final)


def _comparison(why: RunWhy) -> Iterator[str]:
    if why.before is None:
        yield "There is no earlier run of this flow that was good to compare it with."
        return
    before = f"the last good run, {why.before.name} (#{why.before.id})"
    told = [_change(change) for change in why.changed if change.kind != "variable"]
    if why.code:
        names = ", ".join(one_line(code.name) for code in why.code[:_CHANGES])
        more = len(why.code) - _CHANGES
        told.insert(0, f"the code of {names}{f' and {more} more' if more > 0 else ''}")
    if told:
        more = len(told) - _CHANGES
        listed = "; ".join(told[:_CHANGES])
        yield f"Since {before}, changed: {listed}{f'; and {more} more' if more > 0 else ''}."
    else:
        yield f"Nothing that the record knows of changed since {before}."
    if why.slower:
        slower = ", ".join(
            f"{one_line(slow.task)} ({duration(slow.before)} to {duration(slow.now)})"
            for slow in why.slower[:_CHANGES]
        )
        yield f"Slower than then: {slower}."


def _change(change: Change) -> str:
    what = change.kind if change.kind == change.name else f"{change.kind} {change.name}"
    return f"{one_line(what)} from {_value(change.before)} to {_value(change.now)}"


def _value(text: str | None) -> str:
    if text is None:
        return "nothing"
    line = one_line(text)
    return line if len(line) <= _VALUE else f"{line[: _VALUE - 1]}…"


def _of_path(path: CriticalPath, tasks: dict[int, TaskRunRecord], *, is_over: bool) -> str:
    total = max(1, path.total_us)
    names = [
        f"{one_line(tasks[link.no].label)} ({duration((link.run_us + link.queue_us + link.pause_us) / 1e6)})"
        for link in path.links
        if link.no in tasks
    ]
    parts = [
        ("in its tasks", path.run_us),
        ("waiting for a worker", path.queue_us),
        ("between tries", path.pause_us),
        ("in the flow's own code", path.code_us),
    ]
    shares = ", ".join(f"{us / total:.0%} {what}" for what, us in parts if us / total >= 0.005)
    count = len(path.links)
    chain = "one task run" if count == 1 else f"a chain of {count:,} task runs"
    seconds = duration(path.total_us / 1e6)
    whole = f"Its {seconds} were" if is_over else f"Its {seconds} so far are"
    return f"{whole} decided by {chain}, longest {', '.join(names)}: {shares}."


def task_sentences(why: TaskWhy, now_us: int, holders: Sequence[SlotHolder] = ()) -> list[str]:
    """Return why a task run went as it did, one sentence each, the most important first.

    Args:
        why: what is known of that.
        now_us: what durations are counted to.
        holders: of the slots that it waits for.
    """
    return [*_state_of_task(why), *_of_task(why, now_us, holders)]


def task_reasons(why: TaskWhy, now_us: int, holders: Sequence[SlotHolder] = ()) -> list[str]:
    """Return the sentences of :func:`task_sentences` that say more than the task run's state."""
    return list(_of_task(why, now_us, holders))


def _state_of_task(why: TaskWhy) -> Iterator[str]:
    if not (why.is_skipped or why.taken_over is not None or why.task.named == CACHED):
        name = f"{one_line(why.task.label)} ({why.task.ref})"
        tries = "" if why.tries < 2 else f" after {why.tries} tries"
        error = f": {why.error}" if why.error else ""
        yield _sentence(f"{name} is {why.task.state}{tries}{error}")


def _of_task(why: TaskWhy, now_us: int, holders: Sequence[SlotHolder]) -> Iterator[str]:
    task = why.task
    name = f"{one_line(task.label)} ({task.ref})"
    if why.is_skipped:
        yield from _of_skipped(name, why)
        return
    if why.taken_over is not None:
        yield (
            f"{name} did not run: it took over the result of the same call in an earlier run, "
            f"{one_line(why.taken_over)}."
        )
        return
    if task.named == CACHED:
        source = "" if why.cached_from is None else f" of {why.cached_from.ref}"
        yield f"{name} did not run: the kept result{source} has the same cache key."
        return
    if why.waits:
        yield from waiting_sentences(why, now_us, holders)
    if why.missed is not None:
        yield _of_miss(why)
    yield from _of_time(why)


def _of_skipped(name: str, why: TaskWhy) -> Iterator[str]:
    if not why.blocked_by:
        yield f"{name} did not start: {one_line(why.task.message or 'an upstream did not complete.')}"
        return
    *between, first = why.blocked_by
    through = "".join(f" through {one_line(task.label)}" for task in between[:3])
    yield f"{name} did not start: it depends on {one_line(first.label)} ({first.ref}){through}."
    message = plain(first.message)
    yield _sentence(f"That one is {first.state}{f': {message}' if message else ''}")


def _of_miss(why: TaskWhy) -> str:
    assert why.missed is not None
    before = why.missed.before.ref
    if why.missed.arguments:
        names = ", ".join(one_line(name) for name in why.missed.arguments)
        differ = "differs" if len(why.missed.arguments) == 1 else "differ"
        return f"It did not use the kept result of {before}, the most like it: {names} {differ}."
    if why.missed.code:
        names = ", ".join(one_line(name) for name in why.missed.code[:_CHANGES])
        more = len(why.missed.code) - _CHANGES
        return (
            f"It did not use the kept result of {before}: the code of {names}"
            f"{f' and {more} more' if more > 0 else ''} changed since."
        )
    return (
        f"It did not use the kept result of {before}, though its arguments and, as far as it is "
        "recorded, its code look the same: what else its cache key is made of changed, or the result "
        "had expired."
    )


def _of_time(why: TaskWhy) -> Iterator[str]:
    split = why.split
    upstream = why.last_upstream
    parts = [
        ("waited for inputs", split.inputs),
        ("waited for a slot of a limited tag", split.slot),
        ("waited for a worker", split.worker),
        ("ran", split.running),
        ("waited between tries", split.retry),
        ("was paused", split.paused),
    ]
    told = [f"{what} {duration(seconds)}" for what, seconds in parts if seconds >= 0.001]
    if told:
        yield f"{'It' if is_final(why.task.code, why.task.named) else 'So far it'} {', '.join(told)}."
    if upstream is not None and split.inputs >= 0.001:
        yield f"The last of its inputs came from {one_line(upstream.label)} ({upstream.ref})."


def _sentence(text: str) -> str:
    line = one_line(text)
    return line if line.endswith((".", "!", "?")) else f"{line}."

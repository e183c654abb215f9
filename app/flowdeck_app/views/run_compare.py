"""Two runs beside each other: what differs between them, as data and as lines. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from textual.content import Content, Span

from flowdeck_app.glyphs import SIGNS, kind_of, word_of
from flowdeck_app.views.tasks import short_message
from flowdeck_app.views.text import clean, cut, fit
from flowdeck_app.views.times import between, duration, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.views.look import Look
    from flowdeck_store.records import FlowRunRecord, TaskRunRecord
    from flowdeck_store.summaries import TaskGroup

_LABEL: Final = 16


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs."""

    run: FlowRunRecord
    groups: tuple[TaskGroup, ...]
    failed: TaskRunRecord | None


@dataclass(frozen=True, slots=True)
class Line:
    """One fact about both; ``differs`` marks it."""

    label: str
    left: str
    right: str
    differs: bool
    left_style: str = ""
    right_style: str = ""


def compare(left: Side, right: Side, look: Look) -> list[tuple[str, list[Line]]]:
    """Return the facts in sections: run, parameters, tasks, first difference."""
    return [
        ("Run", _facts(left, right, look)),
        ("Parameters", _parameters(left.run, right.run)),
        ("Tasks", _tasks(left, right, look)),
        ("First difference", _first(left, right)),
    ]


def _facts(left: Side, right: Side, look: Look) -> list[Line]:
    one, two = left.run, right.run

    def state(run: FlowRunRecord) -> str:
        return f"{look.symbols.of(kind_of(run.code, run.named))} {word_of(run.code, run.named)}"

    def time(run: FlowRunRecord) -> str:
        return duration(between(run.started_us, run.ended_us, look.now_us), look.symbols.dash)

    return [
        _line("Flow", one.flow, two.flow),
        Line(
            "State",
            state(one),
            state(two),
            one.code != two.code,
            SIGNS[kind_of(one.code, one.named)].style,
            SIGNS[kind_of(two.code, two.named)].style,
        ),
        Line("Time", time(one), time(two), time(one) != time(two)),
        Line(
            "Started",
            moment(one.started_us or one.created_us, look.now_us, look.times, look.zone),
            moment(two.started_us or two.created_us, look.now_us, look.times, look.zone),
            False,
        ),
        _line("Runner", one.runner or "", two.runner or ""),
        _line("Tags", " ".join(one.tags), " ".join(two.tags)),
        _line("Code version", _info(one, "version"), _info(two, "version")),
        _line("Python", _info(one, "python"), _info(two, "python")),
        _line("Folder", _info(one, "cwd"), _info(two, "cwd")),
    ]


def _info(run: FlowRunRecord, key: str) -> str:
    value = run.info.get(key)
    return "" if value is None else str(value)


def _line(label: str, left: str, right: str) -> Line:
    return Line(label, left, right, left != right)


def parameters_of(run: FlowRunRecord) -> dict[str, Any]:
    """Return a run's parameters; a record that cannot be read has none."""
    try:
        found = json.loads(run.params) if run.params else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parameters(one: FlowRunRecord, two: FlowRunRecord) -> list[Line]:
    left, right = parameters_of(one), parameters_of(two)
    names = [*left, *(name for name in right if name not in left)]
    return [
        Line(
            name,
            json.dumps(left[name]) if name in left else "(not given)",
            json.dumps(right[name]) if name in right else "(not given)",
            left.get(name) != right.get(name) or (name in left) != (name in right),
        )
        for name in names
    ]


def _tasks(left: Side, right: Side, look: Look) -> list[Line]:
    one = {group.task_key: group for group in left.groups}
    two = {group.task_key: group for group in right.groups}
    lines = []
    for key in [*one, *(key for key in two if key not in one)]:
        a, b = one.get(key), two.get(key)
        name = a.task if a is not None else two[key].task
        differs = a is None or b is None or a.counts != b.counts
        lines.append(Line(name, _group(a, look), _group(b, look), differs))
    return lines


def _group(group: TaskGroup | None, look: Look) -> str:
    if group is None:
        return "(none)"
    from flowdeck_store.states import BUCKETS

    total = sum(group.counts)
    wrong = sum(
        count
        for name, count in zip(BUCKETS, group.counts, strict=True)
        if name in {"failed", "crashed", "not_ready"}
    )
    median = duration(group.p50, look.symbols.dash)
    runs = f"{total} run{'' if total == 1 else 's'}"
    return f"{runs}, {wrong} wrong, p50 {median}" if wrong else f"{runs}, p50 {median}"


def _first(left: Side, right: Side) -> list[Line]:
    def text(side: Side) -> str:
        if side.failed is None:
            return "no failed task"
        said = short_message(side.failed.message or side.failed.state)
        return f"{side.failed.name}: {said}"

    return [_line("Failed in", text(left), text(right))]


def compare_lines(
    sections: Sequence[tuple[str, Sequence[Line]]], cells: int, look: Look, *, only: bool
) -> list[Content]:
    """Draw the comparison in two columns.

    Args:
        sections: from :func:`compare`.
        cells: width of the view.
        look: for the signs.
        only: leave out what is the same.
    """
    room = max((cells - _LABEL - 6) // 2, 8)
    lines: list[Content] = []
    for title, facts in sections:
        shown = [fact for fact in facts if fact.differs or not only]
        if not shown:
            continue
        lines.append(Content(title, [Span(0, len(title), "bold $fd-strong")]))
        lines += [_drawn(fact, room, look) for fact in shown]
        lines.append(Content(""))
    return lines or [Content("The two runs do not differ in anything recorded.")]


def compare_heads(left: Side, right: Side, cells: int, look: Look) -> Content:
    """Return the heading of the two columns: which run is which."""
    room = max((cells - _LABEL - 6) // 2, 8)
    plain, end = look.symbols.ascii, look.symbols.ellipsis

    def head(side: Side) -> str:
        number = f" #{side.run.id}"
        name = clean(side.run.name, 200, newline=" ", ascii_only=plain)
        return cut(name, max(room - len(number), 1), ellipsis=end) + number

    text = " " * (_LABEL + 3) + fit(head(left), room, ellipsis=end) + "  " + head(right)
    return Content(text, [Span(0, len(text), "bold $fd-strong")], strip_control_codes=False)


def _drawn(fact: Line, room: int, look: Look) -> Content:
    plain = look.symbols.ascii
    mark = "≠" if fact.differs and not plain else "#" if fact.differs else " "
    label = fit(clean(fact.label, 200, newline=" ", ascii_only=plain), _LABEL)
    left = fit(clean(fact.left, 500, newline=" ", ascii_only=plain), room)
    right = cut(clean(fact.right, 500, newline=" ", ascii_only=plain), room)
    text = f"{mark} {label} {left}  {right}"
    start = _LABEL + 3
    spans = [
        Span(0, 1, "$fd-accent"),
        Span(2, 2 + _LABEL, "$fd-muted"),
        Span(start, start + room, fact.left_style or ("" if fact.differs else "$fd-faint")),
        Span(
            start + room + 2, len(text), fact.right_style or ("" if fact.differs else "$fd-faint")
        ),
    ]
    return Content(text, spans, strip_control_codes=False)

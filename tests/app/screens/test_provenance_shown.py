"""What a run ran as, on the page of ``show`` and on the Params tab: the same facts, cleaned."""

from __future__ import annotations

from app_data import NOW, ZONE, run

from flowdeck_app.drawing.look import Look
from flowdeck_app.reports.runs import ran_as
from flowdeck_app.views.facts import run_rows
from flowdeck_store.read.provenance import ProvenanceRecord

LOOK = Look(NOW, zone=ZONE)
RAN_AS = ProvenanceRecord(
    process={
        "python": "CPython 3.12.1", "platform": "Linux 6 x86_64", "executable": "/usr/bin/python",
        "user": "ann", "host": "laptop", "cwd": "/flows", "argv": ["etl.py", "--day", "\x1b[31m3"],
        "env": {"TZ": "UTC"},
    },
    packages={"numpy": "2.0", "pandas": "2.2"}, packages_id="ab12",
    git={"commit": "c0ffee" * 6, "branch": "main", "dirty": True, "files": ["etl.py", "b.py"]},
    diff="--- a/etl.py\n+++ b/etl.py\n-old\n+new\n+more\n", source={"file": "/flows/etl.py"},
)  # fmt: skip


def test_the_page_says_it_in_a_few_lines() -> None:
    text = "\n".join(ran_as(RAN_AS, LOOK))
    for part in (
        "python      CPython 3.12.1 Linux 6 x86_64", "user        ann@laptop",
        "packages    2 (ab12)", "git         c0ffeec0ffee main, changed since",
        "changes     etl.py, b.py (+2 -1)", "variables   1 with values",
    ):  # fmt: skip
        assert part in text
    assert "\x1b" not in text
    assert ran_as(ProvenanceRecord(), LOOK) == []


def test_what_is_not_known_is_not_said_to_be_clean() -> None:
    slow = ProvenanceRecord(git={"commit": "c0ffee" * 6, "branch": None, "dirty": None})
    assert slow.facts() == [("git", "c0ffeec0ffee (detached), changes not known", "")]
    clean = ProvenanceRecord(git={"commit": "c0ffee" * 6, "branch": "x", "dirty": False})
    assert clean.facts() == [("git", "c0ffeec0ffee x, clean", "")]


def test_what_an_archive_may_say_is_no_trouble() -> None:
    strange = ProvenanceRecord(
        process={"argv": 3, "env": [1], "python": {"a": 1}, "user": None},
        git={"commit": [1], "dirty": [2], "files": {"a": 1}}, source={"file": 7},
    )  # fmt: skip
    assert isinstance(strange.facts(), list)
    assert isinstance(run_rows(run(1), LOOK, strange), list)


def test_the_tab_opens_the_whole_diff_and_all_packages_and_says_nothing_twice() -> None:
    rows = {row.key: row for row in run_rows(run(1), LOOK, RAN_AS)}
    assert rows["ran as", "changes"].text == RAN_AS.diff
    assert rows["ran as", "packages"].text == "numpy==2.0\npandas==2.2"
    assert rows["ran as", "variables"].text == "TZ=UTC"
    assert ("fact", "folder") not in rows
    assert "\x1b" not in "".join(row.content.plain for row in rows.values())
    assert ("ran as", "git") not in {row.key for row in run_rows(run(1), LOOK)}

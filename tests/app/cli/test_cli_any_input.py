"""Whatever is typed after a verb, it is carried out or refused in words; never an error of ours."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import Record, exception_dict, write

from flowdeck.settings import get_settings
from flowdeck_app.cli.root import VERBS
from flowdeck_store import states as st

if TYPE_CHECKING:
    from click.testing import Result

WORDS = (
    "", "-", "--", "1", "1.1", "#1", "1.999999999999", "9" * 40, "@last", "@last-failed", "@x",
    "state:", "state:failed", "state:failed,", "tag:", "-tag:x", "since:", "since:7", "since:9999d",
    "until:2026-13-45", "duration:>", "duration:>x", "duration:>1e999s", '"', "'", 'a"b', "\udc80",
    "x" * 5000, "/", "//", "1/", "1/fetch", "1/fetch[", "1/fetch[1]", "/fetch", "~", "~nobody/x",
    ".", "..", "/dev/null", "one.py", "one.py:one", "one.py:", "one.py:nope", ":", "::", ":one",
    "-1", "0", "1e9", "nan", "inf", "a=b", "=", "=b", "a=", "a.b.c=1", "-p", "-p=1", "--json", "-n",
    "--limit", "--limit=0", "--limit=-1", f"--limit={'9' * 30}", "--order", "--order=name",
    "--level", "--level=9999", "--level=x", "--tail", "--tail=3", "--search=%", "--task=*", "--yes",
    "-y", "--dry-run", "--timeout=0", "--timeout=nan", "--timeout=inf", "--quiet", "--params={}",
    "--params=@/dev/null", "--params=@nope", "--params=[", "--runner=dask2", "--runner-opt=x",
    "--name=", "--tag=,", "--keep-days=1", "--keep-last=999999", "--keep-days=nan", "--keep-last=x",
    "--keep-days=1e300", "--color=always", "--home=", "--home=/dev/null", "--force", "--redact",
    "--all-frames", "--logs=0", f"--logs={'9' * 30}", "-h", "日本語", "a\nb", "\t", "%s", "{}", "--all",
)  # fmt: skip
#: ``ui`` needs a terminal, ``doctor`` may ask the network.
TRIED = sorted(VERBS.keys() - {"ui", "doctor", "watch", "wait", "mcp"})
ROUNDS = 250


def refused_or_done(result: Result) -> bool:
    expected = result.exception is None or isinstance(result.exception, SystemExit)
    return expected and "went wrong inside flowdeck" not in result.stderr


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_words_are_carried_out_or_refused(cli: Any, record: Record, seed: int) -> None:
    write("one.py", "from flowdeck import flow\n@flow\ndef one(a=1): pass\n")
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        if record.count < 3 or rng.random() < 0.02:  # some are deleted by now
            uid = record.run(code=st.FAILED, message="1/1 states failed.")
            record.task(uid, 1, "fetch-0", code=st.FAILED, message="no")
            record.failure(uid, 1, exception_dict())
        args = [rng.choice(TRIED), *(rng.choice(WORDS) for _ in range(rng.randint(0, 4)))]
        result = cli(*args)
        assert refused_or_done(result), (args, result.stderr[-500:], result.exception)


@pytest.mark.parametrize("verb", ["import", "backup", "export 1", "run", "flows", "completion"])
@pytest.mark.parametrize(
    "name", ["x" * 5000, "", "/", "\udc80", "gone/x", "/dev/full/x", "one.py/x"]
)
def test_files_that_cannot_be_are_named(cli: Any, record: Record, verb: str, name: str) -> None:
    record.run()
    Path("one.py").touch()
    result = cli(*verb.split(), name)
    assert refused_or_done(result), result.stderr[-500:]


@pytest.mark.parametrize(
    "words", ["wait 1 --timeout nan", "prune --keep-days nan", "prune --keep-days inf"]
)
def test_what_is_no_number_is_refused(cli: Any, words: str) -> None:
    assert cli(*words.split()).exit_code == 2


@pytest.mark.parametrize(
    "words", [["--home", "elsewhere", "--nothing"], ["runs", "--home", "elsewhere", "--nothing"]]
)
def test_a_home_of_words_that_cannot_be_parsed_does_not_stay(
    cli: Any, home: Path, words: list[str]
) -> None:
    assert cli(*words).exit_code == 2
    assert get_settings().home == home

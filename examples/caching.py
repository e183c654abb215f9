"""Caching: work that was done for the same inputs is not done again, not even by another process.

The task counts the words of a file. Its key is made of its code and its arguments, of which one is
the time of the file's last change: touch a file, and only that one is counted again.

    python examples/caching.py              # counts
    python examples/caching.py              # the states are Cached now
"""

from __future__ import annotations

import re
import sysconfig
from datetime import timedelta
from pathlib import Path

from flowdeck import flow, task
from flowdeck.tasks import task_input_hash

LIBRARY = Path(sysconfig.get_paths()["stdlib"])


@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(days=1))
def count_words(path: str, changed_ns: int) -> int:
    """Return how many words are in a file. ``changed_ns`` is there for the cache's key."""
    return len(re.findall(r"\w+", Path(path).read_text(encoding="utf-8", errors="replace")))


@flow
def caching(package: str = "email") -> dict[str, int]:
    """Count the words of a package; say how many counts came from the cache."""
    paths = sorted((LIBRARY / package).glob("*.py"))
    futures = [count_words.submit(str(path), path.stat().st_mtime_ns) for path in paths]
    states = [future.wait() for future in futures]
    return {
        "files": len(paths),
        "words": sum(state.result() for state in states),
        "from_cache": sum(state.name == "Cached" for state in states),
    }


if __name__ == "__main__":
    print(caching())

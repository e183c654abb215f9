"""What questions are called, and what stands for a default that was not given."""

from __future__ import annotations

import re
from typing import Final

#: Stands for a default that was not given.
MISSING: Final = object()
#: Words of a question that become its key.
_WORDS: Final = 4
#: Characters of a key: ``import flowdeck`` does not load the store's bound.
_LONGEST: Final = 80


def key_of(text: str) -> str:
    """Return what a question is called by its first words.

    >>> key_of("Deploy to prod?")
    'deploy-to-prod'
    """
    words = re.findall(r"\w+", text.lower())[:_WORDS]
    return "-".join(words)[:_LONGEST] or "question"

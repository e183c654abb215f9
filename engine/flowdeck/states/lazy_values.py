"""Values of states that are not in this process's memory."""

from __future__ import annotations

from typing import Any

from flowdeck.exceptions import MissingResult


class LazyValue:
    """A value that is not in this process's memory: on disk or on a cluster."""

    __slots__ = ()

    def load(self) -> Any:
        """Return the value.

        Raises:
            MissingResult: it is gone.
        """
        raise NotImplementedError  # pragma: no cover - the two subclasses define it

    @property
    def is_remote(self) -> bool:
        """Whether it may take long to get it: event loops do not wait for that."""
        return False

    def is_changed(self) -> bool:
        """Say whether code here has changed what :meth:`load` gives, since it first gave it."""
        return False


class ClusterValue(LazyValue):
    """A value that a cluster has, and that goes away with it.

    Attributes:
        size: bytes of its pickle, if they are known.
        is_written: it was kept on disk because its flow run did not complete.
    """

    __slots__ = ("is_written", "size")

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.is_written = False


class Missing(LazyValue):
    """Stands for a value that was not kept."""

    __slots__ = ()

    def load(self) -> Any:
        raise MissingResult(
            "The result was not kept: the task ran with cache_result_in_memory=False and without "
            "persist_result=True."
        )

"""Every error that flowdeck raises itself. ``str(error)`` is complete sentences for a user.

All of them pickle, because they travel between processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class FlowdeckError(Exception):
    """Base of all ordinary errors of flowdeck."""


class MissingContextError(FlowdeckError, RuntimeError):
    """Something that needs a flow or task run was used outside of one."""


class ParameterBindError(TypeError, FlowdeckError):
    """The arguments of a call do not fit the function's signature; no run was created."""


class ParameterTypeError(FlowdeckError):
    """Flow parameters do not have the annotated types; the run was recorded as failed."""

    @classmethod
    def from_problems(cls, problems: Iterable[tuple[str, str]]) -> ParameterTypeError:
        """Build it from (parameter name or dotted path in it, what is wrong) pairs."""
        lines = [f"{name}: {problem}" for name, problem in problems]
        return cls("\n - ".join(["Flow run received invalid parameters:", *lines]))


class SignatureMismatchError(FlowdeckError, TypeError):
    """Stored parameters do not fit the function's signature any more."""

    @classmethod
    def from_bad_params(
        cls, expected: Iterable[str], provided: Iterable[str]
    ) -> SignatureMismatchError:
        """Name what the function expects and what it was given.

        Args:
            expected: names of its parameters.
            provided: names that were stored.
        """
        return cls(
            f"Function expects parameters {list(expected)} "
            f"but was provided with parameters {list(provided)}"
        )


class ReservedArgumentError(FlowdeckError, TypeError):
    """A flow or task function has a parameter whose name the engine needs for itself."""


class UnawaitedCall(FlowdeckError, TypeError):
    """A call that must be awaited was not: its coroutine turned up where a value is expected."""


class InvalidNameError(FlowdeckError, ValueError):
    """A name holds characters that would break references to it."""


class CrashedRun(FlowdeckError):
    """The run crashed: it was interrupted, not failed by its own code."""


class FailedRun(FlowdeckError):
    """The run failed without an exception of its own to raise."""


class CancelledRun(FlowdeckError):
    """The run was cancelled."""


class PausedRun(FlowdeckError):
    """The run is paused, so it has no result yet."""


class UnfinishedRun(FlowdeckError):
    """The run is not over, so it has no result yet."""


class MissingResult(FlowdeckError):
    """The run completed, but its value was not kept, or is gone."""


class UnserialisableResult(FlowdeckError):
    """A value cannot be turned into bytes by the chosen serializer, so it cannot be kept."""


class UpstreamTaskError(FlowdeckError):
    """A value that a call depends on is missing because its task did not complete."""


class MappingLengthMismatch(FlowdeckError):
    """The iterables given to ``map`` have different lengths."""


class MappingMissingIterable(FlowdeckError):
    """``map`` was given nothing to map over."""


class ConcurrencySlotAcquisitionError(FlowdeckError):
    """Slots of a limit cannot be had, now or ever."""


class AcquireConcurrencySlotTimeoutError(ConcurrencySlotAcquisitionError, TimeoutError):
    """Slots of a limit did not come free in the time that was given."""


class ConfigurationError(FlowdeckError):
    """A setting has a value that cannot be used; the message names it and where it comes from."""


class TargetError(FlowdeckError):
    """A flow named as ``file.py:flow`` or ``package.module:flow`` cannot be found or loaded."""


class AnswerRefused(FlowdeckError):
    """The answer to a question of a run does not fit, or the question is not open any more."""


class Abort(BaseException):
    """The engine refuses a state change: the run stops here. Not to be caught by user code."""


class Pause(BaseException):
    """The run is to pause here. Not to be caught by user code."""


class TaskCancelled(BaseException):
    """The task run was cancelled while it was executing. Not to be caught by user code."""


class FlowCancelled(BaseException):
    """The flow run was cancelled while it was executing. Not to be caught by user code."""


class TerminationSignal(BaseException):
    """The process received a signal that ends it. Not to be caught by user code."""

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(signal)

    def __str__(self) -> str:
        return f"the process received signal {self.signal}"

"""A flow run as hooks and contexts see it: what may be known anywhere, and how far the run is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime

    from flowdeck.runs.task_run import FlowRunInfo, FlowRunLike
    from flowdeck.states import State
    from flowdeck_store.states import StateType


class FlowRunView:
    """What :class:`~flowdeck.runs.task_run.FlowRunInfo` says of a flow run (``id``, ``name``, ``flow_name``,
    ``parameters``, ``tags``, ``run_count``, ``start_time``...), and its state."""

    __slots__ = ("_run",)

    def __init__(self, run: FlowRunLike) -> None:
        self._run = run

    @property
    def state(self) -> State[Any]:
        """The state that it is in."""
        return self._run.state

    @property
    def state_name(self) -> str:
        """The name of that, such as ``Completed``."""
        return self._run.state.name

    @property
    def state_type(self) -> StateType:
        """The type of that."""
        return self._run.state.type

    @property
    def end_time(self) -> datetime.datetime | None:
        """When it ended, aware UTC; ``None`` as long as it has not."""
        state = self._run.state
        return state.timestamp if state.is_final() else None

    @property
    def number(self) -> int | None:
        """The run's number, as in ``flowdeck show 12``; ``None`` if it is not in the record (yet)."""
        recorder = self._run.recorder
        recorder.flush(1.0)
        return recorder.run_number(self._run.info.uid)

    @property
    def first_failure(self) -> str | None:
        """What the run failed of, as ``flowdeck runs`` says it: ``fetch[7] ConnectionError: 502``.

        ``None`` if it did not fail, or it cannot be read from the record.
        """
        number, home = self.number, getattr(self._run.recorder, "home", None)
        if number is None or home is None:
            return None
        from flowdeck_store.read.reader import Reader

        with Reader.open(home) as reader:
            run = reader.run(number)
            cause = None if run is None else reader.cause(run)
        return None if cause is None else cause.headline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run.info, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlowRunView) and other.uid == self.uid

    def __hash__(self) -> int:
        return hash(self._run.info.uid)

    def __reduce__(self) -> Any:
        # The run itself stays in this process: what may be known anywhere goes.
        return _itself, (self._run.info,)

    def __repr__(self) -> str:
        return f"<flow run {self._run.info.name!r}, {self._run.state}>"

    def _repr_html_(self) -> str:
        from flowdeck.values import html

        info, state = self._run.info, self._run.state
        badge = html.badge(state.name, state.type.value)
        head = f"{badge} {html.escaped(info.flow_name)} {html.escaped(info.name)}"
        return html.facts(head, [("message", state.message)])


def _itself(info: FlowRunInfo) -> FlowRunInfo:
    return info

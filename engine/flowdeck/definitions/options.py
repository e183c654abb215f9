"""The options of flows and tasks: one entry says everything of an option.

Decorators, constructors, ``with_options`` and type checkers take the same twenty options, which
once stood four times in signatures and once more in docstrings. So they are typed dictionaries,
and each entry carries what only runtime needs: what is shown of it, the value it has when it is
not given, and what ``None`` means. Signatures and docstrings that users see are made of them.
"""

import datetime
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    ForwardRef,
    Generic,
    NamedTuple,
    TypedDict,
    TypeVar,
    cast,
)

from flowdeck.cache_policies import CachePolicy

if TYPE_CHECKING:
    from flowdeck.definitions.bases import TaskRunnerLike


class Option(NamedTuple):
    """What an option does."""

    doc: str  # for users
    default: Any = None
    # In ``with_options``, where leaving an option out keeps it as it is:
    none_inherits: bool = False  # ``None`` is a value: as the flow or the settings say
    empty_is_none: bool = False
    stored_as: str | None = None  # the attribute, if it has not the option's name


def _text(doc: str) -> Option:
    return Option(doc, empty_is_none=True)


def _inherited(doc: str) -> Option:
    return Option(doc, none_inherits=True)


_SERIALIZERS: Final = (
    "``pickle``, ``json``, ``compressed/pickle``, ``compressed/json``, or one that was\n"
    "registered by :func:`flowdeck.serializers.register_serializer`."
)
_REFUSED: Final = _inherited("refused, unless ``None``.")
_DELAYS: Final = (
    "one delay, a list of them, or a callable such as\n"
    ":func:`~flowdeck.caching.exponential_backoff`."
)
_JITTER: Final = "up to which fraction of itself a delay may be longer."
_ON_FLOW: Final = "called with (flow, flow_run, state) when a run "

Hooks = Iterable[Callable[..., Any]]
Delays = float | datetime.timedelta | Sequence[float] | Callable[[int], list[float]]


class TaskOptions(TypedDict, total=False):
    """Keyword arguments of :func:`flowdeck.tasks.task`."""

    name: Annotated[str | None, _text("shown name; default: the function's.")]
    description: Annotated[str | None, _text("default: the docstring.")]
    tags: Annotated[Iterable[str] | None, Option("added to the tags in force where it is called.")]
    version: Annotated[str | None, _text("any text.")]
    cache_key_fn: Annotated[
        Callable[[Any, dict[str, Any]], str | None] | None,
        Option(
            "called with (context, arguments); a completed run under the same key is re-used.\n"
            "``None`` as key: do not cache."
        ),
    ]
    cache_policy: Annotated[
        CachePolicy | None,
        Option("what the key is made of, from :mod:`flowdeck.cache_policies`: ``INPUTS``, ..."),
    ]
    cache_expiration: Annotated[
        datetime.timedelta | float | None, Option("for how long (a ``timedelta``, or seconds).")
    ]
    refresh_cache: Annotated[
        bool | None, _inherited("``True`` computes anew, and keeps the new result.")
    ]
    task_run_name: Annotated[
        str | Callable[[], str] | None,
        _text('template over the parameters (``"load-{day}"``), or a callable.'),
    ]
    retries: Annotated[int | None, Option("how often to try again after a failure.", 0)]
    retry_delay_seconds: Annotated[Delays | None, Option(_DELAYS, 0)]
    retry_jitter_factor: Annotated[float | None, _inherited(_JITTER)]
    retry_condition_fn: Annotated[
        Callable[..., Any] | None,
        Option("called with (task, task_run, state); falsy: do not try again."),
    ]
    always: Annotated[
        bool,
        Option(
            "runs also when its flow run was cancelled or its time is up, within the seconds of\n"
            "the setting ``cleanup_seconds``.",
            False,
        ),
    ]
    timeout_seconds: Annotated[
        float | datetime.timedelta | None,
        Option("for each attempt, or a ``timedelta``. A thread that does not stop is left behind."),
    ]
    log_prints: Annotated[
        bool | None, _inherited("whether prints become log lines; default: as the flow.")
    ]
    persist_result: Annotated[
        bool | None, _inherited("whether results are kept on disk; default: as the flow.")
    ]
    result_storage: Annotated[Any, _REFUSED]
    result_serializer: Annotated[str | None, _inherited(_SERIALIZERS)]
    result_storage_key: Annotated[str | None, _REFUSED]
    cache_result_in_memory: Annotated[
        bool | None,
        Option("``False`` drops the value from memory once it is kept on disk.", True),
    ]
    on_completion: Annotated[
        Hooks | None, _text("called with (task, task_run, state) when a run completed.")
    ]
    on_failure: Annotated[Hooks | None, _text("the same, when it finally failed.")]
    on_running: Annotated[Hooks | None, _text("the same, when it starts.")]
    on_rollback: Annotated[
        Hooks | None,
        _text("called with (transaction) when a transaction is undone in which it completed."),
    ]
    on_commit: Annotated[Hooks | None, _text("the same, when the transaction holds.")]
    resources: Annotated[
        Mapping[str, float | str] | None,
        Option(
            'what a run needs while it executes: ``{"gpu": 1, "memory": "2GB", "cpu": 2}``,\n'
            "or names of your own."
        ),
    ]
    map_batch: Annotated[
        int | None,
        Option("how many runs of a ``.map()`` go to a worker process or Dask worker together."),
    ]
    viz_return_value: Annotated[Any, Option("accepted, without effect.")]


class FlowOptions(TypedDict, total=False):
    """Keyword arguments of :func:`flowdeck.flows.flow`."""

    name: Annotated[str | None, _text("shown name; default: the function's with ``-`` for ``_``.")]
    version: Annotated[str | None, _text("any text; default: a hash of the file.")]
    flow_run_name: Annotated[
        str | Callable[[], str] | None,
        _text('template over the parameters (``"etl-{day}"``), or a callable.'),
    ]
    retries: Annotated[
        int | None,
        Option(
            "how often the whole function is called again after a failure; task runs that\n"
            "completed are not run again."
        ),
    ]
    retry_delay_seconds: Annotated[Delays | None, Option(_DELAYS)]
    retry_jitter_factor: Annotated[float | None, _inherited(_JITTER)]
    task_runner: Annotated[
        "type[TaskRunnerLike] | TaskRunnerLike | None",
        Option(
            "class or instance; default: ``ConcurrentTaskRunner()``. Each run gets a duplicate."
        ),
    ]
    description: Annotated[str | None, _text("default: the docstring.")]
    timeout_seconds: Annotated[
        float | datetime.timedelta | None,
        Option(
            "for each attempt, or a ``timedelta``; on the main thread and in async flows the\n"
            "function is interrupted, elsewhere it ends at its next task call."
        ),
    ]
    validate_parameters: Annotated[
        bool | None,
        Option(
            "check and coerce arguments by annotation.",
            True,
            stored_as="should_validate_parameters",
        ),
    ]
    persist_result: Annotated[
        bool | None, _inherited("whether results (of its tasks too) are kept on disk.")
    ]
    result_storage: Annotated[Any, _REFUSED]
    result_serializer: Annotated[str | None, _inherited(_SERIALIZERS)]
    cache_result_in_memory: Annotated[
        bool | None,
        Option("``False`` drops the result from memory once it is kept on disk.", True),
    ]
    log_prints: Annotated[bool | None, _inherited("whether prints become log lines, in tasks too.")]
    on_completion: Annotated[Hooks | None, _text(_ON_FLOW + "completed.")]
    on_failure: Annotated[Hooks | None, _text(_ON_FLOW + "failed.")]
    on_cancellation: Annotated[Hooks | None, _text(_ON_FLOW + "was cancelled.")]
    on_crashed: Annotated[Hooks | None, _text(_ON_FLOW + "crashed.")]
    on_running: Annotated[Hooks | None, _text(_ON_FLOW + "starts.")]


G = TypeVar("G", TaskOptions, FlowOptions)


class Options(Generic[G]):
    """The options of one kind of definition, with what is shown to users.

    Args:
        of: the typed dictionary.
    """

    def __init__(self, of: type[G]) -> None:
        self._types = of.__annotations__
        self._entries = {n: cast("Option", t.__metadata__[0]) for n, t in self._types.items()}
        self._defaults = {name: option.default for name, option in self._entries.items()}

    def completed(self, given: G, where: str) -> G:
        """Return all options, those that are not given with their defaults.

        Args:
            given: by name.
            where: who was called, for the message.

        Raises:
            TypeError: there is no option of a name in ``given``.
        """
        for name in given:
            if name not in self._entries:
                raise TypeError(f"{where}() got an unexpected keyword argument {name!r}")
        return cast("G", {**self._defaults, **given})

    def changed(self, definition: object, given: G) -> G:
        """Return all options of a flow or task, those in ``given`` replaced.

        ``None`` where it has no meaning of its own and, for names, texts and hooks, anything empty
        counts as not given.

        Raises:
            TypeError: there is no option of a name in ``given``.
        """
        self.completed(given, "with_options")
        new: Mapping[str, Any] = given
        found = {}
        for name, option in self._entries.items():
            kept = name not in new or (new[name] is None and not option.none_inherits)
            if kept or (option.empty_is_none and not new[name]):
                old = getattr(definition, option.stored_as or name)
                found[name] = old or None if isinstance(old, list) else old
            else:
                found[name] = new[name]
        return cast("G", found)

    def show(self, function: Any) -> None:
        """Let a function that takes options by ``**`` show them to users: in its signature, and in
        its docstring in place of ``OPTIONS``."""
        own = inspect.signature(function)
        *first, _ = own.parameters.values()
        function.__signature__ = own.replace(
            parameters=[*first, *map(self._parameter, self._entries)]
        )
        if doc := inspect.getdoc(
            function
        ):  # python -OO has none; from 3.13 on it comes without indent
            function.__doc__ = doc.replace("OPTIONS", self._listed())

    def _parameter(self, name: str) -> inspect.Parameter:
        shown = self._types[name].__origin__
        return inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=self._entries[name].default,
            annotation=shown.__forward_arg__ if isinstance(shown, ForwardRef) else shown,
        )

    def _listed(self) -> str:
        indent = "\n" + 4 * " "
        return indent.join(
            f"{name}: {option.doc.replace(chr(10), indent + '    ')}"
            for name, option in self._entries.items()
        )


TASK_OPTIONS: Final = Options(TaskOptions)
FLOW_OPTIONS: Final = Options(FlowOptions)

"""``cache_key_fn`` and ``cache_policy``: two ways to say the same, of which one holds."""

from __future__ import annotations

import difflib
import warnings
from typing import TYPE_CHECKING, Any, cast

from flowdeck.cache_policies import CachePolicy
from flowdeck.definitions import hooks
from flowdeck.definitions.definition import check_callable
from flowdeck.values.previews import safe_repr
from flowdeck.values.statics import type_name

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

    from flowdeck.definitions.options import TaskOptions

_POLICIES = "INPUTS, TASK_SOURCE, RUN_ID, FLOW_PARAMETERS, NO_CACHE, DEFAULT"


def cache_options(
    name: str, given: TaskOptions
) -> tuple[Callable[..., Any] | None, CachePolicy | None]:
    """Return what computes the cache keys of a task, ``None`` if nothing is cached, and its policy,
    if that is what does.

    Args:
        name: of the task.
        given: its options.

    Raises:
        TypeError: one of the two options is something else, or cannot be called as it will be.
    """
    key_fn, policy = given["cache_key_fn"], given["cache_policy"]
    check_callable("cache_key_fn", key_fn)
    if policy is not None and not isinstance(policy, CachePolicy):
        hint = " A function is given as cache_key_fn." if callable(policy) else ""
        raise TypeError(
            f"cache_policy is one of flowdeck.cache_policies ({_POLICIES}), or a sum of them; got "
            f"{type_name(policy)}: {safe_repr(policy)}.{hint}"
        )
    if isinstance(key_fn, CachePolicy) and policy in (None, key_fn):
        key_fn, policy = None, key_fn
    if key_fn is not None:
        hooks.check_signature("cache_key_fn", key_fn, ("context", "arguments"), by_keyword=False)
        if policy is not None:
            _warn(f"Task {name!r} has a cache_key_fn and a cache_policy: the cache_key_fn holds.")
        return key_fn, None
    if policy and given["persist_result"] is False:
        _warn(
            f"Task {name!r} has the cache_policy {policy!r}, but persist_result=False: nothing is "
            "kept that could be re-used."
        )
    return policy or None, policy


def check_excluded(policy: CachePolicy | None, signature: inspect.Signature, name: str) -> None:
    """Refuse a policy that leaves out an argument which its task does not have.

    Raises:
        ValueError: there is no parameter of that name.
    """
    for excluded in () if policy is None else policy.excluded:
        if excluded not in signature.parameters:
            near = difflib.get_close_matches(excluded, signature.parameters, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(signature.parameters) or "none"
            raise ValueError(
                f"The cache_policy of task {name!r} leaves out {excluded!r}, which is none of its "
                f"parameters ({known}).{hint}"
            )


def newest(options: TaskOptions, changed: TaskOptions) -> TaskOptions:
    """Return the options of a changed task, of the two that mean the same only what is new.

    Args:
        options: as ``with_options`` was given them.
        changed: these, and the others as they were.
    """
    new = {"cache_key_fn", "cache_policy"} & {name for name in options if options[name] is not None}  # type: ignore[literal-required]
    if len(new) != 1:
        return changed
    (dropped,) = {"cache_key_fn", "cache_policy"} - new
    return cast("TaskOptions", {**changed, dropped: None})


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)

"""Why Ray does not start tasks: no node has what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck.remote.stuck import counted, shown
from flowdeck.task_runners._ray.options import options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.remote.remote_run import RemoteRun

#: What nodes are told apart by, and do not have to give.
_INTERNAL: Final = ("node:", "object_store_memory")


def find(remote_runs: list[RemoteRun]) -> dict[int, str]:
    """Say of runs, by their numbers, why no node of Ray's can ever start them."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node.get("Alive")]
    reasons = {}
    for remote_run in remote_runs:
        run = remote_run.run
        wanted = None if run.context is None else _wanted(options_of(run))
        if wanted and not any(_has(node, wanted) for node in nodes):
            reasons[run.no] = _why(wanted, nodes)
    return reasons


def _wanted(options: Mapping[str, Any]) -> dict[str, float] | None:
    """Return what a task with these options needs; ``None`` if it is not for nodes to have."""
    if options.get("scheduling_strategy") not in (None, "DEFAULT", "SPREAD"):
        return None
    if options.get("placement_group") not in (None, "default"):
        return None
    wanted = dict(options.get("resources") or {})
    cpus = options.get("num_cpus")
    wanted["CPU"] = 1 if cpus is None else cpus
    wanted["GPU"] = options.get("num_gpus") or 0
    wanted["memory"] = options.get("memory") or 0
    kind = options.get("accelerator_type")
    if kind is not None:
        wanted[f"accelerator_type:{kind}"] = 0.001
    return {name: amount for name, amount in wanted.items() if amount}


def _has(node: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    return all(node.get(name, 0) >= amount for name, amount in wanted.items())


def _why(wanted: dict[str, float], nodes: list[Any]) -> str:
    if not nodes:
        return "Waits for a node: this Ray has none, or none yet."
    # Memory only if it was asked for: else it is a number that nobody compares with anything.
    skipped = _INTERNAL if "memory" in wanted else (*_INTERNAL, "memory")
    has = sorted(
        {shown({n: v for n, v in node.items() if not n.startswith(skipped)}) for node in nodes}
    )
    return (
        f"Waits for what no node of Ray has: it asks for {shown(wanted)}; there "
        f"{'is' if len(nodes) == 1 else 'are'} {counted(len(nodes), 'node')} with "
        f"{' or '.join(text or 'nothing' for text in has[:5])}."
    )

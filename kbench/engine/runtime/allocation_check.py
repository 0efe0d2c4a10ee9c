"""Check the allocation: the site's nodes, ranks and GPUs against what the ranks find."""

import os
from collections import Counter
from collections.abc import Mapping

import torch

from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv
from kbench.errors import LaunchError, NodeError
from kbench.records.run_files import Allocation


def check_allocation(allocation: Allocation, env: RankEnv, comm: Comm) -> None:
    """Compare nodes, ranks per node and GPUs with the site's; every rank must call.

    Raises:
        LaunchError: the ranks are spread otherwise.
        NodeError: a node lacks GPUs.
    """
    shown = shown_gpus() if allocation.gpus_per_node else []
    found = comm.gather_objects((env.node, shown))
    per_node = Counter(node for node, _ in found)
    if len(per_node) != allocation.nodes:
        raise LaunchError(
            f"the ranks are on {len(per_node)} nodes ({_listed(per_node)}), the site allocates {allocation.nodes}",
            hint="see nodes and ranks_per_node in the site file, and how its template starts ranks",
        )
    uneven = {node: n for node, n in per_node.items() if n != allocation.ranks_per_node}
    if uneven:
        raise LaunchError(
            f"{_listed(uneven)}: the site allocates {allocation.ranks_per_node} ranks on each node",
            hint="see ranks_per_node in the site file, and how its template starts ranks",
        )
    gpus = {node: {gpu for there, shown in found if there == node for gpu in shown} for node in per_node}
    poor = {node: len(names) for node, names in gpus.items() if len(names) < allocation.gpus_per_node}
    if poor:
        node, n = next(iter(poor.items()))
        raise NodeError(
            f"node {node} shows {n} GPUs, the site allocates {allocation.gpus_per_node} on each node",
            node=node,
            hint="kbench run --retry avoids the node; if all are so, see gpus_per_node in the site file",
        )


def check_devices(env: RankEnv, device: torch.device, comm: Comm) -> None:
    """Raise LaunchError where two ranks of a node were given the same GPU; every rank must call."""
    mine = shown_gpus()[device.index or 0] if device.type == "cuda" else ""
    users: dict[tuple[str, str], list[int]] = {}
    for rank, place in enumerate(comm.gather_objects((env.node, mine))):
        users.setdefault(place, []).append(rank)
    for (node, gpu), ranks in users.items():
        if gpu and not gpu.isdecimal() and len(ranks) > 1:  # a number says nothing: each task may count from 0
            raise LaunchError(
                f"ranks {', '.join(map(str, ranks))} on {node} were given the same GPU ({gpu})",
                hint="start at most one rank per GPU: lower ranks_per_node, or mend --gpu-bind, --gpus-per-task or "
                "CUDA_VISIBLE_DEVICES",
            )


def shown_gpus(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that this process is shown, by what tells them apart on their node: UUIDs, or else their numbers here.

    Parts of a GPU (MIG) share its UUID, but the variable that shows them has their own.
    """
    n_gpus = torch.cuda.device_count()
    entries = [word.strip() for word in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if len(entries) == n_gpus and all(word.startswith("MIG-") for word in entries):
        return entries
    try:
        return [str(torch.cuda.get_device_properties(n).uuid) for n in range(n_gpus)]
    except (AttributeError, AssertionError, RuntimeError):  # a torch before 2.5
        named = len(entries) == n_gpus and all(word.startswith("GPU-") for word in entries)
        return entries if named else [str(n) for n in range(n_gpus)]


def _listed(per_node: dict[str, int]) -> str:
    return ", ".join(f"{node}: {n}" for node, n in list(per_node.items())[:4]) + (", ..." if len(per_node) > 4 else "")

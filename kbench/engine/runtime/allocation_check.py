"""Check the allocation: the site's nodes, ranks and GPUs against what the ranks find."""

from collections import Counter

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
    n_gpus = torch.cuda.device_count() if allocation.gpus_per_node else 0
    found = comm.gather_objects((env.node, n_gpus))
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
    poor = {node: n for node, n in found if n < allocation.gpus_per_node}
    if poor:
        node, n = next(iter(poor.items()))
        raise NodeError(
            f"node {node} shows {n} GPUs, the site allocates {allocation.gpus_per_node} on each node",
            node=node,
            hint="kbench run --retry avoids the node; if all are so, see gpus_per_node in the site file",
        )


def _listed(per_node: dict[str, int]) -> str:
    return ", ".join(f"{node}: {n}" for node, n in list(per_node.items())[:4]) + (", ..." if len(per_node) > 4 else "")

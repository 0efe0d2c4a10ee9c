"""What a site allocation is held against what the ranks find, before anything is trained."""

import pytest

from kbench.engine.runtime.allocation_check import check_allocation
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv
from kbench.errors import LaunchError, NodeError
from kbench.records.run_files import Allocation

ENV = RankEnv(starter="Slurm", rank=0, size=1, local_rank=0, master=None, node="n4")
ONE = Allocation(nodes=1, ranks_per_node=1, gpus_per_node=0)


def test_a_promise_that_is_kept_is_nothing_to_speak_of() -> None:
    check_allocation(ONE, ENV, Comm())


def test_ranks_on_fewer_nodes_than_promised_are_named_with_their_nodes() -> None:
    with pytest.raises(LaunchError, match=r"the ranks are on 1 nodes \(n4: 1\), the site allocates 2"):
        check_allocation(ONE.model_copy(update={"nodes": 2}), ENV, Comm())


def test_a_node_with_fewer_ranks_than_promised_is_named() -> None:
    with pytest.raises(LaunchError, match="n4: 1: the site allocates 4 ranks on each node"):
        check_allocation(ONE.model_copy(update={"ranks_per_node": 4}), ENV, Comm())


def test_a_node_without_the_promised_gpus_is_named_so_that_it_can_be_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    with pytest.raises(NodeError, match="node n4 shows 3 GPUs, the site allocates 4") as caught:
        check_allocation(ONE.model_copy(update={"gpus_per_node": 4}), ENV, Comm())
    assert caught.value.node == "n4"

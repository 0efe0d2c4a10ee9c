"""What a site allocation is held against what the ranks find, before anything is trained."""

from typing import TypeVar, cast

import pytest
import torch

from kbench.engine.runtime.allocation_check import check_allocation, check_devices, shown_gpus
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv
from kbench.errors import LaunchError, NodeError
from kbench.records.run_files import Allocation

T = TypeVar("T")
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


def test_parts_of_gpus_are_told_apart_by_the_variable_that_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert shown_gpus({"CUDA_VISIBLE_DEVICES": "MIG-a, MIG-b"}) == ["MIG-a", "MIG-b"]
    assert shown_gpus({"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}) == ["GPU-a", "GPU-b"]
    assert shown_gpus({}) == ["0", "1"]


class OfTwo(Comm):
    """A rank whose other one finds the same as itself, or something else on the same node."""

    def __init__(self, other: object = None) -> None:
        super().__init__()
        self._other = other

    def gather_objects(self, thing: T) -> list[T]:
        return [thing, cast(T, self._other or thing)]


def test_two_ranks_that_were_given_one_gpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    with pytest.raises(LaunchError, match=r"ranks 0, 1 on n4 were given the same GPU \(GPU-a\)"):
        check_devices(ENV, torch.device("cuda", 0), OfTwo())
    check_devices(ENV, torch.device("cuda", 0), OfTwo(("n4", "GPU-b")))
    check_devices(ENV, torch.device("cpu"), OfTwo())


def test_gpus_that_are_shown_to_tasks_one_by_one_make_up_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    two = Allocation(nodes=1, ranks_per_node=2, gpus_per_node=2)
    check_allocation(two, ENV, OfTwo(("n4", ["GPU-b"])))
    with pytest.raises(NodeError, match="node n4 shows 1 GPUs, the site allocates 2"):
        check_allocation(two, ENV, OfTwo())

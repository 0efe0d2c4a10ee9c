"""Collectives: the identity for one rank, and the truth for three real ones."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.tasks.workload import Workload

SIZE = 3


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> list[dict[str, Any]]:
    """What three gloo ranks saw, in the order of the ranks."""
    program, meeting = Path(__file__).with_name("rank_program.py"), tmp_path_factory.mktemp("ranks") / "store"
    ranks = [
        subprocess.Popen(
            [sys.executable, str(program), str(rank), str(SIZE), str(meeting)],
            env=clean_env | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(SIZE)
    ]
    said = [rank.communicate(timeout=180) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * SIZE, said
    return [json.loads(out) for out, _ in said]


def test_alone_every_collective_is_the_identity() -> None:
    comm = Comm()
    values = torch.tensor([1.0, 2.0])
    assert (comm.rank, comm.size) == (0, 1)
    assert comm.sum(values) is values and values.tolist() == [1.0, 2.0]
    assert comm.min(5) == 5 and comm.gather([1.0, 0.5]) == [[1.0, 0.5]] and comm.gather_text("me") == ["me"]
    comm.agree(7, "nothing")
    comm.barrier()


def test_alone_averaging_leaves_buffers_as_they_are() -> None:
    norm = nn.BatchNorm1d(3)
    norm(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    assert norm.running_mean is not None
    before = norm.running_mean.clone()
    Comm().average_buffers(norm)
    assert torch.equal(norm.running_mean, before)


@pytest.mark.dist
def test_each_rank_knows_its_place(told: list[dict[str, Any]]) -> None:
    assert [rank["place"] for rank in told] == [[0, 3], [1, 3], [2, 3]]


@pytest.mark.dist
def test_sums_are_the_same_on_every_rank(told: list[dict[str, Any]]) -> None:
    assert [rank["sum"] for rank in told] == [[6.0, 30.0]] * SIZE


@pytest.mark.dist
def test_the_smallest_number_is_known_on_every_rank(told: list[dict[str, Any]]) -> None:
    assert [rank["min"] for rank in told] == [5] * SIZE


@pytest.mark.dist
def test_gathered_values_come_in_the_order_of_the_ranks(told: list[dict[str, Any]]) -> None:
    assert [rank["gather"] for rank in told] == [[[0.0, 1.5], [0.25, 1.5], [0.5, 1.5]]] * SIZE
    assert [rank["gather_text"] for rank in told] == [["rank ", "rank x", "rank xx"]] * SIZE


@pytest.mark.dist
def test_ranks_that_agree_go_on(told: list[dict[str, Any]]) -> None:
    assert [rank["agree"]["same"] for rank in told] == [None] * SIZE


@pytest.mark.dist
@pytest.mark.parametrize("case", ["one differs", "last bit", "signs"])
def test_a_disagreement_is_an_error_on_every_rank(case: str, told: list[dict[str, Any]]) -> None:
    assert [rank["agree"][case] for rank in told] == ["the number differs between the ranks"] * SIZE


@pytest.mark.dist
def test_floating_buffers_are_averaged_and_nothing_else(told: list[dict[str, Any]]) -> None:
    for place, rank in enumerate(told):
        mean_2, var_2, batches_2, mean_3, var_3, batches_3 = rank["buffers"]
        assert mean_2 == var_2 == [2.0, 2.0] and mean_3 == var_3 == [2.0, 2.0, 2.0]
        assert batches_2 == batches_3 == place + 1 and rank["weights"] == [place + 1.0]


@pytest.mark.dist
def test_a_sample_that_all_ranks_measured_counts_once(told: list[dict[str, Any]]) -> None:
    for rank in told:
        loss, correct, age = rank["merged"]
        assert loss == pytest.approx([1.0, 2.0, 3.0, 2.0, math.log(10)])
        assert correct == [True, True, True, False, False]  # of sample 3 one rank in three was right
        assert age == [0, 0, 0, 0, -1]


@pytest.mark.dist
def test_scores_are_those_of_one_rank(told: list[dict[str, Any]], workload_of: Callable[..., Workload]) -> None:
    alone = evaluate(Learner(workload_of(), 0, Comm()), Comm())
    for rank in told:
        assert rank["untrained"] == [pytest.approx(alone.loss, rel=1e-6), alone.acc1, alone.acc5]


@pytest.mark.dist
def test_ranks_share_their_weights_but_not_their_batch_statistics_until_averaged(told: list[dict[str, Any]]) -> None:
    for rank in told:
        assert (rank["n_weights"], rank["n_models"], rank["n_models_averaged"]) == (1, SIZE, 1)


@pytest.mark.dist
def test_a_rank_that_left_is_missed_by_the_others(told: list[dict[str, Any]]) -> None:
    lost = [f"rank {rank} lost contact with another rank while waiting for the others" for rank in range(SIZE - 1)]
    assert [rank.get("lost") for rank in told] == [*lost, None]

"""RHO-LOSS against a slow restatement: the split, the floor, and the best batch of all candidates."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.errors import ConfigError
from kbench.strategies import load
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Phase, Probe, SampleStats, state_dict
from kbench.strategies.rho_loss import RhoLoss

At = Callable[..., Epoch]
Case = Callable[[int], SampleStats]


def best_slowly(loss: list[float], floor: list[float], size: int) -> list[int]:
    """Places of the ``size`` greatest differences; of equal ones the earlier."""
    gain = [float(np.float32(a) - np.float32(b)) for a, b in zip(loss, floor, strict=True)]
    return sorted(sorted(range(len(gain)), key=lambda place: (-gain[place], place))[:size])


def candidates(ids: Tensor) -> Batch:
    return Batch(ids, torch.zeros(len(ids), 1, 2, 2), torch.zeros(len(ids), dtype=torch.int64))


def seen(strategy: RhoLoss, size: int) -> None:
    """Let the strategy see one full batch, as it does in the holdout phase."""
    loss = torch.ones(size)
    strategy.observe(candidates(torch.arange(size)), Measured(loss, loss > 0, loss, loss))


def picked(strategy: RhoLoss, ids: Tensor, probe: Probe) -> list[int] | None:
    weight = strategy.select(candidates(ids), probe)
    if weight is None:
        return None
    assert weight.dtype == torch.float32 and set(weight.tolist()) <= {0.0, 1.0}
    return weight.nonzero().squeeze(1).tolist()


def losses(rng: np.random.Generator, n: int, *, tied: bool) -> Tensor:
    drawn = rng.integers(0, 3, size=n) / 2 if tied else rng.exponential(size=n)
    return torch.tensor(drawn, dtype=torch.float32)


def in_training(strategy: RhoLoss, epoch_at: At, floor: Tensor, *, index: int = 0) -> EpochPlan:
    """Plan a training epoch when ``floor`` is what the last refresh left."""
    n = len(floor)
    stats = SampleStats(floor, floor < 1, floor, floor, torch.zeros(n, dtype=torch.int16))
    return strategy.plan(epoch_at(n, index), stats)


def test_takes_the_greatest_reducible_losses_of_each_pool(epoch_at: At, probe_of: Any) -> None:
    for k in range(2000):
        rng = np.random.default_rng(k)
        size, candidate_batches = int(rng.integers(1, 9)), int(rng.integers(2, 12))
        n_batches = (
            candidate_batches if k % 3 else int(rng.integers(2, candidate_batches + 1))
        )  # the last candidates may be fewer
        n = 4 * size * candidate_batches
        floor, loss = losses(rng, n, tied=k % 2 == 0), losses(rng, n_batches * size, tied=k % 2 == 0)
        strategy = RhoLoss(keep=1 / candidate_batches, holdout=0.25)
        plan = in_training(strategy, epoch_at, floor)
        seen(strategy, size)
        ids = plan.indices[torch.tensor(rng.permutation(len(plan.indices))[: n_batches * size])]
        expected = best_slowly(loss.tolist(), floor[ids].tolist(), size)
        assert plan.candidate_batches == candidate_batches
        assert picked(strategy, ids, probe_of(epoch_at(n), [loss])) == expected, k


@pytest.mark.parametrize("ranks", range(1, 9))
def test_every_rank_takes_one_batch_of_its_own_part(ranks: int, epoch_at: At, probe_of: Any) -> None:
    size, candidate_batches, n = 3, 5, 480
    rng = np.random.default_rng(ranks)
    floor, loss = losses(rng, n, tied=True), losses(rng, n, tied=True)
    alike: set[tuple[int, ...]] = set()
    for rank in range(ranks):
        strategy = RhoLoss(keep=0.2, holdout=0.25)
        plan = in_training(strategy, epoch_at, floor)
        alike.add(tuple(plan.indices.tolist()))
        seen(strategy, size)
        dealt = plan.indices[: candidate_batches * ranks * size].view(candidate_batches, ranks, size)[:, rank].flatten()
        expected = best_slowly(loss[dealt].tolist(), floor[dealt].tolist(), size)
        assert picked(strategy, dealt, probe_of(epoch_at(n), [loss[dealt]])) == expected
    assert len(alike) == 1


def test_holds_out_an_exact_share_that_training_never_sees(epoch_at: At, stats_case: Case) -> None:
    for k in range(500):
        stats, holdout = stats_case(k), [0.5, 0.1, 0.9, 0.33][k % 4]
        n, strategy = len(stats.loss), RhoLoss(holdout=holdout, holdout_epochs=2)
        first, second = (
            strategy.plan(epoch_at(n, index, epochs=2, phase="holdout", seed=k), stats) for index in range(2)
        )
        later = [strategy.plan(epoch_at(n, index, seed=k), stats) for index in range(3)]
        held = set(first.indices.tolist())
        assert len(first.indices) == len(held) == int(holdout * n)
        assert second.indices.tolist() == first.indices.tolist()
        for plan in later:
            assert plan.indices.tolist() == [i for i in range(n) if i not in held]
        assert first.refresh is None and all(plan.refresh is None for plan in later)
        assert second.refresh is not None and second.refresh.tolist() == later[0].indices.tolist()
        assert first.candidate_batches == 1 and first.weights is None and first.lr_scale == 1.0


def test_every_sample_is_held_out_as_often_as_any_other(epoch_at: At, unmeasured: Case) -> None:
    n, times, share, stats = 30, 3000, 0.3, unmeasured(30)
    held = torch.zeros(n)
    for seed in range(times):
        plan = RhoLoss(holdout=share).plan(epoch_at(n, 0, phase="holdout", seed=seed), stats)
        held[plan.indices] += 1
    assert ((held / times - share).abs() < 5 * math.sqrt(share * (1 - share) / times)).all()


def test_the_irreducible_loss_is_what_the_holdout_model_ended_with(epoch_at: At) -> None:
    strategy = RhoLoss(holdout=0.5)
    ended = torch.rand(40, generator=torch.Generator().manual_seed(0))
    in_training(strategy, epoch_at, ended)
    in_training(strategy, epoch_at, ended + 1, index=1)  # what training measures does not change it
    assert strategy.floor is not None and torch.equal(strategy.floor, ended)


def test_without_a_holdout_phase_the_highest_losses_are_taken(epoch_at: At, probe_of: Any) -> None:
    for k in range(300):
        rng = np.random.default_rng(k)
        loss = losses(rng, 40, tied=k % 2 == 0)
        strategy = RhoLoss(keep=0.1, holdout=0.0)
        plan = in_training(strategy, epoch_at, torch.full((80,), 5.0))
        assert plan.indices.tolist() == list(range(80))
        expected = best_slowly(loss.tolist(), [0.0] * 40, 4)
        assert picked(strategy, torch.arange(40), probe_of(epoch_at(80), [loss])) == expected, k


def test_a_last_pool_of_one_batch_is_trained_unseen(epoch_at: At, probe_of: Any) -> None:
    strategy = RhoLoss(keep=0.25, holdout=0.0)
    in_training(strategy, epoch_at, torch.zeros(20))
    probe = probe_of(epoch_at(20), [torch.rand(16), torch.rand(8)])
    taken = [picked(strategy, torch.arange(n), probe) for n in (16, 8, 4)]
    assert [len(places or []) for places in taken] == [4, 4, 0] and taken[2] is None and probe.asked == 2


def test_nothing_is_looked_at_in_the_holdout_phase_or_when_all_are_kept(epoch_at: At, probe_of: Any) -> None:
    holding, keeping = probe_of(epoch_at(8, 0, phase="holdout"), []), probe_of(epoch_at(8), [])
    assert RhoLoss().select(candidates(torch.arange(8)), holding) is None
    assert RhoLoss(keep=1.0).select(candidates(torch.arange(8)), keeping) is None
    assert RhoLoss(keep=1.0, holdout=0.0).phases(7) == (Phase.train(7),)


def test_ties_go_to_the_earlier_place(epoch_at: At, probe_of: Any) -> None:
    strategy = RhoLoss(keep=0.01, holdout=0.0)
    in_training(strategy, epoch_at, torch.zeros(5000))
    assert picked(strategy, torch.arange(5000).flip(0), probe_of(epoch_at(5000), [torch.ones(5000)])) == list(range(50))


def test_a_loss_that_is_no_number_is_not_passed_over(epoch_at: At, probe_of: Any) -> None:
    strategy, nan = RhoLoss(keep=0.5, holdout=0.0), float("nan")
    in_training(strategy, epoch_at, torch.zeros(4))
    assert picked(strategy, torch.arange(4), probe_of(epoch_at(4), [torch.tensor([9.0, nan, 8.0, nan])])) == [1, 3]


@pytest.mark.parametrize(
    ("params", "epochs", "first"), [({}, 30, 30), ({"holdout_epochs": 4}, 30, 4), ({"holdout_epochs": 9}, 2, 9)]
)
def test_the_holdout_model_has_a_whole_schedule_of_its_own(params: dict[str, int], epochs: int, first: int) -> None:
    assert load("rho-loss", params).phases(epochs) == (
        Phase(name="holdout", epochs=first, horizon=first),
        Phase.train(epochs),
    )


def test_remembers_five_bytes_a_sample(epoch_at: At, unmeasured: Case) -> None:
    strategy = RhoLoss()
    strategy.plan(epoch_at(1000, 0, epochs=1, phase="holdout"), unmeasured(1000))
    strategy.plan(epoch_at(1000, 0), unmeasured(1000))
    kept = [value for value in state_dict(strategy).values() if isinstance(value, Tensor)]
    assert sum(tensor.numel() * tensor.element_size() for tensor in kept) == 5000


def test_beyond_2_to_the_24_the_share_is_exact(epoch_at: At) -> None:
    n = 2**24 + 4
    nothing = torch.zeros(n)
    stats = SampleStats(nothing, nothing > 0, nothing, nothing, torch.zeros(n, dtype=torch.int16))
    held = RhoLoss(holdout=0.25).plan(epoch_at(n, 0, phase="holdout"), stats).indices
    assert len(held) == 2**22 + 1 and (held[1:] > held[:-1]).all()
    assert abs(float((held < n // 2).double().mean()) - 0.5) < 5 * math.sqrt(0.25 / len(held))


@pytest.mark.parametrize("params", [{"keep": 0.0}, {"keep": 1.5}, {"holdout": 1.0}, {"holdout_epochs": 0}])
def test_a_parameter_out_of_its_range_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        load("rho-loss", params)

"""Mixup and cutmix are timm's: by pixel where the random numbers are the same, and in distribution."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import Mixup
from timm.loss import SoftTargetCrossEntropy
from torch import Tensor

from kbench.config.experiment import Pair
from kbench.data.views.hashed_random import salted, sample_seed
from kbench.data.views.mix import Mixing
from kbench.tasks.workload import Workload

SIDE, N, CLASSES, KEY = 17, 12, 5, 7
X = torch.randn(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
Y = torch.randint(CLASSES, (N,), generator=torch.Generator().manual_seed(1))
KINDS = {"mixup": (0.8, 0.0), "cutmix": (0.0, 1.0), "both": (0.8, 1.0)}


def mixing(mixup: float = 0.8, cutmix: float = 1.0, *, group: int = N, by_larger: bool = False) -> Mixing:
    return Mixing(mixup=mixup, cutmix=cutmix, chance=1.0, switch=0.5, group=group, by_larger=by_larger)


@pytest.fixture(autouse=True)
def numpys_stream_is_left_alone() -> Iterator[None]:
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    yield
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]


def timms(x: Tensor, y: Tensor, kind: str, *, seed: int, smoothing: float) -> tuple[Tensor, Tensor]:
    """timm's views and soft targets of a batch whose neighbours are first and last, second and last but one, for it."""
    order = torch.cat([torch.arange(0, len(x), 2), torch.arange(len(x) - 1, 0, -2)])
    mixup, cutmix = KINDS[kind]
    mixer = Mixup(mixup, cutmix, label_smoothing=smoothing, num_classes=CLASSES)
    before = np.random.get_state()
    np.random.seed(seed)
    views, targets = mixer(x[order].clone(), y[order])
    np.random.set_state(before)
    back = order.argsort()
    return views[back], targets[back]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_mixed_as_timm_mixes_it_with_the_same_numbers(kind: str) -> None:
    n_cut = 0
    for group in range(20):
        seed = sample_seed(salted(KEY, "mix"), group) % 2**32
        views, targets = timms(X, Y, kind, seed=seed, smoothing=0.1)
        places = group * N + torch.arange(N)
        own = mixing(*KINDS[kind]).mixed(X, Y, places, key=KEY)
        assert torch.equal(own.x, views)
        hot = [torch.nn.functional.one_hot(label, CLASSES).float() * 0.9 + 0.02 for label in (own.y, own.other)]
        assert torch.allclose(own.share[:, None] * hot[0] + (1 - own.share[:, None]) * hot[1], targets, atol=1e-6)
        n_cut += mixing(*KINDS[kind]).draw(key=KEY, group=group, height=SIDE, width=SIDE).box is not None
    assert (n_cut > 0, n_cut < 20) == {"mixup": (False, True), "cutmix": (True, False), "both": (True, True)}[kind]


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_shares_are_distributed_as_timms(kind: str) -> None:
    own = [mixing(*KINDS[kind]).draw(key=KEY, group=group, height=SIDE, width=SIDE).share for group in range(300)]
    rng, before = np.random.RandomState(3), np.random.get_state()
    np.random.set_state(rng.get_state())
    shares = []
    for _ in range(300):
        _, target = Mixup(*KINDS[kind], label_smoothing=0.0, num_classes=2)(X[:2].clone(), torch.tensor([0, 1]))
        shares.append(float(target[0, 0]))
    np.random.set_state(before)
    assert stats.ks_2samp(own, shares).pvalue > 1e-3
    assert 0 <= min(own) < 0.3 and 0.8 < max(own) <= 1


def test_a_group_is_mixed_with_the_chance_of_the_recipe_and_cut_with_the_other() -> None:
    mixer = Mixing(mixup=0.8, cutmix=1.0, chance=0.5, switch=0.25, group=2, by_larger=False)
    draws = [mixer.draw(key=KEY, group=group, height=SIDE, width=SIDE) for group in range(800)]
    assert abs(sum(draw.share == 1 and draw.box is None for draw in draws) - 400) < 60
    assert abs(sum(draw.box is not None for draw in draws) - 100) < 40


def test_ranks_mix_what_one_rank_mixes() -> None:
    whole = mixing(group=8).mixed(X, Y, torch.arange(N), key=KEY)
    for rank in range(3):
        rows = slice(4 * rank, 4 * rank + 4)
        part = mixing(group=8).mixed(X[rows], Y[rows], torch.arange(N)[rows], key=KEY)
        assert all(torch.equal(one, all_of[rows]) for one, all_of in zip(part, whole, strict=True))
    assert len({float(share) for share in whole.share}) == 2  # one of each group of eight


def test_the_last_of_an_odd_number_is_left_with_its_label() -> None:
    own = mixing(0.8, 0.0).mixed(X[:5], Y[:5], torch.arange(5), key=KEY)
    assert torch.allclose(own.x[4], X[4], atol=1e-6) and own.other[4] == Y[4]


def test_the_larger_share_counts_where_the_recipe_says_so() -> None:
    plain, larger = (mixing(group=2, by_larger=way).mixed(X, Y, torch.arange(N), key=KEY) for way in (False, True))
    swapped = plain.share < 0.5
    assert swapped.any() and not swapped.all() and bool((larger.share >= 0.5).all())
    assert torch.equal(larger.y, torch.where(swapped, plain.other, plain.y)) and torch.equal(larger.x, plain.x)


def test_the_loss_against_a_mixed_target_is_timms_soft_one() -> None:
    recipe = {"epochs": 1, "global_batch": 48, "lr": 0.1, "mixup": 0.8, "label_smoothing": 0.1}
    pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe})
    workload = Workload(pair, torch.device("cpu"))
    logits = torch.randn(N, CLASSES, generator=torch.Generator().manual_seed(2))
    share = torch.rand(N, generator=torch.Generator().manual_seed(3))
    other = Y.flip(0)

    def soft(smoothing: float) -> Tensor:
        hot = [
            torch.nn.functional.one_hot(label, CLASSES) * (1 - smoothing) + smoothing / CLASSES for label in (Y, other)
        ]
        target = share[:, None] * hot[0] + (1 - share[:, None]) * hot[1]
        return torch.stack([SoftTargetCrossEntropy()(logits[i : i + 1], target[i : i + 1]) for i in range(N)])

    assert torch.allclose(workload.criterion(logits, Y, mix=(other, share)), soft(0.1), atol=1e-6)
    loss, correct, *_ = workload.measure(logits, Y, mix=(other, share))
    assert torch.allclose(loss, soft(0.0), atol=1e-6)  # what strategies see is never smoothed
    assert torch.equal(correct, logits.argmax(1) == Y)

"""Training on mixed samples: who is mixed with whom, whatever the ranks, and what strategies are told of it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.recipe import Recipe
from kbench.config.yaml_source import read_text
from kbench.data.views.mix import mixing_of
from kbench.engine.mixing import dealt_in_pairs, mixed
from kbench.engine.stream import shard
from kbench.errors import ConfigError
from kbench.experiment.registries import Registries
from kbench.strategies import known, load
from kbench.strategies.api import Batch

N, GLOBAL_BATCH = 50, 12
MIXES = {"mixup": 0.8, "cutmix": 1.0, "mix_group": 4}
X = torch.randn(N, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def mixed_by_sample(size: int, n_candidates: int = 1) -> dict[int, tuple[bytes, int, float]]:
    """How each sample looks, what was mixed in, and its share, with ``size`` ranks together."""
    recipe = Recipe(epochs=1, global_batch=GLOBAL_BATCH, lr=0.1, **MIXES)
    workload: Any = SimpleNamespace(mixing=mixing_of(recipe))
    seen = {}
    for rank in range(size):
        comm: Any = SimpleNamespace(rank=rank, size=size)
        rng = torch.Generator().manual_seed(4)
        ids = torch.arange(40)
        steps = shard(ids, rng, global_batch=GLOBAL_BATCH, candidate_batches=n_candidates, comm=comm)
        again = torch.split(dealt_in_pairs(torch.arange(40, 49), comm), GLOBAL_BATCH // size)
        loaded = (Batch(index, X[index], index) for index in (*steps, *again))
        local = GLOBAL_BATCH // size
        for batch in mixed(loaded, workload, steps=steps, refreshed=again, size=local, key=3, comm=comm):
            assert batch.mix is not None
            for row, index in enumerate(batch.index.tolist()):
                other, share = (part[row].item() for part in batch.mix)
                seen[index] = (batch.x[row].numpy().tobytes(), int(other), float(share))
    return seen


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("n_candidates", [1, 2])
def test_samples_are_mixed_alike_on_any_number_of_ranks(size: int, n_candidates: int) -> None:
    alone = mixed_by_sample(1)
    assert mixed_by_sample(size, n_candidates) == alone
    assert len(alone) == 36 + 9
    partners = {index: other for index, (_, other, _) in alone.items()}
    assert all(partners[other] == index for index, other in partners.items())
    assert [index for index, other in partners.items() if index == other] == [48]  # the last of an odd number


def test_a_run_trains_on_mixed_samples_and_its_strategy_sees_the_loss_against_both(
    training_of: Callable[..., Any],
) -> None:
    plain, mixing = training_of("sb", {"beta": 1.0}), training_of("sb", {"beta": 1.0}, mixup=0.8, mix_group=2)
    assert all(batch.mix is None for batch, _ in plain.trained[0])
    batch, measured = mixing.trained[0][-1]
    other, share = batch.mix
    assert len(share.unique()) > 10 and bool(((other != batch.y) & (share < 1)).any())
    untouched = other == batch.y
    assert bool((measured.loss[~untouched] > 0).all())
    assert mixing.records[-1].train_loss > plain.records[-1].train_loss  # no network is sure of a mixed image
    assert mixing.records[-1].val_acc1 > 0.5


def test_the_same_run_mixes_the_same(run_of: Callable[..., Any], training_of: Callable[..., Any]) -> None:
    first = training_of("sb", {"beta": 1.0}, mixup=0.8, mix_group=2)
    again = training_of("sb", {"beta": 1.0}, mixup=0.8, mix_group=2, mix_chance=1.0)
    assert first is not again
    assert [record.train_loss for record in first.records] == [record.train_loss for record in again.records]
    assert first.views(2) == again.views(2)


def experiment(strategy: Any, **recipe: Any) -> None:
    written = {"epochs": 9, "global_batch": 48, "lr": 0.1, **MIXES, **recipe}
    lines = "\n".join(f"      {key}: {value}" for key, value in written.items())
    head = "name: x\npairs:\n  - model: digits-cnn\n    dataset: digits\n    recipe:\n"
    text = f"{head}{lines}\nstrategies:\n  - baseline\n  - {strategy}\n"
    parse(ExperimentSpec, read_text(text, "x.yaml"), context=Registries())


@pytest.mark.parametrize("strategy", ["kakurenbo", "forget: {score_epochs: 2}", "kf18", "gradmatch", "autoassist"])
def test_a_strategy_that_needs_a_class_is_refused_until_the_recipe_says_which_counts(strategy: str) -> None:
    if strategy == "kakurenbo":
        strategy = "kakurenbo: {milestones: [2], shares: [1.0, 0.5]}"
    with pytest.raises(ConfigError, match=r"x.yaml:14: .*mix_label: own .*or mix_label: larger"):
        experiment(strategy)
    experiment(strategy, mix_label="own")
    experiment(strategy, mixup=0.0, cutmix=0.0, mix_group=0)


def test_a_schedule_takes_mixed_samples_where_what_it_schedules_does() -> None:
    assert load("warmup", {"then": "infobatch"}).takes_mixed
    assert not load("warmup", {"then": "dual"}).takes_mixed
    assert {"baseline", "random", "budget"} <= {
        name for name in known() if name not in ("subset", "warmup") and load(name, {}).takes_mixed
    }


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"mix_group": 3}, "mix_group must be even"),
        ({"global_batch": 49}, "global_batch must be even"),
        ({"mixup": 0.0, "cutmix": 0.0}, "mix_group: needs a mixup or cutmix above 0"),
        ({"erase_mode": "pixel"}, "erase_mode needs a random_erase"),
        ({"interpolation": "random"}, "random belongs to a random crop that is resized"),
        ({"mix_label": "other"}, "must be 'own' or 'larger'"),
    ],
)
def test_what_cannot_be_mixed_is_refused(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment("random", **recipe)

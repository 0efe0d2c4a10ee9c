"""What runs of a seed share, and runs of another seed do not, as digests in done.json."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
import torch
from strategy_needs import NEEDED
from torch import nn

from kbench.engine.loop import Run, train
from kbench.engine.seeds import digest, fingerprint
from kbench.strategies import STRATEGIES
from kbench.tasks.workload import Workload

KEYS = ("weights_digest", "order_digest", "augment_digest")
SHORT = {"forget": {"score_epochs": 2}, "prune-el2n": {"score_epochs": 2}, **NEEDED}


def told(run: Run) -> dict[str, str | None]:
    """The digests of a run that has trained its first epoch."""
    next(iter(train(run)))
    return {key: run.facts[key] for key in KEYS}


@pytest.fixture(scope="module")
def of_the_baseline(run_of: Callable[..., Run]) -> dict[str, str | None]:
    return told(run_of("baseline", epochs=2))


@pytest.mark.parametrize("name", STRATEGIES)
def test_all_strategies_of_a_seed_share_weights_order_and_views(
    name: str, run_of: Callable[..., Run], of_the_baseline: dict[str, str | None]
) -> None:
    assert told(run_of(name, SHORT.get(name), epochs=2)) == of_the_baseline


def test_another_seed_has_other_weights_another_order_and_other_views(
    run_of: Callable[..., Run], of_the_baseline: dict[str, str | None]
) -> None:
    theirs = told(run_of("baseline", epochs=2, seed=1))
    assert all(theirs[key] != of_the_baseline[key] for key in KEYS)


def test_a_recipe_that_looks_at_samples_otherwise_differs_in_the_views_alone(
    run_of: Callable[..., Run], of_the_baseline: dict[str, str | None]
) -> None:
    theirs = told(run_of("baseline", epochs=2, augment="none"))
    assert [key for key in KEYS if theirs[key] != of_the_baseline[key]] == ["augment_digest"]


def test_the_order_is_the_one_in_which_the_baseline_trains(
    training_of: Callable[..., Any], workload_of: Callable[..., Workload]
) -> None:
    trained, workload = training_of().ids(0), workload_of()
    dropped = sorted(set(range(workload.n_samples)) - set(trained))
    told = fingerprint(workload, nn.Linear(1, 1), 0)["order_digest"]
    assert told in {digest(torch.tensor([*trained, *tail])) for tail in permutations(dropped)}


def test_the_views_are_the_ones_that_the_baseline_trains_on(
    training_of: Callable[..., Any], workload_of: Callable[..., Workload]
) -> None:
    workload, ids = workload_of(), range(48)
    batches = [batch for batch, _ in training_of().trained[0]]
    seen = {int(i): x for batch in batches for i, x in zip(batch.index, batch.x, strict=True)}
    assert set(ids) <= seen.keys()
    told = fingerprint(workload, nn.Linear(1, 1), 0)["augment_digest"]
    assert told == digest(torch.stack([seen[i] for i in ids]))


def test_a_digest_sees_one_bit() -> None:
    ones = torch.ones(1000)
    other = ones.clone()
    other[777] = torch.nextafter(other[777], torch.tensor(2.0))
    assert digest(ones) == digest(ones.clone()) != digest(other)
    assert len(digest(ones)) == 12 and int(digest(ones), 16) >= 0


def test_a_digest_knows_values_whatever_their_layout() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    assert digest(x) == digest(x.contiguous(memory_format=torch.channels_last))
    assert digest(x[0], x[1]) == digest(x) != digest(x[1], x[0])

"""A machine that drifts within a block favours nobody: the order balances, and intervals allow for what is left."""

import math
import random

import numpy as np
import pytest
from simulated import FOLLOWS, LABELS, false_savings

from kbench.analysis.drift import Drift, allow_for_drift, drift_of
from kbench.analysis.interval import estimate_change
from kbench.experiment.order import balanced

N_EXPERIMENTS = 200


def drawn(n_seeds: int, seed: int) -> list[list[str]]:
    """The order before places were balanced: by chance, and who follows changes places with its leader."""
    rng, orders = random.Random(seed), []
    for _ in range(n_seeds):
        order = rng.sample(LABELS, len(LABELS))
        for label in list(order):
            leader = FOLLOWS.get(label)
            if leader and order.index(leader) > order.index(label):
                first, second = order.index(label), order.index(leader)
                order[first], order[second] = order[second], order[first]
        orders.append(order)
    return orders


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_a_drift_of_one_percent_a_place_makes_no_more_false_savings_than_chance(n_seeds: int) -> None:
    rng = random.Random(n_seeds)
    orders = [balanced([LABELS] * n_seeds, FOLLOWS, rng) for _ in range(10)]
    shares = false_savings([orders[i % 10] for i in range(N_EXPERIMENTS)], allowing=True)
    nominal = 0.025  # below an interval of 95 %
    limit = nominal + 2.6 * math.sqrt(nominal * (1 - nominal) / N_EXPERIMENTS)
    assert shares["baseline"] < limit and shares["control"] < limit, shares


def test_without_balance_and_allowance_the_same_drift_makes_false_savings() -> None:
    orders = [drawn(10, seed) for seed in range(100)]
    shares = false_savings(orders, allowing=False)
    assert shares["baseline"] > 0.3 and shares["control"] > 0.8


def test_the_drift_is_found_and_allowed_for_with_its_own_uncertainty() -> None:
    orders = balanced([LABELS] * 5, FOLLOWS, random.Random(1))
    labels = [label for order in orders for label in order]
    blocks = [str(block) for block, order in enumerate(orders) for _ in order]
    places = [float(place) for order in orders for place in range(7)]
    effect = np.array([0.2 * (label == "sb") for label in labels]) + np.array([float(block) for block in blocks])
    noise = np.random.default_rng(3).normal(0, 0.001, len(places))
    drift = drift_of(labels, blocks, places, effect + 0.03 * np.array(places) + noise)
    assert drift and drift.is_shown and drift.ci[0] < 0.03 < drift.ci[1] and drift.df == 35 - 7 - 5
    ratios = [0.97, 0.96, 0.98]
    found = estimate_change(ratios)
    assert allow_for_drift(found, ratios, 0.0, drift) == allow_for_drift(found, ratios, -1.0, None) == found
    allowed = allow_for_drift(found, ratios, -1.0, drift)
    assert found.ci and allowed.ci and allowed.mean == found.mean
    assert allowed.ci[0] == found.ci[0] and found.ci[1] < 0 < allowed.ci[1] and (allowed.p or 0) > (found.p or 0)
    vague = allow_for_drift(found, ratios, -1.0, Drift(per_place=0.0, error=0.05, df=3))
    assert vague.ci and vague.ci[0] < found.ci[0] and vague.ci[1] > found.ci[1]


def test_places_that_never_vary_tell_no_drift() -> None:
    assert drift_of(["a", "b"] * 4, list("00112233"), [0.0, 1.0] * 4, np.arange(8.0)) is None
    assert drift_of(["a", "b"], ["0", "0"], [0.0, 1.0], np.arange(2.0)) is None

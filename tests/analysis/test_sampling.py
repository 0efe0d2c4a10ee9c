"""Intervals over seeds and test samples: against McNemar's formula, simulated truths, and runs without hits."""

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special
from simulated import hit_differences

from kbench.analysis.compare import compare
from kbench.analysis.interval import Confidence, estimate
from kbench.analysis.sampling import RunHits, interval_over_samples
from kbench.analysis.tables.layout import tables
from kbench.records.hits import Hits


def differences(n_seeds: int, n_samples: int, *, taste: float = 0.4, seed: int = 0) -> NDArray[np.int8]:
    return hit_differences(n_seeds, n_samples, taste=taste, rng=np.random.default_rng(seed))


def half(ci: tuple[float, float] | None) -> float:
    assert ci
    return (ci[1] - ci[0]) / 2


def test_seeds_that_agree_on_every_sample_add_mcnemars_variance_to_that_of_the_seeds() -> None:
    pair = differences(1, 400)[0]
    lifted = np.zeros((4, 400), dtype=np.int8)
    lifted[:] = pair
    lifted[0, np.flatnonzero(pair == 0)[0]] = 1  # so that the seeds have a spread at all
    only_first, only_second = int((pair == 1).sum()), int((pair == -1).sum())
    mcnemar = (only_first + only_second - (only_first - only_second) ** 2 / 400) / 400**2
    found = half(interval_over_samples(lifted)) ** 2 - half(estimate(lifted.mean(axis=1).tolist()).ci) ** 2
    assert found == pytest.approx(special.stdtrit(399, 0.975) ** 2 * mcnemar, rel=0.02)


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("taste", [0.0, 0.4, 1.0])
def test_it_is_never_narrower_than_over_the_seeds_and_has_the_same_middle(n_seeds: int, taste: float) -> None:
    for seed in range(20):
        found = differences(n_seeds, 359, taste=taste, seed=seed)
        both, seeds = interval_over_samples(found), estimate(found.mean(axis=1).tolist())
        assert both and seeds.ci and seeds.mean == pytest.approx(sum(both) / 2, abs=1e-12)
        assert half(both) >= half(seeds.ci) * (1 - 1e-9)


def test_the_truth_over_samples_is_held_where_seeds_alone_lose_it() -> None:
    held = {"both": 0, "seeds": 0}
    for seed in range(300):
        found = differences(10, 359, taste=0.6, seed=seed)  # alike over all samples that there might be
        held["seeds"] += abs(found.mean()) <= half(estimate(found.mean(axis=1).tolist()).ci)
        held["both"] += abs(found.mean()) <= half(interval_over_samples(found))
    assert held["both"] >= 0.93 * 300 > 0.8 * 300 > held["seeds"]


def test_many_seeds_of_few_samples_do_not_pretend_to_more_samples() -> None:
    few, many = differences(5, 200, seed=3), differences(200, 200, seed=3)
    assert half(estimate(many.mean(axis=1).tolist()).ci) < 0.3 * half(estimate(few.mean(axis=1).tolist()).ci)
    assert half(interval_over_samples(many)) > 0.6 * half(interval_over_samples(few))


def test_a_look_among_several_has_a_wider_one() -> None:
    found = differences(5, 359)
    assert half(interval_over_samples(found, confidence=Confidence(two_sided=0.02))) > half(
        interval_over_samples(found)
    )


@pytest.mark.parametrize("shape", [(2, 100), (3, 1)])
def test_too_few_have_none(shape: tuple[int, int]) -> None:
    assert interval_over_samples(differences(*shape)) is None


def test_seeds_without_any_spread_have_none() -> None:
    assert interval_over_samples(np.ones((3, 50), dtype=np.int8)) is None


def test_hits_of_other_data_are_of_other_samples() -> None:
    hits = np.ones(5, dtype=np.int8)
    assert RunHits(hits, "a").same_samples(RunHits(hits, "a"))
    assert not RunHits(hits, "a").same_samples(RunHits(hits, "b"))
    assert not RunHits(hits, "a").same_samples(RunHits(hits[:4], "a"))
    assert not RunHits(hits, "a").same_samples(RunHits())


@pytest.fixture
def with_hits(book: Any) -> Any:
    """Four seeds of two strategies on 100 samples, each with its hits."""
    rng = np.random.default_rng(0)
    for strategy, accuracy in (("baseline", 0.9), ("mine", 0.85)):
        for seed in range(4):
            hits = (rng.random(100) < accuracy).astype(np.uint8)
            run_id = book.run(
                strategy, seed, [0.1, hits.mean()], [1.0, 1.0 + 0.1 * rng.random()], place={"metric": "top1"}
            )
            Hits.of(hits, attempt=1).write(book.folder.run(run_id).path)
    return book


def row(book: Any) -> Any:
    return compare(book.frames(), baseline="baseline", targets=[]).rows[1]


def test_a_comparison_has_the_interval_beside_that_over_seeds(with_hits: Any) -> None:
    found = row(with_hits)
    assert (found.hits_seeds, found.test_samples, found.hits_missing) == (4, 100, "")
    low, high = found.acc_final_diff_samples_ci
    assert low <= found.acc_final_diff_ci[0] < found.acc_final_diff_ci[1] <= high
    assert math.isclose((low + high) / 2, found.acc_final_diff)


def test_of_the_first_row_there_is_nothing_to_tell(with_hits: Any) -> None:
    base = compare(with_hits.frames(), baseline="baseline", targets=[]).rows[0]
    assert (base.acc_final_diff_samples_ci, base.hits_seeds, base.hits_missing) == (None, None, "")


@pytest.mark.parametrize(
    ("damage", "said", "is_warned"),
    [
        (lambda path: path.unlink(), "mine s2: it has no hits.json, as those that an older kbench trained", False),
        (lambda path: path.write_text("{"), "mine s2: hits.json: EOF while parsing an object", True),
        (
            lambda path: Hits.of(np.ones(100, dtype=np.uint8), attempt=1).write(path.parent),
            "mine s2: hits.json: 100 hits of 100 are not its final accuracy",
            True,
        ),
        (
            lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99})),
            "mine s2: hits.json: a newer kbench wrote it",
            True,
        ),
    ],
    ids=["missing", "torn", "of another model", "newer"],
)
def test_what_is_wrong_with_one_run_is_said_and_the_others_count(
    damage: Any, said: str, is_warned: bool, with_hits: Any
) -> None:
    damage(next(with_hits.folder.path.glob("runs/*.mine.s2.*")) / Hits.NAME)
    comparison = compare(with_hits.frames(), baseline="baseline", targets=[])
    found = comparison.rows[1]
    assert (found.seeds, found.hits_seeds) == (4, 3) and found.acc_final_diff_samples_ci
    assert said in found.hits_missing
    warnings = [finding.text for finding in comparison.findings if finding.kind == "hits"]
    assert (len(warnings) == 1 and said in warnings[0]) if is_warned else warnings == []
    assert any("3 of 4 seeds" in note and said in note for note in tables(comparison)[0].notes)


def test_without_any_hits_the_reason_is_said_and_nothing_is_guessed(three: Any) -> None:
    comparison = compare(three.frames(), baseline="baseline", targets=[])
    found = comparison.rows[1]
    assert found.acc_final_diff_ci and found.acc_final_diff_samples_ci is None
    assert found.hits_missing == "top-1 accuracy is no share of hits"
    assert "over samples: not known (top-1 accuracy is no share of hits)." in tables(comparison)[0].notes


def test_a_loss_on_these_samples_only_is_a_note(book: Any) -> None:
    rng = np.random.default_rng(1)
    for seed in range(5):
        for strategy, wrong in (("baseline", 0), ("mine", 3)):  # the same three samples, seed for seed
            hits = np.ones(200, dtype=np.uint8)
            hits[:wrong] = 0
            hits[50 + rng.integers(100)] = 0
            if strategy == "mine" and seed == 0:
                hits[199] = 0
            run_id = book.run(strategy, seed, [hits.mean()], [1.0 + 0.1 * rng.random()], place={"metric": "top1"})
            Hits.of(hits, attempt=1).write(book.folder.run(run_id).path)
    comparison = compare(book.frames(), baseline="baseline", targets=[])
    found = comparison.rows[1]
    assert found.acc_final_diff_ci[1] < 0 < found.acc_final_diff_samples_ci[1]
    texts = [finding.text for finding in comparison.findings if finding.kind == "samples"]
    assert len(texts) == 1 and "shown on these samples, not on others of their kind" in texts[0]

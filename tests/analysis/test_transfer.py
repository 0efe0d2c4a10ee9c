"""Training on one pair, then on others."""

from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError

UP, DOWN, OTHER = "up-digits", "down-digits", "other-digits"


@pytest.fixture
def chains(book: Any) -> Any:
    """Two seeds of two strategies, upstream and on two pairs downstream."""
    for seed in range(2):
        for strategy, seconds, loss, gain in (("baseline", 10.0, 3.2, 0.0), ("mine", 8.0, 3.6, -0.01)):
            book.run(strategy, seed, [0.1, 0.2], [seconds, seconds + seed], model="up", train_loss=loss + 0.2 * seed)
            book.run(strategy, seed, [0.97, 0.95 + gain], [1.0, 1.0], model="down")
            book.run(strategy, seed, [0.7, 0.80 + 0.1 * seed + 2 * gain], [1.0, 1.0], model="other")
    return book


def compared(book: Any, upstream: str = UP, downstream: tuple[str, ...] = (DOWN, OTHER)) -> Comparison:
    return compare(book.frames(), baseline="baseline", targets=[], transfers=[(upstream, downstream)])


def test_the_upstream_loss_is_the_training_loss_of_the_last_epoch(chains: Any) -> None:
    base, mine = compared(chains).transfers[0].rows
    assert (base.upstream_loss, mine.upstream_loss) == pytest.approx((3.3, 3.7))


def test_the_upstream_time_is_compared_as_everywhere(chains: Any) -> None:
    found = compared(chains)
    mine = found.transfers[0].rows[1]
    (row,) = [row for row in found.rows if (row.pair, row.strategy) == (UP, "mine")]
    assert (mine.upstream_s, mine.upstream_time_diff, mine.upstream_time_diff_range) == (
        row.train_s,
        row.time_diff,
        row.time_diff_range,
    )


def test_downstream_accuracies_are_of_the_last_epoch_with_differences(chains: Any) -> None:
    base, mine = compared(chains).transfers[0].rows
    assert [down.pair for down in mine.downstream] == [DOWN, OTHER]
    assert [down.acc_final for down in base.downstream] == pytest.approx([0.95, 0.85])
    assert [down.acc_final_diff for down in mine.downstream] == pytest.approx([-0.01, -0.02])
    assert [down.acc_final_diff for down in base.downstream] == [None, None]
    assert [down.acc_best for down in mine.downstream] == pytest.approx([0.97, 0.83])


def test_only_seeds_that_went_all_the_way_count(chains: Any) -> None:
    chains.run("mine", 2, [0.1], [1.0], model="up")
    chains.run("baseline", 2, [0.1], [1.0], model="up")
    found = compared(chains)
    assert [row.seeds for row in found.transfers[0].rows] == [2, 2]
    assert f"{UP} / mine: seeds [2] did not go all the way; left out" in found.warnings


def test_a_strategy_that_never_went_downstream_has_no_row(chains: Any) -> None:
    chains.run("yours", 0, [0.1], [1.0], model="up")
    found = compared(chains)
    assert [row.strategy for row in found.transfers[0].rows] == ["baseline", "mine"]
    assert f"{UP} / yours: seeds [0] did not go all the way; left out" in found.warnings


def test_that_downstream_began_from_upstream_s_weights_is_the_user_s_word(chains: Any) -> None:
    (found,) = [finding for finding in compared(chains).findings if finding.kind == "transfer"]
    assert found.severity == "warning"
    assert found.text.startswith(f"nothing on record says that the runs of {DOWN}, {OTHER} began from the weights of")


@pytest.mark.parametrize("wrong", [("gone-digits", (DOWN,)), (UP, (DOWN, "gone-digits"))])
def test_a_pair_that_is_not_there_is_an_error_that_names_what_is(chains: Any, wrong: Any) -> None:
    with pytest.raises(ResultsError, match=f"no run of the pair 'gone-digits' is done; done are {DOWN}, {OTHER}, {UP}"):
        compared(chains, *wrong)

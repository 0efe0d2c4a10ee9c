"""Training on one pair, then on others."""

from dataclasses import replace
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.rows import Comparison
from kbench.analysis.tables import plain
from kbench.analysis.tables.layout import tables
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


def test_the_loss_with_label_smoothing_stands_beside_the_plain_one_where_a_recipe_smooths(
    chains: Any, book: Any
) -> None:
    assert {row.upstream_loss_smoothed for row in compared(chains).transfers[0].rows} == {None}
    assert "label smoothing" not in plain.text(tables(compared(chains)))
    for strategy, seed in (("third", 0), ("third", 1)):
        book.run(strategy, seed, [0.1, 0.2], [9.0, 9.0], model="up", train_loss=2.3, train_loss_smoothed=2.9)
        book.run(strategy, seed, [0.9, 0.9], [1.0, 1.0], model="down")
        book.run(strategy, seed, [0.7, 0.8], [1.0, 1.0], model="other")
    found = compared(chains)
    third = found.transfers[0].rows[2]
    assert (third.upstream_loss, third.upstream_loss_smoothed) == pytest.approx((2.3, 2.9))
    printed = plain.text(tables(found))
    assert "with label smoothing" in printed and "the two are not compared with one another" in printed


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


@pytest.fixture
def recorded(book: Any) -> Any:
    """Two seeds of two strategies upstream, and of each two runs downstream that began with its weights."""
    for seed in range(2):
        for strategy, seconds, loss, gain in (("baseline", 10.0, 3.2, 0.0), ("mine", 8.0, 3.6, -0.01)):
            book.run(strategy, seed, [0.1, 0.2], [seconds, seconds + seed], model="up", train_loss=loss + 0.2 * seed)
            book.run(strategy, seed, [0.97, 0.95 + gain], [1.0, 1.0], model="down", upstream="up")
            book.run(strategy, seed, [0.7, 0.8 + 2 * gain], [1.0, 1.0], model="other", upstream="up")
    return book


def chained(book: Any) -> Comparison:
    """Without asking for any transfer."""
    return compare(book.frames(), baseline="baseline", targets=[])


def test_chains_on_record_are_compared_by_themselves_and_need_nobody_s_word(recorded: Any) -> None:
    found = chained(recorded)
    (table,) = found.transfers
    assert (table.upstream, table.downstream, table.recorded) == (UP, (DOWN, OTHER), True)
    assert [(row.strategy, row.seeds) for row in table.rows] == [("baseline", 2), ("mine", 2)]
    assert [down.acc_final_diff for down in table.rows[1].downstream] == pytest.approx([-0.01, -0.02])
    assert [finding for finding in found.findings if finding.kind == "transfer"] == []


def test_a_chain_on_record_and_the_same_one_by_word_have_the_same_numbers(recorded: Any, chains: Any) -> None:
    by_word = compared(chains).transfers[0].rows[1]
    on_record = chained(recorded).transfers[0].rows[1]
    assert (on_record.upstream_loss, on_record.upstream_s) == (by_word.upstream_loss, by_word.upstream_s)


def test_runs_are_matched_by_what_they_began_with_and_not_by_their_seed(recorded: Any) -> None:
    frames = recorded.frames()
    runs = frames.runs
    began = {(row.strategy, row.seed): row.upstream for row in runs[runs["pair"] == DOWN].itertuples()}
    of_mine = (runs["pair"] == DOWN) & (runs["strategy"] == "mine") & (runs["seed"] == 0)
    crossed = runs.assign(upstream=runs["upstream"].mask(of_mine, began["mine", 1]))
    found = compare(replace(frames, runs=crossed), baseline="baseline", targets=[])
    (mine,) = [row for row in found.transfers[0].rows if row.strategy == "mine"]
    assert (mine.seeds, mine.upstream_s) == (1, 17.0)
    assert mine.downstream[1].acc_final_diff_range is None
    assert f"{UP} / mine: seeds [0] did not go all the way; left out" in found.warnings


def test_the_row_of_a_pair_downstream_names_the_pair_upstream(recorded: Any) -> None:
    found = {(row.pair, row.strategy): row.upstream for row in chained(recorded).rows}
    assert (found[UP, "mine"], found[DOWN, "mine"], found[DOWN, "baseline"]) == (None, UP, UP)


def test_what_is_not_done_upstream_has_no_chain_to_show(book: Any) -> None:
    book.run("baseline", 0, [0.9], [1.0], model="down", upstream="up")
    assert chained(book).transfers == ()


def test_a_chain_that_is_asked_for_takes_the_place_of_the_one_on_record(recorded: Any) -> None:
    found = compared(recorded, UP, (OTHER,))
    assert [table.downstream for table in found.transfers] == [(OTHER,)]
    assert found.transfers[0].recorded


def test_who_asks_for_another_chain_than_the_one_on_record_is_told_which_it_is(recorded: Any) -> None:
    recorded.run("baseline", 0, [0.5], [1.0], model="elsewhere")
    with pytest.raises(
        ResultsError, match=f"the runs of '{DOWN}' began with weights of '{UP}', not of 'elsewhere-digits'"
    ):
        compared(recorded, "elsewhere-digits", (DOWN,))


def test_where_the_baseline_is_not_through_there_is_no_table_and_the_seeds_are_named(book: Any) -> None:
    for strategy in ("baseline", "mine"):
        book.run(strategy, 0, [0.9], [1.0], model="up")
    book.run("mine", 0, [0.9], [1.0], model="down", upstream="up")
    found = chained(book)
    assert found.transfers[0].rows == ()
    assert not any(table.kind == "transfer" for table in tables(found))
    assert f"{UP} / mine: seeds [0] did not go all the way; left out" in found.warnings


def test_a_run_whose_baseline_s_chain_is_broken_is_left_out(recorded: Any) -> None:
    recorded.run("mine", 2, [0.1, 0.2], [8.0, 8.0], model="up")
    recorded.run("baseline", 2, [0.1, 0.2], [9.0, 9.0], model="up")
    for model in ("down", "other"):
        recorded.run("mine", 2, [0.9, 0.9], [1.0, 1.0], model=model, upstream="up")
    found = chained(recorded)
    assert [row.seeds for row in found.transfers[0].rows] == [2, 2]
    assert f"{UP} / mine: seeds [2] did not go all the way; left out" in found.warnings

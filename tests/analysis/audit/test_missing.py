"""Runs that are not in the tables are named, and why they are not."""

from typing import Any

import pandas as pd

from kbench.analysis.compare import compare
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice

PAIR = "digits-cnn-digits"


def test_three_clean_seeds_need_no_remark(three: Any, told) -> None:
    assert told(three) == []


def test_a_failed_run_is_listed_with_its_reason(three: Any, told) -> None:
    run_id = three.run("mine", 3, [0.9], [1.0], fails="the training loss is not finite in epoch 3")
    assert told(three) == [f"{run_id} is failed: the training loss is not finite in epoch 3; not in the table"]


def test_many_runs_that_failed_alike_are_one_finding(three: Any, findings) -> None:
    ids = [three.run("mine", seed, [0.9], [1.0], fails="no more") for seed in range(3, 8)]
    (found,) = findings(three, "failed")
    assert found.severity == "warning"
    assert found.text == f"5 runs are failed: no more; not in the table: {', '.join(ids[:3])} and 2 more"


def test_a_run_whose_journal_lost_a_line_is_a_warning_and_in_no_table(three: Any, findings) -> None:
    three.run("baseline", 3, [0.8, 0.9], [1.0, 1.0])
    run_id = three.run("mine", 3, [0.8, 0.9], [1.0, 1.0])
    journal = three.folder.run(run_id).journal
    journal.write_text(journal.read_text().splitlines(keepends=True)[1])
    (found,) = findings(three, "damaged")
    assert found.severity == "warning"
    assert found.text.startswith(f"{run_id} is damaged: ") and found.text.endswith("; not in the table")
    assert {row.seeds for row in compare(three.frames(), baseline="baseline", targets=[]).rows} == {4, 3}


def test_runs_that_never_started_are_a_note(three: Any, findings) -> None:
    choice = Choice(label="mine", name="mine")
    run = RunSpec(experiment="book", pair=three.pair, strategy=choice, seed=9, ranks=1)
    three.folder.run(run.run_id).prepare(run)
    (found,) = findings(three, "missing")
    assert (found.severity, found.text) == ("note", f"{run.run_id} is missing; not in the table")


def test_seeds_without_a_baseline_are_named(three: Any, told) -> None:
    three.run("mine", 7, [0.9], [1.0])
    three.run("mine", 5, [0.9], [1.0])
    assert told(three) == [f"{PAIR} / mine: seeds [5, 7] have no matched baseline; left out"]


def test_a_pair_without_any_baseline_is_left_out_and_named(three: Any) -> None:
    for seed in range(3):
        three.run("mine", seed, [0.9], [1.0], model="mlp")
    found = compare(three.frames(), baseline="baseline", targets=[])
    assert {row.pair for row in found.rows} == {PAIR}
    assert "mlp-digits / mine: no matched run of baseline; left out" in found.warnings


def test_where_recipes_differ_the_first_difference_is_told(three: Any, told) -> None:
    recipe = three.pair.recipe.model_copy(update={"lr": 0.1})
    for seed in range(3):
        three.run("other", seed, [0.9], [1.0], recipe=recipe)
    expected = f"{PAIR} / other: no matched run of baseline (recipe.lr is 0.1, the baseline's 0.05); left out"
    assert told(three) == [expected]


def test_a_run_that_is_there_twice_counts_once_and_is_named(three: Any) -> None:
    frames = three.frames()
    twice = frames.runs[frames.runs["strategy"] == "mine"].assign(best_acc1=0.0)
    doubled = type(frames)(frames.name, frames.epochs, pd.concat([frames.runs, twice]), frames.folder)
    found = compare(doubled, baseline="baseline", targets=[])
    alone = compare(frames, baseline="baseline", targets=[])
    assert [row.acc_best for row in found.rows] == [row.acc_best for row in alone.rows]
    assert f"{PAIR} / mine: seeds [0, 1, 2] are there twice; the first of each counts" in found.warnings

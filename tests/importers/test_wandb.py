"""Exported charts: a column per run, percent told from fractions, partial columns marked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.importers.log import mark_interrupted
from kbench.importers.wandb import read

Write = Callable[..., Path]


def test_a_column_is_a_run_and_percent_becomes_a_fraction(chart: Write) -> None:
    first, second = read([chart({"a": [12.5, 95.86], "b": [10.0, 20.0]})])
    assert (first.run, second.run) == ("a", "b")
    assert [row["val_acc1"] for row in first.epochs] == [0.125, 0.9586]
    assert first.epochs[1] == {"phase": "train", "epoch": 1, "val_acc1": 0.9586}


def test_a_run_below_one_percent_is_percent_where_others_of_the_metric_are(chart: Write) -> None:
    first, _, last = read([chart({"a": [0.82, 0.95], "b": [10.0, 20.0], "c": [0.5, 0.25]})])
    assert [row["val_acc1"] for row in first.epochs] == [0.0082, 0.0095]
    assert [row["val_acc1"] for row in last.epochs] == [0.005, 0.0025]


def test_fractions_stay_fractions(chart: Write) -> None:
    (log,) = read([chart({"a": [0.5, 0.75]})])
    assert [row["val_acc1"] for row in log.epochs] == [0.5, 0.75]


def test_several_metrics_of_a_run_are_one_run(chart: Write) -> None:
    paths = [chart({"a": [50.0, 60.0]}), chart({"a": [2.5, 2.0]}, name="loss.csv", metric="train_loss")]
    (log,) = read(paths)
    assert log.epochs[1] == {"phase": "train", "epoch": 1, "val_acc1": 0.6, "train_loss": 2.0}
    assert log.files == tuple(paths)


def test_the_smallest_and_largest_that_the_site_adds_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text('"Step","a - eval_top1","a - eval_top1__MIN","a - eval_top1__MAX"\n0,50,49,51\n1,60,59,61\n')
    (log,) = read([path])
    assert [row["val_acc1"] for row in log.epochs] == [0.5, 0.6]


def test_a_column_that_ends_early_is_partial_and_the_longest_is_not(chart: Write) -> None:
    whole, part = mark_interrupted(read([chart({"a": [10.0, 20.0, 30.0], "b": [10.0, 20.0]})]), None)
    assert (whole.state, whole.error) == ("done", None)
    assert (part.state, part.error) == ("interrupted", "its log ends after 2 of 3 epochs")


def test_the_user_may_say_how_many_epochs_there_were_to_be(chart: Write) -> None:
    logs = read([chart({"a": [10.0, 20.0, 30.0], "b": [10.0, 20.0]})])
    assert [log.state for log in mark_interrupted(logs, 2)] == ["done", "done"]
    assert [log.state for log in mark_interrupted(logs, 4)] == ["interrupted", "interrupted"]


def test_files_of_other_lengths_are_no_measure_for_one_another(chart: Write) -> None:
    paths = [chart({"a": [10.0, 20.0, 30.0]}), chart({"b": [10.0, 20.0]}, name="b.csv")]
    assert [log.state for log in mark_interrupted(read(paths), None)] == ["done", "done"]


def test_a_metric_without_a_column_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text("epoch,a - val_acc,a - gpu_temp\n0,0.5,70\n")
    (log,) = read([path])
    assert log.epochs == ({"phase": "train", "epoch": 0, "val_acc1": 0.5},)
    read_as = (
        f"{path}: val_acc was read as fractions: no value is above 1, the largest is 0.5; --percent if it is percent"
    )
    assert set(log.remarks) == {"gpu_temp was left out: kbench has no column for it", read_as}


def test_a_value_that_is_no_number_is_unknown_and_said(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text("epoch,a - val_loss\n0,0.5\n1,NaN\n2,-inf\n")
    (log,) = read([path])
    assert [row.get("val_loss") for row in log.epochs] == [0.5, None, None]
    assert log.remarks == ("a - val_loss: 2 values NaN or infinite, read as unknown",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "chart.csv: is empty"),
        ("time,a - eval_top1\n0,5\n", "chart.csv:1: the first column must be epoch or Step, got 'time'"),
        ("epoch\n0\n", "chart.csv:1: has no column of a run"),
        ("epoch,a\n0,5\n", "chart.csv:1: column 2 must be named RUN - METRIC, got 'a'"),
        ("epoch,a - eval_top1,a - eval_top1\n0,5,6\n", "chart.csv:1: two columns are named 'a - eval_top1'"),
        ("epoch,a - eval_top1\n", "chart.csv: has a header and no line of values"),
        ("epoch,a - eval_top1\n0,5\n1\n", "chart.csv:3: must have 2 fields as the header has, got 1"),
        ("epoch,a - eval_top1\n0,5\n1,x\n", "chart.csv:3: a - eval_top1: must be a finite number, got 'x'"),
        ("epoch,a - eval_top1\n0,5\none,6\n", "chart.csv:3: epoch: must be a finite number, got 'one'"),
        ("epoch,a - eval_top1\n0,5\n0,6\n", "chart.csv:3: epoch: must increase, got 0 after 0"),
        ("Step,a - eval_top1\n0,5\n390,6\n", "chart.csv:3: Step: goes from 0 to 390, so that it counts something else"),
        ("epoch,a - accuracy\n0,5\n", "no metric that kbench has a column for, got accuracy"),
    ],
)
def test_a_file_that_is_no_such_chart_is_refused_at_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text(text)
    with pytest.raises(ResultsError, match=message) as raised:
        read([path])
    assert raised.value.hint


def test_two_values_of_one_epoch_are_refused(chart: Write) -> None:
    paths = [chart({"a": [50.0]}), chart({"a": [51.0]}, name="again.csv")]
    with pytest.raises(ResultsError, match="again.csv:2: a: epoch 0 has two values of val_acc1, 0.5 and 0.51"):
        read(paths)


def test_percent_below_one_are_percent_where_that_is_said(chart, typed) -> None:
    path = chart({"a": [0.31, 0.62, 0.95]})
    said = typed("import", "wandb-csv", str(path), "--percent")
    assert "last top-1 0.95 %" in said.stdout and "eval_top1 was read as percent: --percent says so" in said.stderr


def test_the_losses_that_the_authors_published_belong_to_the_pair_of_their_times(chart, typed) -> None:
    prefix = "pretrain_deit_tiny_fdb3k_lr1.0e-3_epochs80_bs512_"
    ends = ("sbfix_BETA1.0", "wRfix", "forgetlagfix", "kakurenbo_F0.20", "kakurenbo_F0.30")
    runs = [*(f"{prefix}noCut-mixup_{end}" for end in ends), f"{prefix}_80ps_noCut-mixup"]
    said = typed("import", "wandb-csv", str(chart({run: [4.0, 3.0] for run in runs}, metric="train_loss")))
    names = [line.split(".s0.")[0] for line in said.stdout.splitlines()]
    strategies = ("sb-loss", "iswr-loss", "forget-loss", "kakurenbo-20", "kakurenbo-30", "baseline")
    assert names == [f"deit-tiny-fractal3k.{strategy}" for strategy in strategies]

"""Tables that timm, Lightning and Keras write: a run a file, epochs merged, what is left out named."""

from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.importers.log import Log
from kbench.importers.registry import import_format

TIMM = "epoch,train_loss,eval_loss,eval_top1,eval_top5\n0,2.5,2.0,40.0,80.0\n1,1.5,1.0,60.5,90.0\n"
LIGHTNING = """\
epoch,step,train_loss_step,train_loss_epoch,val_acc,val_loss
0,49,1.9,,,
0,99,,,0.5,1.5
0,99,,1.8,,
1,199,,,0.6,1.25
1,199,,1.5,,
"""
KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.4,2.0,0.5,nan\n1,0.6,nan,0.55,inf\n"


def one(form: str, path: Path, text: str) -> Log:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (log,) = import_format(form).read([path.parent])
    return log


def test_a_summary_of_timm_is_a_run_named_by_its_folder_and_its_percent_are_fractions(tmp_path: Path) -> None:
    log = one("timm-csv", tmp_path / "exp1" / "summary.csv", TIMM)
    assert log.run == "exp1"
    assert [(row["val_acc1"], row["val_acc5"], row["train_loss"]) for row in log.epochs] == [
        (0.4, 0.8, 2.5),
        (0.605, 0.9, 1.5),
    ]
    assert any(remark.endswith("eval_top1 was read as percent: a value is above 1") for remark in log.remarks)


def test_lines_of_lightning_for_training_and_validation_are_one_epoch(tmp_path: Path) -> None:
    log = one("lightning-csv", tmp_path / "version_0" / "metrics.csv", LIGHTNING)
    assert [dict(row) for row in log.epochs] == [
        {"phase": "train", "epoch": 0, "val_acc1": 0.5, "val_loss": 1.5, "train_loss": 1.8},
        {"phase": "train", "epoch": 1, "val_acc1": 0.6, "val_loss": 1.25, "train_loss": 1.5},
    ]
    assert any("train_loss_step was left out" in remark for remark in log.remarks)
    assert any("val_acc was read as fractions: no value is above 1, the largest is 0.6" in each for each in log.remarks)


def test_accuracy_and_loss_of_keras_are_those_of_training_and_nan_is_unknown(tmp_path: Path) -> None:
    log = one("keras-csv", tmp_path / "run.csv", KERAS)
    assert [(row["train_acc"], row.get("train_loss"), row.get("val_loss")) for row in log.epochs] == [
        (0.4, 2.0, None),
        (0.6, None, None),
    ]
    assert any("val_loss: 2 values NaN or infinite, read as unknown" in remark for remark in log.remarks)


@pytest.mark.parametrize(
    "text, message",
    [
        (TIMM + "0,2,2,40,80\n", "summary.csv:4: epoch: 0 comes after 1, as of a run that was started again"),
        (TIMM + TIMM, "summary.csv:4: epoch: must be a finite number, got 'epoch'"),
        ("step,loss\n1,2\n", "summary.csv:1: has no column epoch, got step, loss"),
        ("epoch,apples\n1,2\n", "summary.csv:1: no column that kbench has one for"),
        ("epoch,eval_loss,val_loss\n1,2,3\n", "summary.csv:1: two columns are val_loss"),
        ("epoch,eval_loss\n1,2,3\n", "summary.csv:2: must have 2 fields as the header has, got 3"),
        ("epoch,eval_top1\n0,-1\n1,x\n", "summary.csv:3: eval_top1: must be a finite number, got 'x'"),
        ("epoch,eval_top1\n1e30,1\n", "summary.csv:2: epoch: must be a whole number from 0, got '1e30'"),
    ],
)
def test_what_is_no_such_table_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=message):
        one("timm-csv", tmp_path / "exp1" / "summary.csv", text)

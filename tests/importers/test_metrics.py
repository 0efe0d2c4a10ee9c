"""Names of metrics: what is plain is read, what is not is left alone."""

import pytest

from kbench.importers.metrics import column_of, in_percent


@pytest.mark.parametrize(
    "metric, column",
    [
        ("eval_top1", "val_acc1"),
        ("Accuracy/test", "val_acc1"),
        ("val/acc1", "val_acc1"),
        ("Validation Accuracy", "val_acc1"),
        ("test_top5", "val_acc5"),
        ("Loss/val", "val_loss"),
        ("train_loss", "train_loss"),
        ("train/acc", "train_acc"),
        ("learning_rate", "lr"),
        ("accuracy", None),
        ("loss", None),
        ("epoch_accuracy", None),
        ("eval_f1", None),
    ],
)
def test_a_metric_is_read_where_its_name_says_of_what_it_is(metric: str, column: str | None) -> None:
    assert column_of(metric) == column


def test_one_accuracy_above_one_makes_all_percent() -> None:
    assert in_percent([0.82, 95.86])
    assert not in_percent([0.82, 1.0])

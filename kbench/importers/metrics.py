"""Which column of kbench a metric of others is, by the names that are in use."""

import re
from collections.abc import Iterable

SPLITS = ("val", "valid", "validation", "eval", "test")
TOP1 = ("acc", "acc1", "acc_1", "accuracy", "top1", "top_1", "top1_acc", "acc_top1", "top1_accuracy", "accuracy_top1")
TOP5 = ("acc5", "acc_5", "top5", "top_5", "top5_acc", "acc_top5", "top5_accuracy", "accuracy_top5")
KNOWN: dict[str, str] = {
    **{f"{split}_{word}": "val_acc1" for split in SPLITS for word in TOP1},
    **{f"{split}_{word}": "val_acc5" for split in SPLITS for word in TOP5},
    **{f"{split}_loss": "val_loss" for split in SPLITS},
    **{f"{word}_{split}": "val_acc1" for split in SPLITS for word in ("acc", "accuracy", "top1")},
    **{f"loss_{split}": "val_loss" for split in SPLITS},
    **dict.fromkeys(("train_loss", "training_loss", "loss_train"), "train_loss"),
    **dict.fromkeys(("train_acc", "train_accuracy", "train_acc1", "train_top1", "acc_train"), "train_acc"),
    **dict.fromkeys(("lr", "learning_rate"), "lr"),
}
ACCURACIES = ("val_acc1", "val_acc5", "val_acc_worst", "train_acc")


def column_of(metric: str) -> str | None:
    """kbench's column for a metric (``eval_top1``, ``Accuracy/test``); None where it is not plain what it is.

    ``accuracy`` or ``loss`` alone is not: of the training or of the test set?
    """
    return KNOWN.get(re.sub(r"[^a-z0-9]+", "_", metric.strip().lower()).strip("_"))


def in_percent(values: Iterable[float], *, percent: bool = False) -> bool:
    """Whether accuracies of one metric are percent: somebody says so, or one of them is above 1."""
    return percent or any(value > 1 for value in values)


def from_percent(value: float) -> float:
    """The fraction, rounded where a double of the percent ends, so that 95.86 % is 0.9586."""
    return round(value / 100, 15)

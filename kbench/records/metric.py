"""What the accuracies of a run are called, by the metric that it names."""

PRINTED = {"top1": "top-1", "mean_iou": "mean IoU"}  # before a number; others as they are
ACCURACY = "accuracy"
NOUNS = {"mean_iou": "mean IoU"}  # what else than an accuracy is gained or lost
AXES = {"top1": "top-1 accuracy"}


def printed(metric: str | None) -> str:
    """The name before a number: ``top-1``, ``mean IoU``; ``accuracy`` where it is not known."""
    return PRINTED.get(metric, metric) if metric else ACCURACY


def noun(metric: str | None) -> str:
    """What is gained or lost: ``accuracy``, or ``mean IoU``."""
    return NOUNS.get(metric or "", ACCURACY)


def on_axis(metric: str | None) -> str:
    """The name on an axis: ``top-1 accuracy``, ``mean IoU``."""
    return AXES.get(metric or "", printed(metric))

"""What accuracies are called."""

from kbench.records.schema import metric_name, noun, on_axis


def test_top_1_is_named_so_before_a_number_and_is_an_accuracy() -> None:
    assert (metric_name("top1"), on_axis("top1"), noun("top1")) == ("top-1", "top-1 accuracy", "accuracy")


def test_the_mean_iou_of_segmentation_is_called_by_its_name_everywhere() -> None:
    assert [name("mean_iou") for name in (metric_name, on_axis, noun)] == ["mean IoU"] * 3


def test_a_name_that_we_do_not_know_is_printed_as_it_is_and_none_at_all_is_accuracy() -> None:
    assert (metric_name("mAP"), on_axis("mAP")) == ("mAP", "mAP")
    assert [name(None) for name in (metric_name, on_axis, noun)] == ["accuracy"] * 3

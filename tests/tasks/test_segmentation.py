"""Loss, correctness, confidence, error_norm and score where every pixel has a class, held against slow arithmetic."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kbench.errors import WorkloadError
from kbench.tasks.segmentation import CLASS_WEIGHT, FREQUENCY, Segmentation, iou

WEIGHT = (1.0, 2.5, 1.5)
DEEPCAM = Segmentation(CLASS_WEIGHT)


def case(n: int = 5, *, seed: int = 0, sure: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits ((n, 3, 4, 6)) and labels ((n, 4, 6)); sample 0 is background only."""
    rng = torch.Generator().manual_seed(seed)
    logits = sure * torch.randn(n, 3, 4, 6, generator=rng)
    y = torch.randint(3, (n, 4, 6), generator=rng)
    y[0] = 0
    return logits, y


def certain(y: Tensor, height: float = 100.0) -> Tensor:
    """Logits that are sure of ``y``."""
    return height * torch.nn.functional.one_hot(y, 3).permute(0, 3, 1, 2).float()


def of_pixels(logits: Tensor, y: Tensor) -> list[list[tuple[np.ndarray, int]]]:
    """For each sample its pixels: (probabilities, class)."""
    chance = torch.softmax(logits.double(), 1).permute(0, 2, 3, 1).flatten(1, 2).numpy()
    return [
        [(p, int(c)) for p, c in zip(ps, cs, strict=True)] for ps, cs in zip(chance, y.flatten(1).numpy(), strict=True)
    ]


def loss_slowly(logits: Tensor, y: Tensor) -> list[float]:
    return [float(np.mean([-WEIGHT[c] * math.log(p[c]) for p, c in pixels])) for pixels in of_pixels(logits, y)]


def iou_slowly(logits: Tensor, y: Tensor) -> list[float]:
    """MLPerf HPC's score of a sample, from its definition: absent classes count 1."""
    scores = []
    for pixels in of_pixels(logits, y):
        each = []
        for c in range(3):
            hit = sum(p.argmax() == c and true == c for p, true in pixels)
            alarm = sum(p.argmax() == c and true != c for p, true in pixels)
            miss = sum(p.argmax() != c and true == c for p, true in pixels)
            each.append(hit / (hit + alarm + miss) if hit + alarm + miss else 1.0)
        scores.append(float(np.mean(each)))
    return scores


def confidence_slowly(logits: Tensor, y: Tensor) -> list[float]:
    found = []
    for pixels in of_pixels(logits, y):
        classes = sorted({c for _, c in pixels})
        found.append(float(np.mean([np.mean([p[c] for p, true in pixels if true == c]) for c in classes])))
    return found


@pytest.mark.parametrize("sure", [0.1, 1.0, 10.0])
def test_the_four_numbers_are_what_they_are_defined_to_be(sure: float) -> None:
    logits, y = case(sure=sure)
    loss, correct, confidence, _ = Segmentation(WEIGHT, good_iou=0.2).measure(logits, y)
    np.testing.assert_allclose(loss, loss_slowly(logits, y), rtol=1e-5)
    np.testing.assert_array_equal(correct, [score >= 0.2 for score in iou_slowly(logits, y)])
    np.testing.assert_allclose(confidence, confidence_slowly(logits, y), rtol=1e-5)
    assert 0 < int(correct.sum()) < len(correct), "the case decides nothing"


def test_the_residual_is_the_norm_of_the_loss_gradient_up_to_a_constant() -> None:
    logits, y = case()
    logits.requires_grad_()
    measured = Segmentation(WEIGHT).measure(logits.detach(), y)
    criterion = Segmentation(WEIGHT).criterion(logits, y, label_smoothing=0.0)
    (gradient,) = torch.autograd.grad(criterion.sum(), logits)
    n_pixels = y[0].numel()
    np.testing.assert_allclose(measured[3], gradient.flatten(1).norm(dim=1) * math.sqrt(n_pixels) / 2.5, rtol=1e-5)
    assert (measured[3] <= math.sqrt(2)).all()


def test_the_residual_of_a_very_sure_model_is_not_rounded_away() -> None:
    y = case()[1]
    assert (Segmentation(WEIGHT).measure(certain(y, 30.0), y)[3] > 0).all()


def test_what_is_trained_with_is_what_samples_are_ranked_by() -> None:
    logits, y = case()
    loss = Segmentation(WEIGHT).measure(logits, y)[0]
    torch.testing.assert_close(Segmentation(WEIGHT).criterion(logits, y, label_smoothing=0.0), loss)
    assert not torch.allclose(Segmentation(WEIGHT).criterion(logits, y, label_smoothing=0.1), loss)


def test_a_batch_s_mean_loss_is_the_mean_over_all_its_pixels() -> None:
    """As in MLPerf HPC's CELoss, which averages weighted losses over pixels, not over weights."""
    logits, y = case()
    each = torch.nn.functional.cross_entropy(logits, y, torch.tensor(WEIGHT), reduction="none")
    torch.testing.assert_close(Segmentation(WEIGHT).criterion(logits, y, label_smoothing=0.0).mean(), each.mean())


def test_a_uniform_guess_has_a_third_of_confidence_and_is_not_good() -> None:
    y = case()[1]
    _, correct, confidence, _ = Segmentation(WEIGHT).measure(torch.zeros(5, 3, 4, 6), y)
    torch.testing.assert_close(confidence, torch.full((5,), 1 / 3))
    assert not correct[1:].any()


def test_a_perfect_answer_is_good_and_sure_and_loses_nothing() -> None:
    y = case()[1]
    loss, correct, confidence, error_norm = Segmentation(WEIGHT).measure(certain(y), y)
    assert correct.all() and (confidence == 1).all() and (loss == 0).all() and (error_norm < 1e-30).all()


def test_a_missed_cyclone_among_much_background_is_neither_good_nor_sure() -> None:
    y = torch.zeros(1, 20, 20, dtype=torch.int64)
    y[0, 3, 3:5] = 1
    _, correct, confidence, _ = Segmentation(WEIGHT).measure(certain(torch.zeros_like(y), 5.0), y)
    assert not correct and 0.49 < float(confidence) < 0.51
    assert float(iou(torch.zeros_like(y), y, n_classes=3)) == pytest.approx((398 / 400 + 0 + 1) / 3)


def test_the_score_is_the_mean_over_samples_of_the_slow_one() -> None:
    logits, y = case(8)
    scores = DEEPCAM.scores(DEEPCAM.counts(logits, y))
    assert scores.val_acc1 == pytest.approx(np.mean(iou_slowly(logits, y)), abs=1e-12)
    assert scores.val_loss == pytest.approx(float(DEEPCAM.measure(logits, y)[0].mean()), rel=1e-6)
    assert scores.val_acc5 is None


def test_a_class_that_nobody_sees_counts_as_found_and_one_that_is_only_seen_does_not() -> None:
    y = torch.zeros(2, 4, 6, dtype=torch.int64)
    seen = y.clone()
    seen[1, 0, 0] = 2
    assert iou(seen, y, n_classes=3).tolist() == pytest.approx([1.0, (23 / 24 + 1 + 0) / 3])


def test_counts_add_up_over_batches_and_ranks() -> None:
    logits, y = case(9)
    whole = DEEPCAM.counts(logits, y)
    apart = sum((DEEPCAM.counts(logits[i : i + 2], y[i : i + 2]) for i in range(0, 9, 2)), torch.zeros(3).double())
    assert whole.dtype == torch.float64 and whole.shape == (DEEPCAM.n_counts,)
    torch.testing.assert_close(apart, whole, rtol=1e-14, atol=0)


def test_bf16_logits_are_measured_in_float32() -> None:
    logits, y = case()
    rounded = logits.bfloat16()
    for low, high in zip(DEEPCAM.measure(rounded, y), DEEPCAM.measure(rounded.float(), y), strict=True):
        assert torch.equal(low, high) and low.dtype in (torch.float32, torch.bool)


def test_class_weights_are_the_frequencies_to_the_power_of_minus_an_eighth() -> None:
    assert sum(FREQUENCY) == pytest.approx(1, abs=1e-12)
    assert CLASS_WEIGHT == pytest.approx([1.00173, 2.61461, 1.71641], abs=1e-5)


def test_a_confidence_over_the_batch_is_refused() -> None:
    with pytest.raises(WorkloadError, match="confidence over the batch is not defined for segmentation"):
        DEEPCAM.measure(*case(), over="batch")

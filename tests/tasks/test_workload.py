"""A pair made real: what batches hold, what is measured, and which models can be built."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kbench import data
from kbench.config.experiment import Pair
from kbench.data.views.augment import augmented
from kbench.errors import WorkloadError
from kbench.models.build import build_model
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")


def pair_with(**recipe: Any) -> Pair:
    full = {"epochs": 2, "global_batch": 48, "lr": 0.05} | recipe
    return Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": full})


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload(pair_with(augment="shift"), CPU)


def test_batches_hold_the_views_of_the_ids_asked_for(workload: Workload) -> None:
    chunks = [torch.tensor([3, 1400, 3]), torch.tensor([0])]
    for ids, (index, x, y) in zip(chunks, workload.batches(chunks, key=9), strict=True):
        assert torch.equal(index, ids) and torch.equal(y, workload.train.y[ids])
        assert torch.equal(x, augmented(workload.train.x[ids], ids, how="shift", key=9))


def test_measured_loss_hit_and_certainty_are_those_of_a_softmax_over_the_classes(workload: Workload) -> None:
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0)) * 3
    y = torch.arange(50) % 10
    loss, correct, confidence, _ = workload.measure(logits, y)
    p = torch.softmax(logits.double(), dim=1)
    assert torch.allclose(confidence.double(), p[torch.arange(50), y], atol=1e-6)
    assert torch.allclose(loss.double(), -p[torch.arange(50), y].log(), atol=1e-5)
    assert correct.tolist() == [int(row.argmax()) == label for row, label in zip(p, y.tolist(), strict=True)]


def test_what_a_sample_measures_does_not_depend_on_its_batch(workload: Workload) -> None:
    logits = torch.randn(16, 10, generator=torch.Generator().manual_seed(1))
    y = torch.arange(16) % 10
    together = workload.measure(logits, y)
    for i in range(16):
        alone = workload.measure(logits[i : i + 1], y[i : i + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            assert torch.allclose(one.float(), all_of_them[i : i + 1].float(), atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 16, 128])
def test_confidence_over_the_batch_is_the_largest_of_a_softmax_over_its_samples(size: int, workload: Workload) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 4, size=(size, 10))
        share = np.exp(logits) / np.exp(logits).sum(axis=0)  # of a class's weight in the batch, to each sample
        y = torch.tensor(rng.integers(0, 10, size))
        confidence = workload.measure(torch.tensor(logits, dtype=torch.float32), y, over="batch")[2]
        assert np.allclose(confidence, share.max(axis=1), atol=1e-5)


def test_what_confidence_is_taken_over_changes_nothing_else(workload: Workload) -> None:
    logits, y = torch.randn(32, 10, generator=torch.Generator().manual_seed(4)) * 3, torch.arange(32) % 10
    plain, coded = workload.measure(logits, y), workload.measure(logits, y, over="batch")
    assert [torch.equal(a, b) for a, b in zip(plain, coded, strict=True)] == [True, True, False, True]


@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0, 20.0, 60.0])
def test_the_residual_is_the_norm_of_softmax_minus_one_hot(scale: float, workload: Workload) -> None:
    """To float32's relative precision, also where the model is sure to many digits, or surely wrong."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 1, size=(64, 10)).astype(np.float32)
        y = rng.integers(0, 10, 64)
        logits[np.arange(48), y[:48]] += np.float32(scale)
        error_norm = workload.measure(torch.tensor(logits), torch.tensor(y))[3]
        exact = [norm(row, label) for row, label in zip(logits, y, strict=True)]
        assert np.allclose(error_norm, exact, rtol=2e-5, atol=1e-18)  # smaller squares than that underflow


def norm(logits: np.ndarray, label: int) -> float:
    """|softmax - one-hot|; 1 - p is summed up from the others, as it would round to 0."""
    p = np.exp(logits.astype(np.float64) - logits.max())
    p /= p.sum()
    others = np.delete(p, label)
    return float(np.sqrt((others**2).sum() + others.sum() ** 2))


def test_the_residual_is_the_gradient_at_the_logits(workload: Workload) -> None:
    logits = torch.randn(40, 10, generator=torch.Generator().manual_seed(5), requires_grad=True)
    y = torch.arange(40) % 10
    F.cross_entropy(logits, y, reduction="sum").backward()
    assert torch.allclose(workload.measure(logits.detach(), y)[3], logits.grad.norm(dim=1), rtol=1e-5)


def test_the_residual_of_a_sure_mistake_is_the_root_of_two(workload: Workload) -> None:
    logits = torch.zeros(1, 10).index_fill_(1, torch.tensor([3]), 200.0)
    wrong, right = (float(workload.measure(logits, torch.tensor([label]))[3]) for label in (7, 3))
    assert wrong == pytest.approx(2**0.5) and right == 0.0


def test_measuring_leaves_the_logits_as_they_were(workload: Workload) -> None:
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(6))
    before = logits.clone()
    workload.measure(logits, torch.arange(8))
    assert torch.equal(logits, before)


def test_label_smoothing_is_trained_with_but_not_measured() -> None:
    smooth, plain = (Workload(pair_with(label_smoothing=share), CPU) for share in (0.1, 0.0))
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(2))
    y = torch.arange(20) % 10
    hard, uniform = F.cross_entropy(logits, y, reduction="none"), -F.log_softmax(logits, dim=1).mean(1)
    assert torch.allclose(smooth.criterion(logits, y), 0.9 * hard + 0.1 * uniform, atol=1e-6)
    assert torch.equal(plain.criterion(logits, y), hard)
    assert torch.equal(smooth.measure(logits, y)[0], hard)


def test_half_precision_logits_are_measured_in_single_precision(workload: Workload) -> None:
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(3)).bfloat16()
    y = torch.arange(20) % 10
    loss, _, confidence, error_norm = workload.measure(logits, y)
    assert loss.dtype == confidence.dtype == error_norm.dtype == torch.float32
    assert torch.equal(loss, F.cross_entropy(logits.float(), y, reduction="none"))


def test_a_model_is_drawn_from_the_global_stream(workload: Workload) -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(torch.cat([p.flatten() for p in workload.model().parameters()]))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_a_timm_model_is_built_for_one_channel() -> None:
    model = build_model("timm:resnet10t", (1, 8, 8), 10).eval()
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_a_data_set_of_another_size_than_its_entry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(data.DATASETS["digits"], n_train=1500)
    monkeypatch.setitem(data.DATASETS, "digits", wrong)
    with pytest.raises(WorkloadError, match="1442 training and 355 validation samples found, 1500 and 355 expected"):
        Workload(pair_with(), CPU)

"""The network of the digits has a known size."""

import pytest
import torch

from kbench.models.digits import DigitsCNN


@pytest.mark.parametrize(("shape", "n_classes", "width"), [((1, 8, 8), 10, 32), ((3, 8, 8), 7, 4)])
def test_the_network_has_as_many_weights_as_its_layers_say(
    shape: tuple[int, int, int], n_classes: int, width: int
) -> None:
    model = DigitsCNN(shape, n_classes, width)
    widths = [shape[0], width, 2 * width, 2 * width]
    convolutions = sum(9 * a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    norms, head = sum(2 * b for b in widths[1:]), (2 * width + 1) * n_classes
    assert sum(p.numel() for p in model.parameters()) == convolutions + norms + head


def test_the_default_network_has_56554_weights() -> None:
    assert sum(p.numel() for p in DigitsCNN((1, 8, 8), 10).parameters()) == 56_554


def test_the_network_gives_one_logit_a_class() -> None:
    assert DigitsCNN((1, 8, 8), 10)(torch.zeros(5, 1, 8, 8)).shape == (5, 10)

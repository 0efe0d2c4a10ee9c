"""The wide residual network of KAKURENBO's authors: equal to one that is written down from its description."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kbench.models.wide_resnet import Block, WideResNet


def reference(x: Tensor, values: list[Tensor], *, blocks: int, training: bool) -> Tensor:
    """The network from its weights in the order of its layers, a function without modules and without dropout.

    Convolution with bias; per block: normalise, activate, convolve, twice, plus the input or, in a group's first block,
    its 1x1 convolution with bias; at the end normalise, activate, average, a linear layer.
    """
    rest = iter(values)

    def convolved(x: Tensor, *, stride: int = 1) -> Tensor:
        weight, bias = next(rest), next(rest)
        return F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)

    def activated(x: Tensor) -> Tensor:
        weight, bias, mean, variance, _ = (next(rest) for _ in range(5))
        return F.relu(F.batch_norm(x, mean.clone(), variance.clone(), weight, bias, training=training))

    x = convolved(x)
    for group in range(3):
        for block in range(blocks):
            stride = 2 if group > 0 and block == 0 else 1
            branch = convolved(activated(convolved(activated(x), stride=stride)))
            x = branch + (convolved(x, stride=stride) if block == 0 else x)
    x = activated(x).mean((2, 3))
    return F.linear(x, next(rest), next(rest))


def ordered(network: WideResNet) -> list[Tensor]:
    """The weights of a network in the order in which ``reference`` takes them."""

    def values(layer: nn.Module | None) -> list[Tensor]:
        return list(layer.state_dict().values()) if layer else []

    found = values(network.stem)
    for group in network.groups:
        assert isinstance(group, nn.Sequential)
        for block in group:
            assert isinstance(block, Block)
            layers = (block.norm1, block.conv1, block.norm2, block.conv2, block.around)
            found += [value for layer in layers for value in values(layer)]
    return found + values(network.norm) + values(network.head)


@pytest.mark.parametrize("training", [False, True])
def test_copied_weights_give_the_outputs_of_the_published_network(training: bool) -> None:
    torch.manual_seed(0)
    network = WideResNet((3, 32, 32), 7, depth=16, widen=2, kakurenbo=True).train(training)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2)
    x, weights = torch.randn(4, 3, 32, 32), ordered(network)
    expected = reference(x, [value.clone() for value in weights], blocks=2, training=training)
    assert torch.allclose(network(x), expected, atol=1e-5)
    assert not torch.allclose(WideResNet((3, 32, 32), 7, depth=16, widen=2).train(training)(x), expected, atol=1e-2)


def test_its_convolutions_begin_as_torchs_do_smaller_than_those_of_the_other_network() -> None:
    torch.manual_seed(0)
    theirs, plain = (WideResNet((3, 32, 32), 10, depth=10, widen=10, kakurenbo=on) for on in (True, False))
    convolutions = [
        next(
            layer
            for layer in network.modules()
            if isinstance(layer, nn.Conv2d) and layer.weight.shape[:2] == (160, 160)
        )
        for network in (theirs, plain)
    ]
    # uniform within 1 / sqrt(fan in), and normal of variance 2 / fan out
    assert convolutions[0].weight.std().item() == pytest.approx(1 / math.sqrt(3 * 9 * 160), rel=0.02)
    assert convolutions[1].weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 160)), rel=0.02)
    assert convolutions[0].bias is not None and convolutions[1].bias is None

"""Wide residual networks for small images."""

import math
from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn


class WideResNet(nn.Module):
    """WRN-d-k for images of about 32x32: three groups of pre-activated blocks, 16k, 32k and 64k channels.

    ``dropout`` stands between the two convolutions of a block.  Source: Zagoruyko and Komodakis 2016
    (arXiv:1605.07146); details as in the code of Selective-Backprop (github angelajiang/SelectiveBackprop
    @7c41937): no biases before batch normalisation, weights normal with variance 2 / (k^2 n_out).

    ``kakurenbo`` is the network of that paper's code (github TruongThaoNguyen/kakurenbo @6cb9f88,
    ImageNet/pytorch_cifar100/models/wideresidual.py): convolutions have biases (10,096 more parameters with 28-10) and
    torch's default initial weights, of 0.41 times the standard deviation, and the 1x1 convolution around the first
    block of a group takes what comes in, not what is normalised and activated.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_classes: int,
        *,
        depth: int,
        widen: int,
        dropout: float = 0.0,
        kakurenbo: bool = False,
    ) -> None:
        super().__init__()
        n_blocks, rest = divmod(depth - 4, 6)
        if rest or n_blocks < 1:
            raise ValueError(f"depth must be 6 n + 4, got {depth}")
        widths = (16, 16 * widen, 32 * widen, 64 * widen)
        kind = partial(KakurenboBlock if kakurenbo else Block, dropout=dropout)
        self.stem = nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=kakurenbo)
        self.groups = nn.Sequential(
            *(_group(kind, widths[i], widths[i + 1], n_blocks, stride=1 if i == 0 else 2) for i in range(3))
        )
        self.norm = nn.BatchNorm2d(widths[3])
        self.head = nn.Linear(widths[3], n_classes)
        if kakurenbo:
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) images to (b, n_classes) logits."""
        features = F.relu(self.norm(self.groups(self.stem(x))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Block(nn.Module):
    """Normalise, activate, convolve, twice; the way round is a 1x1 convolution where the shape changes."""

    biases = False  # of the convolutions

    def __init__(self, n_in: int, n_out: int, *, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(n_in), nn.BatchNorm2d(n_out)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=self.biases)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=self.biases)
        self.dropout = nn.Dropout(dropout)
        self.around = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=self.biases) if n_in != n_out else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        out: Tensor = self.conv2(self.dropout(F.relu(self.norm2(self.conv1(active)))))
        return out + self.way_round(x, active)

    def way_round(self, x: Tensor, active: Tensor) -> Tensor:
        """What is added: the input where the shape stays, else a convolution of it, normalised and activated."""
        return x if self.around is None else self.around(active)


class KakurenboBlock(Block):
    """A block with biases, whose way round takes the raw input."""

    biases = True

    def way_round(self, x: Tensor, active: Tensor) -> Tensor:
        """What is added: the input, or a convolution of it."""
        return x if self.around is None else self.around(x)


def _group(kind: Callable[..., Block], n_in: int, n_out: int, n_blocks: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(kind(n_in, n_out, stride=stride), *(kind(n_out, n_out, stride=1) for _ in range(n_blocks - 1)))


def wrn_28_10(shape: tuple[int, int, int], n_classes: int, *, dropout: float = 0.0) -> WideResNet:
    """36.5 M parameters with 100 classes."""
    return WideResNet(shape, n_classes, depth=28, widen=10, dropout=dropout)


def wrn_28_10_kakurenbo(shape: tuple[int, int, int], n_classes: int, *, dropout: float = 0.5) -> WideResNet:
    """36.5 M parameters with 100 classes: the network of KAKURENBO's authors, who drop out a half."""
    return WideResNet(shape, n_classes, depth=28, widen=10, dropout=dropout, kakurenbo=True)


def wrn_16_4(shape: tuple[int, int, int], n_classes: int, *, dropout: float = 0.0) -> WideResNet:
    """2.7 M parameters with 10 classes."""
    return WideResNet(shape, n_classes, depth=16, widen=4, dropout=dropout)


def wrn_16_8(shape: tuple[int, int, int], n_classes: int, *, dropout: float = 0.0) -> WideResNet:
    """11.0 M parameters with 10 classes."""
    return WideResNet(shape, n_classes, depth=16, widen=8, dropout=dropout)

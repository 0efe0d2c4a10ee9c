"""MobileNetV2 for small images."""

import torch.nn.functional as F
from torch import Tensor, nn

STAGES = (  # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """MobileNetV2 with strides for 32x32: the stem and the second stage keep the resolution.

    Source: Sandler et al. 2018 (arXiv:1801.04381) in the variant of the fork that Selective-Backprop was
    developed in (github angelajiang/pytorch-cifar @005f63c, ``--net mobilenetv2``; blocks as in github
    kuangliu/pytorch-cifar): ReLU in place of ReLU6, an expansion also where the factor is 1, and a 1x1
    convolution as the way round where only the channels change.  The paper says MobileNetV2 only, and
    the released code has none.
    """

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.stem = _convolution(shape[0], 32, 3)
        blocks, n_in = [], 32
        for expansion, n_out, n_blocks, stride in STAGES:
            for i in range(n_blocks):
                blocks.append(Block(n_in, n_out, expansion, stride if i == 0 else 1))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.last = _convolution(320, 1280, 1)
        self.head = nn.Linear(1280, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) images to (b, n_classes) logits."""
        features = F.relu(self.last(self.blocks(F.relu(self.stem(x)))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Block(nn.Module):
    """Expand, convolve each channel by itself, project; with a way round where the resolution stays."""

    def __init__(self, n_in: int, n_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        n_wide = expansion * n_in
        self.expand = _convolution(n_in, n_wide, 1)
        self.each = _convolution(n_wide, n_wide, 3, stride=stride, groups=n_wide)
        self.project = _convolution(n_wide, n_out, 1)
        self.stays = stride == 1
        changes = self.stays and n_in != n_out
        self.around = _convolution(n_in, n_out, 1) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(F.relu(self.each(F.relu(self.expand(x)))))
        return out + self.around(x) if self.stays else out


def _convolution(n_in: int, n_out: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out))

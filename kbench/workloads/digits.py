"""The handwritten digits of scikit-learn: real images that need no download, and a small network."""

import torch
from torch import Tensor, nn

from kbench.workloads.arrays import Arrays


def load() -> tuple[Arrays, Arrays]:
    """Load the 1,797 digits as (training, validation); every fifth sample of a class is held out.

    Images are (n, 1, 8, 8) float32 with mean 0 and deviation 1 over the training pixels.
    Source: UCI optdigits test set (Alpaydin and Kaynak 1998), as in ``sklearn.datasets``.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8)
    y = torch.tensor(labels, dtype=torch.int64)
    held = _every_fifth(y)
    mean, deviation = x[~held].mean(), x[~held].std()
    x = (x - mean) / deviation
    return Arrays(x[~held], y[~held]), Arrays(x[held], y[held])


def _every_fifth(y: Tensor) -> Tensor:
    """(n,) bool: the fifth, tenth, ... sample of each class, in the order of the data."""
    one_hot = nn.functional.one_hot(y)
    rank_in_class = one_hot.cumsum(0).gather(1, y[:, None]).squeeze(1)
    return rank_in_class % 5 == 0


class DigitsCNN(nn.Module):
    """Three 3x3 convolutions with batch normalisation, mean pooling, one linear layer."""

    def __init__(self, shape: tuple[int, int, int], n_classes: int, width: int = 32) -> None:
        super().__init__()
        widths = (shape[0], width, 2 * width, 2 * width)
        self.features = nn.Sequential(
            *(_block(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) images to (b, n_classes) logits."""
        out: Tensor = self.head(self.features(x))
        return out


def _block(n_in: int, n_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))

"""The handwritten digits of scikit-learn: real images that need no download."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from kbench.data.loader import Arrays


def load(_: Path | None = None) -> tuple[Arrays, Arrays]:
    """Load the 1,797 digits as (training, validation); every fifth sample of a class is held out.

    Images are (n, 1, 8, 8) float32 with mean 0 and standard deviation 1 over the training pixels, labels (n,) int64.
    Source: UCI optdigits test set (Alpaydin and Kaynak 1998), as in ``sklearn.datasets``.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8)
    y = torch.tensor(labels, dtype=torch.int64)
    held_out = _every_fifth(y)
    mean, std = x[~held_out].mean(), x[~held_out].std()
    x = (x - mean) / std
    return Arrays(x[~held_out], y[~held_out]), Arrays(x[held_out], y[held_out])


def _every_fifth(y: Tensor) -> Tensor:
    """(n,) bool: the fifth, tenth, ... sample of each class, in the order of the data."""
    one_hot = F.one_hot(y)
    rank_in_class = one_hot.cumsum(0).gather(1, y[:, None]).squeeze(1)
    return rank_in_class % 5 == 0
